"""The interface that packets to an address leave by, as the kernel routes them (rtnetlink(7))."""

from __future__ import annotations

import fcntl
import socket
import struct
import sys
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address

_GET_ROUTE, _NEW_ROUTE = 26, 24  # RTM_GETROUTE and its answer
_REQUEST = 1
_DESTINATION, _SOURCE, _OUTPUT = 1, 2, 4  # RTA_DST, RTA_SRC, RTA_OIF
_HEADER = struct.Struct("=IHHII")
_ROUTE = struct.Struct("=BBBBBBBBI")
_ATTRIBUTE = struct.Struct("=HH")

_GET_MTU = 0x8921  # SIOCGIFMTU
_INTERFACE = struct.Struct("=16si20x")


def way_to(
    remote: IPv4Address | IPv6Address,
    zone: int = 0,
    local: IPv4Address | IPv6Address | None = None,
) -> tuple[str | None, int | None]:
    """Ask for it. Takes two system calls or three, none of which waits.

    :param zone: the number of the interface that a link-local address is on; 0 for no such address.
    :param local: the address that the packets come from, which rules of routing may look at; of the
        same version. ``None``: whichever the kernel takes.
    :return: the interface's name and its MTU in bytes, each ``None`` where it cannot be known.
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
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as asking:
        asking.setblocking(False)  # the kernel answers before send returns
        asking.send(_HEADER.pack(_HEADER.size + len(route), _GET_ROUTE, _REQUEST, 1, 0) + route)
        answer = asking.recv(4096)
    _, kind, _, _, _ = _HEADER.unpack_from(answer)
    at = _HEADER.size + _ROUTE.size
    while kind == _NEW_ROUTE and at + _ATTRIBUTE.size <= len(answer):
        size, what = _ATTRIBUTE.unpack_from(answer, at)
        if what == _OUTPUT:
            return int.from_bytes(answer[at + 4 : at + 8], sys.byteorder)
        if size < _ATTRIBUTE.size:
            break
        at += size + 3 & ~3
    raise OSError("the kernel tells no interface")


def _address(kind: int, address: IPv4Address | IPv6Address) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(address.packed), kind) + address.packed


def _mtu(name: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asked = _INTERFACE.pack(name.encode(), 0)
        mtu: int = _INTERFACE.unpack(fcntl.ioctl(asking, _GET_MTU, asked))[1]
        return mtu
