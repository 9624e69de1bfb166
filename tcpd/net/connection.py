"""What every connection has, whatever carries its bytes: timeouts, and an end that is an end.

What stands between it and the protocol is in :mod:`tcpd.net.stages`.

There are two kinds. :class:`~tcpd.net.transport.LeanConnection` is itself the transport;
:class:`~tcpd.net.conduit.Conduit` stands between a transport of Twisted's and the protocol. They
differ in how bytes go and agree in everything here.
"""

from __future__ import annotations

import sys
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHalfCloseableProtocol,
)
from twisted.logger import Logger
from twisted.python.failure import Failure

from tcpd.handshake.facts import Facts
from tcpd.interfaces import IFarewell
from tcpd.net.address import at, shown
from tcpd.net.credentials import Credentials
from tcpd.net.gathering import gather
from tcpd.net.kernel import UNWATCHED, Noted
from tcpd.net.loss import error_of
from tcpd.net.proxy import HeaderStage
from tcpd.net.stages import Stages
from tcpd.net.tls import Certificates
from tcpd.net.tls_faults import is_no_memory
from tcpd.ops import catalogue
from tcpd.policy.addresses import IPAddress
from tcpd.policy.reasons import End, Refusal

if TYPE_CHECKING:
    from tcpd.net.layer import ConnectionLayer

_log = Logger()

#: Ends of clients that would not read any last words.
_NOT_READING = (End.SLOW_READER, End.STALLED)


class Connection(Stages):
    """One connection. Made by :class:`~tcpd.net.layer.ConnectionLayer` for a client let in.

    It is the transport of the protocol, or of the TLS layer under the protocol: a subclass adds
    what :class:`twisted.internet.interfaces.ITransport` and ``IConsumer`` want.

    :param layer: the service's.
    :param number: unique within this run of the daemon.
    :param address: of who connected, or ``None`` on a UNIX socket.
    :param endpoint_address: as Twisted tells it, for ``buildProtocol``.
    :param tls: begin with TLS, and show these.
    :param starttls: the protocol may begin TLS later, and show these.

    :ivar bytes_in: received on the wire.
    :ivar bytes_out: handed to the transport or held for it.
    :ivar quiet: sweeps since something last went either way; see ``ConnectionLayer.sweep``.
    :ivar disconnecting: whether the end has begun.
    :ivar watch: what the kernel was asked to keep of its handshake.
    :ivar noted: what of that was read; ``None`` until somebody wanted to know.
    """

    __slots__ = (
        "_counters",
        "_lost",
        "_producer",
        "_read_ended",
        "_timer",
        "bytes_in",
        "bytes_out",
        "credentials",
        "disconnecting",
        "noted",
        "number",
        "opened",
        "quiet",
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
        super().__init__(layer, address, endpoint_address, tls, starttls)
        self.number = number
        # on a UNIX socket a subclass asks at once: in the end, when it is logged, it is too late
        self.credentials: Credentials | None = None
        self.watch = UNWATCHED
        self.noted: Noted | None = None
        self.opened: float = self.began
        self.bytes_in = 0
        self.bytes_out = 0
        self.quiet = 0
        self.disconnecting = False
        self._counters = layer.counters
        self._producer: Any = None
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
    def ended(self) -> End | None:
        return self._end

    def facts(self) -> Facts:
        return gather(self)

    @property
    @abstractmethod
    def pending(self) -> int:
        """Bytes written that wait for the client; of Twisted's transports, only whether any do."""

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
            self._stop_timer()
            self.let_go()
            why = self._note_end(reason, inner)
        finally:
            try:
                if inner is not None:
                    inner.connectionLost(reason)
            finally:
                self.inner = self._application = self._tls_layer = self._websocket = None
                error = error_of(reason) if self._end is End.LOST else ""
                self.layer.gone(self, self._end or End.LOST, why, error)

    def _note_end(self, reason: Failure, inner: Any) -> str:
        """Find out why it is gone, unless that is known.

        :return: why TLS failed; ``""`` for any other end.
        """
        tls_layer = self._tls_layer
        why = "" if tls_layer is None else tls_layer.error
        if self._end is None:
            if tls_layer is not None and self.tls is None and self._spoken:
                fault = tls_layer.fault
                self._end, why = fault.end, fault.reason
            elif (tls_layer is not None and (why := tls_layer.error)) or not (
                isinstance(reason.value, ConnectionDone)
                # a reset behind our close_notify: a client that had no use for it
                or (tls_layer is not None and tls_layer.has_ended and reason.check(ConnectionLost))
            ):
                self._end = End.LOST
            else:
                # a client that closed its side first is who ended it, though a protocol that knows
                # of half-close then closes ours
                first = self.disconnecting and not self._read_ended
                self._end = End.SERVER if first else End.CLIENT
        if self._end is End.CLIENT and isinstance(inner, HeaderStage) and inner.cut_short:
            self._end = End.PROXY_FAILED
            self.layer.telling.header_failed(self, "cut-short", "it ends before its end")
        return why

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
        """The client has closed its sending side, and may still read (a half-close)."""
        if self._tls_layer is not None:
            self._tls_layer.read_ended()
            return
        self.input_ended()
        application = self._application
        if self.inner is application and IHalfCloseableProtocol.providedBy(application):
            application.readConnectionLost()
        else:
            # WebSocket has a close of its own (RFC 6455 section 7.1.2), and a protocol that does
            # not know of half-close is done: what it has said so far still goes out
            self._end = self._end or End.CLIENT
            self.loseConnection()

    def input_ended(self) -> None:
        """The client has ended its direction in good order; by close_notify, in TLS."""
        self._read_ended = not (self._tls_layer or self).disconnecting

    def truncated(self) -> None:
        """The client closed its sending side without close_notify. Called by the TLS layer."""
        self.ending(End.TRUNCATED)

    def write_ended(self) -> None:
        """Our side is closed, as the protocol asked by ``loseWriteConnection``."""
        application = self._application
        if self._tls_layer is not None:
            self._tls_layer.write_ended()
        elif self.inner is application and IHalfCloseableProtocol.providedBy(application):
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
    def loseWriteConnection(self) -> None:
        """Close the sending side once all is written: a half-close of ours."""

    @abstractmethod
    def resetConnection(self) -> None:
        """Reset the connection once all that was written is delivered, at most ``linger`` later.

        So a client sees that the stream was cut, and still has what came before. UNIX sockets know
        no reset: there the client sees an end.
        """

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
