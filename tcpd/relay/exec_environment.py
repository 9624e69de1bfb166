"""The environment variables of a program: those of UCSPI, as tcpserver sets them.

UCSPI (http://cr.yp.to/proto/ucspi.txt) puts the kind of connection into ``PROTO``, which is also
the prefix of the other variables. TCP has those of ucspi-tcp's tcp-environ(5), IPv6 those of
ucspi-tcp6, which sets the names of TCP as well; UNIX sockets those of ucspi-unix; TLS the names of
Apache's mod_ssl, which ucspi-ssl uses too. Names are never looked up in DNS.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from tcpd.config.files import to_system
from tcpd.wire.safe_text import visible

#: Variables inherited from the daemon's environment.
_INHERITED = ("PATH", "LANG", "TZ")

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def clean_environment(
    environ: Mapping[str, str], more: tuple[tuple[str, str], ...]
) -> dict[str, str]:
    """Build the environment that all programs of a service share.

    :param environ: the environment of the daemon.
    :param more: the variables of the service's key ``environment``.
    """
    base = {"PATH": _PATH}
    base |= {name: environ[name] for name in _INHERITED if environ.get(name)}
    return base | dict(more)


def connection_variables(transport: Any, connection: Any, local_name: str) -> dict[str, str]:
    """Build the variables that describe one connection.

    :param transport: has both addresses, from the PROXY header if there was one.
    :param connection: provides :class:`tcpd.interfaces.IConnection`, or ``None``.
    :param local_name: the daemon's server name.
    """
    found = _addresses(transport.getPeer(), transport.getHost(), local_name)
    if connection is None:
        return found
    found |= {"TCPD_SERVICE": connection.service, "TCPD_CONNECTION": connection.id}
    who = connection.credentials
    if who is not None and found["PROTO"] == "UNIX":
        found |= {
            "UNIXREMOTEPID": str(who.pid),
            "UNIXREMOTEEUID": str(who.uid),
            "UNIXREMOTEEGID": str(who.gid),
        }
    if connection.tls is not None:
        found |= _tls(connection.tls)
    return found


def _addresses(peer: Any, host: Any, local_name: str) -> dict[str, str]:
    if isinstance(peer, IPv6Address):
        names = {**_tcp("TCP", peer, host, local_name), **_tcp("TCP6", peer, host, local_name)}
        _, _, zone = peer.host.partition("%")
        return names | {"PROTO": "TCP6"} | ({"TCP6INTERFACE": zone} if zone else {})
    if isinstance(peer, IPv4Address):
        return _tcp("TCP", peer, host, local_name) | {"PROTO": "TCP"}
    found = {"PROTO": "UNIX"}
    name = host.name if isinstance(host, UNIXAddress) else None
    if name:
        path = os.fsdecode(name)
        if not path.startswith("\0"):
            found["UNIXLOCALPATH"] = path
    return found


def _tcp(prefix: str, peer: Any, host: Any, local_name: str) -> dict[str, str]:
    found = {
        f"{prefix}REMOTEIP": peer.host.partition("%")[0],
        f"{prefix}REMOTEPORT": str(peer.port),
        f"{prefix}LOCALHOST": local_name.lower(),
    }
    if isinstance(host, IPv4Address | IPv6Address):
        found[f"{prefix}LOCALIP"] = host.host.partition("%")[0]
        found[f"{prefix}LOCALPORT"] = str(host.port)
    return found


def _tls(facts: Any) -> dict[str, str]:
    found = {"SSL_PROTOCOL": facts.version, "SSL_CIPHER": facts.cipher}
    # escaped: chosen by the peer, and a program may print it
    for name, value in (
        ("SSL_TLS_SNI", facts.server_name),
        ("SSL_CLIENT_S_DN", getattr(facts, "subject", None)),
        ("SSL_CLIENT_FINGERPRINT", getattr(facts, "fingerprint", None)),
    ):
        if value:
            found[name] = to_system(visible(str(value)))
    return found
