"""Parses the IPv4 or IPv6 headers of a saved SYN.

Sources: RFC 791 (IPv4), RFC 8200 (IPv6), RFC 6437 (flow label), RFC 2474 (DSCP), RFC 3168 (ECN),
RFC 4302 section 2.2 (the length of an authentication header).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

_TCP = 6

_FRAGMENT, _AUTHENTICATION = 44, 51
_EXTENSIONS = {
    0: "hop-by-hop options",
    43: "routing",
    _FRAGMENT: "fragment",
    _AUTHENTICATION: "authentication",
    60: "destination options",
    135: "mobility",
    139: "host identity",
    140: "shim6",
}


class PacketError(ValueError):
    """The bytes are not the headers of a TCP packet; the message says why."""


@dataclass(frozen=True, slots=True)
class IPv4Header:
    """An IPv4 header (RFC 791 section 3.1), with the DSCP (RFC 2474) and ECN (RFC 3168) fields.

    :ivar dscp: 0 to 63.
    :ivar ecn: 0 (not capable), 1 (ECT(1)), 2 (ECT(0)) or 3 (CE).
    :ivar total_length: bytes, header and data (which is not saved).
    :ivar identification: 0 to 65535.
    :ivar reserved: the reserved flag, which must be zero.
    :ivar dont_fragment: DF.
    :ivar more_fragments: MF.
    :ivar fragment_offset: the fragment offset, in units of 8 bytes.
    :ivar ttl: as received.
    :ivar checksum: the checksum of this header.
    :ivar options: undecoded; mostly empty.
    """

    dscp: int
    ecn: int
    total_length: int
    identification: int
    reserved: bool
    dont_fragment: bool
    more_fragments: bool
    fragment_offset: int
    ttl: int
    checksum: int
    source: IPv4Address
    destination: IPv4Address
    options: bytes

    @property
    def header_length(self) -> int:
        """Bytes, 20 to 60."""
        return 20 + len(self.options)

    @property
    def packet_length(self) -> int:
        """Bytes of the packet, headers and data."""
        return self.total_length


@dataclass(frozen=True, slots=True)
class ExtensionHeader:
    """An IPv6 extension header (RFC 8200 section 4).

    :ivar kind: the Next Header value of the header before it.
    :ivar data: the whole header, from its Next Header byte on.
    """

    kind: int
    data: bytes

    @property
    def name(self) -> str:
        """The name, in lower case."""
        return _EXTENSIONS.get(self.kind, f"header {self.kind}")


@dataclass(frozen=True, slots=True)
class IPv6Header:
    """An IPv6 header (RFC 8200 section 3), with the DSCP (RFC 2474) and ECN (RFC 3168) fields.

    :ivar dscp: 0 to 63.
    :ivar ecn: 0 (not capable), 1 (ECT(1)), 2 (ECT(0)) or 3 (CE).
    :ivar flow_label: RFC 6437, 20 bits; 0 if the sender sets none.
    :ivar payload_length: bytes after the fixed header, with data (which is not saved).
    :ivar hop_limit: as received.
    :ivar extensions: the extension headers.
    """

    dscp: int
    ecn: int
    flow_label: int
    payload_length: int
    hop_limit: int
    source: IPv6Address
    destination: IPv6Address
    extensions: tuple[ExtensionHeader, ...]

    @property
    def header_length(self) -> int:
        """Bytes, extension headers included."""
        return 40 + sum(len(header.data) for header in self.extensions)

    @property
    def packet_length(self) -> int:
        """Bytes of the packet, headers and data."""
        return 40 + self.payload_length


def _parse_ipv4(data: bytes) -> IPv4Header:
    length = (data[0] & 15) * 4
    if not 20 <= length <= len(data):
        raise PacketError(f"an IPv4 header of {length} bytes in {len(data)}")
    _, service, total, identification, fragment, ttl, protocol, checksum, source, destination = (
        struct.unpack_from("!BBHHHBBH4s4s", data)
    )
    if protocol != _TCP:
        raise PacketError(f"IPv4 protocol {protocol} is not TCP")
    if fragment & 0x1FFF:
        raise PacketError("a later fragment, without a TCP header")
    return IPv4Header(
        dscp=service >> 2,
        ecn=service & 3,
        total_length=total,
        identification=identification,
        reserved=bool(fragment & 0x8000),
        dont_fragment=bool(fragment & 0x4000),
        more_fragments=bool(fragment & 0x2000),
        fragment_offset=0,
        ttl=ttl,
        checksum=checksum,
        source=IPv4Address(source),
        destination=IPv4Address(destination),
        options=data[20:length],
    )


def _parse_ipv6(data: bytes) -> IPv6Header:
    if len(data) < 40:
        raise PacketError(f"{len(data)} bytes are too few for an IPv6 header")
    first, payload, following, hop_limit, source, destination = struct.unpack_from(
        "!IHBB16s16s", data
    )
    extensions = []
    at = 40
    while following in _EXTENSIONS:
        header = ExtensionHeader(following, data[at : at + _extension_length(following, data, at)])
        if following == _FRAGMENT and int.from_bytes(header.data[2:4], "big") >> 3:
            raise PacketError("a later fragment, without a TCP header")
        extensions.append(header)
        following = header.data[0]
        at += len(header.data)
    if following != _TCP:
        raise PacketError(f"IPv6 next header {following} is not TCP")
    return IPv6Header(
        dscp=first >> 22 & 63,
        ecn=first >> 20 & 3,
        flow_label=first & 0xFFFFF,
        payload_length=payload,
        hop_limit=hop_limit,
        source=IPv6Address(source),
        destination=IPv6Address(destination),
        extensions=tuple(extensions),
    )


def _extension_length(kind: int, data: bytes, at: int) -> int:
    if at + 8 > len(data):
        raise PacketError(f"the {_EXTENSIONS[kind]} header is cut off")
    if kind == _FRAGMENT:
        return 8
    # RFC 8200: units of 8 bytes, the first not counted; RFC 4302: units of 4 bytes, minus 2
    length = (data[at + 1] + 2) * 4 if kind == _AUTHENTICATION else (data[at + 1] + 1) * 8
    if at + length > len(data):
        raise PacketError(f"the {_EXTENSIONS[kind]} header is cut off")
    return length


def parse_ip(data: bytes) -> IPv4Header | IPv6Header:
    """Parse the IP headers in front of a TCP header.

    :param data: the packet, from the first byte of the IP header.
    :raise PacketError: if they are malformed, or no TCP header follows.
    """
    version = data[0] >> 4 if data else 0
    if version == 4:
        return _parse_ipv4(data)
    if version == 6:
        return _parse_ipv6(data)
    raise PacketError(f"IP version {version} in a packet of {len(data)} bytes")
