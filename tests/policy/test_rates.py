"""Rates of new connections, per address and per service."""

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
from tcpd.policy.log_throttle import LogThrottle
from tcpd.policy.reasons import Refusal

EVERYBODY = Networks((), ())
A, B = plain_address("192.0.2.1"), plain_address("192.0.2.2")

#: What [policy:...] in docs/howto/limits.rst states for 1,000,000 addresses.
STATED = 16 << 20


class RateHarness:
    """An admission with a clock that the test advances."""

    def __init__(self, **limits: Any) -> None:
        self.now = 1000.0
        limits = {"networks": EVERYBODY, "connections": 1000, "per_address": 1000} | limits
        self.limits = Limits(**limits)
        self.connection_count = ConnectionCount(1000)
        self.admission = Admission(self.limits, self.connection_count, None, lambda: self.now)

    def tries(self, address: IPAddress | None, times: int) -> list[str | None]:
        """Connect and disconnect this many times; return the results."""
        found: list[str | None] = []
        for _ in range(times):
            refusal = self.admission.admit(address)
            found.append(refusal)
            if refusal is None:
                self.admission.release(address)
        return found


def test_address_rate_refuses_that_address_only() -> None:
    harness = RateHarness(address_rate=Rate(1.0, 3.0))
    assert harness.tries(A, 5) == [None] * 3 + [Refusal.ADDRESS_RATE] * 2
    assert harness.tries(B, 3) == [None] * 3
    harness.now += 2
    assert harness.tries(A, 3) == [None, None, Refusal.ADDRESS_RATE]


def test_address_rate_counts_ipv6_by_prefix() -> None:
    harness = RateHarness(address_rate=Rate(1.0, 1.0), ipv6_prefix=56)
    assert harness.tries(plain_address("2001:db8:0:1::1"), 1) == [None]
    assert harness.tries(plain_address("2001:db8:0:2::1"), 1) == [Refusal.ADDRESS_RATE]
    assert harness.tries(plain_address("2001:db8:0:100::1"), 1) == [None]


def test_connection_rate_counts_all_clients() -> None:
    harness = RateHarness(connection_rate=Rate(1.0, 3.0))
    assert harness.tries(A, 1) + harness.tries(None, 1) + harness.tries(B, 1) == [None] * 3
    assert harness.tries(A, 1) + harness.tries(None, 1) == [Refusal.SERVICE_RATE] * 2
    assert (harness.admission.count, harness.connection_count.count, harness.admission.busiest) == (
        0,
        0,
        0,
    )


def test_client_over_address_rate_takes_no_service_token() -> None:
    """ "one address cannot use up the rate of all" """
    harness = RateHarness(connection_rate=Rate(1.0, 5.0), address_rate=Rate(1.0, 2.0))
    harness.tries(A, 1000)
    assert harness.tries(B, 3) == [None, None, Refusal.ADDRESS_RATE]


def test_rates_apply_to_the_proxied_address() -> None:
    harness = RateHarness(connection_rate=Rate(1.0, 2.0), address_rate=Rate(1.0, 1.0))
    admission = harness.admission
    for _ in range(9):
        assert admission.admit_unidentified() is None, "the proxy's connections are not rated"
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
def test_admitted_never_exceed_burst_and_rate(
    arrivals: list[tuple[int, float]], connection_rate: Rate | None, address_rate: Rate | None
) -> None:
    """TokenBucket: "In any interval of t seconds it grants at most burst + per_second * t tokens",
    per address and in total."""
    harness = RateHarness(connection_rate=connection_rate, address_rate=address_rate)
    passed: list[tuple[int, float]] = []
    for host, pause in arrivals:
        harness.now += pause
        if harness.tries(ipaddress.IPv4Address(host), 1) == [None]:
            passed.append((host, harness.now))
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


def test_reload_with_equal_rate_keeps_the_buckets() -> None:
    harness = RateHarness(address_rate=Rate(1.0, 2.0), connection_rate=Rate(1.0, 9.0))
    harness.tries(A, 2)
    harness.admission.reconfigure(
        Limits(EVERYBODY, 5, 5, address_rate=Rate(1.0, 2.0), connection_rate=Rate(1.0, 9.0)), []
    )
    assert harness.tries(A, 1) == [Refusal.ADDRESS_RATE]
    harness.admission.reconfigure(Limits(EVERYBODY, 5, 5), [])
    assert harness.tries(A, 9) == [None] * 9


@given(
    st.lists(st.integers(0, 7), max_size=20),
    st.lists(st.sampled_from([32, 48, 60, 62, 64, 128]), min_size=1, max_size=4),
)
def test_reload_recounts_by_the_new_prefix(hosts: list[int], prefixes: list[int]) -> None:
    """A reload may change ipv6_prefix while clients are connected."""
    harness = RateHarness()
    base = int(plain_address("2001:db8::"))
    present = [ipaddress.IPv6Address(base + (host << 65) + host) for host in hosts]
    for address in present:
        assert harness.admission.admit(address) is None
    for prefix in prefixes:
        harness.admission.reconfigure(Limits(EVERYBODY, 99, 99, prefix), [*present, None])
        keys = [limit_key(address, prefix) for address in present]
        assert harness.admission.busiest == max(map(keys.count, keys), default=0)
    for address in present:
        harness.admission.release(address)
    assert harness.admission.busiest == harness.admission.count == 0


# --- waiting for a free connection ---


def test_waiting_callback_runs_once_when_a_connection_ends() -> None:
    """The end of a connection of any service counts, as the daemon's limit may be reached."""
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
    assert called == ["two"], "a callback runs once"


def test_waiting_callback_runs_when_limits_change() -> None:
    harness = RateHarness(connections=1)
    harness.admission.admit(A)
    called: list[str] = []
    harness.admission.wait(lambda: called.append("limits"))
    harness.admission.reconfigure(Limits(EVERYBODY, 2, 2), [A])
    assert called == ["limits"]
    harness.admission.wait(lambda: called.append("daemon"))
    harness.connection_count.limit = 2000
    assert called == ["limits", "daemon"]


def test_waiting_callback_may_wait_again() -> None:
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
def test_memory_for_a_million_addresses() -> None:
    """docs/howto/limits.rst: "never more than 16 MiB", the log throttle included."""
    harness = RateHarness(address_rate=Rate(0.001, 2.0), per_address=1)
    throttle = LogThrottle()
    first = int(plain_address("2001:db8::"))
    tracemalloc.start()
    try:
        for number in range(1_000_000):
            address = ipaddress.IPv6Address(first + (number << 64))
            harness.now += 0.0001
            if harness.tries(address, 1) != [None]:
                throttle.record((Refusal.ADDRESS_RATE, limit_key(address)), harness.now)
        now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < STATED, f"peak {peak:,} bytes, {now:,} at the end"
