"""Closes the connections of a service that exceed a time limit of its policy."""

from __future__ import annotations

import math
from collections.abc import Set
from typing import Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from tcpd.config.settings import PolicySettings
from tcpd.net.connection_view import ConnectionView
from tcpd.policy.reasons import End
from tcpd.policy.workqueue import Walk, WorkQueue

#: Sweeps per shortest limit: a connection exceeds its limit by at most an eighth of the limit ...
_SWEEPS = 8

#: ... or by this many seconds, if that is more.
_MIN_PERIOD = 0.1

_NEVER = math.inf

_log = Logger()


class SweptConnection(ConnectionView, Protocol):
    """A connection, as the sweeper uses it."""

    ready_at: float
    idle_sweeps: int

    def end(self, reason: End) -> None:
        """Close the connection, and log and count the reason."""


class Sweeper:
    """Checks all connections of a service periodically.

    A timer that each message resets would cost more than the message. So the transports only reset
    counters, and the sweeper reads them. The limits are the policy's ``idle``, ``first_byte``,
    ``session`` and ``stalled``.

    One sweep may close thousands of connections, so it goes through the work queue.

    :param connections: the open connections; read at each sweep.
    :param clock: for the time and a timer.
    :param queue: the daemon's work queue; ``None``: a sweep takes one turn of the reactor.
    """

    def __init__(
        self, connections: Set[SweptConnection], clock: IReactorTime, queue: WorkQueue | None = None
    ) -> None:
        self._connections = connections
        self._clock = clock
        self._walk: Walk[SweptConnection] = Walk(queue, self._try_to_check)
        self._swept_at = 0.0  # when this sweep began
        self._loop = LoopingCall(self._try_to_sweep)
        self._loop.clock = clock
        self._running = False
        self._period = 0.0
        self._idle = self._session = self._first_byte = self._stalled = _NEVER
        self._max_idle_sweeps = _NEVER
        #: Connections with buffered output: bytes sent by the last sweep, and since when unchanged.
        self._blocked: dict[SweptConnection, tuple[int, float]] = {}
        self._blocked_before: dict[SweptConnection, tuple[int, float]] = {}

    def start(self) -> None:
        """Start the sweeps, if the policy has any limit."""
        self._running = True
        self._set_timer()

    def stop(self) -> None:
        """Stop the sweeps."""
        self._running = False
        self._set_timer()
        self._walk.stop()
        self._blocked.clear()
        self._blocked_before.clear()

    def reconfigure(self, policy: PolicySettings, idle: float) -> None:
        """Change the limits.

        :param policy: the policy of the service.
        :param idle: the idle timeout, in seconds; 0 for none.
        """
        self._idle = idle or _NEVER
        self._session = policy.session or _NEVER
        self._first_byte = policy.first_byte or _NEVER
        self._stalled = policy.stalled or _NEVER
        shortest = min(self._idle, self._session, self._first_byte, self._stalled)
        period = 0.0 if shortest == _NEVER else max(shortest / _SWEEPS, _MIN_PERIOD)
        if period and self._period and period != self._period:
            for connection in self._connections:  # the idle time in seconds stays the same
                connection.idle_sweeps = int(connection.idle_sweeps * self._period / period)
        self._max_idle_sweeps = math.ceil(idle / period) if idle else _NEVER
        if period != self._period:
            self._period = period
            self._set_timer()

    def idle_for(self, connection: SweptConnection) -> float | None:
        """Return the idle time of a connection in seconds, rounded down to the sweep period.

        :return: ``None`` if the policy has no limits, and so no sweeps.
        """
        return connection.idle_sweeps * self._period if self._period else None

    def _set_timer(self) -> None:
        if self._loop.running:
            self._loop.stop()
        if self._running and self._period:
            self._loop.start(self._period, now=False)

    def _try_to_sweep(self) -> None:
        try:
            self.sweep()
        except Exception:  # a LoopingCall stops when its function raises
            _log.failure("a sweep failed")

    def sweep(self) -> None:
        """Close the connections that exceed a limit; does nothing while the last sweep runs.

        A failure is logged and does not affect the other connections.
        """
        if self._walk.under_way:
            return
        self._swept_at = self._clock.seconds()
        self._blocked_before, self._blocked = self._blocked, {}
        self._walk.begin(list(self._connections))

    def _try_to_check(self, connection: SweptConnection) -> None:
        try:
            self._check(connection)
        except Exception:
            _log.failure("a connection cannot be ended")

    def _check(self, connection: SweptConnection) -> None:
        now = self._swept_at
        if connection.busy:
            connection.ready_at += self._period  # busy time does not count
        else:
            connection.idle_sweeps += 1
        if connection.idle_sweeps > self._max_idle_sweeps:
            connection.end(End.IDLE)
        elif connection.opened <= now - self._session:
            connection.end(End.SESSION)
        elif (
            connection.ready_at <= now - self._first_byte
            and connection.bytes_in == connection.bytes_before_protocol
            and connection.has_protocol
        ):
            connection.end(End.FIRST_BYTE)
        elif pending := connection.pending:
            sent = connection.bytes_out - pending
            seen = self._blocked_before.get(connection)
            if seen is None or seen[0] != sent:
                seen = (sent, now)
            elif now - seen[1] >= self._stalled:
                connection.end(End.STALLED)
            self._blocked[connection] = seen
