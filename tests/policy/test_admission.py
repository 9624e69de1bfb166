"""Admission: networks, counts and reasons."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpd.policy.addresses import limit_key, plain_address
from tcpd.policy.admission import Admission, ConnectionCount, Limits, Networks
from tcpd.policy.reasons import End, Refusal

EVERYBODY = Networks((), ())


def networks(allow: str, deny: str) -> Networks:
    return Networks(
        [ipaddress.ip_network(word) for word in allow.split()],
        [ipaddress.ip_network(word) for word in deny.split()],
    )


@pytest.mark.parametrize(
    ("allow", "deny", "address", "verdict"),
    [
        ("", "", "192.0.2.1", True),
        ("", "192.0.2.0/24", "192.0.2.1", False),
        ("", "192.0.2.0/24", "2001:db8::1", True),
        ("10.0.0.0/8", "", "192.0.2.1", False),
        ("10.0.0.0/8", "", "10.1.1.1", True),
        ("10.1.0.0/16", "10.0.0.0/8", "10.1.1.1", True),
        ("10.1.0.0/16", "10.0.0.0/8", "10.2.1.1", False),
        ("10.0.0.0/8", "10.1.0.0/16", "10.1.1.1", False),
        ("10.0.0.0/8", "10.0.0.0/8", "10.1.1.1", False),
        ("0.0.0.0/0 2001:db8::/32", "", "2001:db9::1", False),
        ("", "192.0.2.0/24", "::ffff:192.0.2.1", False),
        ("", "fe80::/10", "fe80::1%eth0", False),
    ],
)
def test_the_longest_prefix_decides_and_deny_wins_a_tie(
    allow: str, deny: str, address: str, verdict: bool
) -> None:
    assert networks(allow, deny).allows(plain_address(address)) is verdict


IPV4_NETWORKS = st.builds(
    lambda number, length: ipaddress.ip_network((number << 28 | number, length), strict=False),
    st.integers(0, 15),
    st.integers(0, 32),
)


@given(st.lists(IPV4_NETWORKS, max_size=8), st.lists(IPV4_NETWORKS, max_size=8), st.integers(0, 15))
def test_longest_matching_network_decides(
    allow: list[ipaddress.IPv4Network], deny: list[ipaddress.IPv4Network], number: int
) -> None:
    """The longest prefix decides, and deny wins a tie. Without a match, an empty allow allows."""
    address = ipaddress.IPv4Address(number << 28 | number)
    verdicts = [(each.prefixlen, False) for each in deny if address in each]
    verdicts += [(each.prefixlen, True) for each in allow if address in each]
    longest = max((length for length, _ in verdicts), default=None)
    expected = all(verdict for length, verdict in verdicts if length == longest)
    if longest is None:
        expected = not allow
    assert Networks(allow, deny).allows(address) is expected


def test_limits_refuse_until_a_release() -> None:
    connection_count = ConnectionCount(3)
    one = Admission(Limits(EVERYBODY, 2, 1), connection_count)
    two = Admission(Limits(EVERYBODY, 9, 9), connection_count)
    a, b = plain_address("192.0.2.1"), plain_address("192.0.2.2")
    assert one.admit(a) is None
    assert one.admit(a) is Refusal.ADDRESS_FULL
    assert one.admit(b) is None
    assert one.admit(None) is Refusal.SERVICE_FULL
    assert two.admit(a) is None
    assert two.admit(b) is Refusal.DAEMON_FULL
    one.release(a)
    assert one.admit(a) is None
    assert connection_count.count == 3


def test_ipv6_connections_count_per_64() -> None:
    admission = Admission(Limits(EVERYBODY, 9, 1), ConnectionCount(9))
    assert admission.admit(plain_address("2001:db8::1")) is None
    assert admission.admit(plain_address("2001:db8::ffff:2")) is Refusal.ADDRESS_FULL
    assert admission.admit(plain_address("2001:db8:0:1::1")) is None


def test_denied_takes_precedence_over_full() -> None:
    admission = Admission(Limits(networks("", "192.0.2.0/24"), 1, 1), ConnectionCount(0))
    assert admission.admit(plain_address("192.0.2.1")) is Refusal.DENIED


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=60))
def test_count_is_admitted_minus_released(steps: list[tuple[int, bool]]) -> None:
    connection_count = ConnectionCount(8)
    admission = Admission(Limits(EVERYBODY, 6, 2), connection_count)
    held: list[int] = []
    for host, enter in steps:
        address = ipaddress.IPv4Address(host)
        if enter:
            refusal = admission.admit(address)
            if held.count(host) == 2 and len(held) < 6:
                assert refusal is Refusal.ADDRESS_FULL
            else:
                assert (refusal is None) == (len(held) < 6)
            if refusal is None:
                held.append(host)
        elif host in held:
            admission.release(address)
            held.remove(host)
        assert connection_count.count == len(held)
    for host in held:
        admission.release(ipaddress.IPv4Address(host))
    assert connection_count.count == 0
    assert admission.addresses == 0, "released addresses are forgotten"


def test_unidentified_connection_counts_in_the_totals() -> None:
    connection_count = ConnectionCount(3)
    admission = Admission(Limits(networks("", "192.0.2.9"), 2, 1), connection_count)
    a, b = plain_address("192.0.2.1"), plain_address("192.0.2.2")
    assert admission.admit_unidentified() is None
    assert admission.identify(plain_address("192.0.2.9")) is Refusal.DENIED
    assert admission.identify(a) is None
    assert admission.admit_unidentified() is None
    assert admission.admit_unidentified() is Refusal.SERVICE_FULL
    assert admission.identify(a) is Refusal.ADDRESS_FULL
    admission.release(None)
    assert admission.admit(a) is Refusal.ADDRESS_FULL
    assert admission.admit(b) is None
    admission.release(b)
    admission.release(a)
    assert connection_count.count == admission.count == admission.busiest == 0


def test_limit_keys_of_ipv4_and_ipv6_differ() -> None:
    assert limit_key(plain_address("0.0.0.1")) != limit_key(plain_address("0:0:0:1::"))


def test_every_reason_has_a_sentence() -> None:
    for reason in (*Refusal, *End):
        assert reason.sentence
        assert not reason.sentence.endswith(".")
