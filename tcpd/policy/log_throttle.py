"""Throttles log lines: one per key and interval, with the number of suppressed ones.

No clock is read here: ``now`` is an argument, in seconds of a monotonic clock.
"""

from __future__ import annotations

from collections.abc import Hashable

#: Seconds between two log lines with the same key.
INTERVAL = 10.0

#: The maximum number of keys that are remembered, and therefore logged in an interval.
CAPACITY = 1024


class LogThrottle:
    """Decides whether an occurrence is logged, and counts those that are not.

    A remote peer may choose the keys (addresses), so the table is bounded. Occurrences whose key
    does not fit are counted in one number, :meth:`take_unlogged`.

    :param seconds: the interval in which a key is logged once.
    :param capacity: the maximum number of keys to remember; at least 1.
    """

    __slots__ = ("_capacity", "_full_since", "_logged", "_seconds", "_unlogged")

    def __init__(self, seconds: float = INTERVAL, capacity: int = CAPACITY) -> None:
        self._seconds = seconds
        self._capacity = capacity
        #: by key, oldest first: the time of its last line, and the number suppressed since
        self._logged: dict[Hashable, tuple[float, int]] = {}
        self._unlogged = 0
        self._full_since = 0.0

    def __len__(self) -> int:
        """The number of keys that are remembered."""
        return len(self._logged)

    def record(self, key: Hashable, now: float) -> int | None:
        """Record an occurrence.

        :param key: the event and usually the address.
        :param now: seconds.
        :return: ``None`` to suppress the log line; otherwise the number of lines suppressed since
            the last.
        """
        logged = self._logged
        known = logged.get(key)
        if known is not None:
            last, since = known
            if now - last < self._seconds:
                logged[key] = (last, since + 1)
                return None
            del logged[key]  # to the end of the order
        else:
            since = 0
            if len(logged) >= self._capacity:
                self._expire(now)
                if len(logged) >= self._capacity:
                    self._add_unlogged(1, now)
                    return None
        logged[key] = (now, 0)
        return since

    def take_unlogged(self, now: float) -> int:
        """Return and reset the number of occurrences that no log line counts.

        :param now: seconds.
        :return: 0 also within an interval of the first of them.
        """
        if not self._unlogged or now - self._full_since < self._seconds:
            return 0
        unlogged, self._unlogged = self._unlogged, 0
        return unlogged

    def _expire(self, now: float) -> None:
        """Drop the keys whose interval is over."""
        logged = self._logged
        while logged:
            key = next(iter(logged))
            last, since = logged[key]
            if now - last < self._seconds:
                break
            del logged[key]
            if since:
                self._add_unlogged(since, now)

    def _add_unlogged(self, count: int, now: float) -> None:
        if not self._unlogged:
            self._full_since = now
        self._unlogged += count
