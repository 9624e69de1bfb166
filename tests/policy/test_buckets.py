"""Token buckets: never more than burst + rate * time, in bounded memory, for any clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpd.config.values import Rate
from tcpd.policy.buckets import Buckets, TokenBucket

EPSILON = 1e-6

rates = st.builds(
    Rate,
    per_second=st.floats(0.01, 1000, allow_nan=False),
    burst=st.integers(1, 20).map(float),
)
# with many pauses of nothing at all, since that is when a burst is taken
pauses = st.lists(st.one_of(st.just(0.0), st.floats(0, 30, allow_nan=False)), max_size=60)


def worst_excess(passed: list[float], rate: Rate) -> float:
    """By how much the worst window has more than burst + rate * its length; all pairs are tried."""
    return max(
        (
            (last - first + 1) - (rate.burst + rate.per_second * (passed[last] - passed[first]))
            for first in range(len(passed))
            for last in range(first, len(passed))
        ),
        default=0.0,
    )


@given(rate=rates, pauses=pauses, start=st.floats(0, 2e9))
def test_no_window_gets_more_than_burst_and_rate(
    rate: Rate, pauses: list[float], start: float
) -> None:
    bucket = TokenBucket(rate, start)
    now = start
    passed = []
    for pause in pauses:
        now += pause
        if bucket.take(now):
            passed.append(now)
    assert worst_excess(passed, rate) <= EPSILON * max(1.0, rate.per_second)


@given(
    rate=rates,
    moves=st.lists(
        st.tuples(st.integers(0, 8), st.one_of(st.just(0.0), st.floats(0, 30, allow_nan=False))),
        max_size=120,
    ),
    capacity=st.integers(1, 4),
)
def test_the_same_holds_for_every_key_of_a_table_too_small(
    rate: Rate, moves: list[tuple[int, float]], capacity: int
) -> None:
    """Evicted, shared, and back again: no key gains a token by it."""
    buckets = Buckets(rate, capacity)
    now = 1000.0
    passed: dict[int, list[float]] = {}
    for key, pause in moves:
        now += pause
        if buckets.take(key, now):
            passed.setdefault(key, []).append(now)
        assert len(buckets) <= capacity
    for times in passed.values():
        assert worst_excess(times, rate) <= EPSILON * max(1.0, rate.per_second)


@given(rate=rates, steps=st.lists(st.floats(-100, 100, allow_nan=False), max_size=60))
def test_a_clock_put_back_hands_out_nothing(rate: Rate, steps: list[float]) -> None:
    """Tokens come of forward movement alone."""
    bucket = TokenBucket(rate, 0.0)
    now = forward = 0.0
    passed = 0
    for step in steps:
        now += step
        forward += max(step, 0.0)
        passed += bucket.take(now)
    assert passed <= rate.burst + rate.per_second * forward * (1 + EPSILON) + EPSILON


def test_a_clock_put_back_locks_nobody_out() -> None:
    """The reactor's clock may be the system's, which is set back at times."""
    bucket = TokenBucket(Rate(1, 1), 10_000)
    assert bucket.take(10_000)
    assert not bucket.take(5_000)
    assert bucket.take(5_001)


def test_burst_at_once_then_the_rate() -> None:
    buckets = Buckets(Rate(2.0, 5.0))
    now = 1.8e9  # as large as a clock that counts from 1970
    assert [buckets.take("a", now) for _ in range(6)] == [True] * 5 + [False]
    assert [buckets.take("a", now + 0.5) for _ in range(2)] == [True, False]
    assert [buckets.take("a", now + 3600) for _ in range(6)] == [True] * 5 + [False]


def test_keys_do_not_share() -> None:
    buckets = Buckets(Rate(1, 1))
    assert buckets.take("a", 0)
    assert buckets.take("b", 0)
    assert not buckets.take("a", 0)


def test_a_flood_of_keys_is_held_to_the_capacity_and_one_shared_bucket() -> None:
    """100,000 forged addresses in one second: the table's, and one bucket's worth besides."""
    buckets = Buckets(Rate(1.0, 5.0), capacity=100)
    passed = sum(buckets.take(key, 0.0) for key in range(100_000))
    assert len(buckets) == 100
    assert passed == 100 + 5


def test_who_has_a_bucket_keeps_it_in_a_flood() -> None:
    buckets = Buckets(Rate(1.0, 5.0), capacity=100)
    assert buckets.take("known", 0.0)
    for key in range(10_000):
        buckets.take(key, 0.1)
    assert buckets.take("known", 0.2)


def test_after_a_flood_the_table_empties_and_newcomers_have_their_own_again() -> None:
    buckets = Buckets(Rate(1.0, 5.0), capacity=100)
    for key in range(10_000):
        buckets.take(key, 0.0)
    for key in range(60):
        buckets.take(("later", key), 1000.0 + key)
    assert len(buckets) < 10
    assert [buckets.take("new", 2000.0) for _ in range(6)] == [True] * 5 + [False]


def test_a_table_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="capacity"):
        Buckets(Rate(1, 1), 0)
