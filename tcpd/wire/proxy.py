"""Parser of PROXY protocol headers.

Source: HAProxy's proxy-protocol.txt, sections 2.1 (version 1, a line of text) and 2.2 (version 2,
binary). The result does not depend on how the stream is segmented. An error is raised at the first
invalid byte: "It is recommended to abort the connection as soon as possible" (section 2.1).
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address

from tcpd.wire.proxy_header import AddressPair, ClientTLS

#: Section 2.1: "If the CRLF sequence is not found in the first 107 characters, the receiver should
#: declare the line invalid."
LONGEST_LINE = 107

#: The maximum length field of version 2 that is accepted, in bytes. The field allows 65,535, but
#: "this block is always smaller than an MSS" (section 2.2).
MAX_LENGTH = 4096

#: Section 2.2: "a constant 12 bytes block containing the protocol signature".
_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_LINE = b"PROXY "
_FIXED = 16

_LOCAL = 0
_PROXY = 1

#: The size of the addresses in bytes, by the high half of the 14th byte: AF_UNSPEC, AF_INET,
#: AF_INET6, AF_UNIX; and the number of values of the low half: UNSPEC, STREAM, DGRAM.
_ADDRESS_SIZES = (0, 12, 36, 216)
_TRANSPORTS = 3
_TCP4 = 0x11
_TCP6 = 0x21

#: The registered types of TLVs that are parsed (section 2.2).
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
_IPV6 = re.compile(r"[0-9A-Fa-f:.]+")  # dots, as HAProxy writes ::ffff:192.0.2.1


class HeaderFault(StrEnum):
    """Why a header is invalid: stable words for logs."""

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
        """A description, without a full stop."""
        return _SENTENCES[self]


_SENTENCES = {
    HeaderFault.NO_HEADER: "the first bytes are not those of a PROXY header",
    HeaderFault.LINE_TOO_LONG: f"the line has no CRLF in its first {LONGEST_LINE} bytes",
    HeaderFault.LINE: "the line does not have the five fields of version 1",
    HeaderFault.ADDRESS: "an address in the line is not one of the line's family",
    HeaderFault.PORT: "a port in the line is not a number from 0 to 65535",
    HeaderFault.VERSION: "its version is not 1 or 2",
    HeaderFault.COMMAND: "its command is not LOCAL or PROXY",
    HeaderFault.FAMILY: "its family or protocol is not one of version 2",
    HeaderFault.TOO_LONG: f"its length field exceeds {MAX_LENGTH} bytes",
    HeaderFault.TOO_SHORT: "its length field is too small for its addresses",
    HeaderFault.TLV: "a TLV is truncated, occurs twice, or has a wrong size",
    HeaderFault.UNIQUE_ID: f"its unique id has more than {_LONGEST_ID} bytes",
    HeaderFault.CHECKSUM: "its checksum is wrong",
}


class ProxyError(ValueError):
    """The header is invalid. The message contains none of its bytes, which are untrusted.

    :ivar fault: the reason.
    """

    def __init__(self, fault: HeaderFault) -> None:
        super().__init__(fault.sentence)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Header:
    """A parsed header.

    :ivar version: 1 or 2.
    :ivar addresses: the addresses of the client's connection to the proxy; ``None`` if the
        connection is the proxy's own (``LOCAL``, a health check) or the client has no IP address
        over TCP (``UNKNOWN``, ``AF_UNSPEC``, ``AF_UNIX``, a datagram's). The receiver then is to
        "use the real connection's parameters as if there were no PROXY protocol header on the
        wire".
    :ivar local: whether the command is ``LOCAL``.
    :ivar authority: the host name that the client requested. Bytes that are not UTF-8 are shown as
        ``\\xNN``.
    :ivar unique_id: the proxy's id of the connection, up to 128 arbitrary bytes.
    :ivar alpn: the protocol of the client's TLS (ALPN); arbitrary bytes.
    :ivar tls: the client's TLS; ``None`` without TLS, or if the header does not contain it.
    """

    version: int
    addresses: AddressPair | None = None
    local: bool = False
    authority: str | None = None
    unique_id: bytes | None = None
    alpn: bytes | None = None
    tls: ClientTLS | None = None


class HeaderReader:
    """Collects the start of a stream until the header is complete.

    It buffers at most :data:`LONGEST_LINE`, or 16 bytes and :data:`MAX_LENGTH`, and the last chunk.

    :ivar rest: the bytes after the complete header.
    """

    __slots__ = ("_held", "rest")

    def __init__(self) -> None:
        self._held = bytearray()
        self.rest = b""

    @property
    def begun(self) -> bool:
        """Whether a part of a header was received."""
        return bool(self._held)

    def feed(self, data: bytes) -> Header | None:
        """Feed the next bytes. Must not be called after a header or an error.

        :return: ``None`` while the header is incomplete.
        :raise ProxyError: if the header is invalid.
        """
        held = self._held
        held += data
        size = _size(held)
        if size is None:
            return None
        header = bytes(held[:size])
        self.rest = bytes(held[size:])
        held.clear()
        if header[0] == _LINE[0]:
            return _read_line(header)
        return _read_binary(header)


def _size(held: bytearray) -> int | None:
    """Return the size of a complete header; ``None`` while it is incomplete.

    Each check reads only bytes that have arrived, so an invalid header raises as soon as possible.
    """
    if not held:
        return None
    start = _LINE if held[0] == _LINE[0] else _SIGNATURE
    if held[: len(start)] != start[: len(held)]:
        raise ProxyError(HeaderFault.NO_HEADER)
    if start is _LINE:
        end = held.find(b"\r\n", 0, LONGEST_LINE)
        if end >= 0:
            return end + 2
        if len(held) >= LONGEST_LINE:
            raise ProxyError(HeaderFault.LINE_TOO_LONG)
        return None
    # "The highest four bits contains the version ... the receiver must only accept this value",
    # "Receivers must drop connections presenting unexpected values here"
    if len(held) > 12:
        if held[12] >> 4 != 2:
            raise ProxyError(HeaderFault.VERSION)
        if held[12] & 15 not in (_LOCAL, _PROXY):
            raise ProxyError(HeaderFault.COMMAND)
    proxied = len(held) > 12 and held[12] & 15 == _PROXY
    # LOCAL: "discard the protocol block including the family which is ignored"
    if (
        len(held) > 13
        and proxied
        and (held[13] >> 4 >= len(_ADDRESS_SIZES) or held[13] & 15 >= _TRANSPORTS)
    ):
        raise ProxyError(HeaderFault.FAMILY)
    if len(held) < _FIXED:
        return None
    length = held[14] << 8 | held[15]
    if length > MAX_LENGTH:
        raise ProxyError(HeaderFault.TOO_LONG)
    if proxied and held[13] & 15 and length < _ADDRESS_SIZES[held[13] >> 4]:
        raise ProxyError(HeaderFault.TOO_SHORT)
    return _FIXED + length if len(held) >= _FIXED + length else None


def _read_line(line: bytes) -> Header:
    """Section 2.1; ``line`` with its CRLF."""
    # "UNKNOWN": "the receiver must ignore anything presented before the CRLF is found"
    if line.startswith((b"PROXY UNKNOWN ", b"PROXY UNKNOWN\r")):
        return Header(1)
    fields = line[:-2].decode("latin-1").split(" ")
    if len(fields) != 6 or fields[1] not in ("TCP4", "TCP6"):
        raise ProxyError(HeaderFault.LINE)
    _, family, source, destination, source_port, destination_port = fields
    return Header(
        1,
        AddressPair(
            _read_address(family, source),
            _read_port(source_port),
            _read_address(family, destination),
            _read_port(destination_port),
        ),
    )


def _read_address(family: str, text: str) -> IPv4Address | IPv6Address:
    try:
        if family == "TCP4":
            return IPv4Address(text)  # rejects leading zeros
        if _IPV6.fullmatch(text) is None:
            raise ProxyError(HeaderFault.ADDRESS)  # such as a zone
        return IPv6Address(text)
    except ValueError:
        raise ProxyError(HeaderFault.ADDRESS) from None


def _read_port(text: str) -> int:
    if _PORT.fullmatch(text) is None or int(text) > 65535:
        raise ProxyError(HeaderFault.PORT)
    return int(text)


def _read_binary(header: bytes) -> Header:
    """Section 2.2; ``header`` is complete, and its first 16 bytes are valid."""
    if header[12] & 15 == _LOCAL:
        return Header(2, local=True)
    family = header[13]
    size = _ADDRESS_SIZES[family >> 4]
    if not size or not family & 15:
        # UNSPEC: the size of the addresses is unknown, so TLVs cannot be located
        return Header(2)
    addresses: AddressPair | None = None
    if family == _TCP4:
        source, destination, *ports = struct.unpack_from("!4s4sHH", header, _FIXED)
        addresses = AddressPair(IPv4Address(source), ports[0], IPv4Address(destination), ports[1])
    elif family == _TCP6:
        source, destination, *ports = struct.unpack_from("!16s16sHH", header, _FIXED)
        addresses = AddressPair(IPv6Address(source), ports[0], IPv6Address(destination), ports[1])
    # else types that we do not implement "automatically falls back to the UNSPEC mode"
    found = _read_tlvs(header, _FIXED + size, len(header), _READ)
    if _CRC32C in found:
        _verify(header, *found[_CRC32C])
    values = {kind: header[begin:end] for kind, (begin, end) in found.items()}
    unique_id = values.get(_UNIQUE_ID)
    if unique_id is not None and len(unique_id) > _LONGEST_ID:
        raise ProxyError(HeaderFault.UNIQUE_ID)
    return Header(
        2,
        addresses,
        authority=_text(values.get(_AUTHORITY)),
        unique_id=unique_id or None,
        alpn=values.get(_ALPN) or None,
        tls=_read_tls(values[_SSL]) if _SSL in values else None,
    )


def _read_tlvs(
    data: bytes, at: int, end: int, wanted: frozenset[int]
) -> dict[int, tuple[int, int]]:
    """Locate the values of the wanted types. A repeated type is ambiguous, so it is an error."""
    found: dict[int, tuple[int, int]] = {}
    while at < end:
        if at + 3 > end:
            raise ProxyError(HeaderFault.TLV)
        kind = data[at]
        begin = at + 3
        at = begin + (data[at + 1] << 8 | data[at + 2])
        if at > end or kind in found:
            raise ProxyError(HeaderFault.TLV)
        if kind in wanted:
            found[kind] = begin, at
    return found


def _read_tls(value: bytes) -> ClientTLS | None:
    """Section 2.2.6."""
    if len(value) < 5:
        raise ProxyError(HeaderFault.TLV)
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
        raise ProxyError(HeaderFault.TLV)
    expected = int.from_bytes(header[begin:end], "big")
    if crc32c(header[:begin] + bytes(4) + header[end:]) != expected:
        raise ProxyError(HeaderFault.CHECKSUM)


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

    A header of 60 bytes takes about 12 microseconds, and few proxies send the checksum, so this
    needs no dependency.
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF
