"""One connection, between its transport and its protocol, neither of which knows.

Towards the transport a Conduit is the protocol; towards the protocol (or the TLS layer on top of
it) it is the transport. It counts bytes, marks activity, bounds what waits to be sent, and sees to
it that an end is an end. One object does it all: each further Python frame on the path of a byte
costs about as much as a small system call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IDelayedCall,
    IHalfCloseableProtocol,
    IHandshakeListener,
    IProtocol,
    IPushProducer,
    ITCPTransport,
    ITransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from tcpd.interfaces import IConnection, IFarewell
from tcpd.net.address import plain_endpoint_address
from tcpd.net.tls import TLSFacts, TLSLayer, facts_of
from tcpd.policy.admission import IPAddress
from tcpd.policy.reasons import End

if TYPE_CHECKING:
    from tcpd.net.layer import ConnectionLayer


@implementer(IHandshakeListener)
class _Handshaking(Protocol):
    """Stands inside the TLS layer until the handshake is complete, so that no protocol is made
    for a client that never completes it."""

    def __init__(self, conduit: Conduit) -> None:
        self._conduit = conduit

    def handshakeCompleted(self) -> None:
        self._conduit.secured()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._conduit.application_lost(reason)


@implementer(IPushProducer)
class _Output:
    """What the transport sees as the producer: it says here when it is full and when it is empty.

    An object of its own, for the same method names mean reading where the protocol calls them on
    its transport.
    """

    __slots__ = ("_conduit",)

    def __init__(self, conduit: Conduit) -> None:
        self._conduit = conduit

    def pauseProducing(self) -> None:
        self._conduit.output_full()

    def resumeProducing(self) -> None:
        self._conduit.output_empty()

    def stopProducing(self) -> None:
        """The connection is gone, which ``connectionLost`` tells too."""


@implementer(IConnection, ITransport, IConsumer, IPushProducer, IHalfCloseableProtocol)
class Conduit(Protocol):
    """One connection. Made by :class:`~tcpd.net.layer.ConnectionLayer` for a client let in.

    :param layer: the service's.
    :param id: see :class:`tcpd.interfaces.IConnection`.
    :param address: the client's, or ``None`` on a UNIX socket.
    :param peer: the client, as people write it.
    :param endpoint_address: as Twisted tells it, for ``buildProtocol``.
    :param tls: begin with TLS, by this factory.
    :param starttls: the protocol may begin TLS later, by this factory.

    :ivar bytes_in: received on the wire.
    :ivar bytes_out: handed to the transport or held for it.
    :ivar quiet: sweeps since something last went either way; see ``ConnectionLayer.sweep``.
    :ivar disconnecting: whether the end has begun.
    """

    _log = Logger()

    def __init__(
        self,
        layer: ConnectionLayer,
        id: str,
        address: IPAddress | None,
        peer: str,
        endpoint_address: IAddress,
        tls: TLSMemoryBIOFactory | None,
        starttls: TLSMemoryBIOFactory | None,
    ) -> None:
        self.layer = layer
        self.id = id
        self.address = address
        self.peer = peer
        self.tls: TLSFacts | None = None
        self.bytes_in = 0
        self.bytes_out = 0
        self.quiet = 0
        self.disconnecting = False
        self._counters = layer.counters
        self._endpoint_address = endpoint_address
        self._tls_factory = tls
        self._starttls_factory = starttls
        self._tls_layer: TLSLayer | None = None
        self._application: Any = None
        self._inner: Any = None
        self._output = _Output(self)
        self._producer: Any = None
        self._pulling = False
        self._full = False
        self._held: deque[bytes] = deque()
        self._held_size = 0
        self._end: End | None = None
        self._timer: IDelayedCall | None = None
        self._lost = False

    @property
    def service(self) -> str:
        return self.layer.service

    # --- towards the transport: a protocol ---

    def connectionMade(self) -> None:
        transport = cast(Any, self.transport)
        if ITCPTransport.providedBy(transport):
            transport.setTcpNoDelay(True)
            transport.setTcpKeepAlive(True)
        transport.registerProducer(self._output, True)
        if self._tls_factory is not None:
            self._begin_tls(self._tls_factory)
        else:
            self._build_application(self)

    def dataReceived(self, data: bytes) -> None:
        size = len(data)
        self.bytes_in += size
        self._counters.bytes_in += size
        self.quiet = 0
        self._inner.dataReceived(data)

    def readConnectionLost(self) -> None:
        """The client will send nothing more; it may still read (a half-close)."""
        application = self._application
        if self._tls_layer is None and IHalfCloseableProtocol.providedBy(application):
            application.readConnectionLost()
        else:
            # TLS has a close of its own (RFC 8446 section 6.1), and a protocol that does not know
            # of half-close is done: what it has said so far still goes out
            self._end = self._end or End.CLIENT
            self.loseConnection()

    def writeConnectionLost(self) -> None:
        """Nothing more can be sent."""
        application = self._application
        if self._tls_layer is None and IHalfCloseableProtocol.providedBy(application):
            application.writeConnectionLost()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._lost = True
        self._stop_timer()
        self._producer = None
        self._drop_held()
        if self._end is None:
            if self._tls_layer is not None and self.tls is None:
                self._end = End.TLS_FAILED
            elif not reason.check(ConnectionDone):
                self._end = End.LOST
            else:
                self._end = End.SERVER if self.disconnecting else End.CLIENT
        inner = self._inner
        try:
            if inner is not None:
                inner.connectionLost(reason)
        finally:
            self._inner = self._application = self._tls_layer = None
            self.layer.gone(self, self._end)

    def output_full(self) -> None:
        """The transport holds as much as it likes to; called again at each write while it does."""
        if not self._full:
            self._full = True
            if self._producer is not None:
                self._producer.pauseProducing()

    def output_empty(self) -> None:
        """The transport has sent all it held."""
        self._full = False
        held = self._held
        transport = cast(ITransport, self.transport)
        while held and not self._full:
            data = held.popleft()
            self._held_size -= len(data)
            transport.write(data)
        if not self._full and self._producer is not None:
            self._producer.resumeProducing()

    # --- towards the protocol, or the TLS layer: a transport ---

    def write(self, data: bytes) -> None:
        if self.disconnecting or self._lost:
            return
        size = len(data)
        self.bytes_out += size
        self._counters.bytes_out += size
        self.quiet = 0
        if self._full:
            self._held.append(data)
            self._held_size += size
            if self._held_size > self.layer.policy.unsent:
                self.end(End.SLOW_READER)
        else:
            cast(ITransport, self.transport).write(data)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        self.write(b"".join(iovec))

    def loseConnection(self) -> None:
        """Close once all is written, and cut the connection if that does not come to an end.

        A registered producer is let go: nobody is waited for but the client, and for no longer
        than the policy's ``linger``.
        """
        if self.disconnecting or self._lost:
            return
        self.disconnecting = True
        self.begin_linger()
        transport = cast(Any, self.transport)
        self._producer = None
        transport.unregisterProducer()  # a transport that has one would wait for it
        if self._held:
            transport.writeSequence(list(self._held))
            self._drop_held()
        transport.loseConnection()

    def abortConnection(self) -> None:
        """Cut the connection at once; what waits is lost."""
        if self._lost:
            return
        self.disconnecting = True
        self._drop_held()
        cast(Any, self.transport).abortConnection()

    def getPeer(self) -> IAddress:
        return self._endpoint_address

    def getHost(self) -> IAddress:
        return plain_endpoint_address(cast(ITransport, self.transport).getHost())

    def getHandle(self) -> Any:
        return cast(Any, self.transport).getHandle()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        if self._producer is not None:
            raise RuntimeError(f"{producer!r} cannot be registered while {self._producer!r} is")
        if self.disconnecting or self._lost:
            producer.stopProducing()
            return
        self._producer = producer
        if not streaming:
            # it writes one piece each time it is asked, and the transport asks it by itself
            self._pulling = True
            transport = cast(Any, self.transport)
            transport.unregisterProducer()
            self._full = False
            transport.writeSequence(list(self._held))
            self._drop_held()
            transport.registerProducer(producer, False)
        elif self._full:
            producer.pauseProducing()

    def unregisterProducer(self) -> None:
        self._producer = None
        if self._pulling:
            self._pulling = False
            transport = cast(Any, self.transport)
            transport.unregisterProducer()
            if not (self.disconnecting or self._lost):
                transport.registerProducer(self._output, True)

    def pauseProducing(self) -> None:
        """Stop reading from the client, until :meth:`resumeProducing`."""
        cast(Any, self.transport).pauseProducing()

    def resumeProducing(self) -> None:
        if not (self.disconnecting or self._lost):
            cast(Any, self.transport).resumeProducing()

    def stopProducing(self) -> None:
        self.loseConnection()

    # --- TLS ---

    @property
    def can_start_tls(self) -> bool:
        return (
            self._starttls_factory is not None
            and self._tls_layer is None
            and not (self.disconnecting or self._lost)
        )

    def start_tls(self) -> None:
        if not self.can_start_tls:
            raise RuntimeError("TLS cannot be started on this connection now")
        assert self._starttls_factory is not None
        producer = self._producer
        self.unregisterProducer()
        self._begin_tls(self._starttls_factory)
        layer = cast(Any, self._tls_layer)
        self._application.transport = layer
        if producer is not None:
            layer.registerProducer(producer, True)

    def secured(self) -> None:
        """The handshake is complete: the protocol takes the place that was kept for it."""
        self._stop_timer()
        layer = self._tls_layer
        assert layer is not None
        self.tls = facts_of(layer.getHandle())
        if self._application is None:
            self._build_application(layer)
        else:
            layer.wrappedProtocol = self._application

    def application_lost(self, reason: Failure) -> None:
        """The connection was lost in a handshake: tell the protocol, if there is one by then."""
        if self._application is not None:
            self._application.connectionLost(reason)

    def _begin_tls(self, factory: TLSMemoryBIOFactory) -> None:
        self._timer = self.layer.clock.callLater(
            self.layer.policy.handshake, self._cut, End.TLS_TIMEOUT
        )
        self._inner = self._tls_layer = TLSLayer(factory, cast(IProtocol, _Handshaking(self)))
        self._tls_layer.makeConnection(self)

    # --- the end ---

    def end(self, reason: End) -> None:
        if self.disconnecting or self._lost:
            return
        self._end = self._end or reason
        application = self._application
        if reason is End.SLOW_READER or application is None:
            self.abortConnection()
            return
        transport: Any = self._tls_layer or self
        try:
            words = application.farewell(reason) if IFarewell.providedBy(application) else b""
            transport.unregisterProducer()
            if words:
                transport.write(words)
            transport.loseConnection()
        except Exception:
            self._broken("saying farewell")

    def begin_linger(self) -> None:
        """Bound the wait for a close that has begun; also called by the TLS layer above."""
        self._stop_timer()
        self._timer = self.layer.clock.callLater(self.layer.policy.linger, self._cut, End.LINGER)

    def cut(self, reason: End) -> None:
        """End the connection at once, with no words."""
        self._end = self._end or reason
        self.abortConnection()

    def _cut(self, reason: End) -> None:
        self._timer = None
        self.cut(reason)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _drop_held(self) -> None:
        self._held.clear()
        self._held_size = 0

    def _build_application(self, transport: Any) -> None:
        try:
            application = self.layer.factory.buildProtocol(self._endpoint_address)
            if application is None:
                self.loseConnection()
                return
            self._application = application
            if transport is self:
                self._inner = application
            else:
                transport.wrappedProtocol = application
            application.makeConnection(transport)
        except Exception:
            self._broken("beginning")

    def _broken(self, doing: str) -> None:
        self._log.failure(
            "service {service}: connection {id} from {peer} failed in {doing}",
            service=self.service,
            id=self.id,
            peer=self.peer,
            doing=doing,
        )
        self.abortConnection()
