"""What is told, and what only counted: nothing gets lost, and memory is bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tcpd.policy.bursts import Bursts


def test_each_key_is_told_once_in_a_burst() -> None:
    bursts = Bursts(10.0)
    assert bursts.happened("a", 100.0) == 0
    assert bursts.happened("b", 100.0) == 0, "another one is told as well"
    assert [bursts.happened("a", 100.0 + second) for second in (1, 5, 9)] == [None] * 3
    assert bursts.happened("a", 110.0) == 3
    assert bursts.happened("a", 120.0) == 0


def test_what_finds_no_room_is_told_of_in_one_number() -> None:
    bursts = Bursts(10.0, 2)
    assert bursts.happened("a", 0.0) == bursts.happened("b", 1.0) == 0
    assert bursts.happened("c", 2.0) is None
    assert bursts.untold(2.0) == 0, "not at once: more will come"
    assert bursts.happened("d", 9.0) is None
    assert bursts.happened("e", 10.0) == 0, "a is forgotten"
    assert bursts.untold(12.0) == 2
    assert bursts.untold(12.0) == 0
    assert len(bursts) == 2


@given(
    st.lists(st.tuples(st.integers(0, 9), st.floats(0, 8)), max_size=100),
    st.integers(1, 5),
)
def test_all_that_happens_is_told_or_counted(steps: list[tuple[int, float]], capacity: int) -> None:
    """A burst is told of at its first, at least 10 seconds apart; the rest is in some number."""
    bursts = Bursts(10.0, capacity)
    now = 0.0
    numbers = 0
    last: dict[int, float] = {}
    for key, pause in steps:
        now += pause
        since = bursts.happened(key, now)
        if since is not None:
            numbers += 1 + since
            assert key not in last or now - last[key] >= 10.0
            last[key] = now
        numbers += bursts.untold(now)
        assert len(bursts) <= capacity
    waiting = sum(since for _, since in bursts._told.values())
    assert numbers + waiting + bursts.untold(now + 20.0) == len(steps)
