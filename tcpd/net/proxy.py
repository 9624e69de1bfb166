"""The PROXY protocol: trusted proxies, and the content of a header."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress

from tcpd.config.listen import TrustedProxies
from tcpd.net.address import format_address, unmap_ipv4
from tcpd.policy.addresses import IPAddress
from tcpd.policy.admission import Networks
from tcpd.wire.proxy import Header
from tcpd.wire.proxy_header import ClientTLS
from tcpd.wire.safe_text import escape_controls


class Proxies:
    """The proxies that a listener trusts.

    :param trusted: the value of ``proxy=`` in the ini file.
    """

    __slots__ = ("_networks", "_unix")

    def __init__(self, trusted: TrustedProxies) -> None:
        # an empty Networks allows every address
        self._networks = Networks(trusted.networks, ()) if trusted.networks else None
        self._unix = trusted.unix

    def trusts(self, address: IPAddress | None) -> bool:
        """Whether a proxy is trusted.

        :param address: the peer's; ``None`` on a UNIX socket.
        """
        if address is None:
            return self._unix
        return self._networks is not None and self._networks.allows(address)


@dataclass(frozen=True, slots=True)
class ProxyFacts:
    """The content of a PROXY header. The texts are unescaped input from the proxy.

    :ivar version: the version of the protocol, 1 or 2.
    :ivar address: the proxy's own address.
    :ivar local: whether the command is LOCAL: a connection of the proxy itself, such as a health
        check.
    :ivar host: the address that the client connected to; ``None`` if the header has none.
    :ivar authority: PP2_TYPE_AUTHORITY, the SNI of the client, or ``None``.
    :ivar unique_id: PP2_TYPE_UNIQUE_ID, at most 128 bytes of any value, or ``None``.
    :ivar alpn: PP2_TYPE_ALPN, bytes of any value, or ``None``.
    :ivar ssl: PP2_TYPE_SSL: the TLS between client and proxy, or ``None``.
    """

    version: int
    address: IAddress
    local: bool
    host: IPv4Address | IPv6Address | None
    authority: str | None
    unique_id: bytes | None
    alpn: bytes | None
    ssl: ClientTLS | None

    @property
    def shown_id(self) -> str | None:
        """The unique id, escaped for display; bytes that are not UTF-8 become ``\\xNN``."""
        if self.unique_id is None:
            return None
        return escape_controls(self.unique_id.decode("utf-8", "backslashreplace"))

    def to_json(self) -> dict[str, Any]:
        """Return the content for JSON, escaped for display."""
        ssl = self.ssl
        return {
            "address": format_address(self.address),
            "version": self.version,
            "local": self.local,
            "unique_id": self.shown_id,
            "authority": _safe(self.authority),
            "tls": ssl
            and {
                "version": _safe(ssl.version),
                "cipher": _safe(ssl.cipher),
                "verified": ssl.verified,
                "common_name": _safe(ssl.common_name),
            },
        }

    def __str__(self) -> str:
        """Return the content in one line, escaped for display."""
        words = [f"proxy {format_address(self.address)}"]
        if self.local:
            words.append("local")
        if self.unique_id is not None:
            words.append(f"id {self.shown_id}")
        if self.authority is not None:
            words.append(f"name {escape_controls(self.authority)}")
        if self.ssl is not None:
            words.append(escape_controls(f"{self.ssl.version} {self.ssl.cipher}").strip())
            if self.ssl.verified:
                words.append(f"verified {escape_controls(self.ssl.common_name or '')}".rstrip())
        return " ".join(words)


def _safe(text: str | None) -> str | None:
    return None if text is None else escape_controls(text)


def facts_of(header: Header, proxy: IAddress) -> tuple[ProxyFacts, IAddress | None]:
    """Return the facts of a header.

    :param proxy: the proxy's own address.
    :return: the facts, and the client's address, which is ``None`` if the header has none.
    """
    source: IPv4Address | IPv6Address | None = None
    host: IPv4Address | IPv6Address | None = None
    addresses = header.addresses
    if addresses is not None:
        source = _endpoint_address(addresses.source, addresses.source_port)
        host = _endpoint_address(addresses.destination, addresses.destination_port)
    facts = ProxyFacts(
        version=header.version,
        address=proxy,
        local=header.local,
        host=host,
        authority=header.authority,
        unique_id=header.unique_id,
        alpn=header.alpn,
        ssl=header.tls,
    )
    return facts, source


def _endpoint_address(address: IPAddress, port: int) -> IPv4Address | IPv6Address:
    plain = unmap_ipv4(
        IPv4Address("TCP", str(address), port)
        if address.version == 4
        else IPv6Address("TCP", str(address), port)
    )
    assert isinstance(plain, IPv4Address | IPv6Address)
    return plain
