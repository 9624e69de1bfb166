"""Detects listeners that cannot be open at the same time, by Linux's rules.

Two sockets of one port conflict if an address belongs to both: the same address, or a wildcard of
its family. ``*`` is every address of both families, ``0.0.0.0`` of IPv4 and ``::`` of IPv6 only.
SO_REUSEADDR does not allow two listening sockets (socket(7)). Ports of TCP and UDP are separate.
UNIX sockets conflict if they have the same path. A socket of systemd is for one listener.
"""

from __future__ import annotations

import os.path
import re
import socket

from tcpd.config.listen import (
    Address,
    BindAddress,
    EndpointString,
    Listener,
    SystemdSocket,
    UnixSocket,
)

_EVERY = {"*": "every address", "0.0.0.0": "every IPv4 address", "::": "every IPv6 address"}

#: A transport and a port, ``unix`` and a path, or ``systemd`` and a name.
Spot = tuple[str, int | str]


def spot_of(listener: Listener) -> Spot | None:
    """Return the key that conflicting listeners share.

    :return: ``None`` if no conflict can be detected.
    """
    bind = _plain(listener.bind)
    if isinstance(bind, Address) and bind.port:
        return ("udp" if listener.udp else "tcp", bind.port)
    if isinstance(bind, SystemdSocket):
        return "systemd", bind.name
    if isinstance(bind, UnixSocket):
        directory, name = os.path.split(bind.path)
        return "unix", os.path.join(os.path.realpath(directory), name)
    return None


def overlap(one: BindAddress, other: BindAddress) -> str:
    """Return why two listeners with the same :func:`spot_of` conflict; ``""`` if they do not."""
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
    """Replace the name of a network interface in a host by its number."""
    address, percent, zone = host.partition("%")
    if not percent or zone.isdecimal():
        return host
    try:
        return f"{address}%{socket.if_nametoindex(zone)}"
    except OSError:
        return host


def _plain(bind: BindAddress) -> BindAddress:
    """Extract the address of an endpoint string, if possible; others are unchanged."""
    if not isinstance(bind, EndpointString):
        return bind
    # a backslash escapes a colon (twisted.internet.endpoints)
    kind, *words = re.split(r"(?<!\\):", bind.description.removeprefix("haproxy:"))
    named = dict(word.split("=", 1) for word in words if "=" in word)
    unnamed = [word for word in words if "=" not in word]
    if kind == "unix":
        path = named.get("address", unnamed[0] if unnamed else "")
        return UnixSocket(path.replace("\\", ""), 0)
    port = named.get("port", unnamed[0] if unnamed else "")
    if kind not in ("tcp", "tcp6", "ssl") or not re.fullmatch("[0-9]{1,5}", port):
        return bind
    host = named.get("interface", "").replace("\\", "")
    # Twisted does not set IPV6_V6ONLY; Linux's default is off
    known = {"": "*" if kind == "tcp6" else "0.0.0.0", "::": "*"}
    return Address(known.get(host, host), int(port))
