"""The connection layer of one service: who is let in, who is there, who has to go."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory, IReactorTime
from twisted.internet.protocol import Protocol
from twisted.logger import Logger

from tcpd.config.settings import PolicySettings
from tcpd.handshake.facts import Absence
from tcpd.interfaces import IRefusing
from tcpd.net.address import at, ip_of, plain_endpoint_address, shown, socket_address
from tcpd.net.connection import Connection
from tcpd.net.connection_log import ConnectionLog
from tcpd.net.http_answer import answer
from tcpd.net.kernel import UNWATCHED, note
from tcpd.net.listener_options import PLAIN, ListenerOptions
from tcpd.net.proxy import Proxies
from tcpd.net.spares import Spares
from tcpd.net.sweeper import Sweeper
from tcpd.net.transport import LeanConnection
from tcpd.net.turns import TurnScheduler
from tcpd.net.wrapped_connection import WrappedConnection
from tcpd.ops.counters import ServiceCounters
from tcpd.policy.addresses import IPAddress, plain_address
from tcpd.policy.admission import Admission, ConnectionCount, Limits, Networks
from tcpd.policy.bans import Bans
from tcpd.policy.reasons import End, Refusal
from tcpd.policy.workqueue import WorkQueue

#: Bytes of input read from a refused client, so that the close does not reset the connection.
_REFUSED_INPUT = 65536

#: Seconds that a refused client may take to read the words it is sent away with.
_REFUSED_LINGER = 2.0


def _limits(policy: PolicySettings) -> Limits:
    """What admission has to know of a policy."""
    return Limits(
        Networks(policy.allow, policy.deny),
        policy.connections,
        policy.per_address,
        policy.ipv6_prefix,
        policy.connection_rate,
        policy.address_rate,
    )


class _Refused(Protocol):
    """Tells a client why it is not let in, and closes."""

    def __init__(self, words: bytes, clock: IReactorTime) -> None:
        self._words = words
        self._clock = clock

    def connectionMade(self) -> None:
        transport: Any = self.transport
        self._timer = self._clock.callLater(_REFUSED_LINGER, transport.abortConnection)
        transport.write(self._words)
        transport.loseConnection()

    def connectionLost(self, reason: Any = None) -> None:
        if self._timer.active():
            self._timer.cancel()


class ConnectionLayer:
    """The connections of one service.

    :param service: its name.
    :param factory: makes its protocols.
    :param policy: what it stands behind.
    :param idle: seconds of silence after which a connection is ended; 0 for never.
    :param connection_count: how many connections the whole daemon has.
    :param bans: who is shut out of the whole daemon; ``None`` for nobody.
    :param counters: the service's.
    :param clock: for timers.
    :param ids: gives a connection its number; shared by the whole daemon.
    :param protocol: the name of the service's kind, for who asks; ``None`` where it has none.
    :param server_name: by which the daemon knows itself.
    :param tells_handshakes: whether the kind shows clients their handshakes, for which the state
        of a connection is noted when it begins.
    :param no_memory: called with each error of a connection that failed for want of memory.
    :param work: the daemon's queue of work; without one TLS is not held to a share of each turn.
    :param spares: how many descriptors are kept for its clients when there are none left.
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
        tells_handshakes: bool = False,
        spares: int = 0,
        no_memory: Callable[[BaseException], None] = lambda error: None,
        work: WorkQueue | None = None,
    ) -> None:
        self.work = work
        self.service = service
        self.protocol = protocol
        self.server_name = server_name
        self._tells_handshakes = tells_handshakes
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
        self._released: set[Connection] = set()  # those that gave up their place
        #: Descriptors for its clients when there are none left.
        self.spares = Spares(spares)
        self.no_memory = no_memory
        self.log = ConnectionLog(service, clock)
        self._log_by(policy)

    def allows(self, host: str) -> bool:
        """Whether the policy's ``allow`` and ``deny`` let in an address, as a socket returns it."""
        return self._admission.allows(plain_address(host))

    def start(self) -> None:
        """Begin to look for those who stay too long. Called when the service starts."""
        self.spares.refill()
        self._sweeper.start()

    def reconfigure(self, policy: PolicySettings, idle: float) -> None:
        """Stand behind another policy from now on, those who are connected included."""
        self.policy = policy
        self._admission.reconfigure(_limits(policy), [each.admitted for each in self.connections])
        self._idle = idle
        self._sweeper.reconfigure(policy, idle)
        self._log_by(policy)

    def _log_by(self, policy: PolicySettings) -> None:
        self.log.ipv6_prefix = policy.ipv6_prefix
        self.log.access_log = policy.access_log
        self.log.starts = policy.access_log and policy.log_start
        self.log.handshakes = policy.access_log and policy.log_handshake
        self._notes = self._tells_handshakes or self.log.handshakes

    def note(self, connection: Connection, sock: socket.socket) -> None:
        """Read what is wanted of a connection's handshake before anything else happens on it.

        :param sock: below it, and of any family.
        """
        watch = connection.options.watch
        if watch.no_syn is not Absence.OFF and (self._notes or watch.no_isn is None):
            logged = self.log.handshakes
            connection.noted = note(sock, watch, info=self._notes, syn=logged)

    def accept(self, address: IAddress, options: ListenerOptions) -> IProtocol | None:
        """Let a client in, or not. Called for each connection that a listener accepts.

        :param options: of the listener.
        :return: ``None`` to close the connection without a word.
        """
        address = plain_endpoint_address(address)
        ip = ip_of(address)
        refusal = self._admit(ip, options.proxies)
        if refusal is not None:
            words = self._refuse(refusal, address, options)
            return _Refused(words, self.clock) if words else None
        connection = WrappedConnection(self, next(self._ids), ip, address, options)
        self._arrived(connection)
        return connection

    def accept_socket(
        self, sock: socket.socket, address: Any, options: ListenerOptions, turns: TurnScheduler
    ) -> None:
        """The same for a socket that a lean port accepted, which then is the connection's.

        :param sock: does not block.
        :param address: the client's, as the socket module has it.
        :param turns: the reactor, and its turns.
        """
        endpoint_address = plain_endpoint_address(socket_address(address))
        # as ip_of has it, in less time
        ip = plain_address(address[0]) if address.__class__ is tuple else None
        refusal = self._admit(ip, options.proxies)
        if refusal is not None:
            self._send_away(sock, self._refuse(refusal, endpoint_address, options))
            return
        try:
            connection = LeanConnection(
                self, next(self._ids), ip, endpoint_address, options, sock, turns
            )
            if options.watch is not UNWATCHED:
                self.note(connection, sock)
            self._arrived(connection)
        except BaseException:
            # its place is free again; from here on the connection sees to that by itself
            self._admission.release(ip if options.proxies is None else None)
            raise
        connection.start()

    def turn_away(self, sock: socket.socket, address: Any, options: ListenerOptions) -> None:
        """Close the connection of a client for whom the process has no descriptor left."""
        endpoint_address = plain_endpoint_address(socket_address(address))
        words = self._refuse(Refusal.NO_DESCRIPTOR, endpoint_address, options)
        self._send_away(sock, words)

    def _send_away(self, sock: socket.socket, words: bytes) -> None:
        with sock, contextlib.suppress(OSError):
            sock.send(words)
            # a socket closed with input unread is reset, which may cost the client these words
            sock.recv(_REFUSED_INPUT)

    def must_wait(self, call: Callable[[], None]) -> bool:
        """Whether the next client is to wait in the kernel, for want of a place.

        :param call: is called once if so, when there may be a place.
        """
        if self.policy.full != "pause" or self._admission.full is None:
            return False
        self._admission.wait(call)
        return True

    def _admit(self, ip: IPAddress | None, proxies: Proxies | None) -> Refusal | None:
        if proxies is None:
            return self._admission.admit(ip)
        return self._admission.take_place() if proxies.trust(ip) else Refusal.UNTRUSTED_PROXY

    def identify(self, connection: Connection) -> bytes | None:
        """Let the client in whom a PROXY header named, or not. Called by its connection.

        :return: ``None`` to let it in, else what to say to it, which may be nothing.
        """
        address = connection.address
        assert address is not None
        refusal = self._admission.identify(address)
        if refusal is None:
            connection.admitted = address
            return None
        return self._refuse(refusal, connection.getPeer(), connection.options)

    def hand_on(self, connection: Connection, address: IPAddress) -> Refusal | None:
        """Give a connection's place to another address, if that is let in. Called by it.

        :return: why it is not.
        """
        if address == connection.admitted:
            return None
        refusal = self._admission.identify(address)
        if refusal is not None:
            self._refuse(refusal, at(address), PLAIN)
            return refusal
        self._admission.forget(connection.admitted)
        connection.admitted = address
        return None

    def refuse(self, connection: Connection, refusal: Refusal) -> None:
        """Count and log that a client is refused who was let in. Called by its connection."""
        self._refuse(refusal, connection.getPeer(), PLAIN)

    def _arrived(self, connection: Connection) -> None:
        self.connections.add(connection)
        self.counters.accepted += 1
        self.counters.open += 1

    def release(self, connection: Connection) -> None:
        """Give a connection's place to others while it ends. Called by it."""
        if connection not in self._released:
            self._released.add(connection)
            self._admission.release(connection.admitted)

    def gone(self, connection: Connection, end: End, why: str = "", error: str = "") -> None:
        """A connection is over. Called by it, once.

        :param why: TLS failed.
        :param error: the system's, of a connection that was lost.
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
        """How many there are, for whoever wants to show it."""
        return self._admission

    @property
    def idle(self) -> float:
        """Seconds of silence after which a connection is ended; 0 for never."""
        return self._idle

    def quiet_for(self, connection: Connection) -> float | None:
        """See :meth:`tcpd.net.sweeper.Sweeper.quiet_for`."""
        return self._sweeper.quiet_for(connection)

    def drain(self, reason: End, seconds: float) -> Deferred[None]:
        """End all connections with their protocol's farewell; cut those still there after a time.

        :param seconds: how long they may take.
        :return: fires with ``None`` when the last is gone; never fails.
        """
        self._sweeper.stop()
        self.spares.close()
        if not self.connections:
            return succeed(None)
        done: Deferred[None] = Deferred()
        self._empty = done
        late = self.clock.callLater(seconds, self.cut_all, reason)

        def tidy(result: None) -> None:
            if late.active():
                late.cancel()

        done.addCallback(tidy)
        for connection in list(self.connections):
            connection.end(reason)
        return done

    def cut_all(self, reason: End) -> None:
        """End all connections at once, with no words."""
        for connection in list(self.connections):
            connection.cut(reason)

    def _refuse(self, refusal: Refusal, address: IAddress, options: ListenerOptions) -> bytes:
        """Count and log a refusal.

        :return: what to say to the client; empty where it could not read it, or there are no words.
        """
        self.counters.refused[refusal] += 1
        self.log.refused(refusal, shown(address), ip_of(address))
        if options.tls is None and options.websocket:
            return answer(503, f"{refusal.sentence.capitalize()}.")
        if options.tls is None and IRefusing.providedBy(self.factory):
            factory: Any = self.factory
            words: bytes = factory.refusal(refusal)
            return words
        return b""
