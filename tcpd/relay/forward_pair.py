"""One forwarded connection: the client's side and the far side, each the other's producer.

What one side sends is written to the other as it comes. A side that does not read is a full
transport, which stops reading from the other side; so what waits is bounded, both ways. The ends of
the two directions are passed on by themselves::

    client closes its sending side   ->  so does the far side's connection, when all is written
    far side closes its sending side ->  so does the client's connection, when all is written
    both have                        ->  both connections are closed
    one is reset or cut              ->  the other is reset

TLS tells the end of a direction by close_notify (RFC 8446 section 6.1). Towards the far side that
is passed on, and what it still says is read. A client in TLS is closed as the connection layer
closes TLS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableProtocol,
    IHandshakeListener,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from tcpd.interfaces import IFarewell
from tcpd.policy.reasons import End
from tcpd.relay.forward_failures import TIMEOUT, UNTRUSTED, Why, why_no_tls, why_not_connected
from tcpd.relay.forward_tls import FarHandshake

if TYPE_CHECKING:
    from tcpd.relay.forward import ForwardFactory

#: Bytes that are read from the far side at a time, as from clients.
_READ = 256 * 1024

#: Seconds that a side may take to the end when the other is gone: as long as a policy's ``linger``
#: is by default.
LINGER = 15.0


class _Reading:
    """A transport as the producer of the other side: it is asked to stop reading, and to go on.

    What it is not asked is to close because the other transport is gone: that is decided here.
    """

    __slots__ = ("pauseProducing", "resumeProducing")

    def __init__(self, transport: Any) -> None:
        self.pauseProducing = transport.pauseProducing
        self.resumeProducing = transport.resumeProducing

    def stopProducing(self) -> None:
        """The other transport is gone, which its protocol is told too."""


def _discard(data: bytes) -> None:
    """There is nobody to write it to."""


@implementer(IHalfCloseableProtocol, IFarewell)
class ClientSide(Protocol):
    """The client's side. It begins by connecting to the far side, and reads nothing until then.

    :param factory: the service's.

    :ivar route: where it is forwarded, and how.
    :ivar header: what the far side is told first.
    """

    transport: Any

    def __init__(self, factory: ForwardFactory) -> None:
        self._factory = factory
        self.route = factory.route  # as it is now: a reload changes it for others
        self.header = b""
        self._early: list[bytes] = []  # what was decrypted along with the end of a handshake
        self._write: Any = self._early.append
        self._far: FarSide | None = None
        self._attempt: Any = None
        self._timer: IDelayedCall | None = None
        self._joined = False
        self._read_over = False
        self._write_ending = False
        self._write_over = False
        self._ending = False  # by us: the connection will be closed or is
        self._gone = False

    # --- the client's connection ---

    def connectionMade(self) -> None:
        """Go for the far side, and leave what the client says in the kernel until it is there."""
        self.transport.pauseProducing()
        self.header = self.route.header(self.transport)  # a transport that is gone may not know
        factory = self._factory
        self._far = far = FarSide(self, factory)
        self._timer = factory.clock.callLater(self.route.timeout, self._timed_out)
        self._attempt = self.route.endpoint.connect(Factory.forProtocol(lambda: far))
        self._attempt.addErrback(self._not_connected)

    def dataReceived(self, data: bytes) -> None:
        """Pass it on."""
        self._write(data)

    def readConnectionLost(self) -> None:
        """The client sends no more: nor do we, to the far side."""
        self._read_over = True
        if self._joined and self._far is not None:
            self._far.end_writing()
        self._close_if_over()

    def writeConnectionLost(self) -> None:
        """The client has been sent the last of the far side's bytes."""
        self._write_over = True
        if self._far is None and not self._read_over:
            # closed with input unread, the connection would be reset, and those bytes lost
            self._timer = self._factory.clock.callLater(LINGER, self._close)
        self._close_if_over()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """The client is gone."""
        assert reason is not None
        self._gone = True
        self._write = _discard
        orderly = isinstance(reason.value, ConnectionDone)
        if not self._joined:
            if orderly and self._early and not self._ending:
                return  # it said all it had to say, and that is still passed on
            self._give_up()
            return
        self._stop_timer()
        far, self._far = self._far, None
        if far is not None:
            far.finish(orderly)

    def farewell(self, reason: End) -> bytes:
        """Have no last words: the client does not know that there is anybody here."""
        self._ending = True
        if self._joined and self._far is not None:
            self._far.stop_reading()
        return b""

    # --- from the far side ---

    def joined(self, far_transport: Any) -> None:
        """The far side is there. Called by it, once."""
        self._stop_timer()
        self._attempt = None
        self._joined = True
        assert self._far is not None
        if self._ending:
            self._far.abort()
            return
        early, self._early = self._early, []
        if self._gone:
            far, self._far = self._far, None
            for data in early:
                far_transport.write(data)
            far.finish(True)
            return
        self._write = far_transport.write
        self.transport.registerProducer(_Reading(far_transport), True)
        far_transport.registerProducer(_Reading(self.transport), True)
        self.transport.resumeProducing()
        for data in early:
            far_transport.write(data)
        if self._read_over:
            self._far.end_writing()

    def far_ended(self) -> None:
        """The far side sends no more: nor do we, to the client. Called by it."""
        if not (self._gone or self._write_ending):
            self._write_ending = True
            self.transport.unregisterProducer()
            self.transport.loseWriteConnection()

    def far_gone(self, *, reset: bool) -> None:
        """The far side is gone, after it was joined. Called by it.

        :param reset: whether to pass that on as a reset.
        """
        self._far = None
        self._write = _discard
        if self._gone:
            return
        if reset:
            self.transport.abortConnection()
        elif self._write_over:
            self.writeConnectionLost()
        else:
            if not self._read_over:
                self.transport.resumeProducing()
            self.far_ended()

    def far_failed(self, why: Why) -> None:
        """The far side cannot be had. Called by it; what follows from it is ignored."""
        if self._ending or self._joined:
            return
        self._factory.failed(why, self)
        self._give_up()
        if not self._gone:
            self._close()

    # --- inside ---

    def _not_connected(self, failure: Failure) -> None:
        self._attempt = None
        if self._far is not None and not self._far.connected:
            self.far_failed(why_not_connected(failure))

    def _timed_out(self) -> None:
        self._timer = None
        self.far_failed(Why(TIMEOUT, "it does not answer"))

    def _give_up(self) -> None:
        """Want no far side any more, however far that has come."""
        self._ending = True
        self._early.clear()
        self._stop_timer()
        attempt, self._attempt = self._attempt, None
        far, self._far = self._far, None
        if far is not None:
            far.abort()
        if attempt is not None:
            attempt.cancel()

    def _close_if_over(self) -> None:
        if self._read_over and self._write_over:
            self._close()

    def _close(self) -> None:
        self._ending = True
        self._stop_timer()
        if not self._gone:
            self.transport.loseConnection()

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()


@implementer(IHalfCloseableProtocol, IHandshakeListener)
class FarSide(Protocol):
    """The far side: a connection of ours, on one of Twisted's own transports.

    :param client: whose far side it is.
    :param factory: the service's.
    """

    transport: Any

    def __init__(self, client: ClientSide, factory: ForwardFactory) -> None:
        self._client: ClientSide | None = client
        self._factory = factory
        self._write = client.transport.write
        self._handshake: FarHandshake | None = None
        self._timer: IDelayedCall | None = None
        self._joined = False
        self._read_over = False
        self._write_over = False

    # --- its connection ---

    def connectionMade(self) -> None:
        """Tell it who the client is, if it wants to know; begin TLS if it speaks that."""
        transport = self.transport
        if self._client is None:
            transport.abortConnection()
            return
        transport.bufferSize = _READ
        transport.setTcpNoDelay(True)
        transport.setTcpKeepAlive(True)
        route = self._client.route
        if self._client.header:
            transport.write(self._client.header)
        if route.tls is None:
            self._join()
        else:
            self._handshake = route.tls.connect()
            transport.startTLS(self._handshake)

    def handshakeCompleted(self) -> None:
        """Somebody whom an authority vouches for is there. Nothing of the client's has been said
        yet, nor will it be if that is another than was meant."""
        if self._client is None:
            return
        assert self._handshake is not None
        wrong = self._handshake.wrong_name(self.transport.getHandle())
        if wrong:
            self._client.far_failed(Why(UNTRUSTED, wrong))
        else:
            self._join()

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
        if self._joined:
            client.far_gone(reset=self._is_reset(reason, client))
            return
        untrusted = self._handshake.untrusted if self._handshake else ""
        client.far_failed(Why(UNTRUSTED, untrusted) if untrusted else why_no_tls(reason))

    # --- from the client's side ---

    def end_writing(self) -> None:
        """The client sends no more: tell it so when all is sent."""
        self.transport.unregisterProducer()  # or that is what it would wait for
        if self._handshake is None:
            self.transport.loseWriteConnection()
        else:
            self.transport.loseConnection()  # sends close_notify, and reads on until there is one

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
        self._client.joined(self.transport)

    def _let_go(self) -> ClientSide | None:
        client, self._client = self._client, None
        self._write = _discard
        return client

    def _close_if_over(self) -> None:
        if self._read_over and self._write_over:
            self.transport.loseConnection()

    def _is_reset(self, reason: Failure, client: ClientSide) -> bool:
        """Whether the client is to see a reset; one that comes without is counted, too."""
        value = reason.value
        if isinstance(value, ConnectionDone):
            return False
        self._factory.count("lost")
        if self._handshake is None:
            # what it sent before it ended its direction is whole, and still to be delivered
            return not self._read_over
        if isinstance(value, ConnectionLost):
            # many servers close without close_notify
            return False
        self._factory.failed(why_no_tls(reason), client)
        return True
