"""Writes the header of the PROXY protocol, which tells a server who its client really is.

The source is proxy-protocol.txt of HAProxy, sections 2.1 (version 1, a line of text) and 2.2
(version 2, binary).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

IPAddress = IPv4Address | IPv6Address

#: Section 2.2: "a constant 12 bytes block containing the protocol signature".
_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"

#: The 13th byte: version 2, and the command.
_LOCAL = 0x20
_PROXY = 0x21

#: The 14th byte: the family of the addresses, and a stream of bytes.
_TCP4 = 0x11
_TCP6 = 0x21

#: Section 2.2, the registered types of TLVs.
_AUTHORITY = 0x02
_UNIQUE_ID = 0x05
_SSL = 0x20
_SSL_VERSION = 0x21
_SSL_CN = 0x22
_SSL_CIPHER = 0x23

#: Section 2.2.6: bits of the field ``client``.
_CLIENT_SSL = 0x01
_CLIENT_CERT_CONN = 0x02
_CLIENT_CERT_SESS = 0x04

#: Section 2.2.5: "an opaque byte sequence of up to 128 bytes".
_LONGEST_ID = 128


@dataclass(frozen=True, slots=True)
class Ends:
    """The two ends of a TCP connection.

    :ivar source: the client's address.
    :ivar source_port: 0 to 65535.
    :ivar destination: the address that it connected to.
    :ivar destination_port: 0 to 65535.
    """

    source: IPAddress
    source_port: int
    destination: IPAddress
    destination_port: int


@dataclass(frozen=True, slots=True)
class ClientTLS:
    """What the client's TLS was.

    :ivar version: e.g. ``TLSv1.3``.
    :ivar cipher: by OpenSSL's name.
    :ivar verified: whether it showed a certificate and that was verified.
    :ivar common_name: of that certificate's subject; ``None`` if it has none.
    """

    version: str
    cipher: str
    verified: bool = False
    common_name: str | None = None


def version_1(ends: Ends | None) -> bytes:
    """The line of version 1.

    :param ends: ``None`` where the client has no IP address: section 2.1 reports that as
        ``UNKNOWN``, and "the rest of the line before the CRLF may be omitted".
    :return: at most 104 bytes.
    """
    if ends is None:
        return b"PROXY UNKNOWN\r\n"
    source, destination = _same_family(ends)
    return (
        f"PROXY TCP{source.version} {_text(source)} {_text(destination)} "
        f"{ends.source_port} {ends.destination_port}\r\n"
    ).encode("ascii")


def version_2(
    ends: Ends | None,
    *,
    authority: str | None = None,
    unique_id: bytes | None = None,
    tls: ClientTLS | None = None,
) -> bytes:
    """The binary header of version 2.

    :param ends: ``None`` where the client has no IP address: the header then says ``LOCAL``, which
        "should not present any address", and nothing else.
    :param authority: the name that the client asked for (SNI).
    :param unique_id: what a proxy before us calls the connection, at most 128 bytes.
    :param tls: how the client came; ``None`` in the clear.
    :return: 16 bytes and what they announce.
    :raise ValueError: for an identifier that is too long.
    """
    if ends is None:
        return _SIGNATURE + struct.pack("!BBH", _LOCAL, 0, 0)
    source, destination = _same_family(ends)
    rest = [
        source.packed,
        destination.packed,
        struct.pack("!HH", ends.source_port, ends.destination_port),
    ]
    if authority:
        rest.append(_tlv(_AUTHORITY, authority.encode("utf-8", "backslashreplace")))
    if unique_id:
        if len(unique_id) > _LONGEST_ID:
            raise ValueError(f"an identifier of {len(unique_id)} bytes; {_LONGEST_ID} is the most")
        rest.append(_tlv(_UNIQUE_ID, unique_id))
    if tls is not None:
        rest.append(_tlv(_SSL, _client_tls(tls)))
    body = b"".join(rest)
    family = _TCP4 if source.version == 4 else _TCP6
    return _SIGNATURE + struct.pack("!BBH", _PROXY, family, len(body)) + body


def _client_tls(tls: ClientTLS) -> bytes:
    """Section 2.2.6: the field ``verify`` is 0 only for a certificate that was verified."""
    flags = _CLIENT_SSL
    if tls.verified:
        flags |= _CLIENT_CERT_CONN | _CLIENT_CERT_SESS
    value = struct.pack("!BI", flags, 0 if tls.verified else 1)
    value += _tlv(_SSL_VERSION, tls.version.encode("ascii", "backslashreplace"))
    if tls.verified and tls.common_name:
        value += _tlv(_SSL_CN, tls.common_name.encode("utf-8", "backslashreplace"))
    return value + _tlv(_SSL_CIPHER, tls.cipher.encode("ascii", "backslashreplace"))


def _tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


def _same_family(ends: Ends) -> tuple[IPAddress, IPAddress]:
    """Both addresses; where one is IPv6, both (RFC 4291 section 2.5.5.2)."""
    source, destination = ends.source, ends.destination
    if source.version != destination.version:
        source, destination = _as_ipv6(source), _as_ipv6(destination)
    return source, destination


def _as_ipv6(address: IPAddress) -> IPv6Address:
    if isinstance(address, IPv6Address):
        return address
    return IPv6Address(b"\x00" * 10 + b"\xff\xff" + address.packed)


def _text(address: IPAddress) -> str:
    """As section 2.1 wants it: groups of hexadecimal digits, without a zone or dots."""
    if isinstance(address, IPv4Address):
        return str(address)
    return ":".join(f"{group:x}" for group in struct.unpack("!8H", address.packed))
