"""By which names the daemon knows itself on a connection: what a client says it connected to may be
a name of somebody else that leads here (DNS rebinding)."""

from __future__ import annotations

import ipaddress
from typing import Any, Protocol

from tcpd.net.tls import Certificates
from tcpd.policy.addresses import plain_address


class Reached(Protocol):
    """A connection, as far as the daemon has a name on it."""

    __slots__ = ()

    @property
    def listener_certificates(self) -> Certificates | None:
        """Those of its listener; ``None`` where that does not begin with TLS."""

    @property
    def server_name(self) -> str:
        """By which the daemon knows itself."""

    def getHost(self) -> Any:
        """See :class:`twisted.internet.interfaces.ITransport`."""


def is_own(connection: Reached, host: str) -> bool:
    """Whether a host is the daemon: ``server_name``, a name or an address in a certificate of the
    listener, the address that the client connected to, or ``localhost`` where that is loopback.

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
    """The address of our end; ``None`` on a UNIX socket, or where the connection is gone."""
    try:
        host = getattr(connection.getHost(), "host", None)
        return None if host is None else plain_address(host.partition("%")[0])
    except (OSError, ValueError):
        return None
