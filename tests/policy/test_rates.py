"""Rates of new connections: of one address, and of all of them together."""

from __future__ import annotations

import ipaddress
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpd.config.values import Rate
from tcpd.policy.addresses import IPAddress, limit_key, plain_address
from tcpd.policy.admission import Admission, ConnectionCount, Limits, Networks
from tcpd.policy.bursts import Bursts
from tcpd.policy.reasons import Refusal

EVERYBODY = Networks((), ())
A, B = plain_address("192.0.2.1"), plain_address("192.0.2.2")

#: What [policy:...] in docs/howto/limits.rst states for 1,000,000 addresses.
STATED = 16 << 20


class House:
    """An admission whose time stands still unless it is told."""

    def __init__(self, **limits: Any) -> None:
        self.now = 1000.0
        limits = {"networks": EVERYBODY, "connections": 1000, "per_address": 1000} | limits
        self.limits = Limits(**limits)
        self.connection_count = ConnectionCount(1000)
        self.admission = Admission(self.limits, self.connection_count, None, lambda: self.now)

    def tries(self, address: IPAddress | None, times: int) -> list[str | None]:
        """Come and go so often."""
        found: list[str | None] = []
        for _ in range(times):
            refusal = self.admission.admit(address)
            found.append(refusal)
            if refusal is None:
                self.admission.release(address)
        return found


def test_an_address_that_comes_too_fast_is_refused_and_others_are_not() -> None:
    house = House(address_rate=Rate(1.0, 3.0))
    assert house.tries(A, 5) == [None] * 3 + [Refusal.ADDRESS_RATE] * 2
    assert house.tries(B, 3) == [None] * 3
    house.now += 2
    assert house.tries(A, 3) == [None, None, Refusal.ADDRESS_RATE]


def test_an_ipv6_network_has_one_rate() -> None:
    house = House(address_rate=Rate(1.0, 1.0), ipv6_prefix=56)
    assert house.tries(plain_address("2001:db8:0:1::1"), 1) == [None]
    assert house.tries(plain_address("2001:db8:0:2::1"), 1) == [Refusal.ADDRESS_RATE]
    assert house.tries(plain_address("2001:db8:0:100::1"), 1) == [None]


def test_all_together_have_one_rate_a_unix_socket_included() -> None:
    house = House(connection_rate=Rate(1.0, 3.0))
    assert house.tries(A, 1) + house.tries(None, 1) + house.tries(B, 1) == [None] * 3
    assert house.tries(A, 1) + house.tries(None, 1) == [Refusal.SERVICE_RATE] * 2
    assert (house.admission.count, house.connection_count.count, house.admission.busiest) == (
        0,
        0,
        0,
    )


def test_who_is_refused_for_the_address_takes_nothing_from_the_others() -> None:
    """ "one address alone cannot shut out the others": the service's tokens are for the let in."""
    house = House(connection_rate=Rate(1.0, 5.0), address_rate=Rate(1.0, 2.0))
    house.tries(A, 1000)
    assert house.tries(B, 3) == [None, None, Refusal.ADDRESS_RATE]


def test_behind_a_proxy_the_rates_are_for_the_address_that_it_names() -> None:
    house = House(connection_rate=Rate(1.0, 2.0), address_rate=Rate(1.0, 1.0))
    admission = house.admission
    for _ in range(9):
        assert admission.take_place() is None, "the proxy's own connections have no rate"
    assert admission.identify(A) is None
    assert admission.identify(A) is Refusal.ADDRESS_RATE
    assert admission.identify(B) is None
    assert admission.identify(plain_address("192.0.2.3")) is Refusal.SERVICE_RATE


arrivals = st.lists(
    st.tuples(st.integers(0, 4), st.one_of(st.just(0.0), st.floats(0, 5))), max_size=80
)
rates = st.none() | st.builds(
    Rate, per_second=st.floats(0.1, 20), burst=st.integers(1, 5).map(float)
)


@given(arrivals=arrivals, connection_rate=rates, address_rate=rates)
def test_no_stretch_of_time_has_more_than_its_burst_and_rate(
    arrivals: list[tuple[int, float]], connection_rate: Rate | None, address_rate: Rate | None
) -> None:
    """TokenBucket: "In any stretch of t seconds it lets no more than burst + per_second * t
    through", of each address and of all."""
    house = House(connection_rate=connection_rate, address_rate=address_rate)
    passed: list[tuple[int, float]] = []
    for host, pause in arrivals:
        house.now += pause
        if house.tries(ipaddress.IPv4Address(host), 1) == [None]:
            passed.append((host, house.now))
    if connection_rate is None and address_rate is None:
        assert len(passed) == len(arrivals)
    groups = [(connection_rate, [when for _, when in passed])]
    groups += [(address_rate, [when for who, when in passed if who == host]) for host in range(5)]
    for rate, times in groups:
        if rate is None:
            continue
        for first in range(len(times)):
            for last in range(first, len(times)):
                most = rate.burst + rate.per_second * (times[last] - times[first])
                assert last - first + 1 <= most + 1e-6


# --- a reload ---


def test_a_reload_that_leaves_a_rate_as_it_is_gives_nobody_new_tokens() -> None:
    house = House(address_rate=Rate(1.0, 2.0), connection_rate=Rate(1.0, 9.0))
    house.tries(A, 2)
    house.admission.reconfigure(
        Limits(EVERYBODY, 5, 5, address_rate=Rate(1.0, 2.0), connection_rate=Rate(1.0, 9.0)), []
    )
    assert house.tries(A, 1) == [Refusal.ADDRESS_RATE]
    house.admission.reconfigure(Limits(EVERYBODY, 5, 5), [])
    assert house.tries(A, 9) == [None] * 9


@given(
    st.lists(st.integers(0, 7), max_size=20),
    st.lists(st.sampled_from([32, 48, 60, 62, 64, 128]), min_size=1, max_size=4),
)
def test_who_is_there_counts_by_the_new_prefix_and_leaves_nothing_behind(
    hosts: list[int], prefixes: list[int]
) -> None:
    """Addresses are counted by ipv6_prefix, which a reload may change while they are there."""
    house = House()
    base = int(plain_address("2001:db8::"))
    present = [ipaddress.IPv6Address(base + (host << 65) + host) for host in hosts]
    for address in present:
        assert house.admission.admit(address) is None
    for prefix in prefixes:
        house.admission.reconfigure(Limits(EVERYBODY, 99, 99, prefix), [*present, None])
        keys = [limit_key(address, prefix) for address in present]
        assert house.admission.busiest == max(map(keys.count, keys), default=0)
    for address in present:
        house.admission.release(address)
    assert house.admission.busiest == house.admission.count == 0


# --- waiting for a place ---


def test_who_waits_is_called_once_when_somebody_goes_anywhere() -> None:
    """A service may be full for the daemon's sake: a place of another service's will do."""
    connection_count = ConnectionCount(1)
    one, two = (Admission(Limits(EVERYBODY, 9, 9), connection_count) for _ in range(2))
    assert one.admit(A) is None
    assert two.full is Refusal.DAEMON_FULL
    called: list[str] = []
    two.wait(lambda: called.append("two"))
    one.release(A)
    assert called == ["two"]
    assert two.full is None
    assert one.admit(A) is None
    one.release(A)
    assert called == ["two"], "it did not ask again"


def test_who_waits_is_called_when_limits_change() -> None:
    house = House(connections=1)
    house.admission.admit(A)
    called: list[str] = []
    house.admission.wait(lambda: called.append("limits"))
    house.admission.reconfigure(Limits(EVERYBODY, 2, 2), [A])
    assert called == ["limits"]
    house.admission.wait(lambda: called.append("daemon"))
    house.connection_count.limit = 2000
    assert called == ["limits", "daemon"]


def test_who_finds_no_place_after_all_waits_again() -> None:
    connection_count = ConnectionCount(0)
    calls: list[int] = []

    def again() -> None:
        calls.append(1)
        connection_count.wait(again)

    connection_count.wait(again)
    connection_count.wake()
    connection_count.wake()
    assert len(calls) == 2


# --- memory ---


@pytest.mark.long
def test_a_million_addresses_cost_no_more_memory_than_stated() -> None:
    """Issue and how-to: "1,000,000 distinct sources cost no more than" the stated megabytes, what
    is remembered for the log included."""
    house = House(address_rate=Rate(0.001, 2.0), per_address=1)
    bursts = Bursts()
    first = int(plain_address("2001:db8::"))
    tracemalloc.start()
    try:
        for number in range(1_000_000):
            address = ipaddress.IPv6Address(first + (number << 64))
            house.now += 0.0001
            if house.tries(address, 1) != [None]:
                bursts.happened((Refusal.ADDRESS_RATE, limit_key(address)), house.now)
        now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < STATED, f"{peak:,} bytes at the most, {now:,} in the end"
