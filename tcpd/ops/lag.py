"""How late the reactor is: what holds it up, holds up everybody."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: Seconds between two looks.
INTERVAL = 0.5

#: Seconds that the largest lag is remembered for, at least; at most twice as long.
WINDOW = 60.0


class ReactorLag:
    """Compares when a timer was due with when the reactor came to call it.

    The largest lag is that of the last minute or two, not that since somebody last asked: two who
    ask must not take it away from each other.

    :param clock: what is watched.
    :param also: called at each look, for others who look now and then.

    :ivar last: seconds, at the last look.
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
        """Seconds, in the last minute or two."""
        return max(self._largest, self._before)

    def start(self) -> None:
        """Begin to look. Called when the daemon starts."""
        self._since = self._clock.seconds()
        self._again()

    def stop(self) -> None:
        """Look no more. Does nothing where it was never started."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _again(self) -> None:
        self._due = self._clock.seconds() + INTERVAL
        self._call = self._clock.callLater(INTERVAL, self._look)

    def _look(self) -> None:
        now = self._clock.seconds()
        self.last = max(0.0, now - self._due)  # some timers are a moment early
        if now - self._since >= WINDOW:
            self._since = now
            self._before = self._largest
            self._largest = 0.0
        self._largest = max(self._largest, self.last)
        self._again()
        self._also()
