"""The output interface for an address, from the kernel's routing table (rtnetlink(7))."""

from __future__ import annotations

import fcntl
import socket
import struct
import sys
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address

_GET_ROUTE, _NEW_ROUTE = 26, 24  # RTM_GETROUTE and its reply, RTM_NEWROUTE
_REQUEST = 1
_DESTINATION, _SOURCE, _OUTPUT = 1, 2, 4  # RTA_DST, RTA_SRC, RTA_OIF
_HEADER = struct.Struct("=IHHII")
_ROUTE = struct.Struct("=BBBBBBBBI")
_ATTRIBUTE = struct.Struct("=HH")

_GET_MTU = 0x8921  # SIOCGIFMTU
_INTERFACE = struct.Struct("=16si20x")


def output_interface(
    remote: IPv4Address | IPv6Address,
    zone: int = 0,
    local: IPv4Address | IPv6Address | None = None,
) -> tuple[str | None, int | None]:
    """Look up the interface that packets to an address leave by. Does not block.

    :param zone: the scope id of a link-local address, else 0.
    :param local: the source address, for policy routing; of the same version. ``None``: the
        kernel's choice.
    :return: the interface's name and its MTU in bytes, each ``None`` if unknown.
    """
    try:
        name = socket.if_indextoname(zone or _output(remote, local))
    except (OSError, AttributeError, struct.error):  # other systems have no AF_NETLINK
        return None, None
    with suppress(OSError):
        return name, _mtu(name)
    return name, None


def _output(remote: IPv4Address | IPv6Address, local: IPv4Address | IPv6Address | None) -> int:
    family = socket.AF_INET if remote.version == 4 else socket.AF_INET6
    route = _ROUTE.pack(family, remote.max_prefixlen, local.max_prefixlen if local else 0, *[0] * 6)
    route += _address(_DESTINATION, remote)
    if local is not None:
        route += _address(_SOURCE, local)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
        netlink.setblocking(False)  # the kernel replies before send returns
        netlink.send(_HEADER.pack(_HEADER.size + len(route), _GET_ROUTE, _REQUEST, 1, 0) + route)
        reply = netlink.recv(4096)
    _, kind, _, _, _ = _HEADER.unpack_from(reply)
    at = _HEADER.size + _ROUTE.size
    while kind == _NEW_ROUTE and at + _ATTRIBUTE.size <= len(reply):
        size, what = _ATTRIBUTE.unpack_from(reply, at)
        if what == _OUTPUT:
            return int.from_bytes(reply[at + 4 : at + 8], sys.byteorder)
        if size < _ATTRIBUTE.size:
            break
        at += size + 3 & ~3
    raise OSError("the kernel's reply has no interface")


def _address(kind: int, address: IPv4Address | IPv6Address) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(address.packed), kind) + address.packed


def _mtu(name: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = _INTERFACE.pack(name.encode(), 0)
        mtu: int = _INTERFACE.unpack(fcntl.ioctl(sock, _GET_MTU, request))[1]
        return mtu
