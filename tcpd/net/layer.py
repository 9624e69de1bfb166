"""The connection layer of one service: admission, the set of connections, and draining."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory, IReactorTime
from twisted.internet.protocol import Protocol
from twisted.logger import Logger

from tcpd.config.settings import PolicySettings
from tcpd.handshake.facts import Absence
from tcpd.http.response import closing
from tcpd.interfaces import IRefusing
from tcpd.net.address import address_without_port, format_address, ip_of, socket_address, unmap_ipv4
from tcpd.net.connection import Connection
from tcpd.net.connection_log import ConnectionLog
from tcpd.net.handshake_capture import NOT_CAPTURED, read_handshake
from tcpd.net.listener_options import PLAIN, ListenerOptions
from tcpd.net.proxy import Proxies
from tcpd.net.spares import Spares
from tcpd.net.sweeper import Sweeper
from tcpd.net.transport import SocketConnection
from tcpd.net.turns import TurnScheduler
from tcpd.net.wrapped_connection import WrappedConnection
from tcpd.ops.counters import ServiceCounters
from tcpd.policy.addresses import IPAddress, plain_address
from tcpd.policy.admission import Admission, ConnectionCount, Limits, Networks
from tcpd.policy.bans import Bans
from tcpd.policy.reasons import End, Refusal
from tcpd.policy.workqueue import WorkQueue

if TYPE_CHECKING:  # loaded only if a listener speaks WebSocket
    from tcpd.net.websocket_pings import PingSweep

#: Bytes of input read from a refused client, so that the close does not reset the connection.
_REFUSED_INPUT = 65536

#: Seconds that a refused client has to read the refusal.
_REFUSED_LINGER = 2.0


def _limits(policy: PolicySettings) -> Limits:
    return Limits(
        Networks(policy.allow, policy.deny),
        policy.connections,
        policy.per_address,
        policy.ipv6_prefix,
        policy.connection_rate,
        policy.address_rate,
    )


class _Refused(Protocol):
    """Sends a client its refusal and closes the connection."""

    def __init__(self, refusal: bytes, clock: IReactorTime) -> None:
        self._refusal = refusal
        self._clock = clock

    def connectionMade(self) -> None:
        transport: Any = self.transport
        self._timer = self._clock.callLater(_REFUSED_LINGER, transport.abortConnection)
        transport.write(self._refusal)
        transport.loseConnection()

    def connectionLost(self, reason: Any = None) -> None:
        if self._timer.active():
            self._timer.cancel()


class ConnectionLayer:
    """The connections of one service.

    :param service: the name of the service.
    :param factory: makes its protocols.
    :param policy: the limits and timeouts of the service.
    :param idle: the idle timeout, in seconds; 0 for none.
    :param connection_count: the count of the whole daemon.
    :param bans: the bans of the whole daemon; ``None`` for none.
    :param counters: the counters of the service.
    :param clock: schedules timers.
    :param ids: numbers the connections of the whole daemon.
    :param protocol: the name of the service's kind, or ``None``.
    :param server_name: ``[tcpd] server_name``.
    :param shows_handshakes: whether the kind shows clients their handshakes; if so, the start
        state and the ClientHello of each connection are kept.
    :param spares: the number of spare descriptors to keep for the service's clients.
    :param no_memory: called with the error of each connection that failed for lack of memory.
    :param work: the daemon's work queue; ``None``: TLS has no limit of its share of a turn.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        service: str,
        factory: IProtocolFactory,
        policy: PolicySettings,
        idle: float,
        connection_count: ConnectionCount,
        bans: Bans | None = None,
        counters: ServiceCounters,
        clock: IReactorTime,
        ids: Iterator[int],
        protocol: str | None = None,
        server_name: str = "",
        shows_handshakes: bool = False,
        spares: int = 0,
        no_memory: Callable[[BaseException], None] = lambda error: None,
        work: WorkQueue | None = None,
    ) -> None:
        self.work = work
        self.pings: dict[float, PingSweep] = {}
        self.service = service
        self.protocol = protocol
        self.server_name = server_name
        self.shows_handshakes = shows_handshakes
        self.factory = factory
        self.policy = policy
        self.counters = counters
        self.clock = clock
        self.connections: set[Connection] = set()
        self._ids = ids
        self._idle = idle
        self._admission = Admission(_limits(policy), connection_count, bans, clock.seconds)
        self._sweeper = Sweeper(self.connections, clock, work)
        self._sweeper.reconfigure(policy, idle)
        self._empty: Deferred[None] | None = None
        self._released: set[Connection] = set()  # open, but without a slot
        self.spares = Spares(spares)
        self.no_memory = no_memory
        self.log = ConnectionLog(service, clock)
        self._configure_log(policy)

    def allows(self, host: str) -> bool:
        """Whether the policy's ``allow`` and ``deny`` admit an address, as a socket returns it."""
        return self._admission.allows(plain_address(host))

    def start(self) -> None:
        """Open the spare descriptors and start the sweeper. Called when the service starts."""
        self.spares.refill()
        self._sweeper.start()

    def reconfigure(self, policy: PolicySettings, idle: float) -> None:
        """Change the policy, for open connections too."""
        self.policy = policy
        counted = [each.counted_address for each in self.connections]
        self._admission.reconfigure(_limits(policy), counted)
        self._idle = idle
        self._sweeper.reconfigure(policy, idle)
        self._configure_log(policy)

    def _configure_log(self, policy: PolicySettings) -> None:
        self.log.ipv6_prefix = policy.ipv6_prefix
        self.log.access_log = policy.access_log
        self.log.starts = policy.access_log and policy.log_start
        self.log.handshakes = policy.access_log and policy.log_handshake
        self._reads_info = self.shows_handshakes or self.log.handshakes

    def read_handshake(self, connection: Connection, sock: socket.socket) -> None:
        """Read the handshake values that the service needs, before any other use of the socket.

        :param sock: the connection's, of any family.
        """
        capture = connection.options.capture
        reads_isn = capture.isn_of_all and capture.no_isn is None
        if capture.no_syn is not Absence.OFF and (self._reads_info or reads_isn):
            connection.captured_handshake = read_handshake(
                sock, capture, info=self._reads_info, syn=self.log.handshakes
            )

    def accept(self, address: IAddress, options: ListenerOptions) -> IProtocol | None:
        """Admit or refuse a client on a Twisted transport. Called for each connection.

        :param options: the options of the listener.
        :return: ``None`` to close the connection at once.
        """
        address = unmap_ipv4(address)
        ip = ip_of(address)
        refusal = self._admit(ip, options.proxies)
        if refusal is not None:
            message = self._refuse(refusal, address, options)
            return _Refused(message, self.clock) if message else None
        connection = WrappedConnection(self, next(self._ids), ip, address, options)
        self._add(connection)
        return connection

    def accept_socket(
        self, sock: socket.socket, address: Any, options: ListenerOptions, turns: TurnScheduler
    ) -> None:
        """Admit or refuse a client on an accepted socket. Called by the port.

        :param sock: non-blocking; its connection closes it.
        :param address: the address of the client, from ``accept``.
        :param options: the options of the listener.
        :param turns: schedules the flushes of the connection.
        """
        endpoint_address = unmap_ipv4(socket_address(address))
        # faster than ip_of
        ip = plain_address(address[0]) if address.__class__ is tuple else None
        refusal = self._admit(ip, options.proxies)
        if refusal is not None:
            self._send_and_close(sock, self._refuse(refusal, endpoint_address, options))
            return
        try:
            connection = SocketConnection(
                self, next(self._ids), ip, endpoint_address, options, sock, turns
            )
            if options.capture is not NOT_CAPTURED:
                self.read_handshake(connection, sock)
            self._add(connection)
        except BaseException:
            # from here on the connection releases its slot itself
            self._admission.release(ip if options.proxies is None else None)
            raise
        connection.start()

    def refuse_socket(self, sock: socket.socket, address: Any, options: ListenerOptions) -> None:
        """Refuse a client because the process is out of descriptors. Called by the port."""
        endpoint_address = unmap_ipv4(socket_address(address))
        message = self._refuse(Refusal.NO_DESCRIPTOR, endpoint_address, options)
        self._send_and_close(sock, message)

    def _send_and_close(self, sock: socket.socket, message: bytes) -> None:
        with sock, contextlib.suppress(OSError):
            sock.send(message)
            # closing with unread input would send a reset, and the client might lose the message
            sock.recv(_REFUSED_INPUT)

    def must_wait(self, call: Callable[[], None]) -> bool:
        """Whether the next client has to wait in the kernel's backlog for a free slot.

        :param call: if so, called once when there may be a free slot.
        """
        if self.policy.full != "pause" or self._admission.full is None:
            return False
        self._admission.wait(call)
        return True

    def _admit(self, ip: IPAddress | None, proxies: Proxies | None) -> Refusal | None:
        if proxies is None:
            return self._admission.admit(ip)
        return (
            self._admission.admit_unidentified() if proxies.trusts(ip) else Refusal.UNTRUSTED_PROXY
        )

    def identify(self, connection: Connection) -> bytes | None:
        """Admit or refuse the client that a PROXY header names. Called by its connection.

        :return: ``None`` if it is admitted, else the refusal to send, which may be empty.
        """
        address = connection.address
        assert address is not None
        refusal = self._admission.identify(address)
        if refusal is None:
            connection.counted_address = address
            return None
        return self._refuse(refusal, connection.getPeer(), connection.options)

    def readmit(self, connection: Connection, address: IPAddress) -> Refusal | None:
        """Count a connection for another client address, if that address is admitted.

        :return: ``None``, or why the address is refused.
        """
        if address == connection.counted_address:
            return None
        refusal = self._admission.identify(address)
        if refusal is not None:
            self._refuse(refusal, address_without_port(address), PLAIN)
            return refusal
        self._admission.forget(connection.counted_address)
        connection.counted_address = address
        return None

    def refuse(self, connection: Connection, refusal: Refusal) -> None:
        """Count and log the refusal of a client that was admitted before."""
        self._refuse(refusal, connection.getPeer(), PLAIN)

    def _add(self, connection: Connection) -> None:
        self.connections.add(connection)
        self.counters.accepted += 1
        self.counters.open += 1

    def release(self, connection: Connection) -> None:
        """Free the slot of a connection, at its end or before. Called by the connection."""
        if connection not in self._released:
            self._released.add(connection)
            self._admission.release(connection.counted_address)

    def gone(self, connection: Connection, end: End, why: str = "", error: str = "") -> None:
        """Remove a connection that has ended. Called by it, once.

        :param why: why TLS failed, or ``""``.
        :param error: the system's error of a lost connection, or ``""``.
        """
        self.connections.discard(connection)
        if self.spares.wanted:
            self.spares.refill()
        self.release(connection)
        self._released.discard(connection)
        self.counters.open -= 1
        self.counters.ended[end] += 1
        try:
            self.log.ended(connection, end, why, error)
        finally:
            if self._empty is not None and not self.connections:
                empty, self._empty = self._empty, None
                empty.callback(None)

    @property
    def admission(self) -> Admission:
        """The limits and their use, for the control protocol."""
        return self._admission

    @property
    def idle(self) -> float:
        """The idle timeout, in seconds; 0 for none."""
        return self._idle

    def idle_for(self, connection: Connection) -> float | None:
        """See :meth:`tcpd.net.sweeper.Sweeper.idle_for`."""
        return self._sweeper.idle_for(connection)

    def drain(self, reason: End, seconds: float) -> Deferred[None]:
        """Close all connections, each with its protocol's farewell; then abort the rest.

        :param seconds: the maximum time that they may take.
        :return: fires with ``None`` when the last has ended; never fails.
        """
        self._sweeper.stop()
        self.spares.close()
        if not self.connections:
            return succeed(None)
        done: Deferred[None] = Deferred()
        self._empty = done
        late = self.clock.callLater(seconds, self.abort_all, reason)

        def tidy(result: None) -> None:
            if late.active():
                late.cancel()

        done.addCallback(tidy)
        for connection in list(self.connections):
            connection.end(reason)
        return done

    def abort_all(self, reason: End) -> None:
        """Abort all connections, without farewell."""
        for connection in list(self.connections):
            connection.abort(reason)

    def _refuse(self, refusal: Refusal, address: IAddress, options: ListenerOptions) -> bytes:
        """Count and log a refusal.

        :return: the refusal to send; empty if the protocol has none or the client expects TLS.
        """
        self.counters.refused[refusal] += 1
        self.log.refused(refusal, format_address(address), ip_of(address))
        if options.tls is None and options.websocket:
            return closing(503, f"{refusal.sentence.capitalize()}.")
        if options.tls is None and IRefusing.providedBy(self.factory):
            factory: Any = self.factory
            message: bytes = factory.refusal(refusal)
            return message
        return b""
