"""The stages of one connection between transport and protocol: PROXY header, TLS, WebSocket.

A connection without stages has no pipeline.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from OpenSSL import SSL
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IAddress, IProtocolFactory, IReactorTime
from twisted.python.failure import Failure

from tcpd.config.settings import PolicySettings
from tcpd.net.connection_log import ConnectionLog
from tcpd.net.connection_view import ConnectionView
from tcpd.net.listener_options import ListenerOptions
from tcpd.net.own_names import LocalEnd
from tcpd.net.proxy import ProxyFacts, facts_of
from tcpd.net.proxy_stage import HeaderStage
from tcpd.net.stage import StackedTransport, StageConnection
from tcpd.net.tls import Certificates, TLSFacts
from tcpd.net.tls import facts_of as tls_facts_of
from tcpd.net.tls_faults import TLSFault
from tcpd.net.tls_layer import TLSLayer
from tcpd.ops.counters import ServiceCounters
from tcpd.policy.reasons import End
from tcpd.policy.workqueue import WorkQueue
from tcpd.wire.proxy import Header, HeaderFault

if TYPE_CHECKING:  # loaded only if a listener speaks HTTP
    from tcpd.http.request import HTTPRequest
    from tcpd.net.websocket import WebSocketLayer
    from tcpd.net.websocket_pings import PingSweep


class PipelineService(Protocol):
    """The interface of a service to pipelines."""

    factory: IProtocolFactory
    policy: PolicySettings
    counters: ServiceCounters
    clock: IReactorTime
    log: ConnectionLog
    work: WorkQueue | None
    #: The sweeps that ping idle WebSocket clients, by their interval in seconds.
    pings: dict[float, PingSweep]
    shows_handshakes: bool


class PipelineConnection(StageConnection, LocalEnd, ConnectionView, Protocol):
    """The connection at the bottom of a pipeline.

    Members without a docstring are documented at :class:`tcpd.net.connection.Connection`.
    """

    inner: Any

    @property
    def options(self) -> ListenerOptions: ...

    @property
    def layer(self) -> PipelineService: ...

    @property
    def closing(self) -> bool: ...

    def set_client(self, client: IAddress) -> bytes | None: ...

    def mark_protocol_start(self, bytes_before: int) -> None: ...

    def build_protocol(self, transport: Any, factory: IProtocolFactory | None = None) -> None: ...

    def abort_after(self, seconds: float, reason: End) -> None: ...

    def stop_timer(self) -> None: ...

    def abort(self, reason: End) -> None: ...

    def input_ended(self, closing: bool) -> None: ...


class Pipeline:
    """Starts each stage when the one before is done, and makes the protocol after the last.

    Each stage has a deadline, after which the connection is aborted.

    :param connection: the connection at the bottom of the pipeline.

    :ivar proxy: the content of the PROXY header, or ``None``.
    :ivar tls: the result of the TLS handshake, or ``None``.
    """

    __slots__ = ("_connection", "_header", "_tls_layer", "_websocket", "proxy", "tls")

    def __init__(self, connection: PipelineConnection) -> None:
        self._connection = connection
        self._header: HeaderStage | None = None
        self._tls_layer: TLSLayer | None = None
        self._websocket: WebSocketLayer | None = None
        self.proxy: ProxyFacts | None = None
        self.tls: TLSFacts | None = None

    # --- the sequence of stages ---

    def begin(self) -> None:
        """Start the first stage. Called once."""
        connection = self._connection
        if connection.options.proxies is None:
            self._client_identified()
            return
        connection.inner = self._header = HeaderStage(self._header_read, self._header_failed)
        connection.abort_after(connection.layer.policy.proxy_header, End.PROXY_TIMEOUT)

    def _header_read(self, header: Header, rest: bytes) -> None:
        connection = self._connection
        self._header = None
        connection.stop_timer()
        proxy = connection.getPeer()
        self.proxy, client = facts_of(header, proxy)
        connection.mark_protocol_start(connection.bytes_in - len(rest))
        # with version 1, a health check names the proxy's own address as the client
        if client is not None and client != proxy:
            refusal = connection.set_client(client)
            if refusal is not None:
                connection.record_end(End.REFUSED)
                if refusal:
                    connection.write(refusal)
                connection.loseConnection()
                return
        self._client_identified()
        if rest and not connection.closing:
            connection.inner.dataReceived(rest)

    def _header_failed(self, fault: HeaderFault) -> None:
        connection = self._connection
        connection.layer.log.header_failed(connection, fault, fault.sentence)
        connection.abort(End.PROXY_FAILED)

    def _client_identified(self) -> None:
        connection = self._connection
        if connection.layer.log.starts:
            connection.layer.log.started(connection)
        if connection.options.tls is None:
            self._build_on(connection)
        else:
            self._begin_tls(connection.options.tls)

    def start_tls(self, certificates: Certificates, protocol: Any) -> None:
        """Start TLS under an existing protocol (STARTTLS)."""
        layer = self._begin_tls(certificates)
        layer.protocol = protocol
        protocol.transport = layer

    def _begin_tls(self, certificates: Certificates) -> TLSLayer:
        connection = self._connection
        connection.abort_after(connection.layer.policy.handshake, End.TLS_TIMEOUT)
        make = partial(_server_connection, certificates)
        service = connection.layer
        self._tls_layer = layer = TLSLayer(
            connection, make, self, service.work, service.shows_handshakes
        )
        connection.inner = layer
        return layer

    def _build_on(self, transport: Any) -> None:
        """Start WebSocket on a transport, or make the protocol."""
        connection = self._connection
        if not connection.options.websocket:
            connection.build_protocol(transport)
            return
        try:
            self._begin_websocket(transport, connection.layer.factory)
            connection.abort_after(connection.layer.policy.handshake, End.WEBSOCKET_TIMEOUT)
        except Exception:
            connection.log_and_abort("starting")

    def start_websocket(self, factory: IProtocolFactory, request: HTTPRequest) -> None:
        """Start WebSocket in place of the protocol, with a request that it has read.

        :param factory: makes the protocol on WebSocket; a
            :class:`tcpd.interfaces.IWebSocketFactory`.
        """
        below = self._tls_layer or self._connection
        self._begin_websocket(below, factory).open(request)

    def _begin_websocket(self, transport: Any, factory: Any) -> WebSocketLayer:
        from tcpd.net.websocket import WebSocketLayer
        from tcpd.net.websocket_pings import PingSweep

        connection = self._connection
        service = connection.layer
        ping = factory.websocket.ping
        pings = service.pings.get(ping)
        if pings is None:
            pings = service.pings[ping] = PingSweep(service.clock, service.work, ping)
        self._websocket = websocket = WebSocketLayer(
            connection,
            transport,
            factory.websocket,
            clock=service.clock,
            pings=pings,
            counted=service.counters.events,
            done=partial(self._websocket_done, factory),
        )
        if transport is connection:
            connection.inner = websocket
        else:
            transport.protocol = websocket
        return websocket

    def _websocket_done(self, factory: IProtocolFactory, more: bool) -> None:
        connection = self._connection
        connection.stop_timer()
        connection.mark_protocol_start(-1 if more else connection.bytes_in)
        connection.build_protocol(self._websocket, factory)

    # --- from TLS ---

    def secured(self) -> None:
        """See :class:`tcpd.net.tls_layer.TLSOwner`, also for the next three methods."""
        connection, layer = self._connection, self._tls_layer
        assert layer is not None
        connection.stop_timer()
        handle = layer.getHandle()
        assert handle is not None
        self.tls = tls_facts_of(handle)
        connection.layer.counters.tls[self.tls.version] += 1
        if not connection.has_protocol:
            connection.mark_protocol_start(-1 if layer.has_input() else connection.bytes_in)
            self._build_on(layer)

    def input_ended(self) -> None:
        assert self._tls_layer is not None
        self._connection.input_ended(self._tls_layer.disconnecting)

    def truncated(self) -> None:
        self._connection.record_end(End.TRUNCATED)

    def receive_failed(self) -> None:
        self._connection.log_and_abort("receiving")

    # --- the state of the stages ---

    @property
    def top(self) -> StackedTransport | None:
        """The transport of the protocol; ``None`` if that is the connection itself."""
        return self._websocket or self._tls_layer

    def has(self, producer: object) -> bool:
        """Whether an object is one of the transports."""
        return producer is self._tls_layer or producer is self._websocket

    @property
    def tls_handle(self) -> SSL.Connection | None:
        """OpenSSL's connection; ``None`` without TLS, and before the handshake begins."""
        return None if self._tls_layer is None else self._tls_layer.getHandle()

    @property
    def client_hello(self) -> bytes:
        """See :attr:`tcpd.net.tls_layer.TLSLayer.client_hello`; empty without TLS."""
        return b"" if self._tls_layer is None else self._tls_layer.client_hello

    @property
    def header_truncated(self) -> bool:
        """Whether the connection ended within a PROXY header."""
        return self._header is not None and self._header.truncated

    @property
    def handshake_fault(self) -> TLSFault | None:
        """Why the TLS handshake failed; ``None`` if it is complete, or without TLS."""
        if self._tls_layer is None or self.tls is not None:
            return None
        return self._tls_layer.fault

    @property
    def tls_error(self) -> str:
        """OpenSSL's reason for the end of TLS; ``""`` for an orderly end."""
        return "" if self._tls_layer is None else self._tls_layer.error

    def had_ended_orderly(self, reason: Failure) -> bool:
        """Whether a connection lost by ``reason`` had ended before in an orderly way.

        Some clients reset the connection when they receive close_notify.
        """
        layer = self._tls_layer
        return layer is not None and layer.close_notify_sent and bool(reason.check(ConnectionLost))

    def close(self) -> None:
        """Drop the stages after the end of the connection; :attr:`proxy` and :attr:`tls` stay."""
        # breaks the reference cycle between connection and pipeline
        del self._connection
        self._header = self._tls_layer = self._websocket = None


def _server_connection(certificates: Certificates) -> SSL.Connection:
    """Make the server's side of a handshake."""
    connection = certificates.serverConnectionForTLS(None)
    connection.set_accept_state()
    return connection
