"""Pings idle WebSocket clients: one timer for all of a service, as a timer for each would take 300
bytes."""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from tcpd.policy.workqueue import Walk, WorkQueue

#: Checks in each ping interval.
CHECKS = 8


class Pinged(Protocol):
    """A connection that is pinged."""

    @abstractmethod
    def check_ping(self) -> None:
        """Ping the client if it is idle, and disconnect one that has not answered. Never raises."""


class PingSweep:
    """The connections with one ping interval. The timer runs while there are any.

    :param clock: for the timer.
    :param queue: the daemon's work queue, for checks of thousands; ``None`` in a test.
    :param seconds: the ping interval.
    """

    def __init__(self, clock: IReactorTime, queue: WorkQueue | None, seconds: float) -> None:
        self._clock = clock
        self._interval = seconds / CHECKS
        self._connections: dict[Pinged, None] = {}
        self._timer: IDelayedCall | None = None
        self._walk: Walk[Pinged] = Walk(queue, self._check)

    def add(self, connection: Pinged) -> None:
        """Check a connection from now on."""
        self._connections[connection] = None
        if self._timer is None:
            self._timer = self._clock.callLater(self._interval, self._tick)

    def remove(self, connection: Pinged) -> None:
        """End that. May be called again."""
        self._connections.pop(connection, None)
        if not self._connections:
            self._walk.stop()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _check(self, connection: Pinged) -> None:
        if connection in self._connections:  # it may have ended since the walk began
            connection.check_ping()

    def _tick(self) -> None:
        self._timer = self._clock.callLater(self._interval, self._tick)
        if not self._walk.under_way:
            self._walk.begin(self._connections)
