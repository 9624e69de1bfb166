"""Parses a SYN as Linux saves it: headers only, from the link layer or from IP on.

Sources: IEEE 802.3 and 802.1Q (link layer), RFC 9293 section 3.1 (TCP), RFC 9768 (the AE bit).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntFlag
from typing import TypeVar

from tcpd.handshake.internet import IPv4Header, IPv6Header, PacketError, parse_ip
from tcpd.handshake.tcp_options import TCPOption, parse_options

__all__ = [
    "Ethernet",
    "IPv4Header",
    "IPv6Header",
    "PacketError",
    "SavedSyn",
    "TcpFlags",
    "TcpHeader",
    "Vlan",
    "parse_saved_syn",
]

_VERSIONS = {0x0800: 4, 0x86DD: 6}
#: The EtherTypes of VLAN tags: 802.1Q, 802.1ad, and the latter's predecessor.
_TAGS = frozenset({0x8100, 0x88A8, 0x9100})
_OptionType = TypeVar("_OptionType", bound=TCPOption)


class TcpFlags(IntFlag):
    """The control bits of a TCP header, RFC 9293 section 3.1; AE is RFC 9768's."""

    FIN = 0x001
    SYN = 0x002
    RST = 0x004
    PSH = 0x008
    ACK = 0x010
    URG = 0x020
    ECE = 0x040
    CWR = 0x080
    AE = 0x100


@dataclass(frozen=True, slots=True)
class Vlan:
    """An 802.1Q tag.

    :ivar protocol: 0x8100, or 0x88A8 for an outer one.
    :ivar priority: PCP, 0 to 7.
    :ivar drop_eligible: DEI.
    :ivar number: VID, 0 to 4095.
    """

    protocol: int
    priority: int
    drop_eligible: bool
    number: int


@dataclass(frozen=True, slots=True)
class Ethernet:
    """An Ethernet header.

    :ivar destination: MAC address, as ``02:00:5e:00:53:01``.
    :ivar source: MAC address of the client, or of the last router.
    :ivar vlans: VLAN tags, the outer one first; mostly empty, since the kernel removes them.
    :ivar ethertype: 0x0800 or 0x86DD.
    """

    destination: str
    source: str
    vlans: tuple[Vlan, ...]
    ethertype: int


@dataclass(frozen=True, slots=True)
class TcpHeader:
    """A TCP header (RFC 9293 section 3.1).

    :ivar sequence_number: unsigned, 32 bits; in a SYN, the initial sequence number (ISN).
    :ivar acknowledgment_number: unsigned, 32 bits; meaningless if ACK is not set.
    :ivar reserved: the three bits between data offset and control bits that must be zero.
    :ivar window: unscaled; a SYN's is never scaled (RFC 7323 section 2.2).
    :ivar checksum: not valid on loopback or with checksum offload.
    """

    source_port: int
    destination_port: int
    sequence_number: int
    acknowledgment_number: int
    reserved: int
    flags: TcpFlags
    window: int
    checksum: int
    urgent_pointer: int
    options: tuple[TCPOption, ...]

    @property
    def header_length(self) -> int:
        """The data offset in bytes, 20 to 60."""
        return 20 + sum(option.length for option in self.options)

    def option(self, kind: type[_OptionType]) -> _OptionType | None:
        """Return the last option of a class, or ``None``. Linux uses the last one too
        (``tcp_parse_options``)."""
        found = (option for option in reversed(self.options) if isinstance(option, kind))
        return next(found, None)


@dataclass(frozen=True, slots=True)
class SavedSyn:
    """The headers of a SYN.

    :ivar link: ``None`` if not saved, or if the interface has no link layer, such as a tunnel.
    :ivar raw: the bytes as the kernel saved them.
    """

    link: Ethernet | None
    network: IPv4Header | IPv6Header
    transport: TcpHeader
    raw: bytes

    @property
    def data_length(self) -> int:
        """Bytes of data in the SYN (RFC 7413); the data is not saved."""
        headers = self.network.header_length + self.transport.header_length
        return max(0, self.network.packet_length - headers)


def parse_saved_syn(data: bytes, link_layer: bool = False) -> SavedSyn:
    """Parse the result of ``getsockopt(TCP_SAVED_SYN)``, which is exactly the headers.

    :param data: the whole result.
    :param link_layer: whether the listening socket's TCP_SAVE_SYN was 2, so that the link-layer
        header comes first. Without a link layer (a tunnel) it starts with IP nevertheless.
    :raise PacketError: if these are not the headers of a TCP packet.
    """
    if not link_layer:
        return SavedSyn(None, *_parse_from_ip(data), data)
    try:
        link, size = _parse_ethernet(data)
        return SavedSyn(link, *_parse_from_ip(data[size:]), data)
    except PacketError as error:
        try:
            return SavedSyn(None, *_parse_from_ip(data), data)
        except PacketError:
            raise error from None


def _parse_ethernet(data: bytes) -> tuple[Ethernet, int]:
    vlans = []
    at = 12
    while True:
        if len(data) < at + 2:
            raise PacketError(f"{len(data)} bytes are too few for an Ethernet header")
        ethertype = int.from_bytes(data[at : at + 2], "big")
        if ethertype not in _TAGS:
            break
        control = int.from_bytes(data[at + 2 : at + 4], "big")
        vlans.append(Vlan(ethertype, control >> 13, bool(control & 0x1000), control & 0xFFF))
        at += 4
    at += 2
    if ethertype not in _VERSIONS:
        raise PacketError(f"Ethernet type {ethertype:#06x} is neither IPv4 nor IPv6")
    if data[at : at + 1] and data[at] >> 4 != _VERSIONS[ethertype]:
        raise PacketError(f"Ethernet type {ethertype:#06x} before IP version {data[at] >> 4}")
    return Ethernet(data[:6].hex(":"), data[6:12].hex(":"), tuple(vlans), ethertype), at


def _parse_from_ip(data: bytes) -> tuple[IPv4Header | IPv6Header, TcpHeader]:
    network = parse_ip(data)
    return network, _parse_tcp(data[network.header_length :])


def _parse_tcp(data: bytes) -> TcpHeader:
    if len(data) < 20:
        raise PacketError(f"{len(data)} bytes are too few for a TCP header")
    source, destination, sequence, acknowledgment, bits, window, checksum, urgent = struct.unpack(
        "!HHIIHHHH", data[:20]
    )
    length = (bits >> 12) * 4
    # exact, so that a link-layer header is never mistaken for IP
    if length < 20 or length != len(data):
        raise PacketError(f"a TCP header of {length} bytes in {len(data)}")
    return TcpHeader(
        source_port=source,
        destination_port=destination,
        sequence_number=sequence,
        acknowledgment_number=acknowledgment,
        reserved=bits >> 9 & 7,
        flags=TcpFlags(bits & 0x1FF),
        window=window,
        checksum=checksum,
        urgent_pointer=urgent,
        options=parse_options(data[20:]),
    )
