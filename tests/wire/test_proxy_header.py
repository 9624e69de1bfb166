"""The writer of PROXY headers, against proxy-protocol.txt sections 2.1 and 2.2."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpd.wire.proxy_header import AddressPair, ClientTLS, version_1, version_2

SIGNATURE = bytes.fromhex("0D0A0D0A000D0A515549540A")


def pair(source: str, source_port: int, destination: str, destination_port: int) -> AddressPair:
    return AddressPair(
        ipaddress.ip_address(source),
        source_port,
        ipaddress.ip_address(destination),
        destination_port,
    )


FOUR = pair("192.168.0.1", 56324, "192.168.0.11", 443)
SIX = pair("2001:db8::1", 4711, "2001:db8::2", 25)

ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))
PORTS = st.integers(0, 65535)
PAIRS = st.builds(AddressPair, ADDRESSES, PORTS, ADDRESSES, PORTS)


def tlvs(block: bytes) -> dict[int, bytes]:
    """Parse TLVs (section 2.2): a byte of type, two of length, the value."""
    found = {}
    while block:
        kind, size = struct.unpack("!BH", block[:3])
        assert len(block) >= 3 + size
        found[kind] = block[3 : 3 + size]
        block = block[3 + size :]
    return found


def test_the_example_of_section_2_1() -> None:
    """``PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\\r\\n``"""
    assert version_1(FOUR) == b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"


def test_version_1_of_ipv6() -> None:
    """ "series of sets of 4 hexadecimal digits (upper or lower case) delimited by colons" """
    assert version_1(SIX) == b"PROXY TCP6 2001:db8:0:0:0:0:0:1 2001:db8:0:0:0:0:0:2 4711 25\r\n"


def test_version_1_of_a_client_without_an_address() -> None:
    """ "the rest of the line before the CRLF may be omitted by the sender" """
    assert version_1(None) == b"PROXY UNKNOWN\r\n"


def test_version_1_has_no_zone() -> None:
    line = version_1(pair("fe80::1%eth0", 1, "fe80::2%eth0", 2))
    assert line == b"PROXY TCP6 fe80:0:0:0:0:0:0:1 fe80:0:0:0:0:0:0:2 1 2\r\n"


@given(PAIRS)
def test_version_1_is_valid_for_all_addresses(addresses: AddressPair) -> None:
    """At most 104 characters, six fields separated by one space, addresses of the given family."""
    line = version_1(addresses)
    assert len(line) <= 104
    assert line.endswith(b"\r\n")
    word, family, source, destination, *ports = line[:-2].decode("ascii").split(" ")
    assert word == "PROXY"
    assert family in ("TCP4", "TCP6")
    version = int(family[3])
    for text, meant in (
        (source, addresses.source),
        (destination, addresses.destination),
    ):
        read = ipaddress.ip_address(text)
        assert read.version == version
        assert read == meant or getattr(read, "ipv4_mapped", None) == meant
    assert ports == [str(addresses.source_port), str(addresses.destination_port)]


def test_version_2_of_ipv4() -> None:
    """ "\\x11 : TCP over IPv4 ... Address length is 2*4 + 2*2 = 12 bytes" """
    assert version_2(FOUR) == SIGNATURE + bytes.fromhex("2111000c c0a80001 c0a8000b dc04 01bb")


def test_version_2_of_ipv6() -> None:
    """ "\\x21 : TCP over IPv6 ... Address length is 2*16 + 2*2 = 36 bytes" """
    header = version_2(SIX)
    assert header[12:16] == b"\x21\x21\x00\x24"
    assert len(header) == 16 + 36


def test_version_2_of_a_client_without_an_address() -> None:
    """ "When a sender presents a LOCAL connection, it should not present any address so it sets
    this field to zero" """
    tls = ClientTLS("TLSv1.3", "x")
    assert version_2(None, authority="a", tls=tls) == SIGNATURE + b"\x20\x00\x00\x00"


@given(PAIRS, st.text(max_size=255), st.binary(max_size=128))
def test_version_2_length_field(addresses: AddressPair, authority: str, unique_id: bytes) -> None:
    """ "the length of the protocol header in bytes is always exactly 16 + this value" """
    header = version_2(
        addresses,
        authority=authority,
        unique_id=unique_id,
        tls=ClientTLS("TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256"),
    )
    assert header.startswith(SIGNATURE)
    command, family, length = struct.unpack("!BBH", header[12:16])
    assert command == 0x21
    assert len(header) == 16 + length
    size = {0x11: 12, 0x21: 36}[family]
    found = tlvs(header[16 + size :])
    assert found.get(0x02, b"").decode("utf-8") == authority
    assert found.get(0x05, b"") == unique_id
    assert set(tlvs(found[0x20][5:])) == {0x21, 0x23}


@pytest.mark.parametrize(
    ("tls", "flags", "verify", "names"),
    [
        (ClientTLS("TLSv1.3", "C"), 0x01, 1, {0x21: b"TLSv1.3", 0x23: b"C"}),
        (
            ClientTLS("TLSv1.3", "C", True, "Jörg"),
            0x07,
            0,
            {0x21: b"TLSv1.3", 0x22: "Jörg".encode(), 0x23: b"C"},
        ),
        (ClientTLS("TLSv1.3", "C", True), 0x07, 0, {0x21: b"TLSv1.3", 0x23: b"C"}),
    ],
)
def test_the_ssl_tlv(tls: ClientTLS, flags: int, verify: int, names: dict[int, bytes]) -> None:
    """Section 2.2.6: "The <verify> field will be zero if the client presented a certificate and it
    was successfully verified, and non-zero otherwise" """
    value = tlvs(version_2(FOUR, tls=tls)[28:])[0x20]
    assert struct.unpack("!BI", value[:5]) == (flags, verify)
    assert tlvs(value[5:]) == names


def test_id_over_128_bytes_is_rejected() -> None:
    """Section 2.2.5: "an opaque byte sequence of up to 128 bytes" """
    with pytest.raises(ValueError, match="129 bytes"):
        version_2(FOUR, unique_id=bytes(129))
