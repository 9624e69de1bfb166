"""Bans of networks, with and without an expiry."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpd.policy.addresses import plain_address
from tcpd.policy.admission import Admission, ConnectionCount, Limits, Networks
from tcpd.policy.bans import Ban, Bans
from tcpd.policy.reasons import Refusal


def ban(network: str, until: float | None = None, since: float = 0.0) -> Ban:
    return Ban(ipaddress.ip_network(network), since, until, "loud", "uid 0")


class Time:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("network", "address", "held"),
    [
        ("192.0.2.0/24", "192.0.2.7", True),
        ("192.0.2.0/24", "192.0.3.7", False),
        ("192.0.2.7/32", "192.0.2.7", True),
        ("0.0.0.0/0", "8.8.8.8", True),
        ("0.0.0.0/0", "2001:db8::1", False),
        ("2001:db8::/32", "2001:db8:1::1", True),
        ("::/0", "192.0.2.7", False),
        ("192.0.2.0/24", "::ffff:192.0.2.7", True),
    ],
)
def test_ban_applies_to_its_network(network: str, address: str, held: bool) -> None:
    bans = Bans(Time())
    bans.add(ban(network))
    assert (bans.find(plain_address(address)) is not None) is held


NETWORKS = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.integers(0, 32)),
    st.tuples(st.ip_addresses(v=6), st.integers(0, 128)),
).map(lambda pair: ipaddress.ip_network(pair, strict=False))


@given(st.lists(NETWORKS, max_size=8), st.ip_addresses())
def test_one_matching_ban_is_enough(networks: list[Any], address: Any) -> None:
    bans = Bans(Time())
    bans.adopt(Ban(network, 0.0, None, "", "") for network in networks)
    held = any(net.version == address.version and address in net for net in networks)
    assert (bans.find(address) is not None) is held
    for network in networks:
        bans.remove(network)
    assert len(bans) == 0
    assert bans.find(address) is None


def test_a_ban_expires_by_the_wall_clock() -> None:
    time = Time()
    bans = Bans(time)
    bans.add(ban("192.0.2.1", until=101.0))
    address = plain_address("192.0.2.1")
    assert bans.find(address) is not None
    time.now = 101.0
    assert bans.find(address) is None
    assert list(bans) == []
    assert bans.remove(ipaddress.ip_network("192.0.2.1")) is None
    bans.add(ban("192.0.2.2", until=101.0))
    bans.forget_expired()
    assert len(bans) == 0


@given(NETWORKS, st.none() | st.floats(0, 1e10), st.text(max_size=20))
def test_ban_round_trips_through_plain_types(
    network: Any, until: float | None, reason: str
) -> None:
    before = Ban(network, 1.5, until, reason, "uid 0 pid 1")
    assert Ban.from_plain(before.plain()) == before


@pytest.mark.parametrize("plain", [None, {}, {"network": "x", "since": 0, "until": None}, []])
def test_invalid_ban_is_rejected(plain: Any) -> None:
    with pytest.raises(ValueError):
        Ban.from_plain(plain)


def test_ban_takes_precedence_over_allow() -> None:
    bans = Bans(Time())
    bans.add(ban("192.0.2.0/24"))
    everybody = Networks([ipaddress.ip_network("192.0.2.0/24")], ())
    admission = Admission(Limits(everybody, 10, 10), ConnectionCount(10), bans)
    assert admission.admit(plain_address("192.0.2.1")) is Refusal.BANNED
    bans.remove(ipaddress.ip_network("192.0.2.0/24"))
    assert admission.admit(plain_address("192.0.2.1")) is None
    assert admission.admit(None) is None
    assert (admission.count, admission.busiest) == (2, 1)
