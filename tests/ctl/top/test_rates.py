"""Two samples and the rates between them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from topping import STATUS, connection, sample, service

from tcpd.ctl.top.rates import Flow, compare

UNKNOWN = Flow(None, None, None, None)


def test_rate_is_the_difference_divided_by_the_seconds() -> None:
    before = sample(10.0, service("echo", accepted=5, refused=1, bytes_in=100, bytes_out=1000))
    after = sample(12.0, service("echo", accepted=9, refused=2, bytes_in=300, bytes_out=1000))
    snapshot = compare(before, after)
    assert snapshot.services[0].flow == Flow(2.0, 0.5, 100.0, 0.0)
    assert snapshot.flow == Flow(2.0, 0.5, 100.0, 0.0)


def test_internal_services_are_not_in_the_sum() -> None:
    before = sample(0.0, service("echo"), service("control", own=True))
    after = sample(1.0, service("echo", accepted=1), service("control", own=True, accepted=9))
    snapshot = compare(before, after)
    assert snapshot.flow.accepted == 1.0
    assert snapshot.services[1].flow.accepted == 9.0


def test_rates_of_the_first_sample_are_unknown() -> None:
    snapshot = compare(None, sample(0.0, service("echo", accepted=5)))
    assert snapshot.services[0].flow == UNKNOWN
    assert snapshot.flow == UNKNOWN


def test_rates_are_unknown_after_a_restart() -> None:
    again = replace(STATUS, pid=8, started="2026-11-29T11:00:00Z")
    snapshot = compare(
        sample(0.0, service("echo", accepted=5)),
        sample(2.0, service("echo", accepted=7), status=again),
    )
    assert snapshot.services[0].flow == UNKNOWN


def test_rates_of_a_new_service_are_unknown() -> None:
    snapshot = compare(
        sample(0.0, service("echo")),
        sample(1.0, service("echo", accepted=3), service("line", accepted=7)),
    )
    assert [row.flow.accepted for row in snapshot.services] == [3.0, None]
    assert snapshot.flow.accepted == 3.0


def test_new_connection_counts_from_zero() -> None:
    before = sample(0.0, connections=(connection("1", bytes_in=10),))
    after = sample(
        2.0,
        connections=(
            connection("1", bytes_in=30),
            connection("2", bytes_in=8, seconds=1.5),
            connection("3", bytes_in=800, seconds=60.0),
        ),
    )
    snapshot = compare(before, after)
    assert snapshot.connections is not None
    # the previous sample lacks the third, which is older
    assert [row.bytes_in for row in snapshot.connections] == [10.0, 4.0, None]


def test_connections_without_a_request_are_none() -> None:
    assert compare(None, sample(0.0)).connections is None
    assert compare(None, sample(0.0, connections=())).connections == ()


COUNT = st.integers(0, 1 << 62)


@given(COUNT, COUNT, COUNT, COUNT, st.floats(-10, 10))
def test_rates_are_never_negative(one: int, two: int, three: int, four: int, gap: float) -> None:
    """A counter that was reset and a clock that stands still make no negative rate."""
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
    snapshot = compare(before, after)
    rates = [snapshot.flow.accepted, snapshot.flow.bytes_in, snapshot.services[0].flow.accepted]
    assert snapshot.connections
    rates += [row.bytes_in for row in snapshot.connections]
    assert all(rate is None or rate >= 0 for rate in rates)
    if three < one or gap <= 0:
        assert snapshot.services[0].flow.accepted is None


@pytest.mark.parametrize("name", ["accepted", "refused", "bytes_in", "bytes_out"])
def test_rate_of_a_counter_that_went_back_is_unknown(name: str) -> None:
    snapshot = compare(
        sample(0.0, service("a", **{name: 5})), sample(1.0, service("a", **{name: 4}))
    )
    assert getattr(snapshot.services[0].flow, name) is None
    assert getattr(snapshot.flow, name) is None
