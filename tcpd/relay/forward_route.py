"""The endpoint that ``forward`` connects to, and the PROXY header that it sends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography.x509 import Name
from cryptography.x509.oid import NameOID
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    UNIXClientEndpoint,
)

from tcpd.interfaces import IConnection
from tcpd.net.lookups import Lookups
from tcpd.net.names import NameEndpoint
from tcpd.net.tls import TLSFacts
from tcpd.policy.addresses import plain_address
from tcpd.relay.forward_settings import ForwardSettings, expected_name
from tcpd.relay.forward_tls import FarTLS
from tcpd.relay.target import Target, UnixPath
from tcpd.wire.proxy_header import AddressPair, ClientTLS, version_1, version_2


@dataclass(frozen=True, slots=True)
class Route:
    """How a service connects to its far side.

    :ivar to: the address in the configuration.
    :ivar endpoint: an IStreamClientEndpoint.
    :ivar timeout: seconds for connecting.
    :ivar tls: the TLS settings; ``None`` in the clear.
    :ivar header: makes the PROXY header from a client's transport.
    """

    to: Target
    endpoint: Any
    timeout: float
    tls: FarTLS | None
    header: Callable[[Any], bytes]


def make_route(settings: ForwardSettings, reactor: Any, lookups: Lookups) -> Route:
    """Make the route; reads the certificate files.

    :param reactor: IReactorTCP, IReactorUNIX and IReactorTime.
    :param lookups: the lookups of the service.
    :raise SettingError: for contradicting keys or unusable files.
    """
    name = expected_name(settings)
    tls = FarTLS(name, settings.ca, settings.certificate, settings.key) if name else None
    timeout = settings.connect_timeout
    return Route(
        settings.to,
        _endpoint(settings.to, timeout, reactor, lookups),
        timeout,
        tls,
        _HEADERS[settings.send_proxy],
    )


def _endpoint(to: Target, timeout: float, reactor: Any, lookups: Lookups) -> Any:
    if isinstance(to, UnixPath):
        return UNIXClientEndpoint(reactor, to.path, timeout=timeout)
    address = to.address
    if address is None:
        return NameEndpoint(reactor, to.name, to.port, timeout, lookups)
    make = TCP4ClientEndpoint if address.version == 4 else TCP6ClientEndpoint
    return make(reactor, to.name, to.port, timeout=timeout)


def address_pair(transport: Any) -> AddressPair | None:
    """Return a client's addresses for a PROXY header; ``None`` without IP addresses.

    :param transport: the transport of the client; has the addresses of a received PROXY header, if
        any.
    """
    peer, host = transport.getPeer(), transport.getHost()
    if not isinstance(peer, IPv4Address | IPv6Address) or not isinstance(
        host, IPv4Address | IPv6Address
    ):
        return None
    return AddressPair(plain_address(peer.host), peer.port, plain_address(host.host), host.port)


def _no_header(transport: Any) -> bytes:
    return b""


def _version_1(transport: Any) -> bytes:
    return version_1(address_pair(transport))


def _version_2(transport: Any) -> bytes:
    connection: Any = IConnection(transport, None)
    if connection is None:
        return version_2(address_pair(transport))
    # fields of a received PROXY header are passed on, unless this daemon terminated TLS
    facts, proxy = connection.tls, connection.proxy
    authority = facts.server_name if facts else None
    tls = _client_tls(facts) if facts else None
    if proxy is None:
        return version_2(address_pair(transport), authority=authority, tls=tls)
    return version_2(
        address_pair(transport),
        authority=authority or proxy.authority,
        unique_id=proxy.unique_id,
        tls=tls or proxy.ssl,
    )


def _client_tls(facts: TLSFacts) -> ClientTLS:
    """Convert the facts of a client's TLS; a client certificate has been verified."""
    return ClientTLS(
        facts.version, facts.cipher, facts.fingerprint is not None, common_name(facts.subject)
    )


def common_name(subject: str | None) -> str | None:
    """Return the first common name in a certificate's subject.

    :param subject: the certificate's subject as in RFC 4514, or ``None``.
    :return: ``None`` if there is none, or the subject cannot be parsed.
    """
    if subject is None:
        return None
    try:
        found = Name.from_rfc4514_string(subject).get_attributes_for_oid(NameOID.COMMON_NAME)
    except ValueError:
        return None
    return str(found[0].value) if found else None


_HEADERS: dict[str, Callable[[Any], bytes]] = {
    "none": _no_header,
    "v1": _version_1,
    "v2": _version_2,
}
