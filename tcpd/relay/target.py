"""Parses the address of the far side: ``HOST:PORT``, ``[V6]:PORT`` or ``unix:PATH``."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass

from tcpd.config.files import from_system, to_system
from tcpd.config.locations import LONGEST_SOCKET_PATH
from tcpd.config.values import Type

#: RFC 1123 section 2.1, plus the underscore, common in internal names.
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?", re.ASCII)

#: RFC 1035 section 2.3.4.
_LONGEST_NAME = 253


@dataclass(frozen=True, slots=True)
class Host:
    """A TCP port of a host.

    :ivar name: an IP address or a name, as text.
    :ivar port: 1 to 65535.
    """

    name: str
    port: int

    @property
    def address(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        """The IP address; ``None`` for a name, which has to be looked up."""
        try:
            return ipaddress.ip_address(self.name)
        except ValueError:
            return None

    def __str__(self) -> str:
        name = f"[{self.name}]" if ":" in self.name else self.name
        return f"{name}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixPath:
    """A UNIX stream socket.

    :ivar path: absolute.
    """

    path: str

    def __str__(self) -> str:
        return f"unix:{from_system(self.path)}"


Target = Host | UnixPath


def parse_target(text: str) -> Target:
    """Parse an address.

    :raise ValueError: with an error text for the operator.
    """
    if text.startswith("unix:"):
        return UnixPath(_path(text[5:]))
    name, colon, port = text.rpartition(":")
    if not colon or not name:
        raise ValueError(f"{text!r} is not an address; write HOST:PORT, [V6]:PORT or unix:PATH")
    if re.fullmatch(r"[0-9]{1,5}", port) is None or not 1 <= int(port) <= 65535:
        raise ValueError(f"{text!r}: {port!r} is not a port from 1 to 65535")
    if name.startswith("[") and name.endswith("]"):
        try:
            return Host(str(ipaddress.IPv6Address(name[1:-1])), int(port))
        except ValueError:
            raise ValueError(f"{text!r}: {name[1:-1]!r} is not an IPv6 address") from None
    if ":" in name:
        raise ValueError(f"{text!r}: write an IPv6 address in brackets, [{name}]:{port}")
    if re.fullmatch(r"[0-9.]+", name):
        try:
            return Host(str(ipaddress.IPv4Address(name)), int(port))
        except ValueError:
            raise ValueError(f"{text!r}: {name!r} is not an IPv4 address") from None
    if not is_host_name(name):
        raise ValueError(f"{text!r}: {name!r} is not a host name")
    return Host(name, int(port))


def is_host_name(name: str) -> bool:
    """Whether a text is a valid host name in ASCII; a trailing dot is allowed."""
    return _NAME.fullmatch(name) is not None and len(name) <= _LONGEST_NAME


def _path(path: str) -> str:
    if not path.startswith("/") or "\n" in path:
        raise ValueError(
            f"{f'unix:{path}'!r}: the path of a UNIX socket must be absolute and on one line"
        )
    path = to_system(path)
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        raise ValueError(
            f"'unix:{from_system(path)}' is longer than the {LONGEST_SOCKET_PATH} bytes that the "
            "system allows"
        )
    return path


#: A :class:`Host` or a :class:`UnixPath`.
TARGET: Type[Target] = Type("HOST:PORT, [V6]:PORT or unix:PATH", parse_target, str)
