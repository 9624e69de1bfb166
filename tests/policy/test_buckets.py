"""Token buckets: at most burst + rate * time, in bounded memory, for any clock."""

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
# with many pauses of 0, to use up the burst
pauses = st.lists(st.one_of(st.just(0.0), st.floats(0, 30, allow_nan=False)), max_size=60)


def worst_excess(passed: list[float], rate: Rate) -> float:
    """The largest excess over burst + rate * length, over all intervals."""
    return max(
        (
            (last - first + 1) - (rate.burst + rate.per_second * (passed[last] - passed[first]))
            for first in range(len(passed))
            for last in range(first, len(passed))
        ),
        default=0.0,
    )


@given(rate=rates, pauses=pauses, start=st.floats(0, 2e9))
def test_no_interval_exceeds_burst_and_rate(rate: Rate, pauses: list[float], start: float) -> None:
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
def test_no_key_of_a_full_table_exceeds_burst_and_rate(
    rate: Rate, moves: list[tuple[int, float]], capacity: int
) -> None:
    """ "which keeps burst + per_second * t for every key" """
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
def test_clock_set_back_grants_no_tokens(rate: Rate, steps: list[float]) -> None:
    """Only forward movement adds tokens."""
    bucket = TokenBucket(rate, 0.0)
    now = forward = 0.0
    passed = 0
    for step in steps:
        now += step
        forward += max(step, 0.0)
        passed += bucket.take(now)
    assert passed <= rate.burst + rate.per_second * forward * (1 + EPSILON) + EPSILON


def test_clock_set_back_delays_no_tokens() -> None:
    """The reactor's clock may be the system clock, which may be set back."""
    bucket = TokenBucket(Rate(1, 1), 10_000)
    assert bucket.take(10_000)
    assert not bucket.take(5_000)
    assert bucket.take(5_001)


def test_burst_then_rate() -> None:
    buckets = Buckets(Rate(2.0, 5.0))
    now = 1.8e9  # as large as a clock that counts from 1970
    assert [buckets.take("a", now) for _ in range(6)] == [True] * 5 + [False]
    assert [buckets.take("a", now + 0.5) for _ in range(2)] == [True, False]
    assert [buckets.take("a", now + 3600) for _ in range(6)] == [True] * 5 + [False]


def test_keys_are_independent() -> None:
    buckets = Buckets(Rate(1, 1))
    assert buckets.take("a", 0)
    assert buckets.take("b", 0)
    assert not buckets.take("a", 0)


def test_flood_of_keys_shares_one_bucket() -> None:
    """100,000 forged addresses in one second get the tokens of the table and of one bucket."""
    buckets = Buckets(Rate(1.0, 5.0), capacity=100)
    passed = sum(buckets.take(key, 0.0) for key in range(100_000))
    assert len(buckets) == 100
    assert passed == 100 + 5


def test_known_key_keeps_its_bucket_in_a_flood() -> None:
    buckets = Buckets(Rate(1.0, 5.0), capacity=100)
    assert buckets.take("known", 0.0)
    for key in range(10_000):
        buckets.take(key, 0.1)
    assert buckets.take("known", 0.2)


def test_table_shrinks_after_a_flood() -> None:
    buckets = Buckets(Rate(1.0, 5.0), capacity=100)
    for key in range(10_000):
        buckets.take(key, 0.0)
    for key in range(60):
        buckets.take(("later", key), 1000.0 + key)
    assert len(buckets) < 10
    assert [buckets.take("new", 2000.0) for _ in range(6)] == [True] * 5 + [False]


def test_capacity_below_1_is_rejected() -> None:
    with pytest.raises(ValueError, match="capacity"):
        Buckets(Rate(1, 1), 0)
