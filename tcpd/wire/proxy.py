"""Reads the header of the PROXY protocol, by which a proxy tells whom a connection is for.

The source is proxy-protocol.txt of HAProxy, sections 2.1 (version 1, a line of text) and 2.2
(version 2, binary). However the stream is cut, the result is the same, and what is wrong is told
at the first byte that makes it so wherever that is known before the end: "It is recommended to
abort the connection as soon as possible" (section 2.1).
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address

from tcpd.wire.proxy_header import ClientTLS, Ends

#: Section 2.1: "If the CRLF sequence is not found in the first 107 characters, the receiver should
#: declare the line invalid."
LONGEST_LINE = 107

#: Bytes that a header of version 2 may announce behind its first 16. The length field has room for
#: 65,535, but "this block is always smaller than an MSS" (section 2.2), and names, identifiers and
#: certificates' subjects fit in here many times.
MOST_ANNOUNCED = 4096

#: Section 2.2: "a constant 12 bytes block containing the protocol signature".
_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_LINE = b"PROXY "
_FIXED = 16

_LOCAL = 0
_PROXY = 1

#: Bytes that addresses take, by the high half of the 14th byte: AF_UNSPEC, AF_INET, AF_INET6,
#: AF_UNIX; and what the low half may be: UNSPEC, STREAM, DGRAM.
_ADDRESS_SIZES = (0, 12, 36, 216)
_TRANSPORTS = 3
_TCP4 = 0x11
_TCP6 = 0x21

#: The registered types of TLVs that mean something here (section 2.2).
_ALPN = 0x01
_AUTHORITY = 0x02
_CRC32C = 0x03
_UNIQUE_ID = 0x05
_SSL = 0x20
_READ = frozenset({_ALPN, _AUTHORITY, _CRC32C, _UNIQUE_ID, _SSL})
_SSL_VERSION = 0x21
_SSL_CN = 0x22
_SSL_CIPHER = 0x23
_SSL_READ = frozenset({_SSL_VERSION, _SSL_CN, _SSL_CIPHER})

#: Section 2.2.6: bits of the field ``client``.
_CLIENT_SSL = 0x01
_CLIENT_CERT = 0x02 | 0x04

#: Section 2.2.5: "an opaque byte sequence of up to 128 bytes".
_LONGEST_ID = 128

_PORT = re.compile(r"0|[1-9][0-9]{0,4}")
_IPV6 = re.compile(r"[0-9A-Fa-f:.]+")  # dots, for HAProxy writes ::ffff:192.0.2.1 so


class Fault(StrEnum):
    """What is wrong with a header: stable words for logs."""

    NO_HEADER = "no-header"
    LINE_TOO_LONG = "line-too-long"
    LINE = "line"
    ADDRESS = "address"
    PORT = "port"
    VERSION = "version"
    COMMAND = "command"
    FAMILY = "family"
    TOO_LONG = "too-long"
    TOO_SHORT = "too-short"
    TLV = "tlv"
    UNIQUE_ID = "unique-id"
    CHECKSUM = "checksum"

    @property
    def sentence(self) -> str:
        """For people; no full stop at the end."""
        return _SENTENCES[self]


_SENTENCES = {
    Fault.NO_HEADER: "the first bytes are those of no PROXY header",
    Fault.LINE_TOO_LONG: f"the line has no CRLF in its first {LONGEST_LINE} bytes",
    Fault.LINE: "the line does not have the five fields of version 1",
    Fault.ADDRESS: "an address in the line is none of the family it announces",
    Fault.PORT: "a port in the line is no number from 0 to 65535",
    Fault.VERSION: "its version is neither 1 nor 2",
    Fault.COMMAND: "its command is neither LOCAL nor PROXY",
    Fault.FAMILY: "its family or protocol is none that version 2 has",
    Fault.TOO_LONG: f"it announces more than {MOST_ANNOUNCED} bytes",
    Fault.TOO_SHORT: "it announces fewer bytes than its addresses take",
    Fault.TLV: "a field behind the addresses is cut off, is there twice, or has a wrong size",
    Fault.UNIQUE_ID: f"its unique id has more than {_LONGEST_ID} bytes",
    Fault.CHECKSUM: "its checksum is wrong",
}


class ProxyError(ValueError):
    """A header that is none. What it said is not told: it may be anybody's bytes.

    :ivar fault: what is wrong.
    """

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.sentence)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Header:
    """What a proxy said.

    :ivar version: 1 or 2.
    :ivar ends: of the client's connection to the proxy; ``None`` where the connection is the
        proxy's own (``LOCAL``, a health check) or the client has no IP address over TCP
        (``UNKNOWN``, ``AF_UNSPEC``, ``AF_UNIX``, a datagram's). The receiver then is to "use the
        real connection's parameters as if there were no PROXY protocol header on the wire".
    :ivar local: whether it said ``LOCAL``.
    :ivar authority: the name the client asked for. Bytes that are no UTF-8 are told as ``\\xNN``.
    :ivar unique_id: what the proxy calls the connection, at most 128 bytes of any kind.
    :ivar alpn: what the client and the proxy agreed on; any bytes.
    :ivar tls: how the client came to the proxy; ``None`` in the clear, or where it is not told.
    """

    version: int
    ends: Ends | None = None
    local: bool = False
    authority: str | None = None
    unique_id: bytes | None = None
    alpn: bytes | None = None
    tls: ClientTLS | None = None


class HeaderReader:
    """Takes the beginning of a stream until its header is whole.

    It holds no more than :data:`LONGEST_LINE`, or 16 bytes and :data:`MOST_ANNOUNCED`, and the
    piece that it was given last.

    :ivar rest: what came behind the header; for its receiver, when the header is whole.
    """

    __slots__ = ("_held", "rest")

    def __init__(self) -> None:
        self._held = bytearray()
        self.rest = b""

    @property
    def begun(self) -> bool:
        """Whether there is a part of a header."""
        return bool(self._held)

    def feed(self, data: bytes) -> Header | None:
        """Take what came; not called again once the header is whole or wrong.

        :return: ``None`` while it is not whole.
        :raise ProxyError: if it is none.
        """
        held = self._held
        held += data
        size = _size(held)
        if size is None:
            return None
        whole = bytes(held[:size])
        self.rest = bytes(held[size:])
        held.clear()
        if whole[0] == _LINE[0]:
            return _read_line(whole)
        return _read_binary(whole)


def _size(held: bytearray) -> int | None:
    """How long the header is, ``None`` while it is not whole. Wrong ones raise as soon as can be
    told; each check is of bytes that more of the stream does not change."""
    if not held:
        return None
    start = _LINE if held[0] == _LINE[0] else _SIGNATURE
    if held[: len(start)] != start[: len(held)]:
        raise ProxyError(Fault.NO_HEADER)
    if start is _LINE:
        end = held.find(b"\r\n", 0, LONGEST_LINE)
        if end >= 0:
            return end + 2
        if len(held) >= LONGEST_LINE:
            raise ProxyError(Fault.LINE_TOO_LONG)
        return None
    # "The highest four bits contains the version ... the receiver must only accept this value",
    # "Receivers must drop connections presenting unexpected values here"
    if len(held) > 12:
        if held[12] >> 4 != 2:
            raise ProxyError(Fault.VERSION)
        if held[12] & 15 not in (_LOCAL, _PROXY):
            raise ProxyError(Fault.COMMAND)
    proxied = len(held) > 12 and held[12] & 15 == _PROXY
    # LOCAL: "discard the protocol block including the family which is ignored"
    if (
        len(held) > 13
        and proxied
        and (held[13] >> 4 >= len(_ADDRESS_SIZES) or held[13] & 15 >= _TRANSPORTS)
    ):
        raise ProxyError(Fault.FAMILY)
    if len(held) < _FIXED:
        return None
    announced = held[14] << 8 | held[15]
    if announced > MOST_ANNOUNCED:
        raise ProxyError(Fault.TOO_LONG)
    if proxied and held[13] & 15 and announced < _ADDRESS_SIZES[held[13] >> 4]:
        raise ProxyError(Fault.TOO_SHORT)
    return _FIXED + announced if len(held) >= _FIXED + announced else None


def _read_line(line: bytes) -> Header:
    """Section 2.1; ``line`` with its CRLF."""
    # "UNKNOWN": "the receiver must ignore anything presented before the CRLF is found"
    if line.startswith((b"PROXY UNKNOWN ", b"PROXY UNKNOWN\r")):
        return Header(1)
    fields = line[:-2].decode("latin-1").split(" ")
    if len(fields) != 6 or fields[1] not in ("TCP4", "TCP6"):
        raise ProxyError(Fault.LINE)
    _, family, source, destination, source_port, destination_port = fields
    return Header(
        1,
        Ends(
            _read_address(family, source),
            _read_port(source_port),
            _read_address(family, destination),
            _read_port(destination_port),
        ),
    )


def _read_address(family: str, text: str) -> IPv4Address | IPv6Address:
    try:
        if family == "TCP4":
            return IPv4Address(text)  # which takes no leading zeros either
        if _IPV6.fullmatch(text) is None:
            raise ProxyError(Fault.ADDRESS)  # a zone, for one
        return IPv6Address(text)
    except ValueError:
        raise ProxyError(Fault.ADDRESS) from None


def _read_port(text: str) -> int:
    if _PORT.fullmatch(text) is None or int(text) > 65535:
        raise ProxyError(Fault.PORT)
    return int(text)


def _read_binary(header: bytes) -> Header:
    """Section 2.2; a header whose first 16 bytes are right, and whole."""
    if header[12] & 15 == _LOCAL:
        return Header(2, local=True)
    family = header[13]
    size = _ADDRESS_SIZES[family >> 4]
    if not size or not family & 15:
        # UNSPEC: how long its addresses are, if it has any, is not told, nor where TLVs begin
        return Header(2)
    ends: Ends | None = None
    if family == _TCP4:
        source, destination, *ports = struct.unpack_from("!4s4sHH", header, _FIXED)
        ends = Ends(IPv4Address(source), ports[0], IPv4Address(destination), ports[1])
    elif family == _TCP6:
        source, destination, *ports = struct.unpack_from("!16s16sHH", header, _FIXED)
        ends = Ends(IPv6Address(source), ports[0], IPv6Address(destination), ports[1])
    # else what we do not implement "automatically falls back to the UNSPEC mode"
    found = _read_tlvs(header, _FIXED + size, len(header), _READ)
    if _CRC32C in found:
        _verify(header, *found[_CRC32C])
    values = {kind: header[begin:end] for kind, (begin, end) in found.items()}
    unique_id = values.get(_UNIQUE_ID)
    if unique_id is not None and len(unique_id) > _LONGEST_ID:
        raise ProxyError(Fault.UNIQUE_ID)
    return Header(
        2,
        ends,
        authority=_text(values.get(_AUTHORITY)),
        unique_id=unique_id or None,
        alpn=values.get(_ALPN) or None,
        tls=_read_tls(values[_SSL]) if _SSL in values else None,
    )


def _read_tlvs(
    data: bytes, at: int, end: int, wanted: frozenset[int]
) -> dict[int, tuple[int, int]]:
    """Where the values of the wanted types are. Of two of a type nobody could say which holds."""
    found: dict[int, tuple[int, int]] = {}
    while at < end:
        if at + 3 > end:
            raise ProxyError(Fault.TLV)
        kind = data[at]
        begin = at + 3
        at = begin + (data[at + 1] << 8 | data[at + 2])
        if at > end or kind in found:
            raise ProxyError(Fault.TLV)
        if kind in wanted:
            found[kind] = begin, at
    return found


def _read_tls(value: bytes) -> ClientTLS | None:
    """Section 2.2.6."""
    if len(value) < 5:
        raise ProxyError(Fault.TLV)
    flags, verify = struct.unpack_from("!BI", value)
    found = _read_tlvs(value, 5, len(value), _SSL_READ)
    if not flags & _CLIENT_SSL:
        return None
    texts = {kind: _text(value[begin:end]) for kind, (begin, end) in found.items()}
    return ClientTLS(
        texts.get(_SSL_VERSION) or "",
        texts.get(_SSL_CIPHER) or "",
        # HAProxy's verify is 0 for a client without a certificate too
        verified=verify == 0 and bool(flags & _CLIENT_CERT),
        common_name=texts.get(_SSL_CN),
    )


def _text(value: bytes | None) -> str | None:
    return value.decode("utf-8", "backslashreplace") if value else None


def _verify(header: bytes, begin: int, end: int) -> None:
    """Section 2.2.3: "replace the 32 bits of the checksum field in the received PROXY header with
    all '0's and calculate a CRC32c checksum value of the whole PROXY header"."""
    if end - begin != 4:
        raise ProxyError(Fault.TLV)
    told = int.from_bytes(header[begin:end], "big")
    if crc32c(header[:begin] + bytes(4) + header[end:]) != told:
        raise ProxyError(Fault.CHECKSUM)


def _make_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_TABLE = _make_table()


def crc32c(data: bytes) -> int:
    """The checksum of RFC 4960 appendix B (Castagnoli's polynomial).

    A table of 256 numbers, for few proxies send it and a header is short: 60 bytes take some 12
    microseconds, which no dependency is worth.
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF
