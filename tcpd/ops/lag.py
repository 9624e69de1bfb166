"""Measures the lag of the reactor, the delay of its timers."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: Seconds between two measurements.
INTERVAL = 0.5

#: The largest lag is kept for this many seconds, and at most for twice as many.
WINDOW = 60.0


class ReactorLag:
    """Compares the due time of a timer with the time when the reactor calls it.

    The largest lag is that of the last one to two minutes, not since the last reading, so that
    several readers get the same value.

    :param clock: the reactor.
    :param also: called with each measurement, for other regular checks.

    :ivar last: the last measurement in seconds.
    """

    def __init__(self, clock: IReactorTime, also: Callable[[], None] = lambda: None) -> None:
        self._clock = clock
        self._also = also
        self._call: IDelayedCall | None = None
        self._due = 0.0
        self._since = 0.0
        self._largest = 0.0
        self._before = 0.0
        self.last = 0.0

    @property
    def largest(self) -> float:
        """The largest lag in seconds in the last one to two minutes."""
        return max(self._largest, self._before)

    def start(self) -> None:
        """Start measuring. Called when the daemon starts."""
        self._since = self._clock.seconds()
        self._again()

    def stop(self) -> None:
        """Stop measuring. No effect if it was not started."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _again(self) -> None:
        self._due = self._clock.seconds() + INTERVAL
        self._call = self._clock.callLater(INTERVAL, self._look)

    def _look(self) -> None:
        now = self._clock.seconds()
        self.last = max(0.0, now - self._due)  # timers may be slightly early
        if now - self._since >= WINDOW:
            self._since = now
            self._before = self._largest
            self._largest = 0.0
        self._largest = max(self._largest, self.last)
        self._again()
        self._also()
