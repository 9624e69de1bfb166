"""The far side of a forwarded connection: a connection of ours, on one of Twisted's transports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableProtocol,
    IHandshakeListener,
    IPullProducer,
)
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from tcpd.relay.forward_failures import FAILED, UNTRUSTED, Why, why_no_tls
from tcpd.relay.forward_tls import FarTLS

if TYPE_CHECKING:
    from tcpd.relay.forward import ForwardFactory
    from tcpd.relay.forward_client import ClientSide

#: Bytes that are read from the far side at a time, as from clients.
_READ = 256 * 1024

#: Seconds that a side may take to the end when the other is gone: as long as a policy's ``linger``
#: is by default.
LINGER = 15.0


def discard(data: bytes) -> None:
    """There is nobody to write it to."""


class Reading:
    """A transport as the producer of the other side: it is asked to stop reading, and to go on.

    What it is not asked is to close because the other transport is gone: that is decided here.
    """

    __slots__ = ("pauseProducing", "resumeProducing")

    def __init__(self, transport: Any) -> None:
        self.pauseProducing = transport.pauseProducing
        self.resumeProducing = transport.resumeProducing

    def stopProducing(self) -> None:
        """The other transport is gone, which its protocol is told too."""


@implementer(IHalfCloseableProtocol, IPullProducer)
class FarSide(Protocol):
    """The far side, in the clear.

    What the client says is offered to the kernel at once, and Twisted's transport gets what that
    does not take: this halves the cost of a message. While the transport has something, the client
    is not read from, and it asks here, as of a producer, when it has sent all.

    :param client: whose far side it is.
    :param factory: the service's.
    """

    transport: Any

    def __init__(self, client: ClientSide, factory: ForwardFactory) -> None:
        self._client: ClientSide | None = client
        self._factory = factory
        self._write = client.transport.write
        self._timer: IDelayedCall | None = None
        self._source: Reading | None = None
        self._send: Any = None
        self._waiting = False  # the transport has something to send
        self._joined = False
        self._read_over = False
        self._write_over = False

    # --- its connection ---

    def connectionMade(self) -> None:
        """Begin, if the client is still there."""
        transport = self.transport
        if self._client is None:
            transport.abortConnection()
            return
        transport.bufferSize = _READ
        transport.setTcpNoDelay(True)
        transport.setTcpKeepAlive(True)
        self._begin(self._client.header)

    def dataReceived(self, data: bytes) -> None:
        """Pass it on."""
        self._write(data)

    def readConnectionLost(self) -> None:
        """It sends no more."""
        self._read_over = True
        if self._client is not None:
            self._client.far_ended()
        self._close_if_over()

    def writeConnectionLost(self) -> None:
        """It has been sent the last of the client's bytes."""
        self._write_over = True
        self._close_if_over()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """It is gone."""
        assert reason is not None
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        client = self._let_go()
        if client is None:
            return
        if not self._joined:
            client.far_failed(self._why_not(reason))
        elif isinstance(reason.value, ConnectionDone):
            client.far_gone(reset=False)
        else:
            self._factory.count("lost")
            client.far_gone(reset=self._is_reset(reason, client))

    # --- from the client's side ---

    def attach(self, source: Reading) -> None:
        """Begin to pass bytes on. Called once, before :meth:`write`.

        :param source: asked to stop reading while bytes wait here.
        """
        self._source = source
        self._send = self.transport.getHandle().send
        if self._client is not None and self._client.header:
            # the same way as what follows: in the transport's buffer it would be overtaken, and
            # what the client says would stand where the header belongs
            self.write(self._client.header)

    def write(self, data: bytes) -> None:
        """Send what the client said."""
        if self._waiting:
            self.transport.write(data)
            return
        try:
            sent = self._send(data)
        except OSError:
            # no room, or an end: the transport finds out which
            sent = 0
        if sent == len(data):
            return
        assert self._source is not None
        self._source.pauseProducing()
        self.transport.write(bytes(memoryview(data)[sent:]))
        self.transport.registerProducer(self, False)
        self._waiting = True

    def resumeProducing(self) -> None:
        """All that waited is sent. Called by the transport; also once when it is registered."""
        if self._waiting:
            self._waiting = False
            self.transport.unregisterProducer()
            if self._source is not None:
                self._source.resumeProducing()

    def stopProducing(self) -> None:
        """The transport is gone, which its protocol is told too."""

    def end_writing(self) -> None:
        """The client sends no more: tell it so when all is sent."""
        self._source = None
        self.transport.unregisterProducer()  # or that is what it would wait for
        self.transport.loseWriteConnection()

    def stop_reading(self) -> None:
        """The client will not be there much longer."""
        self.transport.pauseProducing()

    def finish(self, orderly: bool) -> None:
        """The client is gone.

        :param orderly: whether what it sent is still to be delivered.
        """
        self._let_go()
        self.transport.unregisterProducer()
        if orderly:
            self._timer = self._factory.clock.callLater(LINGER, self.transport.abortConnection)
            self.transport.loseConnection()
        else:
            self.transport.abortConnection()

    def abort(self) -> None:
        """Nobody wants it any more."""
        self._let_go()
        if self.connected:
            self.transport.abortConnection()

    # --- inside ---

    def _join(self) -> None:
        self._joined = True
        assert self._client is not None
        self._client.joined()

    def _let_go(self) -> ClientSide | None:
        client, self._client = self._client, None
        self._source = None
        self._write = discard
        return client

    def _close_if_over(self) -> None:
        if self._read_over and self._write_over:
            self.transport.loseConnection()

    def _begin(self, header: bytes) -> None:
        """Do what comes before the client's bytes.

        :param header: tells who the client is; empty where the far side does not want to know.
        """
        self._join()

    def _why_not(self, reason: Failure) -> Why:
        """Why it is gone before it was joined, which takes more than a connection."""
        return Why(FAILED, "it closed the connection")

    def _is_reset(self, reason: Failure, client: ClientSide) -> bool:
        """Whether the client is to see a reset.

        What it sent before it ended its direction is whole, and still to be delivered.
        """
        return not self._read_over


@implementer(IHandshakeListener)
class TLSFarSide(FarSide):
    """The far side where it speaks TLS.

    A class of its own, for Twisted's endpoints do not let a protocol provide both interfaces: the
    last one counts. TLS tells the end of a direction by itself, and needs no half-close below it.

    :param tls: the service's.
    """

    def __init__(self, client: ClientSide, factory: ForwardFactory, tls: FarTLS) -> None:
        super().__init__(client, factory)
        self._handshake = tls.connect()

    def handshakeCompleted(self) -> None:
        """Somebody whom an authority vouches for is there. Nothing of the client's has been said
        yet, nor will it be if that is another than was meant."""
        if self._client is None:
            return
        wrong = self._handshake.wrong_name(self.transport.getHandle())
        if wrong:
            self._client.far_failed(Why(UNTRUSTED, wrong))
        else:
            self._join()

    def attach(self, source: Reading) -> None:
        """Begin to pass bytes on, all of them by the transport's TLS."""
        self.transport.registerProducer(source, True)

    def write(self, data: bytes) -> None:
        """Send what the client said."""
        self.transport.write(data)

    def end_writing(self) -> None:
        """The client sends no more: send close_notify, and read on until there is one."""
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def _begin(self, header: bytes) -> None:
        if header:
            self.transport.write(header)
        self.transport.startTLS(self._handshake)

    def _why_not(self, reason: Failure) -> Why:
        untrusted = self._handshake.untrusted
        return Why(UNTRUSTED, untrusted) if untrusted else why_no_tls(reason)

    def _is_reset(self, reason: Failure, client: ClientSide) -> bool:
        if isinstance(reason.value, ConnectionLost):
            return False  # many servers close without close_notify
        self._factory.failed(why_no_tls(reason), client)
        return True
