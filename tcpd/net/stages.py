"""What stands between the wire and the protocol, one after the other: PROXY header, TLS, WebSocket.

Each stage makes way for the next when it has done its part, and the last one for the protocol.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from OpenSSL import SSL
from twisted.internet.interfaces import IAddress

from tcpd.net.address import ip_of
from tcpd.net.proxy import HeaderStage, ProxyFacts, facts_of
from tcpd.net.tls import Certificates, TLSFacts
from tcpd.net.tls import facts_of as tls_facts_of
from tcpd.net.tls_layer import TLSLayer
from tcpd.policy.addresses import IPAddress
from tcpd.policy.reasons import End
from tcpd.wire.proxy import Header

if TYPE_CHECKING:
    from tcpd.net.connection import Connection
    from tcpd.net.layer import ConnectionLayer
    from tcpd.net.websocket import WebSocketLayer


class Stages(ABC):
    """The part of a :class:`~tcpd.net.connection.Connection` that makes its protocol.

    :param layer: the service's.
    :param address: of who connected, or ``None`` on a UNIX socket.
    :param endpoint_address: as Twisted tells it, for ``buildProtocol``.
    :param tls: begin with TLS, and show these.
    :param starttls: the protocol may begin TLS later, and show these.

    :ivar address: the client's: of who connected, unless a PROXY header names another.
    :ivar admitted: the address that the connection's place is counted for; ``None`` for none.
    :ivar began: when it was the client's turn to speak to the protocol, by the layer's clock.
    :ivar heard: what :attr:`bytes_in` was then; while it is, the client has not said a byte. -1 if
        it had said something by then.
    :ivar inner: what received bytes go to: the protocol, or the lowest layer under it, TLS or
        WebSocket, or before them what waits for a PROXY header; ``None`` at the very beginning, and
        in the end.
    :ivar speaks_websocket: whether the protocol is to be reached by WebSocket; set by the layer.
    """

    __slots__ = (
        "_application",
        "_end",
        "_endpoint_address",
        "_starttls_certificates",
        "_tls_certificates",
        "_tls_layer",
        "_websocket",
        "address",
        "admitted",
        "began",
        "heard",
        "inner",
        "layer",
        "proxy",
        "speaks_websocket",
        "tls",
    )

    # the connection has these
    bytes_in: int
    disconnecting: bool
    _lost: bool

    def __init__(
        self,
        layer: ConnectionLayer,
        address: IPAddress | None,
        endpoint_address: IAddress,
        tls: Certificates | None,
        starttls: Certificates | None,
    ) -> None:
        self.layer = layer
        self.address = self.admitted = address
        self.proxy: ProxyFacts | None = None
        self.tls: TLSFacts | None = None
        self.began: float = layer.clock.seconds()
        self.heard = 0
        self.speaks_websocket = False
        self.inner: Any = None
        self._endpoint_address = endpoint_address
        self._tls_certificates = tls
        self._starttls_certificates = starttls
        self._tls_layer: TLSLayer | None = None
        self._websocket: WebSocketLayer | None = None
        self._application: Any = None
        self._end: End | None = None

    @property
    def _whole(self) -> Connection:
        """This very object, as the stages know it."""
        return cast("Connection", self)

    @property
    def busy(self) -> bool:
        """See :class:`tcpd.interfaces.IBusy`."""
        return bool(getattr(self._application, "busy", False))

    @property
    def tls_handle(self) -> SSL.Connection | None:
        """OpenSSL's connection; ``None`` while the connection is in the clear, and until a
        handshake has begun."""
        return None if self._tls_layer is None else self._tls_layer.getHandle()

    @property
    def listener_certificates(self) -> Certificates | None:
        """Those of its listener; ``None`` where that does not begin with TLS."""
        return self._tls_certificates

    @property
    def in_conversation(self) -> bool:
        """Whether there is a protocol: what comes before it has timeouts of its own."""
        return self._application is not None

    # --- one after the other ---

    def behind_proxy(self) -> None:
        """Who connected is a proxy, and has to say for whom. Called before all else, by the
        layer."""
        self.admitted = None
        self.inner = HeaderStage(self._whole)

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
            words = self.layer.identify(self._whole, self._tls_certificates)
            if words is not None:
                self._end = End.REFUSED
                if words:
                    self.write(words)
                self.loseConnection()
                return
        self._begin()
        if rest and not (self.disconnecting or self._lost):
            self.inner.dataReceived(rest)

    def _begin(self) -> None:
        """Begin TLS, or WebSocket, or make the protocol."""
        if self.layer.telling.starts:
            self.layer.telling.started(self._whole)
        if self._tls_certificates is None:
            self._build_application(self)
        else:
            self._begin_tls(self._tls_certificates)

    # --- TLS and WebSocket ---

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
        handle = layer.getHandle()
        assert handle is not None
        self.tls = tls_facts_of(handle)
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
        self.inner = self._tls_layer = TLSLayer(self._whole, partial(_accepting, certificates))

    def upgraded(self, *, more: bool) -> None:
        """The WebSocket is there, with something to read or without: the protocol takes its place.
        Called once, by its layer."""
        self._stop_timer()
        self._turn_of_client(more)
        self._build_application(self._websocket)

    def _build_application(self, transport: Any) -> None:
        """Make what is to be above a transport: the protocol, or before it WebSocket."""
        factory: Any = self.layer.factory
        above: Any
        try:
            if self.speaks_websocket and self._websocket is None:
                from tcpd.net.websocket import WebSocketLayer

                above = self._websocket = WebSocketLayer(self._whole, factory.websocket)
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

    # --- the connection has these ---

    @abstractmethod
    def write(self, data: bytes) -> None:
        """:class:`twisted.internet.interfaces.ITransport`."""

    @abstractmethod
    def loseConnection(self) -> None:
        """:class:`twisted.internet.interfaces.ITransport`."""

    @abstractmethod
    def cut_after(self, seconds: float, reason: End) -> None:
        """Cut the connection, unless what it waits for comes before: a header, a handshake."""

    @abstractmethod
    def broken(self, doing: str) -> None:
        """Log the exception being caught, which is the protocol's, and cut the connection."""

    @abstractmethod
    def _stop_timer(self) -> None:
        """What was waited for has come."""


def _accepting(certificates: Certificates) -> SSL.Connection:
    """Make the server's side of a handshake."""
    made = certificates.serverConnectionForTLS(None)
    made.set_accept_state()
    return made
