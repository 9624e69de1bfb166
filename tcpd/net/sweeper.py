"""Finds the connections of a service that have lasted, or been silent, for too long."""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from typing import Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from tcpd.config.settings import PolicySettings
from tcpd.net.connection_view import ConnectionView
from tcpd.policy.reasons import End
from tcpd.policy.workqueue import Walk, WorkQueue

#: What has lasted too long is found late by an eighth of the shortest limit, ...
_SWEEPS = 8

#: ... or by so many seconds, if that is more.
_SHORTEST = 0.1

_NEVER = math.inf

_log = Logger()


class Swept(ConnectionView, Protocol):
    """What the sweeper sees of a connection, and what it does with it."""

    began: float
    quiet: int

    def end(self, reason: End) -> None:
        """End it for a reason that is logged and counted."""


class Sweeper:
    """Looks at all connections of a service now and then.

    The path of a byte sets flags and counts, which are read here: a timer that is moved for each
    message would cost more than the message. The limits are those of the policy: ``idle``,
    ``first_byte``, ``session`` and ``stalled``.

    Thousands may have to go in one sweep, so it goes through the queue of work.

    :param connections: those there are; read anew each time.
    :param clock: for the time and a timer.
    :param queue: the daemon's queue of work; without one a sweep is not divided.
    """

    def __init__(
        self, connections: Set[Swept], clock: IReactorTime, queue: WorkQueue | None = None
    ) -> None:
        self._connections = connections
        self._clock = clock
        self._walk: Walk[Swept] = Walk(queue, self._try_to_look_at)
        self._swept_at = 0.0  # when this sweep began
        self._loop = LoopingCall(self._sweep_again)
        self._loop.clock = clock
        self._running = False
        self._period = 0.0
        self._idle = self._session = self._first_byte = self._stalled = _NEVER
        self._idle_sweeps = _NEVER
        #: those that bytes waited for at the last sweep: how many it had taken by then, since when
        self._waiting: dict[Swept, tuple[int, float]] = {}
        self._waiting_before: dict[Swept, tuple[int, float]] = {}

    def start(self) -> None:
        """Begin to look, if there is anything to look for."""
        self._running = True
        self._watch()

    def stop(self) -> None:
        """Look no more."""
        self._running = False
        self._watch()
        self._walk.stop()
        self._waiting.clear()
        self._waiting_before.clear()

    def reconfigure(self, policy: PolicySettings, idle: float) -> None:
        """Look for other limits from now on.

        :param policy: the service's.
        :param idle: seconds of silence after which a connection is ended; 0 for never.
        """
        self._idle = idle or _NEVER
        self._session = policy.session or _NEVER
        self._first_byte = policy.first_byte or _NEVER
        self._stalled = policy.stalled or _NEVER
        shortest = min(self._idle, self._session, self._first_byte, self._stalled)
        period = 0.0 if shortest == _NEVER else max(shortest / _SWEEPS, _SHORTEST)
        if period and self._period and period != self._period:
            for connection in self._connections:  # silent for as long as before
                connection.quiet = int(connection.quiet * self._period / period)
        self._idle_sweeps = math.ceil(idle / period) if idle else _NEVER
        if period != self._period:
            self._period = period
            self._watch()

    def quiet_for(self, connection: Swept) -> float | None:
        """Seconds for which nothing went either way, too few by less than the time of a sweep.

        :return: ``None`` where nobody looks, since connections may last for ever.
        """
        return connection.quiet * self._period if self._period else None

    def _watch(self) -> None:
        if self._loop.running:
            self._loop.stop()
        if self._running and self._period:
            self._loop.start(self._period, now=False)

    def _sweep_again(self) -> None:
        try:
            self.sweep()
        except Exception:  # a LoopingCall that fails is over, and no limit would hold any more
            _log.failure("a sweep failed")

    def sweep(self) -> None:
        """End the connections whose time is over. A failure costs no other connection its turn.

        Nothing is begun while the sweep before is not over.
        """
        if self._walk.under_way:
            return
        self._swept_at = self._clock.seconds()
        self._waiting_before, self._waiting = self._waiting, {}
        self._walk.begin(list(self._connections))

    def _try_to_look_at(self, connection: Swept) -> None:
        try:
            self._look_at(connection, self._swept_at, self._waiting_before)
        except Exception:
            _log.failure("a connection cannot be ended")

    def _look_at(
        self, connection: Swept, now: float, before: Mapping[Swept, tuple[int, float]]
    ) -> None:
        if connection.busy:
            connection.began += self._period  # it is the client's turn when that is done
        else:
            connection.quiet += 1
        if connection.quiet > self._idle_sweeps:
            connection.end(End.IDLE)
        elif connection.opened <= now - self._session:  # it began then or earlier
            connection.end(End.SESSION)
        elif (
            connection.began <= now - self._first_byte
            and connection.bytes_in == connection.bytes_before_protocol
            and connection.in_conversation
        ):
            connection.end(End.FIRST_BYTE)
        elif pending := connection.pending:
            taken = connection.bytes_out - pending
            seen = before.get(connection)
            if seen is None or seen[0] != taken:
                seen = (taken, now)
            elif now - seen[1] >= self._stalled:
                connection.end(End.STALLED)
            self._waiting[connection] = seen
