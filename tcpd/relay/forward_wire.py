"""The far side of a forwarded connection, over TLS."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from tcpd.interfaces import IConnection
from tcpd.net.delayed_reset import reset_when_acknowledged
from tcpd.net.tls_layer import TLSLayer
from tcpd.policy.addresses import IPAddress
from tcpd.relay.forward_failures import UNTRUSTED, FarFailure, tls_failure
from tcpd.relay.forward_far import LINGER, FarSide, ReadingProducer, prepare, was_reset
from tcpd.relay.forward_sides import ForwardedClient, Forwarding
from tcpd.relay.forward_tls import FarHandshake, FarTLS

_log = Logger()


class TLSFarSide(FarSide):
    """The far side above its TLS; half-close works as in the clear.

    :param tls: the TLS settings of the service.
    """

    def __init__(self, client: ForwardedClient, factory: Forwarding, tls: FarTLS) -> None:
        super().__init__(client, factory)
        self._handshake = tls.connect()
        connection = IConnection(client.transport, None)
        address = None if connection is None else connection.address
        self._wire = Wire(self, self._handshake, client.header, factory, address)

    @property
    def wire(self) -> Protocol:
        """The protocol to connect."""
        return self._wire

    @property
    def wanted(self) -> bool:
        """Whether the client is still connected."""
        return self._client is not None

    def connectionMade(self) -> None:
        """The handshake is complete and the chain verified: check the name before sending data."""
        if self._client is None:
            return
        wrong = self._handshake.wrong_name(self.transport.getHandle())
        if wrong:
            self._client.far_failed(FarFailure(UNTRUSTED, wrong))
        else:
            self._join()

    def readConnectionLost(self) -> None:
        """The far side sent close_notify."""
        self._read_over = True
        if self._client is not None:
            self._client.far_half_closed()
        self._close_if_over()

    def attach(self, source: ReadingProducer) -> None:
        """Start relaying."""
        self.transport.registerProducer(source, True)

    def write(self, data: bytes) -> None:
        """Send data of the client."""
        self.transport.write(data)

    def abort(self) -> None:
        """Reset its connection, also during the handshake."""
        self._detach()
        if self._wire.connected:
            self._wire.transport.abortConnection()

    def _reset(self) -> None:
        self.transport.resetConnection()

    def _failure_before_join(self, reason: Failure) -> FarFailure:
        untrusted = self._handshake.untrusted
        return FarFailure(UNTRUSTED, untrusted) if untrusted else tls_failure(reason)

    def _log_loss(self, reason: Failure, client: ForwardedClient) -> None:
        if not isinstance(reason.value, ConnectionLost):
            self._factory.failed(tls_failure(reason), client)


@implementer(IHalfCloseableProtocol)
class Wire(Protocol):
    """A far side's connection below its TLS: a :class:`tcpd.net.stage.BottomTransport`.

    :param far: the protocol above TLS.
    :param handshake: the state of its handshake.
    :param header: the PROXY header, sent before TLS.
    :param factory: the factory of the service.
    :param address: the address of the client, for its share of the work queue.
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
        """Start TLS, if the client is still connected."""
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
        """The far side half-closed, or was reset."""
        if self._tls is None or was_reset(self.transport):
            self.transport.abortConnection()
        else:
            self._tls.read_ended()

    def writeConnectionLost(self) -> None:
        """close_notify and FIN have been sent."""
        if self._tls is not None:
            self._tls.write_ended()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is lost."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._far = None  # breaks the reference cycle
        tls, self._tls = self._tls, None
        if tls is not None:
            tls.connectionLost(reason)

    # --- for TLS: the connection below ---

    def secured(self) -> None:
        """The handshake is complete."""
        assert self._far is not None
        self._far.makeConnection(self._tls)

    def write(self, data: bytes) -> None:
        """See :class:`~tcpd.net.stage.BottomTransport`, as for the methods below."""
        self.transport.write(data)

    def loseConnection(self) -> None:
        self.transport.unregisterProducer()  # a registered producer would delay it
        self.transport.loseConnection()

    def loseWriteConnection(self) -> None:
        self.transport.unregisterProducer()
        self.transport.loseWriteConnection()

    def abortConnection(self) -> None:
        self.transport.abortConnection()

    def resetConnection(self) -> None:
        self.transport.unregisterProducer()
        reset_when_acknowledged(self.transport, self._clock)

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

    def stop_producer(self) -> None:
        self.transport.unregisterProducer()

    def begin_linger(self) -> None:
        if self._timer is None:
            self._timer = self._clock.callLater(LINGER, self.transport.abortConnection)

    def input_ended(self) -> None:
        """Nothing to do: the far side's ``readConnectionLost`` is called."""

    def truncated(self) -> None:
        """Nothing to do: the far side's ``connectionLost`` is called."""

    def receive_failed(self) -> None:
        _log.failure("data of a far side could not be relayed")
        self.transport.abortConnection()
