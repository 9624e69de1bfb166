"""The parser of PROXY headers, against proxy-protocol.txt sections 2.1 and 2.2."""

from __future__ import annotations

import dataclasses
import ipaddress
import itertools
import struct
from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tcpd.wire.proxy import (
    LONGEST_LINE,
    MAX_LENGTH,
    Header,
    HeaderFault,
    HeaderReader,
    ProxyError,
    crc32c,
)
from tcpd.wire.proxy_header import AddressPair, ClientTLS, version_1, version_2

SIGNATURE = bytes.fromhex("0D0A0D0A000D0A515549540A")
FOUR = AddressPair(
    ipaddress.ip_address("192.0.2.1"), 56324, ipaddress.ip_address("192.0.2.11"), 443
)
SIX = AddressPair(
    ipaddress.ip_address("2001:db8::1"), 4711, ipaddress.ip_address("2001:db8::2"), 25
)

ADDRESSES = {4: st.ip_addresses(v=4), 6: st.ip_addresses(v=6)}
PORTS = st.integers(0, 65535)
PAIRS = st.sampled_from([4, 6]).flatmap(
    lambda version: st.builds(AddressPair, ADDRESSES[version], PORTS, ADDRESSES[version], PORTS)
)

Outcome = tuple[Header | None, bytes] | HeaderFault


def read(pieces: Iterable[bytes]) -> Outcome:
    """Read a stream: return its header and the rest, or the fault."""
    reader = HeaderReader()
    header: Header | None = None
    behind = b""
    for piece in pieces:
        if header is not None:
            behind += piece
            continue
        try:
            header = reader.feed(piece)
        except ProxyError as error:
            assert str(error) == error.fault.sentence
            return error.fault
        if header is not None:
            behind = reader.rest
    return header, behind


def read_any_way(stream: bytes) -> Outcome:
    """Read a stream at once and byte by byte, with the same result."""
    outcome = read([stream])
    assert read(stream[at : at + 1] for at in range(len(stream))) == outcome
    return outcome


def tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


def binary(rest: bytes, command: int = 0x21, family: int = 0x11) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(rest)) + rest


FOUR_BLOCK = bytes.fromhex("c0000201 c000020b dc04 01bb")


def of_four(*tlvs: bytes) -> bytes:
    """A header of version 2 for FOUR, with TLVs."""
    return binary(FOUR_BLOCK + b"".join(tlvs))


def test_section_2_1_example_with_data() -> None:
    line = b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"
    addresses = AddressPair(
        ipaddress.ip_address("192.168.0.1"), 56324, ipaddress.ip_address("192.168.0.11"), 443
    )
    assert read_any_way(line + b"GET / HTTP/1.1\r\n") == (
        Header(1, addresses),
        b"GET / HTTP/1.1\r\n",
    )


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        ("2001:DB8::1", "2001:db8:0:0:0:0:0:2"),
        ("::", "::ffff:192.0.2.1"),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "1::8"),
    ],
)
def test_version_1_ipv6(source: str, destination: str) -> None:
    """ "upper or lower case ... with the acceptance of one double colon sequence" """
    outcome = read_any_way(f"PROXY TCP6 {source} {destination} 0 65535\r\n".encode())
    addresses = AddressPair(
        ipaddress.ip_address(source), 0, ipaddress.ip_address(destination), 65535
    )
    assert outcome == (Header(1, addresses), b"")


@pytest.mark.parametrize(
    "line",
    [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n",
        b"PROXY UNKNOWN \xff\n\r\x00 whatever\r\n",
        b"PROXY UNKNOWN " + b"f" * 91 + b"\r\n",
    ],
)
def test_unknown_has_no_addresses(line: bytes) -> None:
    """ "the receiver must ignore anything presented before the CRLF is found" """
    assert len(line) <= LONGEST_LINE
    assert read_any_way(line + b"x") == (Header(1), b"x")


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b"GET / HTTP/1.1\r\n", HeaderFault.NO_HEADER),
        (b"PROXYTCP4", HeaderFault.NO_HEADER),
        (b"proxy TCP4 1.2.3.4 1.2.3.4 1 1\r\n", HeaderFault.NO_HEADER),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", HeaderFault.NO_HEADER),
        (b"PROXY \r\n", HeaderFault.LINE),
        (b"PROXY UNKNOWNS\r\n", HeaderFault.LINE),
        (b"PROXY UDP4 1.2.3.4 1.2.3.4 1 1\r\n", HeaderFault.LINE),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", HeaderFault.LINE),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1 1\r\n", HeaderFault.LINE),
        (b"PROXY TCP4  1.2.3.4 1.2.3.4 1 1\r\n", HeaderFault.LINE),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1 \r\n", HeaderFault.LINE),
        (b"PROXY\tTCP4 1.2.3.4 1.2.3.4 1 1\r\n", HeaderFault.NO_HEADER),
        (b"PROXY TCP4 1.2.3.04 1.2.3.4 1 1\r\n", HeaderFault.ADDRESS),
        (b"PROXY TCP4 1.2.3.256 1.2.3.4 1 1\r\n", HeaderFault.ADDRESS),
        (b"PROXY TCP4 1.2.3 1.2.3.4 1 1\r\n", HeaderFault.ADDRESS),
        (b"PROXY TCP4 ::1 ::1 1 1\r\n", HeaderFault.ADDRESS),
        (b"PROXY TCP4 1.2.3.\xb2 1.2.3.4 1 1\r\n", HeaderFault.ADDRESS),
        (b"PROXY TCP6 1.2.3.4 1.2.3.4 1 1\r\n", HeaderFault.ADDRESS),
        (b"PROXY TCP6 1::2::3 ::1 1 1\r\n", HeaderFault.ADDRESS),
        (b"PROXY TCP6 fe80::1%eth0 ::1 1 1\r\n", HeaderFault.ADDRESS),
        (b"PROXY TCP6 1:2:3:4:5:6:7 ::1 1 1\r\n", HeaderFault.ADDRESS),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 01 1\r\n", HeaderFault.PORT),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", HeaderFault.PORT),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 1\r\n", HeaderFault.PORT),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1\nGET / HTTP/1.1\r\n", HeaderFault.LINE),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1\r" + b"x" * 99, HeaderFault.LINE_TOO_LONG),
        (b"PROXY UNKNOWN " + b"f" * 92 + b"\r\n", HeaderFault.LINE_TOO_LONG),
        (b"PROXY UNKNOWN " + b"f" * 5000, HeaderFault.LINE_TOO_LONG),
    ],
)
def test_invalid_line_is_rejected(line: bytes, fault: HeaderFault) -> None:
    """ "Any sequence which does not exactly match the protocol must be discarded and cause the
    receiver to abort the connection." """
    assert read_any_way(line) is fault


def test_version_2_of_ipv4_and_ipv6() -> None:
    assert read_any_way(of_four() + b"\x00x") == (Header(2, FOUR), b"\x00x")
    assert read_any_way(version_2(SIX)) == (Header(2, SIX), b"")


@pytest.mark.parametrize("family", [0x00, 0x11, 0x55, 0xFF])
@pytest.mark.parametrize("rest", [b"", b"\xff" * 200])
def test_local_ignores_the_block(family: int, rest: bytes) -> None:
    """ "must use the real connection endpoints and discard the protocol block including the family
    which is ignored"; "must not assume zero is presented for LOCAL connections" """
    header = binary(rest, 0x20, family)
    assert read_any_way(header + b"x") == (Header(2, local=True), b"x")


@pytest.mark.parametrize(
    ("family", "block"),
    [
        (0x00, b""),
        (0x00, b"\xff" * 20),
        (0x01, b"\xff" * 20),
        (0x10, FOUR_BLOCK),
        (0x12, FOUR_BLOCK),
        (0x22, bytes(36)),
        (0x31, bytes(216)),
        (0x32, bytes(216)),
    ],
)
def test_other_families_have_no_addresses(family: int, block: bytes) -> None:
    """ "A receiver is not required to implement other ones, provided that it automatically falls
    back to the UNSPEC mode for the valid combinations above that it does not support." """
    assert read_any_way(binary(block, family=family) + b"x") == (Header(2), b"x")


def test_unix_family_keeps_the_unique_id() -> None:
    header = binary(bytes(216) + tlv(0x05, b"id"), family=0x31)
    assert read_any_way(header) == (Header(2, unique_id=b"id"), b"")


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        (b"\r\n\r\n\x00\r\nQUIT\r\n", HeaderFault.NO_HEADER),
        (b"\r\nGET", HeaderFault.NO_HEADER),
        (SIGNATURE + b"\x11", HeaderFault.VERSION),
        (SIGNATURE + b"\x31", HeaderFault.VERSION),
        (SIGNATURE + b"\x22", HeaderFault.COMMAND),
        (SIGNATURE + b"\x2f\x11\x00\x0c", HeaderFault.COMMAND),
        (SIGNATURE + b"\x21\x41", HeaderFault.FAMILY),
        (SIGNATURE + b"\x21\x13", HeaderFault.FAMILY),
        (SIGNATURE + b"\x21\xff\xff\xff", HeaderFault.FAMILY),
        (SIGNATURE + b"\x21\x11" + struct.pack("!H", MAX_LENGTH + 1), HeaderFault.TOO_LONG),
        (SIGNATURE + b"\x20\x00\xff\xff", HeaderFault.TOO_LONG),
        (binary(bytes(11)), HeaderFault.TOO_SHORT),
        (binary(bytes(35), family=0x21), HeaderFault.TOO_SHORT),
        (binary(bytes(215), family=0x31), HeaderFault.TOO_SHORT),
        (of_four(b"\x04"), HeaderFault.TLV),
        (of_four(b"\x04\x00"), HeaderFault.TLV),
        (of_four(b"\x04\x00\x01"), HeaderFault.TLV),
        (of_four(tlv(4, b""), b"\x04\xff\xff"), HeaderFault.TLV),
        (of_four(tlv(2, b"a"), tlv(2, b"b")), HeaderFault.TLV),
        (of_four(tlv(5, bytes(129))), HeaderFault.UNIQUE_ID),
        (of_four(tlv(3, bytes(3))), HeaderFault.TLV),
        (of_four(tlv(3, bytes(4))), HeaderFault.CHECKSUM),
        (of_four(tlv(0x20, bytes(4))), HeaderFault.TLV),
        (of_four(tlv(0x20, b"\x01\x00\x00\x00\x00\x21\x00\x09TLS")), HeaderFault.TLV),
        (of_four(tlv(0x20, b"\x00\x00\x00\x00\x00\x21")), HeaderFault.TLV),
    ],
)
def test_invalid_binary_header_is_rejected(header: bytes, fault: HeaderFault) -> None:
    """ "must be rejected as invalid by receivers" """
    assert read_any_way(header) is fault


def test_header_of_the_maximum_length() -> None:
    rest = MAX_LENGTH - len(FOUR_BLOCK) - 3
    assert read([of_four(tlv(4, bytes(rest))), b"x"]) == (Header(2, FOUR), b"x")


def test_unknown_tlvs_are_skipped() -> None:
    """ "A receiver may choose to skip over and ignore the TLVs it is not interested in"; NOOP
    (2.2.4) and custom ones (2.2.8) may repeat, and a namespace (2.2.7) is local to the proxy."""
    skipped = [tlv(kind, b"x") for kind in (0x04, 0x04, 0x30, 0xE0, 0xE0, 0xF8)]
    assert read_any_way(of_four(*skipped, tlv(5, b"id"), tlv(1, b"irc"))) == (
        Header(2, FOUR, unique_id=b"id", alpn=b"irc"),
        b"",
    )


def test_bytes_that_are_not_utf8_are_escaped() -> None:
    header = of_four(tlv(2, b"a\xff"), tlv(0x20, b"\x01\0\0\0\1" + tlv(0x21, b"T\xc0")))
    assert read_any_way(header) == (
        Header(2, FOUR, authority="a\\xff", tls=ClientTLS("T\\xc0", "")),
        b"",
    )


@pytest.mark.parametrize(
    ("flags", "verify", "verified"),
    [(1, 0, False), (1, 1, False), (3, 0, True), (5, 0, True), (7, 0, True), (7, 21, False)],
)
def test_verified_needs_a_certificate_and_verify_0(flags: int, verify: int, verified: bool) -> None:
    """ "The <verify> field will be zero if the client presented a certificate and it was
    successfully verified"; HAProxy sends zero without a certificate, too."""
    value = struct.pack("!BI", flags, verify) + tlv(0x21, b"TLSv1.3") + tlv(0x23, b"C")
    outcome = read_any_way(of_four(tlv(0x20, value)))
    assert outcome == (Header(2, FOUR, tls=ClientTLS("TLSv1.3", "C", verified)), b"")


def test_client_without_tls_has_no_tls() -> None:
    assert read_any_way(of_four(tlv(0x20, bytes(5)))) == (Header(2, FOUR), b"")


def test_crc32c_check_values() -> None:
    """The check value of CRC-32C, and the 32 bytes of zeros of RFC 3720 appendix B.4."""
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA


@given(st.binary(max_size=40), st.binary(max_size=40), st.data())
def test_checksum_is_verified(before: bytes, behind: bytes, data: st.DataObject) -> None:
    """Section 2.2.3."""
    parts = [tlv(4, before), tlv(3, bytes(4)), tlv(0xE0, behind)]
    header = of_four(*parts)
    at = 16 + len(FOUR_BLOCK) + len(parts[0]) + 3
    header = header[:at] + struct.pack("!I", crc32c(header)) + header[at + 4 :]
    assert read([header]) == (Header(2, FOUR), b"")
    # a bit of an address or a port
    bit = data.draw(st.integers(16 * 8, (16 + len(FOUR_BLOCK)) * 8 - 1))
    turned = bytearray(header)
    turned[bit // 8] ^= 1 << bit % 8
    assert read([bytes(turned)]) is HeaderFault.CHECKSUM


TEXTS = st.none() | st.text(min_size=1, max_size=60).filter(lambda text: text.isprintable())
TLS = st.builds(
    ClientTLS,
    st.sampled_from(["TLSv1.2", "TLSv1.3"]),
    st.sampled_from(["TLS_AES_256_GCM_SHA384", "ECDHE-RSA-AES128-GCM-SHA256"]),
    st.booleans(),
    TEXTS,
)


@given(PAIRS, st.binary(max_size=30))
def test_version_1_round_trip(addresses: AddressPair, behind: bytes) -> None:
    assert read([version_1(addresses) + behind]) == (Header(1, addresses), behind)
    assert read([version_1(None) + behind]) == (Header(1), behind)


@given(PAIRS, TEXTS, st.none() | st.binary(min_size=1, max_size=128), st.none() | TLS, st.binary())
def test_version_2_round_trip(
    addresses: AddressPair,
    authority: str | None,
    unique_id: bytes | None,
    tls: ClientTLS | None,
    behind: bytes,
) -> None:
    header = version_2(addresses, authority=authority, unique_id=unique_id, tls=tls)
    if tls is not None and not tls.verified:
        tls = dataclasses.replace(tls, common_name=None)  # of no certificate
    expected = Header(2, addresses, authority=authority, unique_id=unique_id, tls=tls)
    assert read([header + behind]) == (expected, behind)
    assert read([version_2(None) + behind]) == (Header(2, local=True), behind)


def cut(stream: bytes, places: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted({place % (len(stream) + 1) for place in places}), len(stream)]
    return [stream[begin:end] for begin, end in itertools.pairwise(edges)]


STREAMS = st.one_of(
    st.binary(max_size=300),
    st.builds(lambda rest: b"PROXY " + rest, st.binary(max_size=300)),
    st.builds(
        lambda words, end: b"PROXY " + " ".join(words).encode() + end,
        st.lists(st.sampled_from(["TCP4", "TCP6", "UNKNOWN", "1.2.3.4", "::1", "1", "x"])),
        st.sampled_from([b"\r\n", b"\n", b"\r", b"\r\nabc"]),
    ),
    st.builds(
        binary,
        st.binary(max_size=300),
        st.sampled_from([0x20, 0x21, 0x22, 0x11]),
        st.sampled_from([0x00, 0x11, 0x12, 0x21, 0x31, 0x41, 0x10, 0x1F]),
    ),
    st.builds(
        lambda kinds, more: of_four(*(tlv(kind, value) for kind, value in kinds), more),
        st.lists(st.tuples(st.integers(0, 0x32), st.binary(max_size=12)), max_size=5),
        st.binary(max_size=8),
    ),
)


@example(b"PROXY UNKNOWN\r\n", [14])
@given(STREAMS, st.lists(st.integers(0, 400), max_size=6))
def test_header_segmentation_does_not_matter(stream: bytes, places: list[int]) -> None:
    """Only a ProxyError is raised."""
    whole = read_any_way(stream)
    assert read(cut(stream, places)) == whole


@given(STREAMS)
def test_buffer_is_bounded(stream: bytes) -> None:
    reader = HeaderReader()
    for at in range(len(stream)):
        assert reader.begun == (at > 0)
        try:
            if reader.feed(stream[at : at + 1]) is not None:
                break
        except ProxyError:
            break
        assert at + 1 < 16 + MAX_LENGTH
        if stream[:1] == b"P":
            assert at + 1 < LONGEST_LINE
