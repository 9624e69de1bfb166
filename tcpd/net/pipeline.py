"""The stages of one connection, between its transport and its protocol: PROXY header, TLS,
WebSocket, in this order.

A connection that has none of them has no pipeline either.
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
from tcpd.net.proxy import ProxyFacts, facts_of
from tcpd.net.proxy_stage import HeaderStage
from tcpd.net.stage import Below, StackedTransport
from tcpd.net.tls import Certificates, TLSFacts
from tcpd.net.tls import facts_of as tls_facts_of
from tcpd.net.tls_faults import TLSFault
from tcpd.net.tls_layer import TLSLayer
from tcpd.ops.counters import ServiceCounters
from tcpd.policy.reasons import End
from tcpd.policy.workqueue import WorkQueue
from tcpd.wire.proxy import Header, HeaderFault

if TYPE_CHECKING:  # loaded with the configuration that wants it
    from tcpd.net.websocket import WebSocketLayer


class PipelineService(Protocol):
    """What a pipeline uses of the service."""

    factory: IProtocolFactory
    policy: PolicySettings
    counters: ServiceCounters
    clock: IReactorTime
    log: ConnectionLog
    work: WorkQueue | None


class PipelineConnection(Below, ConnectionView, Protocol):
    """The connection at the bottom of a pipeline: its transport, and the owner of the stages.

    :ivar inner: what received bytes go to.
    """

    inner: Any
    disconnecting: bool

    @property
    def options(self) -> ListenerOptions: ...

    @property
    def layer(self) -> PipelineService: ...

    @property
    def listener_certificates(self) -> Certificates | None: ...

    @property
    def server_name(self) -> str: ...

    @property
    def closing(self) -> bool:
        """Whether the connection is closing, or lost."""

    def identified(self, client: IAddress) -> bytes | None:
        """A proxy connects for this client.

        :return: ``None`` to let it in, else what to say to it, which may be nothing.
        """

    def turn_of_client(self, bytes_before: int) -> None:
        """The client may speak to the protocol from now on; see
        :attr:`~tcpd.net.connection_view.ConnectionView.bytes_before_protocol`."""

    def build_protocol(self, transport: Any) -> None:
        """Make the protocol on a transport."""

    def cut_after(self, seconds: float, reason: End) -> None:
        """Cut the connection, unless :meth:`stop_timer` is called before."""

    def stop_timer(self) -> None:
        """What was waited for has come."""

    def cut(self, reason: End) -> None: ...

    def end(self, reason: End) -> None: ...

    def ending(self, reason: End) -> None: ...

    def broken(self, doing: str) -> None: ...

    def input_ended(self, closing: bool) -> None:
        """The client has ended its direction in good order; ``closing`` if we had begun to."""


class Pipeline:
    """Begins each stage when the one before it is done, and makes the protocol behind the last.

    Each stage has a deadline, after which the connection is cut.

    :param connection: at the bottom.

    :ivar proxy: what a PROXY header said.
    :ivar tls: what the TLS handshake agreed on.
    """

    __slots__ = ("_connection", "_header", "_tls_layer", "_websocket", "proxy", "tls")

    def __init__(self, connection: PipelineConnection) -> None:
        self._connection = connection
        self._header: HeaderStage | None = None
        self._tls_layer: TLSLayer | None = None
        self._websocket: WebSocketLayer | None = None
        self.proxy: ProxyFacts | None = None
        self.tls: TLSFacts | None = None

    # --- one after the other ---

    def begin(self) -> None:
        """Begin the first stage. Called once."""
        connection = self._connection
        if connection.options.proxies is None:
            self._client_is_known()
            return
        connection.inner = self._header = HeaderStage(self._header_read, self._header_failed)
        connection.cut_after(connection.layer.policy.proxy_header, End.PROXY_TIMEOUT)

    def _header_read(self, header: Header, rest: bytes) -> None:
        connection = self._connection
        self._header = None
        connection.stop_timer()
        proxy = connection.getPeer()
        self.proxy, client = facts_of(header, proxy)
        connection.turn_of_client(connection.bytes_in - len(rest))
        # a header that names the proxy's own socket is for the proxy: its checks by version 1
        if client is not None and client != proxy:
            words = connection.identified(client)
            if words is not None:
                connection.ending(End.REFUSED)
                if words:
                    connection.write(words)
                connection.loseConnection()
                return
        self._client_is_known()
        if rest and not connection.closing:
            connection.inner.dataReceived(rest)

    def _header_failed(self, fault: HeaderFault) -> None:
        connection = self._connection
        connection.layer.log.header_failed(connection, fault, fault.sentence)
        connection.cut(End.PROXY_FAILED)

    def _client_is_known(self) -> None:
        connection = self._connection
        if connection.layer.log.starts:
            connection.layer.log.started(connection)
        if connection.options.tls is None:
            self._build_on(connection)
        else:
            self._begin_tls(connection.options.tls)

    def start_tls(self, certificates: Certificates, protocol: Any) -> None:
        """Begin TLS in the midst of a conversation: STARTTLS."""
        layer = self._begin_tls(certificates)
        layer.protocol = protocol
        protocol.transport = layer

    def _begin_tls(self, certificates: Certificates) -> TLSLayer:
        connection = self._connection
        connection.cut_after(connection.layer.policy.handshake, End.TLS_TIMEOUT)
        make = partial(_accepting, certificates)
        self._tls_layer = layer = TLSLayer(connection, make, self, connection.layer.work)
        connection.inner = layer
        return layer

    def _build_on(self, transport: Any) -> None:
        """Begin WebSocket on a transport, or make the protocol."""
        connection = self._connection
        if not connection.options.websocket:
            connection.build_protocol(transport)
            return
        try:
            self._begin_websocket(transport)
        except Exception:
            connection.broken("beginning")

    def _begin_websocket(self, transport: Any) -> None:
        from tcpd.net.websocket import WebSocketLayer

        connection = self._connection
        service = connection.layer
        factory: Any = service.factory
        self._websocket = websocket = WebSocketLayer(
            connection,
            transport,
            factory.websocket,
            clock=service.clock,
            counted=service.counters.events,
            done=self._websocket_done,
        )
        if transport is connection:
            connection.inner = websocket
        else:
            transport.protocol = websocket
        connection.cut_after(service.policy.handshake, End.WEBSOCKET_TIMEOUT)

    def _websocket_done(self, more: bool) -> None:
        connection = self._connection
        connection.stop_timer()
        connection.turn_of_client(-1 if more else connection.bytes_in)
        connection.build_protocol(self._websocket)

    # --- from TLS ---

    def secured(self) -> None:
        """See :class:`tcpd.net.tls_layer.TLSOwner`; as those that follow."""
        connection, layer = self._connection, self._tls_layer
        assert layer is not None
        connection.stop_timer()
        handle = layer.getHandle()
        assert handle is not None
        self.tls = tls_facts_of(handle)
        connection.layer.counters.tls[self.tls.version] += 1
        if not connection.in_conversation:
            connection.turn_of_client(-1 if layer.has_more() else connection.bytes_in)
            self._build_on(layer)

    def input_ended(self) -> None:
        assert self._tls_layer is not None
        self._connection.input_ended(self._tls_layer.disconnecting)

    def truncated(self) -> None:
        self._connection.ending(End.TRUNCATED)

    def broken(self) -> None:
        self._connection.broken("receiving")

    # --- what the stages are, and know ---

    @property
    def top(self) -> StackedTransport | None:
        """The transport of the protocol; ``None`` where that is the connection itself."""
        return self._websocket or self._tls_layer

    def has(self, producer: object) -> bool:
        """Whether an object is one of the transports."""
        return producer is self._tls_layer or producer is self._websocket

    @property
    def tls_handle(self) -> SSL.Connection | None:
        """OpenSSL's connection; ``None`` in the clear, and until a handshake has begun."""
        return None if self._tls_layer is None else self._tls_layer.getHandle()

    @property
    def header_cut_short(self) -> bool:
        """Whether a PROXY header began and did not come to its end."""
        return self._header is not None and self._header.cut_short

    @property
    def handshake_fault(self) -> TLSFault | None:
        """Why the TLS handshake is not complete; ``None`` if it is, or has not begun."""
        if self._tls_layer is None or self.tls is not None:
            return None
        return self._tls_layer.fault

    @property
    def tls_error(self) -> str:
        """OpenSSL's reason for the end of TLS; ``""`` for an orderly end."""
        return "" if self._tls_layer is None else self._tls_layer.error

    def had_ended(self, reason: Failure) -> bool:
        """Whether a loss is no loss: a reset behind our close_notify, by a client that had no use
        for it."""
        layer = self._tls_layer
        return layer is not None and layer.has_ended and bool(reason.check(ConnectionLost))

    def close(self) -> None:
        """Let go of the stages: the connection is gone. What they found out stays."""
        # or only the garbage collector finds connection and pipeline
        del self._connection
        self._header = self._tls_layer = self._websocket = None


def _accepting(certificates: Certificates) -> SSL.Connection:
    """Make the server's side of a handshake."""
    made = certificates.serverConnectionForTLS(None)
    made.set_accept_state()
    return made
