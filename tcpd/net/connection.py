"""What every connection has, whatever carries its bytes: timeouts, and an end that is an end.

There are two kinds. :class:`~tcpd.net.transport.LeanConnection` is itself the transport;
:class:`~tcpd.net.wrapped_connection.WrappedConnection` stands between a transport of Twisted's and
the protocol. They differ in how bytes go and agree in everything here.
"""

from __future__ import annotations

import socket
import sys
from abc import abstractmethod
from typing import Any

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
from tcpd.net.connection_service import ConnectionService
from tcpd.net.credentials import Credentials
from tcpd.net.gathering import gather, socket_of
from tcpd.net.kernel import Noted, Watch
from tcpd.net.listener_options import ListenerOptions
from tcpd.net.loss import error_of, lost_by, pending_error
from tcpd.net.pipeline import Pipeline
from tcpd.net.proxy import ProxyFacts
from tcpd.net.stage import Below
from tcpd.net.tls import Certificates, TLSFacts
from tcpd.net.tls_faults import is_no_memory
from tcpd.ops import catalogue
from tcpd.policy.addresses import IPAddress
from tcpd.policy.reasons import End, Refusal

_log = Logger()

#: Ends of clients that would not read any last words.
_NOT_READING = (End.SLOW_READER, End.STALLED)


class Connection(Below):
    """One connection. Made by :class:`~tcpd.net.layer.ConnectionLayer` for a client let in.

    It is the transport of the protocol, or of the stages under the protocol: a subclass adds what
    moves bytes.

    :param layer: the service's.
    :param number: unique within this run of the daemon.
    :param address: of who connected, or ``None`` on a UNIX socket.
    :param endpoint_address: as Twisted has it, for ``buildProtocol``.
    :param options: of its listener.

    :ivar address: the client's: of who connected, unless a PROXY header names another.
    :ivar admitted: the address that the connection's place is counted for; ``None`` for none.
    :ivar began: when it was the client's turn to speak to the protocol, by the layer's clock.
    :ivar bytes_before_protocol: what :attr:`bytes_in` was then; while it is, the client has not
        said a byte. -1 if it had said something by then.
    :ivar inner: what received bytes go to: the protocol, or the lowest stage under it; ``None`` at
        the very beginning, and in the end.
    :ivar bytes_in: received on the wire.
    :ivar bytes_out: handed to the transport or held for it.
    :ivar quiet: sweeps since something last went either way; see :mod:`tcpd.net.sweeper`.
    :ivar disconnecting: whether the end has begun.
    :ivar noted: what the kernel had kept of its handshake; ``None`` until somebody wanted to know.
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
        "admitted",
        "began",
        "bytes_before_protocol",
        "bytes_in",
        "bytes_out",
        "credentials",
        "disconnecting",
        "inner",
        "layer",
        "noted",
        "number",
        "opened",
        "options",
        "quiet",
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
        # a proxy's place is counted for nobody, until it says who the client is
        self.admitted = address if options.proxies is None else None
        # on a UNIX socket a subclass asks at once: in the end, when it is logged, it is too late
        self.credentials: Credentials | None = None
        self.options = options
        self.noted: Noted | None = None
        self.opened: float = layer.clock.seconds()
        self.began: float = self.opened
        self.bytes_before_protocol = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.quiet = 0
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
        self._failure: Failure | None = None  # a loss that the kernel reported once

    # rarely read, so computed: there may be many connections

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
    def kind(self) -> str | None:
        """The name of the service's kind; ``None`` where it has none."""
        return self.layer.protocol

    @property
    def server_name(self) -> str:
        """By which the daemon knows itself."""
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
    def of_proxy(self) -> bool:
        """Whether it is a proxy's own, such as a health check, or of a client without address."""
        return self.proxy is not None and self.proxy.address == self._endpoint_address

    @property
    def tls(self) -> TLSFacts | None:
        return None if self._pipeline is None else self._pipeline.tls

    @property
    def tls_handle(self) -> SSL.Connection | None:
        """OpenSSL's connection; ``None`` in the clear, and until a handshake has begun."""
        return None if self._pipeline is None else self._pipeline.tls_handle

    @property
    def listener_certificates(self) -> Certificates | None:
        """Those of its listener; ``None`` where that does not begin with TLS."""
        return self.options.tls

    @property
    def watch(self) -> Watch:
        """What the kernel was asked to keep of its handshake."""
        return self.options.watch

    @property
    def in_conversation(self) -> bool:
        """Whether there is a protocol: what comes before it has timeouts of its own."""
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
        """Whether it is closing, or lost."""
        return self.disconnecting or self._lost

    def facts(self) -> Facts:
        return gather(self)

    def socket(self) -> socket.socket | None:
        return socket_of(self)

    def notes(self) -> Noted:
        """:attr:`noted`, to be filled in."""
        if self.noted is None:
            self.noted = Noted()
        return self.noted

    @property
    @abstractmethod
    def pending(self) -> int:
        """Bytes written that wait for the client; of Twisted's transports, only whether any do."""

    @abstractmethod
    def getHandle(self) -> Any:
        """:class:`twisted.internet.interfaces.ISystemHandle`: the socket, on most."""

    # --- the beginning ---

    def begin(self) -> None:
        """The client is there, or its proxy. Called once, by a subclass."""
        if self.options.has_stages:
            self._pipeline = Pipeline(self)
            self._pipeline.begin()
            return
        if self.layer.log.starts:
            self.layer.log.started(self)
        self.build_protocol(self)

    def identified(self, client: IAddress) -> bytes | None:
        """A proxy connects for this client. Called by the pipeline.

        :return: ``None`` to let it in, else what to say to it, which may be nothing.
        """
        self._endpoint_address = client
        self.address = ip_of(client)
        return self.layer.identify(self)

    def turn_of_client(self, bytes_before: int) -> None:
        """The client may speak to the protocol from now on. Called by the pipeline."""
        self.began = self.layer.clock.seconds()
        self.bytes_before_protocol = bytes_before

    def build_protocol(self, transport: Any) -> None:
        """Make the protocol on a transport: this connection, or the top of its pipeline."""
        try:
            factory: Any = self.layer.factory
            self._application = application = factory.buildProtocol(self._endpoint_address)
            if application is None:
                transport.loseConnection()
                return
            if transport is self:
                self.inner = application
            else:
                transport.protocol = application
            application.makeConnection(transport)
        except Exception:
            self.broken("beginning")

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

    def stand_for(self, address: IPAddress) -> Refusal | None:
        refusal = self.layer.hand_on(self, address)
        if refusal is None:
            self.address = address
            self._endpoint_address = at(address)
        return refusal

    def refuse(self, reason: Refusal) -> None:
        self.ending(End.REFUSED)
        self.layer.refuse(self, reason)

    def give_up_place(self) -> None:
        if not self._lost:
            self.layer.release(self)

    def finish(self, reason: Failure) -> None:
        """The connection is gone: its protocol is called back, and its place is free. Called once,
        by a subclass."""
        self._lost = True
        inner = self.inner
        why = ""
        try:
            self.stop_timer()
            self.let_go()
            why = self._note_end(reason)
        finally:
            try:
                if inner is not None:
                    inner.connectionLost(reason)
            finally:
                self.inner = self._application = None
                if self._pipeline is not None:
                    self._pipeline.close()
                error = error_of(reason) if self._end is End.LOST else ""
                self.layer.gone(self, self._end or End.LOST, why, error)

    def _note_end(self, reason: Failure) -> str:
        """Find out why it is gone, unless that is known.

        :return: why TLS failed; ``""`` for any other end.
        """
        pipeline = self._pipeline
        why = "" if pipeline is None else pipeline.tls_error
        if self._end is None:
            fault = pipeline.handshake_fault if pipeline is not None and self._spoken else None
            if fault is not None:
                self._end, why = fault.end, fault.reason
            elif why or not (
                isinstance(reason.value, ConnectionDone)
                or (pipeline is not None and pipeline.had_ended(reason))
            ):
                self._end = End.LOST
            else:
                # a client that closed its side first is who ended it, though a protocol that knows
                # of half-close then closes ours
                first = self.disconnecting and not self._read_ended
                self._end = End.SERVER if first else End.CLIENT
        if self._end is End.CLIENT and pipeline is not None and pipeline.header_cut_short:
            self._end = End.PROXY_FAILED
            self.layer.log.header_failed(self, "cut-short", "it ends before its end")
        return why

    @property
    def _spoken(self) -> bool:
        """Whether the client has said anything; probes connect and go without a word."""
        return self.bytes_in > self.bytes_before_protocol or self._application is not None

    def let_go(self) -> None:
        """Ask the producer for nothing more: at an end nobody is waited for but the client.

        Its ``stopProducing`` is called (IProducer: "its consumer has died"), unless it is the
        transport itself. Called by a subclass, and by the stages.
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
                self.broken("stopping its producer")

    def read_ended(self) -> None:
        """The client has closed its sending side, and may still read (a half-close)."""
        inner = self.inner
        knows_half_close = False
        if inner is self._application:
            knows_half_close = IHalfCloseableProtocol.providedBy(inner)
        elif inner.read_ended():
            return
        self.input_ended(self.disconnecting)
        if knows_half_close:
            inner.readConnectionLost()
        else:
            # a stage has a close of its own, if any (RFC 6455 section 7.1.2), and a protocol that
            # does not know of half-close is done: what it has said so far still goes out
            self._end = self._end or End.CLIENT
            self.loseConnection()

    def input_ended(self, closing: bool) -> None:
        """The client has ended its direction in good order; by close_notify, in TLS.

        :param closing: whether we had begun to close before.
        """
        self._read_ended = not closing

    def write_ended(self) -> None:
        """Our side is closed, as the protocol asked by ``loseWriteConnection``."""
        inner = self.inner
        if inner is not self._application:
            inner.write_ended()
        elif IHalfCloseableProtocol.providedBy(inner):
            inner.writeConnectionLost()

    def getPeer(self) -> Any:
        return self._endpoint_address

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.number} of service {self.service} with {self.peer}>"

    # --- the end ---

    def ending(self, reason: End) -> None:
        """Note why it is going to end, unless that is known."""
        self._end = self._end or reason

    def end(self, reason: End) -> None:
        if self.closing:
            return
        application = self._application
        if reason in _NOT_READING or application is None:
            self.cut(reason)
            return
        top = None if self._pipeline is None else self._pipeline.top
        transport = self if top is None else top
        if transport.disconnecting:
            return  # that is bounded
        self.ending(reason)
        try:
            words = application.farewell(reason) if IFarewell.providedBy(application) else b""
            if words is None and reason is End.SHUTDOWN:
                return  # it closes by itself, or is cut off with the rest
            if words:
                transport.write(words)
            transport.close_for(reason)
        except Exception:
            self.broken("saying farewell")

    def close_for(self, reason: End) -> None:
        """See :meth:`tcpd.net.stage.StackedTransport.close_for`."""
        self.loseConnection()

    def begin_linger(self) -> None:
        """Bound the wait for a close that has begun. Called by a subclass, and by the stages."""
        self.stop_timer()
        if not self._lost:
            linger = self.layer.policy.linger
            self._timer = self.layer.clock.callLater(linger, self._cut, End.LINGER)

    def cut(self, reason: End) -> None:
        """End the connection at once, with no words."""
        self.ending(reason)
        if reason is End.LOST and (sock := self.socket()) is not None:
            error = pending_error(sock)
            if error is not None:
                self._failure = lost_by(error)
        self.abortConnection()

    def cut_after(self, seconds: float, reason: End) -> None:
        """Cut the connection, unless what it waits for comes before: a header, a handshake."""
        self._timer = self.layer.clock.callLater(seconds, self._cut, reason)

    def _cut(self, reason: End) -> None:
        self._timer = None
        self.cut(reason)

    def stop_timer(self) -> None:
        """What was waited for has come."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def log_failure(self, error: BaseException, doing: str = "") -> None:
        """Log what code of others raised while the connection was dealt with."""
        if is_no_memory(error):
            self.ending(End.NO_MEMORY)
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

    def broken(self, doing: str) -> None:
        """Log the exception being caught, which is the protocol's, and cut the connection."""
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
