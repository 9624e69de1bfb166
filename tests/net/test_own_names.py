"""The host names and addresses of the daemon itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import certificates
import pytest
from net.doubles import LayerHarness, server_tls
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.task import Clock

from tcpd.net.own_names import is_own


def connection(local: Any, tls: Any = None, server_name: str = "chat.example") -> Any:
    harness = LayerHarness(tls=tls)
    harness.layer.server_name = server_name
    connection, transport = harness.connect()
    transport.hostAddr = local
    return connection


LOCAL = IPv4Address("TCP", "192.0.2.5", 7668)
LOOPBACK = IPv4Address("TCP", "127.0.0.1", 7668)


@pytest.mark.parametrize(
    ("local", "host", "own"),
    [
        (LOCAL, "chat.example", True),
        (LOCAL, "Chat.Example.", True),
        (LOCAL, "evil.example", False),
        (LOCAL, "chat.example.evil.example", False),
        (LOCAL, "192.0.2.5", True),
        (LOCAL, "192.0.2.6", False),
        (LOCAL, "localhost", False),
        (LOOPBACK, "localhost", True),
        (LOOPBACK, "127.0.0.1", True),
        (LOOPBACK, "127.0.0.2", False),
        (LOOPBACK, "evil.example", False),
        (IPv6Address("TCP", "2001:db8::5", 7668), "[2001:db8::5]", True),
        (IPv6Address("TCP", "2001:db8::5", 7668), "[2001:db8::6]", False),
        (IPv6Address("TCP", "::ffff:192.0.2.5", 7668), "192.0.2.5", True),
        (IPv6Address("TCP", "fe80::1%eth0", 7668), "[fe80::1]", True),
        (IPv6Address("TCP", "::1", 7668), "localhost", True),
        (UNIXAddress("/run/x"), "chat.example", True),
        (UNIXAddress("/run/x"), "localhost", False),
        (UNIXAddress("/run/x"), "127.0.0.1", False),
        (LOCAL, "", False),
        (LOCAL, "[", False),
        (LOCAL, "\xe9\0", False),
    ],
)
def test_own_names_and_addresses(local: Any, host: str, own: bool) -> None:
    assert is_own(connection(local), host) is own


def test_empty_name_is_not_own() -> None:
    assert not is_own(connection(LOCAL, server_name=""), "evil.example")


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("irc.example.org", True),
        ("web.chat.example.org", True),
        ("a.b.chat.example.org", False),
        ("chat.example.org", False),
        ("127.0.0.1", True),
        ("127.0.0.2", False),
        ("evil.example", False),
    ],
)
def test_names_in_certificates_are_own(tmp_path: Path, host: str, own: bool) -> None:
    made = certificates.make(
        tmp_path, "x", names=["irc.example.org", "*.chat.example.org"]
    )  # and 127.0.0.1
    assert is_own(connection(LOCAL, server_tls(made, Clock())), host) is own
