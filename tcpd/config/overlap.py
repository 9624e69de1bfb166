"""Which listeners cannot be open at once, by Linux's rules.

Two sockets of one port exclude each other where an address belongs to both: the same address, or
one of them is a wildcard of the other's family. ``*`` is every address of both families,
``0.0.0.0`` of IPv4 and ``::`` of IPv6 alone. SO_REUSEADDR changes nothing between sockets that
listen (socket(7)). TCP and UDP have ports of their own. A UNIX socket excludes another with the
same path, and one of systemd's serves one listener: each client would come to either of two.
"""

from __future__ import annotations

import os.path
import re
import socket

from tcpd.config.listen import (
    Address,
    EndpointString,
    Listener,
    Place,
    SystemdSocket,
    UnixSocket,
)

_EVERY = {"*": "every address", "0.0.0.0": "every IPv4 address", "::": "every IPv6 address"}

#: Where a listener is: a transport and a port, ``unix`` and a path, or ``systemd`` and a name.
Spot = tuple[str, int | str]


def spot_of(listener: Listener) -> Spot | None:
    """What two listeners must share to exclude each other.

    :return: ``None`` for one that excludes no other as far as is known here.
    """
    place = _plain(listener.place)
    if isinstance(place, Address) and place.port:
        return ("udp" if listener.udp else "tcp", place.port)
    if isinstance(place, SystemdSocket):
        return "systemd", place.name
    if isinstance(place, UnixSocket):
        directory, name = os.path.split(place.path)
        return "unix", os.path.join(os.path.realpath(directory), name)
    return None


def overlap(one: Place, other: Place) -> str:
    """Say why two listeners that share a spot cannot be open at once.

    :return: ``""`` if they can.
    """
    one, other = _plain(one), _plain(other)
    if not (isinstance(one, Address) and isinstance(other, Address)):
        return "it is the same socket"
    first, second = _zoned(one.host), _zoned(other.host)
    if first == second:
        return "it is the same address"
    same_family = (":" in first) == (":" in second)
    for host in ("*", first, second):
        if host in _EVERY and host in (first, second) and (host == "*" or same_family):
            return f"{Address(host, one.port)} is {_EVERY[host]}"
    return ""


def _zoned(host: str) -> str:
    """A host with the number of its network interface in place of the name, if it has one."""
    address, percent, zone = host.partition("%")
    if not percent or zone.isdecimal():
        return host
    try:
        return f"{address}%{socket.if_nametoindex(zone)}"
    except OSError:
        return host


def _plain(place: Place) -> Place:
    """The address in an endpoint string of Twisted's that has one; other places as they are."""
    if not isinstance(place, EndpointString):
        return place
    # a backslash takes the meaning of a colon (twisted.internet.endpoints)
    kind, *words = re.split(r"(?<!\\):", place.description.removeprefix("haproxy:"))
    named = dict(word.split("=", 1) for word in words if "=" in word)
    unnamed = [word for word in words if "=" not in word]
    if kind == "unix":
        path = named.get("address", unnamed[0] if unnamed else "")
        return UnixSocket(path.replace("\\", ""), 0)
    port = named.get("port", unnamed[0] if unnamed else "")
    if kind not in ("tcp", "tcp6", "ssl") or not re.fullmatch("[0-9]{1,5}", port):
        return place
    host = named.get("interface", "").replace("\\", "")
    # Twisted leaves IPV6_V6ONLY as the system has it, which is off
    known = {"": "*" if kind == "tcp6" else "0.0.0.0", "::": "*"}
    return Address(known.get(host, host), int(port))
