"""The far side of a forwarded connection where it speaks TLS."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from tcpd.interfaces import IConnection
from tcpd.net.delivery import reset_when_delivered
from tcpd.net.tls_layer import TLSLayer
from tcpd.policy.addresses import IPAddress
from tcpd.relay.forward_failures import UNTRUSTED, Why, why_no_tls
from tcpd.relay.forward_far import LINGER, FarSide, Reading, prepare, was_reset
from tcpd.relay.forward_sides import Client, Forwarding
from tcpd.relay.forward_tls import FarHandshake, FarTLS

_log = Logger()


class TLSFarSide(FarSide):
    """The far side above its TLS, by which both directions end as in the clear.

    :param tls: the service's.
    """

    def __init__(self, client: Client, factory: Forwarding, tls: FarTLS) -> None:
        super().__init__(client, factory)
        self._handshake = tls.connect()
        connection = IConnection(client.transport, None)
        address = None if connection is None else connection.address
        self._wire = Wire(self, self._handshake, client.header, factory, address)

    @property
    def wire(self) -> Protocol:
        """The protocol to be connected."""
        return self._wire

    @property
    def wanted(self) -> bool:
        """Whether there is still a client."""
        return self._client is not None

    def connectionMade(self) -> None:
        """The handshake is complete, with somebody whom an authority vouches for.

        Nothing of the client's has been said yet, nor will it be if that is another than was meant.
        """
        if self._client is None:
            return
        wrong = self._handshake.wrong_name(self.transport.getHandle())
        if wrong:
            self._client.far_failed(Why(UNTRUSTED, wrong))
        else:
            self._join()

    def readConnectionLost(self) -> None:
        """It has sent close_notify."""
        self._read_over = True
        if self._client is not None:
            self._client.far_ended()
        self._close_if_over()

    def attach(self, source: Reading) -> None:
        """Begin to pass bytes on, all of them by TLS."""
        self.transport.registerProducer(source, True)

    def write(self, data: bytes) -> None:
        """Send what the client said."""
        self.transport.write(data)

    def abort(self) -> None:
        """Nobody wants it any more, however far it has come."""
        self._let_go()
        if self._wire.connected:
            self._wire.transport.abortConnection()

    def _reset(self) -> None:
        self.transport.resetConnection()

    def _why_not(self, reason: Failure) -> Why:
        untrusted = self._handshake.untrusted
        return Why(UNTRUSTED, untrusted) if untrusted else why_no_tls(reason)

    def _note(self, reason: Failure, client: Client) -> None:
        if not isinstance(reason.value, ConnectionLost):
            self._factory.failed(why_no_tls(reason), client)


@implementer(IHalfCloseableProtocol)
class Wire(Protocol):
    """A far side's connection below its TLS: a :class:`tcpd.net.stage.Below`.

    :param far: above.
    :param handshake: not begun.
    :param header: of the PROXY protocol, which goes before TLS.
    :param factory: the service's.
    :param address: the client's, with whom it shares its turns.
    """

    transport: Any

    def __init__(
        self,
        far: TLSFarSide,
        handshake: FarHandshake,
        header: bytes,
        factory: Forwarding,
        address: IPAddress | None,
    ) -> None:
        self._far: TLSFarSide | None = far  # until the connection is lost
        self._handshake = handshake
        self._header = header
        self._clock = factory.clock
        self._queue = factory.work
        self.address = address
        self._timer: IDelayedCall | None = None
        self._tls: TLSLayer | None = None

    # --- a protocol ---

    def connectionMade(self) -> None:
        """Begin TLS, if the client is still there."""
        transport = self.transport
        far = self._far
        assert far is not None
        if not far.wanted:
            transport.abortConnection()
            return
        prepare(transport)
        if self._header:
            transport.write(self._header)
        self._tls = tls = TLSLayer(self, self._handshake.connection, self, self._queue)
        tls.protocol = far
        tls.begin()

    def dataReceived(self, data: bytes) -> None:
        """Decrypt it."""
        if self._tls is not None:
            self._tls.dataReceived(data)

    def readConnectionLost(self) -> None:
        """It sends no more, or was reset."""
        if self._tls is None or was_reset(self.transport):
            self.transport.abortConnection()
        else:
            self._tls.read_ended()

    def writeConnectionLost(self) -> None:
        """It has been sent close_notify."""
        if self._tls is not None:
            self._tls.write_ended()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is gone."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._far = None  # each has the other, which only the garbage collector would find
        tls, self._tls = self._tls, None
        if tls is not None:
            tls.connectionLost(reason)

    # --- for TLS: the connection below ---

    def secured(self) -> None:
        """The handshake is complete."""
        assert self._far is not None
        self._far.makeConnection(self._tls)

    def write(self, data: bytes) -> None:
        """See :class:`~tcpd.net.stage.Below`, as for those that follow."""
        self.transport.write(data)

    def loseConnection(self) -> None:
        self.transport.unregisterProducer()  # or that is what it would wait for
        self.transport.loseConnection()

    def loseWriteConnection(self) -> None:
        self.transport.unregisterProducer()
        self.transport.loseWriteConnection()

    def abortConnection(self) -> None:
        self.transport.abortConnection()

    def resetConnection(self) -> None:
        self.transport.unregisterProducer()
        reset_when_delivered(self.transport, self._clock)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self.transport.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        self.transport.unregisterProducer()

    def pauseProducing(self) -> None:
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        self.transport.resumeProducing()

    def getPeer(self) -> Any:
        return self.transport.getPeer()

    def getHost(self) -> Any:
        return self.transport.getHost()

    def getTcpNoDelay(self) -> bool:
        return bool(self.transport.getTcpNoDelay())

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.transport.setTcpNoDelay(enabled)

    def getTcpKeepAlive(self) -> bool:
        return bool(self.transport.getTcpKeepAlive())

    def setTcpKeepAlive(self, enabled: bool) -> None:
        self.transport.setTcpKeepAlive(enabled)

    def let_go(self) -> None:
        self.transport.unregisterProducer()

    def begin_linger(self) -> None:
        if self._timer is None:
            self._timer = self._clock.callLater(LINGER, self.transport.abortConnection)

    def input_ended(self) -> None:
        """The far side hears it itself."""

    def truncated(self) -> None:
        """The far side hears it by its ``connectionLost``."""

    def broken(self) -> None:
        _log.failure("what a far side sent could not be passed on")
        self.transport.abortConnection()
