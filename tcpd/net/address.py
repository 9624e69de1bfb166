"""Conversions between the addresses of sockets, of Twisted and of ``ipaddress``."""

from __future__ import annotations

import contextlib
import socket
from typing import Any, Literal

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress

from tcpd.policy.addresses import IPAddress, plain_address


def unmap_ipv4(address: IAddress) -> IAddress:
    """Convert an IPv4-mapped address (``::ffff:192.0.2.1``) to IPv4; return others unchanged."""
    if isinstance(address, IPv6Address) and address.host.startswith("::ffff:"):
        plain = plain_address(address.host)
        if plain.version == 4:
            return IPv4Address(address.type, str(plain), address.port)
    return address


def address_without_port(address: IPAddress) -> IPv4Address | IPv6Address:
    """Convert an IP address to a Twisted address, with port 0."""
    if address.version == 4:
        return IPv4Address("TCP", str(address), 0)
    return IPv6Address("TCP", str(address), 0)


def ip_of(address: IAddress) -> IPAddress | None:
    """Return the IP address without the port; ``None`` for a UNIX socket."""
    if isinstance(address, IPv4Address | IPv6Address):
        return plain_address(address.host)
    return None


def format_address(address: IAddress) -> str:
    """Format an address for logs: ``192.0.2.1:4711``, ``[2001:db8::1]:4711``, ``unix``."""
    if isinstance(address, IPv4Address):
        return f"{address.host}:{address.port}"
    if isinstance(address, IPv6Address):
        return f"[{address.host}]:{address.port}"
    return "unix"


def socket_address(
    address: Any, kind: Literal["TCP", "UDP"] = "TCP"
) -> IPv4Address | IPv6Address | UNIXAddress:
    """Convert the address of a socket to a Twisted address.

    :param address: from ``accept``, ``getsockname`` or ``getpeername``.
    """
    if isinstance(address, tuple):
        if len(address) == 2:
            return IPv4Address(kind, *address)
        host, *rest = address
        if rest[2]:  # a link-local address is ambiguous without its zone (RFC 4007 section 11)
            with contextlib.suppress(OSError):
                host = f"{host}%{socket.if_indextoname(rest[2])}"
        return IPv6Address(kind, host, *rest)
    return UNIXAddress(address or None)
