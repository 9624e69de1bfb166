"""The packet of a SYN, as Linux saves it: headers only, from the link layer or from IP on.

Sources: IEEE 802.3 and 802.1Q (link layer), RFC 9293 section 3.1 (TCP), RFC 9768 (the AE bit).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntFlag
from typing import TypeVar

from tcpd.handshake.internet import IPv4Header, IPv6Header, PacketError, parse_ip
from tcpd.handshake.tcp_options import Option, parse_options

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
#: Tags in front of the type: 802.1Q, 802.1ad, and what was used before the latter.
_TAGS = frozenset({0x8100, 0x88A8, 0x9100})
_OptionType = TypeVar("_OptionType", bound=Option)


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
    """The header of the link layer.

    :ivar destination: MAC address, as ``02:00:5e:00:53:01``.
    :ivar source: likewise: the station or router that sent this on the last link.
    :ivar vlans: tags that the kernel left in the frame, the outer one first; it mostly takes them
        off before.
    :ivar ethertype: 0x0800 or 0x86DD.
    """

    destination: str
    source: str
    vlans: tuple[Vlan, ...]
    ethertype: int


@dataclass(frozen=True, slots=True)
class TcpHeader:
    """RFC 9293 section 3.1.

    :ivar sequence_number: unsigned, 32 bits; of a SYN it is the initial sequence number (ISN).
    :ivar acknowledgment_number: unsigned, 32 bits; without meaning where ACK is not set.
    :ivar reserved: the three bits between data offset and control bits that still must be zero.
    :ivar window: as it stands in the header; a SYN's is never scaled (RFC 7323 section 2.2).
    :ivar checksum: on one machine, or from a network card that computes it, not a real one.
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
    options: tuple[Option, ...]

    @property
    def header_length(self) -> int:
        """Bytes, 20 to 60: the data offset."""
        return 20 + sum(option.length for option in self.options)

    def option(self, kind: type[_OptionType]) -> _OptionType | None:
        """The option of a class, ``None`` if there is none. Of several the last one counts, as it
        does for Linux (``tcp_parse_options``)."""
        found = (option for option in reversed(self.options) if isinstance(option, kind))
        return next(found, None)


@dataclass(frozen=True, slots=True)
class SavedSyn:
    """The headers of a SYN.

    :ivar link: ``None`` where it was not asked for or the interface has none, such as a tunnel.
    :ivar raw: all the bytes, for who wants to look closer.
    """

    link: Ethernet | None
    network: IPv4Header | IPv6Header
    transport: TcpHeader
    raw: bytes

    @property
    def data_length(self) -> int:
        """Bytes of data that the SYN carried (RFC 7413); they are not saved."""
        headers = self.network.header_length + self.transport.header_length
        return max(0, self.network.packet_length - headers)


def parse_saved_syn(data: bytes, link_layer: bool = False) -> SavedSyn:
    """Read what ``getsockopt(TCP_SAVED_SYN)`` gives. The kernel saves exactly the headers.

    :param data: all that it gave.
    :param link_layer: whether the listening socket's TCP_SAVE_SYN was 2, so that the header of the
        link layer comes first. An interface that has none (a tunnel) gives IP all the same.
    :raise PacketError: for anything else.
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
    # exact, so that a link-layer header is never taken for something else
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
