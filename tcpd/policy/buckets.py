"""Token buckets: a rate per second, with a burst.

:class:`Buckets` keeps a bucket for each key, usually an address, in bounded memory. The source
address of a datagram can be forged, so the number of keys is not bounded by the number of peers.
The table is: a full bucket equals a new one, so it can be dropped without granting a token.

No clock is read here: ``now`` is an argument, in seconds of any clock, as a float. A clock that is
set back grants no tokens and delays none: time counts from the new value.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Protocol

#: The number of keys that are remembered by default; about 200 bytes each.
CAPACITY = 4096

# The number of buckets that are checked for expiry when a key is added. More than one, so that the
# table shrinks after a flood; few, so that each new key is cheap.
_CHECKED = 4


class RateLike(Protocol):
    """A rate, such as :class:`tcpd.config.values.Rate`."""

    @property
    def per_second(self) -> float:
        """Tokens that are added per second; greater than 0."""

    @property
    def burst(self) -> float:
        """The capacity in tokens; at least 1."""


class TokenBucket:
    """One bucket; it starts full.

    In any interval of ``t`` seconds it grants at most ``burst + per_second * t`` tokens.

    :param rate: the refill rate and the capacity.
    :param now: seconds.
    """

    __slots__ = ("_burst", "_per_second", "_stamp", "_tokens")

    def __init__(self, rate: RateLike, now: float) -> None:
        self._per_second = rate.per_second
        self._burst = rate.burst
        self._tokens = rate.burst
        self._stamp = now

    def refill(self, now: float) -> float:
        """Add the tokens of the time since the last call.

        :param now: seconds.
        :return: the number of tokens.
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
        """The seconds until the next token; 0 if there is one.

        :param now: seconds.
        """
        return max(0.0, 1.0 - self.refill(now)) / self._per_second

    def lower(self, tokens: float) -> None:
        """Reduce the tokens to this number, if there are more."""
        self._tokens = min(self._tokens, tokens)


class Buckets:
    """A bucket for each key, in a table of bounded size.

    Adding a key removes a few full buckets. If none of a full table is refilled, as in a flood of
    forged keys, new keys share one bucket until there is room. A key that gets its bucket later
    starts with the tokens of the shared one, which keeps ``burst + per_second * t`` for every key.

    :param rate: the rate of each key.
    :param capacity: the maximum number of keys to remember; at least 1.
    """

    __slots__ = ("_capacity", "_overflow", "_rate", "_table")

    def __init__(self, rate: RateLike, capacity: int = CAPACITY) -> None:
        if capacity < 1:
            raise ValueError(f"the capacity is {capacity}; it must be at least 1")
        self._rate = rate
        self._capacity = capacity
        self._table: OrderedDict[Hashable, TokenBucket] = OrderedDict()
        self._overflow: TokenBucket | None = None

    def __len__(self) -> int:
        """The number of keys that are remembered."""
        return len(self._table)

    def take(self, key: Hashable, now: float) -> bool:
        """Take one token from a key's bucket.

        :param key: the key.
        :param now: seconds.
        :return: whether there was one.
        """
        bucket = self._table.get(key)
        if bucket is None:
            bucket = self._add(key, now)
        return bucket.take(now)

    def _add(self, key: Hashable, now: float) -> TokenBucket:
        self._expire(now)
        if len(self._table) >= self._capacity:
            if self._overflow is None:
                self._overflow = TokenBucket(self._rate, now)
            return self._overflow
        bucket = self._table[key] = TokenBucket(self._rate, now)
        if self._overflow is not None:
            bucket.lower(self._overflow.refill(now))
        return bucket

    def _expire(self, now: float) -> None:
        """Check the next few buckets, round robin, and remove those that are full."""
        table = self._table
        burst = self._rate.burst
        for _ in range(min(_CHECKED, len(table))):
            key, bucket = next(iter(table.items()))
            if bucket.refill(now) >= burst:
                del table[key]
            else:
                table.move_to_end(key)
