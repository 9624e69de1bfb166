"""Writer of PROXY protocol headers.

Source: HAProxy's proxy-protocol.txt, sections 2.1 (version 1, a line of text) and 2.2 (version 2,
binary).
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

#: The 14th byte: the address family, and STREAM.
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
class AddressPair:
    """The addresses of a TCP connection.

    :ivar source: the client's address.
    :ivar source_port: 0 to 65535.
    :ivar destination: the address that the client connected to.
    :ivar destination_port: 0 to 65535.
    """

    source: IPAddress
    source_port: int
    destination: IPAddress
    destination_port: int


@dataclass(frozen=True, slots=True)
class ClientTLS:
    """The TLS of a client's connection.

    :ivar version: e.g. ``TLSv1.3``.
    :ivar cipher: OpenSSL's name.
    :ivar verified: whether the client presented a certificate that was verified.
    :ivar common_name: the common name of that certificate's subject; ``None`` without one.
    """

    version: str
    cipher: str
    verified: bool = False
    common_name: str | None = None


def version_1(addresses: AddressPair | None) -> bytes:
    """Return the header line of version 1.

    :param addresses: ``None`` if the client has no IP address: section 2.1 reports that as
        ``UNKNOWN``, and "the rest of the line before the CRLF may be omitted".
    :return: at most 104 bytes.
    """
    if addresses is None:
        return b"PROXY UNKNOWN\r\n"
    source, destination = _same_family(addresses)
    return (
        f"PROXY TCP{source.version} {_text(source)} {_text(destination)} "
        f"{addresses.source_port} {addresses.destination_port}\r\n"
    ).encode("ascii")


def version_2(
    addresses: AddressPair | None,
    *,
    authority: str | None = None,
    unique_id: bytes | None = None,
    tls: ClientTLS | None = None,
) -> bytes:
    """Return the binary header of version 2.

    :param addresses: ``None`` if the client has no IP address: the command then is ``LOCAL``,
        which "should not present any address", without TLVs.
    :param authority: the host name that the client requested (SNI).
    :param unique_id: a previous proxy's id of the connection, at most 128 bytes.
    :param tls: the client's TLS; ``None`` without TLS.
    :raise ValueError: if the id is too long.
    """
    if addresses is None:
        return _SIGNATURE + struct.pack("!BBH", _LOCAL, 0, 0)
    source, destination = _same_family(addresses)
    rest = [
        source.packed,
        destination.packed,
        struct.pack("!HH", addresses.source_port, addresses.destination_port),
    ]
    if authority:
        rest.append(_tlv(_AUTHORITY, authority.encode("utf-8", "backslashreplace")))
    if unique_id:
        if len(unique_id) > _LONGEST_ID:
            raise ValueError(f"the id has {len(unique_id)} bytes, more than {_LONGEST_ID}")
        rest.append(_tlv(_UNIQUE_ID, unique_id))
    if tls is not None:
        rest.append(_tlv(_SSL, _client_tls(tls)))
    body = b"".join(rest)
    family = _TCP4 if source.version == 4 else _TCP6
    return _SIGNATURE + struct.pack("!BBH", _PROXY, family, len(body)) + body


def _client_tls(tls: ClientTLS) -> bytes:
    """Section 2.2.6: the field ``verify`` is 0 only for a verified certificate."""
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


def _same_family(addresses: AddressPair) -> tuple[IPAddress, IPAddress]:
    """Both addresses, as IPv6 if one is (RFC 4291 section 2.5.5.2)."""
    source, destination = addresses.source, addresses.destination
    if source.version != destination.version:
        source, destination = _as_ipv6(source), _as_ipv6(destination)
    return source, destination


def _as_ipv6(address: IPAddress) -> IPv6Address:
    if isinstance(address, IPv6Address):
        return address
    return IPv6Address(b"\x00" * 10 + b"\xff\xff" + address.packed)


def _text(address: IPAddress) -> str:
    """The form of section 2.1: groups of hexadecimal digits, without a zone or dots."""
    if isinstance(address, IPv4Address):
        return str(address)
    return ":".join(f"{group:x}" for group in struct.unpack("!8H", address.packed))
