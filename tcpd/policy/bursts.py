"""What to tell of things that may happen a thousand times a second: each once a burst.

No clock is read here: ``now`` is an argument, in seconds of a clock that is not put back.
"""

from __future__ import annotations

from collections.abc import Hashable

#: Seconds between two log lines about the same.
BURST = 10.0

#: How many different things are remembered, and so are told in one burst at the most.
CAPACITY = 1024


class Bursts:
    """Remembers what was told in the last seconds, and how often it happened since.

    The keys may be a stranger's (addresses), so there is room for a number of them only. What finds
    no room is counted and told of all together.

    :param seconds: how long a key is not told of again.
    :param capacity: how many keys to remember at most; at least 1.
    """

    __slots__ = ("_capacity", "_full_since", "_seconds", "_told", "_untold")

    def __init__(self, seconds: float = BURST, capacity: int = CAPACITY) -> None:
        self._seconds = seconds
        self._capacity = capacity
        #: by key, when it was told and how often it happened since; the oldest first
        self._told: dict[Hashable, tuple[float, int]] = {}
        self._untold = 0
        self._full_since = 0.0

    def __len__(self) -> int:
        """How many keys are remembered now."""
        return len(self._told)

    def happened(self, key: Hashable, now: float) -> int | None:
        """Note that something happened.

        :param key: what, and to whom.
        :param now: seconds.
        :return: ``None`` if it is not to be told now; else how often it happened and was not told
            since it was last.
        """
        told = self._told
        known = told.get(key)
        if known is not None:
            last, since = known
            if now - last < self._seconds:
                told[key] = (last, since + 1)
                return None
            del told[key]  # to the end of the order
        else:
            since = 0
            if len(told) >= self._capacity:
                self._forget(now)
                if len(told) >= self._capacity:
                    self._leave_out(1, now)
                    return None
        told[key] = (now, 0)
        return since

    def untold(self, now: float) -> int:
        """How often something happened that was told of neither then nor later.

        :param now: seconds.
        :return: 0 if that is not to be told now.
        """
        if not self._untold or now - self._full_since < self._seconds:
            return 0
        untold, self._untold = self._untold, 0
        return untold

    def _forget(self, now: float) -> None:
        """Drop those that would be told again anyway."""
        told = self._told
        while told:
            key = next(iter(told))  # in the order they were told
            last, since = told[key]
            if now - last < self._seconds:
                break
            del told[key]
            if since:
                self._leave_out(since, now)

    def _leave_out(self, count: int, now: float) -> None:
        if not self._untold:
            self._full_since = now
        self._untold += count
