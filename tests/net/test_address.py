"""Conversion of socket addresses."""

from __future__ import annotations

import socket

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from tcpd.net.address import format_address, ip_of, socket_address


@pytest.mark.parametrize(
    ("raw", "address"),
    [
        (("192.0.2.1", 5), IPv4Address("TCP", "192.0.2.1", 5)),
        (("2001:db8::1", 5, 0, 0), IPv6Address("TCP", "2001:db8::1", 5)),
        ("/run/x", UNIXAddress("/run/x")),
        ("", UNIXAddress(None)),
    ],
)
def test_socket_addresses_are_converted(raw: object, address: object) -> None:
    assert socket_address(raw) == address


def test_link_local_address_keeps_its_zone() -> None:
    """RFC 4007 section 6: a link-local address is unique only within its zone."""
    number, name = socket.if_nameindex()[0]
    address = socket_address(("fe80::1", 5, 0, number))
    assert format_address(address) == f"[fe80::1%{name}]:5"
    assert str(ip_of(address)) == "fe80::1"


def test_zone_of_a_removed_interface_is_omitted() -> None:
    assert format_address(socket_address(("fe80::1", 5, 0, 2**31 - 1))) == "[fe80::1]:5"
