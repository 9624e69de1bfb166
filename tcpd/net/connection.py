"""The base class of connections: timers, the stages, the protocol, and the end of a connection.

There are two subclasses, which move the bytes. :class:`~tcpd.net.transport.SocketConnection` is a
transport on a socket. :class:`~tcpd.net.wrapped_connection.WrappedConnection` wraps a Twisted
transport.
"""

from __future__ import annotations

import socket
import sys
from abc import abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from OpenSSL import SSL
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHalfCloseableProtocol,
    IProtocolFactory,
)
from twisted.logger import Logger
from twisted.python.failure import Failure

from tcpd.handshake.facts import Facts
from tcpd.interfaces import IFarewell
from tcpd.net.address import address_without_port, format_address, ip_of, unmap_ipv4
from tcpd.net.connection_facts import connection_facts, socket_of, tcp_sample
from tcpd.net.connection_service import ConnectionService
from tcpd.net.credentials import Credentials
from tcpd.net.handshake_capture import CapturedHandshake, CaptureOptions
from tcpd.net.listener_options import ListenerOptions
from tcpd.net.loss import error_text, loss_from, take_socket_error
from tcpd.net.pipeline import Pipeline
from tcpd.net.proxy import ProxyFacts
from tcpd.net.stage import BottomTransport
from tcpd.net.tls import Certificates, TLSFacts
from tcpd.net.tls_faults import is_no_memory
from tcpd.ops import catalogue
from tcpd.policy.addresses import IPAddress
from tcpd.policy.reasons import End, Refusal

if TYPE_CHECKING:  # loaded only if a listener speaks HTTP
    from tcpd.http.request import HTTPRequest

_log = Logger()

#: Ends of clients that do not read, and so get no farewell.
_NOT_READING = (End.SLOW_READER, End.STALLED)


class Connection(BottomTransport):
    """One admitted connection. Made by :class:`~tcpd.net.layer.ConnectionLayer`.

    It is the transport of the protocol, or of the lowest stage under the protocol.

    :param layer: the connection layer of its service.
    :param number: unique within this run of the daemon.
    :param address: the address of the peer; ``None`` on a UNIX socket.
    :param endpoint_address: the same as a Twisted address, for ``buildProtocol``.
    :param options: the options of its listener.

    :ivar address: the address of the client: that of the peer, unless a PROXY header names another.
    :ivar counted_address: the address that its slot is counted for; ``None`` for none.
    :ivar ready_at: the time when the client could first send to the protocol, by the layer's clock.
    :ivar bytes_before_protocol: :attr:`bytes_in` at that time; as long as they are equal, the
        client has not sent a byte to the protocol. -1 if such input had arrived by then.
    :ivar inner: gets received bytes: the protocol, or the lowest stage; ``None`` before the first
        stage and after the end.
    :ivar bytes_in: bytes received on the wire.
    :ivar bytes_out: bytes passed to the transport or buffered for it.
    :ivar idle_sweeps: sweeps since the last byte in either direction; see :mod:`tcpd.net.sweeper`.
    :ivar disconnecting: whether the connection is closing.
    :ivar captured_handshake: the captured handshake values; ``None`` before the first read.
    """

    __slots__ = (
        "_application",
        "_counters",
        "_end",
        "_endpoint_address",
        "_failure",
        "_lost",
        "_pipeline",
        "_producer",
        "_read_ended",
        "_timer",
        "address",
        "bytes_before_protocol",
        "bytes_in",
        "bytes_out",
        "captured_handshake",
        "counted_address",
        "credentials",
        "disconnecting",
        "idle_sweeps",
        "inner",
        "layer",
        "number",
        "opened",
        "options",
        "ready_at",
    )

    def __init__(
        self,
        layer: ConnectionService[Connection],
        number: int,
        address: IPAddress | None,
        endpoint_address: IAddress,
        options: ListenerOptions,
    ) -> None:
        self.layer = layer
        self.number = number
        self.address = address
        # behind a proxy the client's address is unknown until the PROXY header
        self.counted_address = address if options.proxies is None else None
        self.credentials: Credentials | None = None  # set by a subclass on a UNIX socket
        self.options = options
        self.captured_handshake: CapturedHandshake | None = None
        self.opened: float = layer.clock.seconds()
        self.ready_at: float = self.opened
        self.bytes_before_protocol = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.idle_sweeps = 0
        self.inner: Any = None
        self.disconnecting = False
        self._endpoint_address = endpoint_address
        self._counters = layer.counters
        self._pipeline: Pipeline | None = None
        self._application: Any = None
        self._producer: Any = None
        self._timer: IDelayedCall | None = None
        self._lost = False
        self._read_ended = False
        self._end: End | None = None
        self._failure: Failure | None = None  # the kernel reports an error only once

    # properties, because they are rarely read and there may be many connections

    @property
    def service(self) -> str:
        return self.layer.service

    @property
    def id(self) -> str:
        return str(self.number)

    @property
    def peer(self) -> str:
        return format_address(self._endpoint_address)

    @property
    def kind(self) -> str | None:
        """The name of the service's kind, or ``None``."""
        return self.layer.protocol

    @property
    def server_name(self) -> str:
        """``[tcpd] server_name``."""
        return self.layer.server_name

    @property
    def service_limit(self) -> int:
        return self.layer.policy.connections

    @property
    def age(self) -> float:
        """Seconds since it was accepted."""
        return self.layer.clock.seconds() - self.opened

    @property
    def proxy(self) -> ProxyFacts | None:
        return None if self._pipeline is None else self._pipeline.proxy

    @property
    def client_unknown(self) -> bool:
        """Whether the PROXY header names no client, as in a health check of the proxy."""
        return self.proxy is not None and self.proxy.address == self._endpoint_address

    @property
    def tls(self) -> TLSFacts | None:
        return None if self._pipeline is None else self._pipeline.tls

    @property
    def tls_handle(self) -> SSL.Connection | None:
        """OpenSSL's connection; ``None`` without TLS, and before the handshake begins."""
        return None if self._pipeline is None else self._pipeline.tls_handle

    @property
    def client_hello(self) -> bytes:
        """The ClientHello in its records; empty without TLS, or if it was not kept."""
        return b"" if self._pipeline is None else self._pipeline.client_hello

    @property
    def listener_certificates(self) -> Certificates | None:
        """The certificates of its listener; ``None`` without TLS from the first byte."""
        return self.options.tls

    @property
    def capture(self) -> CaptureOptions:
        """The handshake capture of its listener."""
        return self.options.capture

    @property
    def has_protocol(self) -> bool:
        """Whether the protocol exists; the stages before it have their own timeouts."""
        return self._application is not None

    @property
    def busy(self) -> bool:
        """See :class:`tcpd.interfaces.IBusy`."""
        return bool(getattr(self._application, "busy", False))

    @property
    def ended(self) -> End | None:
        return self._end

    @property
    def closing(self) -> bool:
        """Whether it is closing or has ended."""
        return self.disconnecting or self._lost

    def facts(self) -> Facts:
        return connection_facts(self)

    def tcp_sample(self) -> dict[str, int] | None:
        return tcp_sample(self)

    def socket(self) -> socket.socket | None:
        return socket_of(self)

    def ensure_captured(self) -> CapturedHandshake:
        """Return :attr:`captured_handshake`, made if it is ``None``."""
        if self.captured_handshake is None:
            self.captured_handshake = CapturedHandshake()
        return self.captured_handshake

    @property
    @abstractmethod
    def pending(self) -> int:
        """Bytes buffered for the client; the full buffer of a Twisted transport counts as 1."""

    @abstractmethod
    def getHandle(self) -> Any:
        """See :class:`twisted.internet.interfaces.ISystemHandle`: usually the socket."""

    # --- start ---

    def begin(self) -> None:
        """Start the first stage, or make the protocol. Called once, by a subclass."""
        if self.options.has_stages:
            self._pipeline = Pipeline(self)
            self._pipeline.begin()
            return
        if self.layer.log.starts:
            self.layer.log.started(self)
        self.build_protocol(self)

    def set_client(self, client: IAddress) -> bytes | None:
        """Set the client's address from a PROXY header. Called by the pipeline.

        :return: ``None`` if the client is admitted, else the refusal to send, which may be empty.
        """
        self._endpoint_address = client
        self.address = ip_of(client)
        return self.layer.identify(self)

    def mark_protocol_start(self, bytes_before: int) -> None:
        """Note that the client can now send to the protocol. Called by the pipeline.

        :param bytes_before: :attr:`bytes_in`; -1 if input for the protocol has arrived.
        """
        self.ready_at = self.layer.clock.seconds()
        self.bytes_before_protocol = bytes_before

    def build_protocol(self, transport: Any, factory: IProtocolFactory | None = None) -> None:
        """Make the protocol on a transport: this connection, or the top of its pipeline.

        :param factory: by default that of the service.
        """
        try:
            maker: Any = self.layer.factory if factory is None else factory
            self._application = application = maker.buildProtocol(self._endpoint_address)
            if application is None:
                transport.loseConnection()
                return
            if transport is self:
                self.inner = application
            else:
                transport.protocol = application
            application.makeConnection(transport)
        except Exception:
            self.log_and_abort("starting")

    @property
    def can_start_tls(self) -> bool:
        pipeline = self._pipeline
        return (
            self.options.starttls is not None
            and (pipeline is None or pipeline.top is None)
            and not self.closing
        )

    def start_tls(self) -> None:
        if not self.can_start_tls:
            raise RuntimeError("TLS cannot be started on this connection now")
        assert self.options.starttls is not None
        if self._pipeline is None:
            self._pipeline = Pipeline(self)
        self._pipeline.start_tls(self.options.starttls, self._application)

    def start_websocket(self, factory: IProtocolFactory, request: HTTPRequest) -> None:
        if self._pipeline is None:
            self._pipeline = Pipeline(self)
        try:
            self._pipeline.start_websocket(factory, request)
        except Exception:
            self.log_and_abort("starting")

    def replace_address(self, address: IPAddress) -> Refusal | None:
        refusal = self.layer.readmit(self, address)
        if refusal is None:
            self.address = address
            self._endpoint_address = address_without_port(address)
        return refusal

    def refuse(self, reason: Refusal) -> None:
        self.record_end(End.REFUSED)
        self.layer.refuse(self, reason)

    def release_slot(self) -> None:
        if not self._lost:
            self.layer.release(self)

    def finish(self, reason: Failure) -> None:
        """Call the protocol's ``connectionLost`` and free the slot. Called once, by a subclass."""
        self._lost = True
        inner = self.inner
        why = ""
        try:
            self.stop_timer()
            self.stop_producer()
            why = self._determine_end(reason)
        finally:
            try:
                if inner is not None:
                    inner.connectionLost(reason)
            finally:
                self.inner = self._application = None
                if self._pipeline is not None:
                    self._pipeline.close()
                error = error_text(reason) if self._end is End.LOST else ""
                self.layer.gone(self, self._end or End.LOST, why, error)

    def _determine_end(self, reason: Failure) -> str:
        """Set why the connection ended, unless that is known.

        :return: why TLS failed; ``""`` for any other end.
        """
        pipeline = self._pipeline
        why = "" if pipeline is None else pipeline.tls_error
        if self._end is None:
            fault = pipeline.handshake_fault if pipeline is not None and self._has_input else None
            if fault is not None:
                self._end, why = fault.end, fault.reason
            elif why or not (
                isinstance(reason.value, ConnectionDone)
                or (pipeline is not None and pipeline.had_ended_orderly(reason))
            ):
                self._end = End.LOST
            else:
                # the client closed first, even if a protocol with half-close closed our side later
                first = self.disconnecting and not self._read_ended
                self._end = End.SERVER if first else End.CLIENT
        if self._end is End.CLIENT and pipeline is not None and pipeline.header_truncated:
            self._end = End.PROXY_FAILED
            self.layer.log.header_failed(self, "cut-short", "it is incomplete")
        return why

    @property
    def _has_input(self) -> bool:
        """Whether the client has sent anything; port scanners often do not."""
        return self.bytes_in > self.bytes_before_protocol or self._application is not None

    def stop_producer(self) -> None:
        """Unregister the producer: a closing connection waits only for the client.

        Calls its ``stopProducing``, unless the producer is one of the transports. Called by a
        subclass and by the stages.
        """
        producer = self._producer
        if producer is None:
            return
        self.unregisterProducer()
        pipeline = self._pipeline
        if producer is not self and not (pipeline is not None and pipeline.has(producer)):
            try:
                producer.stopProducing()
            except Exception:
                self.log_and_abort("stopping its producer")

    def read_ended(self) -> None:
        """Handle a half-close by the client, which may still read."""
        inner = self.inner
        half_closeable = False
        if inner is self._application:
            half_closeable = IHalfCloseableProtocol.providedBy(inner)
        elif inner.read_ended():
            return
        self.input_ended(self.disconnecting)
        if half_closeable:
            inner.readConnectionLost()
        else:
            # without half-close, pending output is sent before the close
            self._end = self._end or End.CLIENT
            self.loseConnection()

    def input_ended(self, closing: bool) -> None:
        """Note that the client has ended its direction; in TLS, by close_notify.

        :param closing: whether the server had begun to close before.
        """
        self._read_ended = not closing

    def write_ended(self) -> None:
        """Report to the protocol that the sending side is closed, after ``loseWriteConnection``."""
        inner = self.inner
        if inner is not self._application:
            inner.write_ended()
        elif IHalfCloseableProtocol.providedBy(inner):
            inner.writeConnectionLost()

    # --- common to both transports ---

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        self.write(b"".join(iovec))

    def stopProducing(self) -> None:
        self.loseConnection()

    def getHost(self) -> Any:
        if self.proxy is not None and self.proxy.host is not None:
            return self.proxy.host
        return unmap_ipv4(self._local_address())

    @abstractmethod
    def _local_address(self) -> IAddress:
        """Return the address of the socket."""

    def _set_producer(self, producer: Any) -> bool:
        """Set the producer, or stop it if the connection is closing.

        :return: whether it was set.
        :raise RuntimeError: if there is one.
        """
        if self.closing:
            producer.stopProducing()
            return False
        if self._producer is not None:
            raise RuntimeError(f"{producer!r} cannot be registered while {self._producer!r} is")
        self._producer = producer
        return True

    def getPeer(self) -> Any:
        return self._endpoint_address

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.number} of service {self.service} with {self.peer}>"

    # --- end ---

    def record_end(self, reason: End) -> None:
        """Set why the connection is going to end, unless that is set."""
        self._end = self._end or reason

    def end(self, reason: End) -> None:
        if self.closing:
            return
        application = self._application
        if reason in _NOT_READING or application is None:
            self.abort(reason)
            return
        top = None if self._pipeline is None else self._pipeline.top
        transport = self if top is None else top
        if transport.disconnecting:
            return  # the linger timer runs
        self.record_end(reason)
        try:
            farewell = application.farewell(reason) if IFarewell.providedBy(application) else b""
            if farewell is None and reason is End.SHUTDOWN:
                return  # the protocol closes the connection, or the end of the drain aborts it
            if farewell:
                transport.write(farewell)
            transport.close_for(reason)
        except Exception:
            self.log_and_abort("saying farewell")

    def close_for(self, reason: End) -> None:
        """See :meth:`tcpd.net.stage.StackedTransport.close_for`."""
        self.loseConnection()

    def begin_linger(self) -> None:
        """Start the timer that bounds a close. Called by a subclass and by the stages."""
        self.stop_timer()
        if not self._lost:
            linger = self.layer.policy.linger
            self._timer = self.layer.clock.callLater(linger, self._abort_for, End.LINGER)

    def abort(self, reason: End) -> None:
        self.record_end(reason)
        if reason is End.LOST and (sock := self.socket()) is not None:
            error = take_socket_error(sock)
            if error is not None:
                self._failure = loss_from(error)
        self.abortConnection()

    def abort_after(self, seconds: float, reason: End) -> None:
        """Abort the connection after a time, unless :meth:`stop_timer` is called before."""
        self._timer = self.layer.clock.callLater(seconds, self._abort_for, reason)

    def _abort_for(self, reason: End) -> None:
        self._timer = None
        self.abort(reason)

    def stop_timer(self) -> None:
        """Cancel the timer of :meth:`abort_after` or :meth:`begin_linger`."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def log_failure(self, error: BaseException, doing: str = "") -> None:
        """Log an exception of the protocol or of a producer."""
        if is_no_memory(error):
            self.record_end(End.NO_MEMORY)
            self.layer.no_memory(error)
            return
        _log.failure(
            "service {service}: connection {id} from {peer} failed{doing}",
            failure=Failure(error),
            service=self.service,
            id=self.id,
            peer=self.peer,
            doing=doing,
        )

    def log_and_abort(self, doing: str) -> None:
        error = sys.exception()
        if error is not None and is_no_memory(error):
            self.log_failure(error)
            self.abortConnection()
            return
        catalogue.CONNECTION_FAILED.fail(
            _log,
            service=self.service,
            id=self.id,
            peer=self.peer,
            doing=doing,
        )
        self.abortConnection()
