"""Conflicts between listeners; tests/net/test_listeners.py compares with the kernel."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpd.config.listen import EndpointString, Listener, parse_listener
from tcpd.config.overlap import overlap, spot_of

WORDS = frozenset({"udp"})


def excludes(one: str, other: str) -> str:
    first, second = parse_listener(one, WORDS), parse_listener(other, WORDS)
    if spot_of(first) is None or spot_of(first) != spot_of(second):
        return ""
    why = overlap(first.bind, second.bind)
    assert bool(overlap(second.bind, first.bind)) == bool(why)
    return why


@pytest.mark.parametrize(
    ("one", "other", "why"),
    [
        ("*:7", "127.0.0.1:7", "*:7 is every address"),
        ("*:7 udp", "[::1]:7 udp", "*:7 is every address"),
        ("*:7", "0.0.0.0:7", "*:7 is every address"),
        ("[::]:7", "*:7", "*:7 is every address"),
        ("[::]:7", "[2001:db8::1]:7", "[::]:7 is every IPv6 address"),
        ("0.0.0.0:7", "192.0.2.1:7", "0.0.0.0:7 is every IPv4 address"),
        ("[::ffff:192.0.2.1]:7", "192.0.2.1:7", "it is the same address"),
        ("[2001:DB8:0::1]:7", "[2001:db8::1]:7", "it is the same address"),
        ("[fe80::1%1]:7", "[fe80::1%lo]:7", "it is the same address"),
        ("[::]:7", "[fe80::1%lo]:7", "[::]:7 is every IPv6 address"),
        ("endpoint:tcp:7", "127.0.0.1:7", "0.0.0.0:7 is every IPv4 address"),
        ("endpoint:tcp:7:interface=127.0.0.1", "*:7", "*:7 is every address"),
        ("endpoint:tcp:port=7:interface=\\:\\:1", "[::1]:7", "it is the same address"),
        ("endpoint:tcp6:7", "127.0.0.1:7", "*:7 is every address"),
        ("endpoint:ssl:7:privateKey=a", "192.0.2.1:7", "0.0.0.0:7 is every IPv4 address"),
        ("endpoint:haproxy:tcp:7", "192.0.2.1:7", "0.0.0.0:7 is every IPv4 address"),
        ("endpoint:unix:/run/a", "unix:/run/a mode=0600", "it is the same socket"),
        ("unix:/run/../run/a", "unix:/run/a", "it is the same socket"),
        ("systemd:a", "systemd:a proxy=unix", "it is the same socket"),
    ],
)
def test_conflicting_listeners(one: str, other: str, why: str) -> None:
    assert excludes(one, other) == why


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("*:7", "*:8"),
        ("*:7", "*:7 udp"),
        ("*:0", "*:0"),
        ("0.0.0.0:7", "[::]:7"),
        ("0.0.0.0:7", "[::1]:7"),
        ("[::]:7", "127.0.0.1:7"),
        ("127.0.0.1:7", "127.0.0.2:7"),
        ("[fe80::1%lo]:7", "[fe80::1%nosuch0]:7"),
        ("endpoint:tcp:7", "[::]:7"),
        ("endpoint:frob:7", "*:7"),
        ("endpoint:tcp:x", "*:7"),
        ("unix:/run/a", "unix:/run/b"),
        ("systemd:a", "systemd:b"),
        ("systemd:a", "*:7"),  # the address of the socket is unknown
    ],
)
def test_listeners_without_conflict(one: str, other: str) -> None:
    assert excludes(one, other) == ""


def test_symbolic_links_are_resolved(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    assert excludes(f"unix:{tmp_path}/a", f"unix:{tmp_path}/link/a") == "it is the same socket"
    assert excludes(f"unix:{tmp_path}/a", f"unix:{tmp_path}/link/b") == ""


@given(st.text(max_size=40))
def test_any_endpoint_string_is_accepted(description: str) -> None:
    spot_of(Listener(EndpointString(description)))
