"""What every connection has, whatever carries its bytes: TLS, timeouts, and an end that is an end.

There are two kinds. :class:`~tcpd.net.transport.LeanConnection` is itself the transport;
:class:`~tcpd.net.conduit.Conduit` stands between a transport of Twisted's and the protocol. They
differ in how bytes go and agree in everything here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from OpenSSL import SSL
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHalfCloseableProtocol,
)
from twisted.logger import Logger
from twisted.python.failure import Failure

from tcpd.handshake.facts import Facts
from tcpd.interfaces import IFarewell
from tcpd.net.address import at, ip_of, shown
from tcpd.net.credentials import Credentials
from tcpd.net.gathering import gather
from tcpd.net.kernel import UNWATCHED, Noted
from tcpd.net.proxy import HeaderStage, ProxyFacts, facts_of
from tcpd.net.tls import Certificates, TLSFacts
from tcpd.net.tls import facts_of as tls_facts_of
from tcpd.net.tls_layer import TLSLayer
from tcpd.net.websocket import WebSocketLayer
from tcpd.ops import catalogue
from tcpd.policy.admission import IPAddress
from tcpd.policy.reasons import End, Refusal
from tcpd.wire.proxy import Header

if TYPE_CHECKING:
    from tcpd.net.layer import ConnectionLayer

_log = Logger()

#: Ends of clients that would not read any last words.
_NOT_READING = (End.SLOW_READER, End.STALLED)


class Connection(ABC):
    """One connection. Made by :class:`~tcpd.net.layer.ConnectionLayer` for a client let in.

    It is the transport of the protocol, or of the TLS layer under the protocol: a subclass adds
    what :class:`twisted.internet.interfaces.ITransport` and ``IConsumer`` want.

    :param layer: the service's.
    :param number: unique within this run of the daemon.
    :param address: of who connected, or ``None`` on a UNIX socket.
    :param endpoint_address: as Twisted tells it, for ``buildProtocol``.
    :param tls: begin with TLS, and show these.
    :param starttls: the protocol may begin TLS later, and show these.

    :ivar address: the client's: of who connected, unless a PROXY header names another.
    :ivar admitted: the address that the connection's place is counted for; ``None`` for none.
    :ivar bytes_in: received on the wire.
    :ivar bytes_out: handed to the transport or held for it.
    :ivar quiet: sweeps since something last went either way; see ``ConnectionLayer.sweep``.
    :ivar began: when it was the client's turn to speak to the protocol, by the layer's clock.
    :ivar heard: what :attr:`bytes_in` was then; while it is, the client has not said a byte. -1 if
        it had said something by then.
    :ivar disconnecting: whether the end has begun.
    :ivar watch: what the kernel was asked to keep of its handshake.
    :ivar noted: what of that was read; ``None`` until somebody wanted to know.
    :ivar inner: what received bytes go to: the protocol, or the lowest layer under it, TLS or
        WebSocket, or before them what waits for a PROXY header; ``None`` at the very beginning, and
        in the end.
    :ivar speaks_websocket: whether the protocol is to be reached by WebSocket; set by the layer.
    """

    __slots__ = (
        "_application",
        "_counters",
        "_end",
        "_endpoint_address",
        "_lost",
        "_producer",
        "_read_ended",
        "_starttls_certificates",
        "_timer",
        "_tls_certificates",
        "_tls_layer",
        "_websocket",
        "address",
        "admitted",
        "began",
        "bytes_in",
        "bytes_out",
        "credentials",
        "disconnecting",
        "heard",
        "inner",
        "layer",
        "noted",
        "number",
        "opened",
        "proxy",
        "quiet",
        "speaks_websocket",
        "tls",
        "watch",
    )

    def __init__(
        self,
        layer: ConnectionLayer,
        number: int,
        address: IPAddress | None,
        endpoint_address: IAddress,
        tls: Certificates | None,
        starttls: Certificates | None,
    ) -> None:
        self.layer = layer
        self.number = number
        self.address = self.admitted = address
        # on a UNIX socket a subclass asks at once: in the end, when it is logged, it is too late
        self.credentials: Credentials | None = None
        self.proxy: ProxyFacts | None = None
        self.tls: TLSFacts | None = None
        self.watch = UNWATCHED
        self.noted: Noted | None = None
        self.opened: float = layer.clock.seconds()
        self.began = self.opened
        self.heard = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.quiet = 0
        self.disconnecting = False
        self.speaks_websocket = False
        self.inner: Any = None
        self._counters = layer.counters
        self._endpoint_address = endpoint_address
        self._tls_certificates = tls
        self._starttls_certificates = starttls
        self._tls_layer: TLSLayer | None = None
        self._websocket: WebSocketLayer | None = None
        self._application: Any = None
        self._producer: Any = None
        self._end: End | None = None
        self._timer: IDelayedCall | None = None
        self._lost = False
        self._read_ended = False

    # what is hardly ever asked for is made when it is: there may be many connections

    @property
    def service(self) -> str:
        return self.layer.service

    @property
    def id(self) -> str:
        return str(self.number)

    @property
    def peer(self) -> str:
        return shown(self._endpoint_address)

    @property
    def of_proxy(self) -> bool:
        """Whether it is a proxy's own, such as a health check, or of a client without address."""
        return self.proxy is not None and self.proxy.address == self._endpoint_address

    @property
    def tls_handle(self) -> SSL.Connection | None:
        """OpenSSL's connection; ``None`` while the connection is in the clear."""
        return None if self._tls_layer is None else self._tls_layer.getHandle()

    def facts(self) -> Facts:
        return gather(self)

    @property
    def in_conversation(self) -> bool:
        """Whether there is a protocol: what comes before it has timeouts of its own."""
        return self._application is not None

    @property
    @abstractmethod
    def pending(self) -> int:
        """Bytes written that wait for the client; of Twisted's transports, only whether any do."""

    def behind_proxy(self) -> None:
        """Who connected is a proxy, and has to say for whom. Called before all else, by the
        layer."""
        self.admitted = None
        self.inner = HeaderStage(self)

    def begin(self) -> None:
        """The client is there, or its proxy. Called once, by a subclass."""
        if self.inner is None:
            self._begin()
        else:
            self.inner.begin()

    def introduced(self, header: Header, rest: bytes) -> None:
        """The proxy has said whom it stands for. Called once, by what waited for it.

        :param rest: what came behind the header.
        """
        self._stop_timer()
        self.proxy, client = facts_of(header, self._endpoint_address)
        self.began = self.layer.clock.seconds()
        self.heard = self.bytes_in - len(rest)
        # one that names the proxy's own socket is for the proxy itself: its checks by version 1
        if client is not None and client != self._endpoint_address:
            self._endpoint_address = client
            self.address = ip_of(client)
            words = self.layer.identify(self, self._tls_certificates)
            if words is not None:
                self._end = End.REFUSED
                if words:
                    self.write(words)
                self.loseConnection()
                return
        self._begin()
        if rest and not (self.disconnecting or self._lost):
            self.inner.dataReceived(rest)

    def stand_for(self, address: IPAddress) -> Refusal | None:
        refusal = self.layer.hand_on(self, address)
        if refusal is None:
            self.address = address
            self._endpoint_address = at(address)
        return refusal

    def _begin(self) -> None:
        """Begin TLS, or WebSocket, or make the protocol."""
        if self._tls_certificates is None:
            self._build_application(self)
            return
        try:
            self._begin_tls(self._tls_certificates)
        except Exception:
            self.inner = self._tls_layer = None  # half made, it cannot be told of the end
            self.broken("beginning TLS")

    def finish(self, reason: Failure) -> None:
        """The connection is gone: tell whom it concerns. Called once, by a subclass."""
        self._lost = True
        self._stop_timer()
        self.let_go()
        if self._end is None:
            if self._tls_layer is not None and self.tls is None and self._spoken:
                self._end = End.TLS_FAILED
            elif not isinstance(reason.value, ConnectionDone):
                self._end = End.LOST
            else:
                # a client that closed its side first is who ended it, though a protocol that knows
                # of half-close then closes ours
                first = self.disconnecting and not self._read_ended
                self._end = End.SERVER if first else End.CLIENT
        inner = self.inner
        if self._end is End.CLIENT and isinstance(inner, HeaderStage) and inner.cut_short:
            self._end = End.PROXY_FAILED
            self.layer.telling.header_failed(self, "cut-short", "it ends before its end")
        try:
            if inner is not None:
                inner.connectionLost(reason)
        finally:
            self.inner = self._application = self._tls_layer = self._websocket = None
            self.layer.gone(self, self._end)

    @property
    def _spoken(self) -> bool:
        """Whether the client has said anything; probes connect and go without a word."""
        return self.bytes_in > self.heard or self._application is not None

    def let_go(self) -> None:
        """Ask the producer for nothing more: at an end nobody is waited for but the client.

        It is told (IProducer.stopProducing: "its consumer has died"), unless it is the transport
        itself. Called by a subclass, and by the TLS layer above.
        """
        producer = self._producer
        if producer is None:
            return
        self.unregisterProducer()
        if producer is not self and producer not in (self._tls_layer, self._websocket):
            try:
                producer.stopProducing()
            except Exception:
                self.broken("stopping its producer")

    def read_ended(self) -> None:
        """The client will send nothing more; it may still read (a half-close)."""
        self._read_ended = not self.disconnecting
        application = self._application
        if self.inner is application and IHalfCloseableProtocol.providedBy(application):
            application.readConnectionLost()
        else:
            # TLS has a close of its own (RFC 8446 section 6.1), as has WebSocket (RFC 6455 section
            # 7.1.2), and a protocol that does not know of half-close is done: what it has said so
            # far still goes out
            self._end = self._end or End.CLIENT
            self.loseConnection()

    def write_ended(self) -> None:
        """Our side is closed, as the protocol asked by ``loseWriteConnection``."""
        application = self._application
        if self.inner is application and IHalfCloseableProtocol.providedBy(application):
            application.writeConnectionLost()

    def getPeer(self) -> Any:
        return self._endpoint_address

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.number} of service {self.service} with {self.peer}>"

    # --- a subclass has these of a transport ---

    @abstractmethod
    def write(self, data: bytes) -> None:
        """:class:`twisted.internet.interfaces.ITransport`."""

    @abstractmethod
    def loseConnection(self) -> None:
        """Close once all is written, and cut the connection if that does not come to an end.

        A registered producer is let go: nobody is waited for but the client, and for no longer
        than the policy's ``linger``.
        """

    @abstractmethod
    def abortConnection(self) -> None:
        """Cut the connection at once; what waits is lost."""

    @abstractmethod
    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """:class:`twisted.internet.interfaces.IConsumer`."""

    @abstractmethod
    def unregisterProducer(self) -> None:
        """:class:`twisted.internet.interfaces.IConsumer`."""

    @abstractmethod
    def pauseProducing(self) -> None:
        """Stop reading from the client, until :meth:`resumeProducing`."""

    @abstractmethod
    def resumeProducing(self) -> None:
        """Read again."""

    @abstractmethod
    def getTcpNoDelay(self) -> bool:
        """:class:`twisted.internet.interfaces.ITCPTransport`; as those that follow."""

    @abstractmethod
    def setTcpNoDelay(self, enabled: bool) -> None:
        """Whether small pieces are sent at once."""

    @abstractmethod
    def getTcpKeepAlive(self) -> bool:
        """Whether the kernel looks for clients that have vanished."""

    @abstractmethod
    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Let it."""

    @abstractmethod
    def getHost(self) -> Any:
        """:class:`twisted.internet.interfaces.ITransport`."""

    @abstractmethod
    def getHandle(self) -> Any:
        """:class:`twisted.internet.interfaces.ISystemHandle`: the socket, on most."""

    # --- TLS ---

    @property
    def can_start_tls(self) -> bool:
        return (
            self._starttls_certificates is not None
            and self._tls_layer is None
            and not (self.disconnecting or self._lost)
        )

    def start_tls(self) -> None:
        if not self.can_start_tls:
            raise RuntimeError("TLS cannot be started on this connection now")
        assert self._starttls_certificates is not None
        self._begin_tls(self._starttls_certificates)
        layer = self._tls_layer
        assert layer is not None
        layer.protocol = self._application
        self._application.transport = layer

    def secured(self) -> None:
        """The handshake is complete: the protocol takes the place that was kept for it."""
        self._stop_timer()
        layer = self._tls_layer
        assert layer is not None
        self.tls = tls_facts_of(layer.getHandle())
        self.layer.counters.tls[self.tls.version] += 1
        if self._application is None:
            self._turn_of_client(layer.has_more())
            self._build_application(layer)

    def _turn_of_client(self, more: bool) -> None:
        """It may speak to the protocol from now on, or has done so already."""
        self.began = self.layer.clock.seconds()
        self.heard = -1 if more else self.bytes_in

    def _begin_tls(self, certificates: Certificates) -> None:
        self.cut_after(self.layer.policy.handshake, End.TLS_TIMEOUT)
        self.inner = self._tls_layer = TLSLayer(self, certificates)

    def upgraded(self, *, more: bool) -> None:
        """The WebSocket is there, with something to read or without: the protocol takes its place.
        Called once, by its layer."""
        self._stop_timer()
        self._turn_of_client(more)
        self._build_application(self._websocket)

    # --- the end ---

    def ending(self, reason: End) -> None:
        """Note why it is going to end, unless that is known."""
        self._end = self._end or reason

    def end(self, reason: End) -> None:
        transport: Any = self._websocket or self._tls_layer or self
        if self.disconnecting or self._lost:
            return
        application = self._application
        if reason in _NOT_READING or application is None:
            self.cut(reason)
            return
        if transport.disconnecting:
            return  # that is bounded
        self.ending(reason)
        try:
            words = application.farewell(reason) if IFarewell.providedBy(application) else b""
            if words is None and reason is End.SHUTDOWN:
                return  # it closes by itself, or is cut off with the rest
            if words:
                transport.write(words)
            if self._websocket is None:
                transport.loseConnection()
            else:
                self._websocket.close_for(reason)
        except Exception:
            self.broken("saying farewell")

    def begin_linger(self) -> None:
        """Bound the wait for a close that has begun; also called by the TLS layer above."""
        self._stop_timer()
        if not self._lost:
            linger = self.layer.policy.linger
            self._timer = self.layer.clock.callLater(linger, self._cut, End.LINGER)

    def cut(self, reason: End) -> None:
        """End the connection at once, with no words."""
        self.ending(reason)
        self.abortConnection()

    def cut_after(self, seconds: float, reason: End) -> None:
        """Cut the connection, unless what it waits for comes before: a header, a handshake."""
        self._timer = self.layer.clock.callLater(seconds, self._cut, reason)

    def _cut(self, reason: End) -> None:
        self._timer = None
        self.cut(reason)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _build_application(self, transport: Any) -> None:
        """Make what is to be above a transport: the protocol, or before it WebSocket."""
        factory: Any = self.layer.factory
        above: Any
        try:
            if self.speaks_websocket and self._websocket is None:
                above = self._websocket = WebSocketLayer(self, factory.websocket)
            else:
                above = self._application = factory.buildProtocol(self._endpoint_address)
            if above is None:
                transport.loseConnection()
                return
            if transport is self:
                self.inner = above
            else:
                transport.protocol = above
            above.makeConnection(transport)
        except Exception:
            self.broken("beginning")

    def broken(self, doing: str) -> None:
        """Log the exception being caught, which is the protocol's, and cut the connection."""
        catalogue.CONNECTION_FAILED.fail(
            _log,
            service=self.service,
            id=self.id,
            peer=self.peer,
            doing=doing,
        )
        self.abortConnection()
