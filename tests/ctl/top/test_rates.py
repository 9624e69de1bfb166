"""Two samples and the rates between them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from topping import STATUS, connection, sample, service

from tcpd.ctl.top.rates import Flow, compare

UNKNOWN = Flow(None, None, None, None)


def test_a_rate_is_what_was_counted_by_the_seconds_between() -> None:
    before = sample(10.0, service("echo", accepted=5, refused=1, bytes_in=100, bytes_out=1000))
    after = sample(12.0, service("echo", accepted=9, refused=2, bytes_in=300, bytes_out=1000))
    seen = compare(before, after)
    assert seen.services[0].flow == Flow(2.0, 0.5, 100.0, 0.0)
    assert seen.flow == Flow(2.0, 0.5, 100.0, 0.0)


def test_the_daemons_own_services_are_not_in_the_sum() -> None:
    before = sample(0.0, service("echo"), service("control", own=True))
    after = sample(1.0, service("echo", accepted=1), service("control", own=True, accepted=9))
    seen = compare(before, after)
    assert seen.flow.accepted == 1.0
    assert seen.services[1].flow.accepted == 9.0


def test_at_first_nothing_is_known() -> None:
    seen = compare(None, sample(0.0, service("echo", accepted=5)))
    assert seen.services[0].flow == UNKNOWN
    assert seen.flow == UNKNOWN


def test_after_a_restart_nothing_is_known_whatever_the_counters_say() -> None:
    again = replace(STATUS, began=(8, "2026-11-29T11:00:00Z"))
    seen = compare(
        sample(0.0, service("echo", accepted=5)),
        sample(2.0, service("echo", accepted=7), status=again),
    )
    assert seen.services[0].flow == UNKNOWN


def test_of_a_service_that_is_new_nothing_is_known_and_the_others_go_on() -> None:
    seen = compare(
        sample(0.0, service("echo")),
        sample(1.0, service("echo", accepted=3), service("line", accepted=7)),
    )
    assert [row.flow.accepted for row in seen.services] == [3.0, None]
    assert seen.flow.accepted == 3.0


def test_a_connection_that_is_younger_than_the_sample_before_began_with_nothing() -> None:
    before = sample(0.0, connections=(connection("1", bytes_in=10),))
    after = sample(
        2.0,
        connections=(
            connection("1", bytes_in=30),
            connection("2", bytes_in=8, seconds=1.5),
            connection("3", bytes_in=800, seconds=60.0),
        ),
    )
    seen = compare(before, after)
    assert seen.connections is not None
    # the third was left out of the sample before, and may have got its bytes long ago
    assert [row.bytes_in for row in seen.connections] == [10.0, 4.0, None]


def test_connections_that_were_not_asked_for_are_none_and_not_no_connections() -> None:
    assert compare(None, sample(0.0)).connections is None
    assert compare(None, sample(0.0, connections=())).connections == ()


COUNT = st.integers(0, 1 << 62)


@given(COUNT, COUNT, COUNT, COUNT, st.floats(-10, 10))
def test_no_rate_is_ever_negative(one: int, two: int, three: int, four: int, gap: float) -> None:
    """Counter resets never show negative rates, nor does a clock that stands still."""
    before = sample(
        0.0,
        service("echo", accepted=one, bytes_in=two),
        connections=(connection("1", bytes_in=one),),
    )
    after = sample(
        gap,
        service("echo", accepted=three, bytes_in=four),
        connections=(connection("1", bytes_in=three),),
    )
    seen = compare(before, after)
    rates = [seen.flow.accepted, seen.flow.bytes_in, seen.services[0].flow.accepted]
    assert seen.connections
    rates += [row.bytes_in for row in seen.connections]
    assert all(rate is None or rate >= 0 for rate in rates)
    if three < one or gap <= 0:
        assert seen.services[0].flow.accepted is None


@pytest.mark.parametrize("name", ["accepted", "refused", "bytes_in", "bytes_out"])
def test_a_counter_that_went_back_is_unknown(name: str) -> None:
    seen = compare(sample(0.0, service("a", **{name: 5})), sample(1.0, service("a", **{name: 4})))
    assert getattr(seen.services[0].flow, name) is None
    assert getattr(seen.flow, name) is None
