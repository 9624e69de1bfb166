"""Log throttle: each occurrence is logged or counted, and memory is bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tcpd.policy.log_throttle import LogThrottle


def test_each_key_is_logged_once_an_interval() -> None:
    throttle = LogThrottle(10.0)
    assert throttle.record("a", 100.0) == 0
    assert throttle.record("b", 100.0) == 0, "another key is logged as well"
    assert [throttle.record("a", 100.0 + second) for second in (1, 5, 9.9)] == [None] * 3
    assert throttle.record("a", 110.0) == 3
    assert throttle.record("a", 120.0) == 0


def test_keys_that_do_not_fit_are_counted_in_one_number() -> None:
    throttle = LogThrottle(10.0, 2)
    assert throttle.record("a", 0.0) == throttle.record("b", 1.0) == 0
    assert throttle.record("c", 2.0) is None
    assert throttle.take_unlogged(2.0) == 0, "only after an interval"
    assert throttle.record("d", 9.0) is None
    assert throttle.record("e", 10.0) == 0, "a has expired"
    assert throttle.take_unlogged(12.0) == 2
    assert throttle.take_unlogged(12.0) == 0
    assert len(throttle) == 2


@given(
    st.lists(st.tuples(st.integers(0, 9), st.floats(0, 8)), max_size=100),
    st.integers(1, 5),
)
def test_each_occurrence_is_logged_or_counted(
    steps: list[tuple[int, float]], capacity: int
) -> None:
    """The lines of a key are at least 10 seconds apart; one number counts each other occurrence."""
    throttle = LogThrottle(10.0, capacity)
    now = 0.0
    numbers = 0
    last: dict[int, float] = {}
    for key, pause in steps:
        now += pause
        since = throttle.record(key, now)
        if since is not None:
            numbers += 1 + since
            assert key not in last or now - last[key] >= 10.0
            last[key] = now
        numbers += throttle.take_unlogged(now)
        assert len(throttle) <= capacity
    later = now + 20.0
    for key in last:
        since = throttle.record(key, later)
        numbers += 0 if since is None else 1 + since
    assert numbers + throttle.take_unlogged(later + 20.0) == len(steps) + len(last)
