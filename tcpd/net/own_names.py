"""The host names and addresses of the daemon itself, to detect DNS rebinding: a foreign name that
resolves to this host."""

from __future__ import annotations

import ipaddress
from typing import Any, Protocol

from tcpd.net.tls import Certificates
from tcpd.policy.addresses import plain_address


class LocalEnd(Protocol):
    """The server's end of a connection."""

    __slots__ = ()

    @property
    def listener_certificates(self) -> Certificates | None:
        """The certificates of the listener; ``None`` without TLS from the first byte."""

    @property
    def server_name(self) -> str:
        """``[tcpd] server_name``."""

    def getHost(self) -> Any:
        """See :class:`twisted.internet.interfaces.ITransport`."""


def is_own(connection: LocalEnd, host: str) -> bool:
    """Whether a host is this daemon.

    Own names are ``server_name``, the names and addresses in certificates of the listener, and the
    address that the client connected to; ``localhost`` too if that address is loopback.

    :param host: as in a URL without the port: a name, an IPv4 address, or an IPv6 address in
        brackets.
    """
    address = _address(host)
    certificates = connection.listener_certificates
    if address is not None:
        own = _own_address(connection)
        return address == own or (certificates is not None and certificates.has_address(address))
    name = host.lower().removesuffix(".")
    if name == connection.server_name.lower():
        return True
    if certificates is not None and certificates.has_name(name):
        return True
    own = _own_address(connection)
    return name == "localhost" and own is not None and own.is_loopback


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        return plain_address(bare)
    except ValueError:
        return None


def _own_address(connection: Any) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the local address; ``None`` on a UNIX socket or a closed connection."""
    try:
        host = getattr(connection.getHost(), "host", None)
        return None if host is None else plain_address(host.partition("%")[0])
    except (OSError, ValueError):
        return None
