"""Token buckets: so many at once after a quiet time, and so many a second.

:class:`Buckets` keeps one for each key (an address, as a rule) in bounded memory. Keys can be
forged: whoever sends datagrams writes any address on them, so a table that grows with the number
of keys seen is a table that a stranger can grow. What makes a bound possible is that a bucket which
has refilled is the same as none: it can be forgotten without anybody gaining a token.

No clock is read here: ``now`` is an argument, in seconds of any clock, as a float. A clock that is
put back hands out no tokens, and does not lock anybody out until it has caught up either: time is
counted on from where it was put.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Protocol

#: How many keys are remembered where nothing else is said; some 200 bytes each.
CAPACITY = 4096

# How many remembered keys a newcomer looks at, for refilled ones to forget. More than one, so that
# a table that was flooded shrinks again; few, so that a flood of newcomers costs little each.
_LOOKS = 4


class RateLike(Protocol):
    """What is needed of a rate; :class:`tcpd.config.values.Rate` has it."""

    @property
    def per_second(self) -> float:
        """How many tokens come back each second; greater than 0."""

    @property
    def burst(self) -> float:
        """How many there are at most; at least 1."""


class TokenBucket:
    """One bucket; it starts full.

    In any stretch of ``t`` seconds it lets no more than ``burst + per_second * t`` through.

    :param rate: how fast it refills, and how much it holds.
    :param now: seconds.
    """

    __slots__ = ("_burst", "_per_second", "_stamp", "_tokens")

    def __init__(self, rate: RateLike, now: float) -> None:
        self._per_second = rate.per_second
        self._burst = rate.burst
        self._tokens = rate.burst
        self._stamp = now

    def refill(self, now: float) -> float:
        """Bring it up to date.

        :param now: seconds.
        :return: how many tokens it holds now.
        """
        elapsed = now - self._stamp
        if elapsed:
            self._stamp = now
            if elapsed > 0:
                self._tokens = min(self._burst, self._tokens + elapsed * self._per_second)
        return self._tokens

    def take(self, now: float) -> bool:
        """Take one token.

        :param now: seconds.
        :return: whether there was one.
        """
        if self.refill(now) < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def seconds_left(self, now: float) -> float:
        """In how many seconds there is a token.

        :param now: seconds.
        """
        return max(0.0, 1.0 - self.refill(now)) / self._per_second

    def lower(self, tokens: float) -> None:
        """Leave no more than so many tokens in it."""
        self._tokens = min(self._tokens, tokens)


class Buckets:
    """A bucket for each key, in a table of bounded size.

    A newcomer makes a few refilled buckets be forgotten. When the table is full of buckets that
    have not refilled (a flood of forged keys, or a very busy day), newcomers share one bucket until
    there is room. One who then gets a bucket of its own starts with what the shared one holds, so
    that ``burst + per_second * t`` is kept for every key whatever happens.

    :param rate: of each key.
    :param capacity: how many keys to remember at most; at least 1.
    """

    __slots__ = ("_capacity", "_overflow", "_rate", "_table")

    def __init__(self, rate: RateLike, capacity: int = CAPACITY) -> None:
        if capacity < 1:
            raise ValueError(f"a capacity of {capacity} keys is too little")
        self._rate = rate
        self._capacity = capacity
        self._table: OrderedDict[Hashable, TokenBucket] = OrderedDict()
        self._overflow: TokenBucket | None = None

    def __len__(self) -> int:
        """How many keys are remembered now."""
        return len(self._table)

    def take(self, key: Hashable, now: float) -> bool:
        """Take one token from a key's bucket.

        :param key: whose.
        :param now: seconds.
        :return: whether there was one.
        """
        bucket = self._table.get(key)
        if bucket is None:
            bucket = self._newcomer(key, now)
        return bucket.take(now)

    def _newcomer(self, key: Hashable, now: float) -> TokenBucket:
        self._forget(now)
        if len(self._table) >= self._capacity:
            if self._overflow is None:
                self._overflow = TokenBucket(self._rate, now)
            return self._overflow
        bucket = self._table[key] = TokenBucket(self._rate, now)
        if self._overflow is not None:
            bucket.lower(self._overflow.refill(now))
        return bucket

    def _forget(self, now: float) -> None:
        """Go a few steps round the table, and forget the refilled buckets met on the way."""
        table = self._table
        burst = self._rate.burst
        for _ in range(min(_LOOKS, len(table))):
            key, bucket = next(iter(table.items()))
            if bucket.refill(now) >= burst:
                del table[key]
            else:
                table.move_to_end(key)
