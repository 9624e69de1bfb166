"""Parser of saved SYNs: captured packets, generated packets, and arbitrary bytes."""

from __future__ import annotations

import contextlib
import struct
from dataclasses import replace
from ipaddress import ip_address

import pytest
from handshake import captured
from hypothesis import example, given
from hypothesis import strategies as st

from tcpd.handshake.packet import (
    IPv4Header,
    IPv6Header,
    PacketError,
    SavedSyn,
    TcpFlags,
    Vlan,
    parse_saved_syn,
)
from tcpd.handshake.tcp_options import (
    EndOfOptions,
    FastOpen,
    MalformedOption,
    MaximumSegmentSize,
    Mptcp,
    NoOperation,
    SackPermitted,
    TCPOption,
    Timestamps,
    UnknownOption,
    WindowScale,
    name_of,
    parse_options,
)

REAL = {
    name: value
    for name, value in vars(captured).items()
    if isinstance(value, captured.Captured) and value.syn
}


def test_a_captured_syn_over_ethernet_is_parsed() -> None:
    """A client at 192.0.2.2 over a veth pair; the expected values are decoded by hand."""
    syn = captured.VETH.saved_syn()
    assert syn.link is not None
    assert (syn.link.source, syn.link.destination) == ("02:89:0e:ef:48:7b", "12:6d:42:3d:d4:3d")
    assert syn.link.ethertype == 0x0800
    assert syn.network == IPv4Header(
        dscp=0,
        ecn=0,
        total_length=60,
        identification=0x73C4,
        reserved=False,
        dont_fragment=True,
        more_fragments=False,
        fragment_offset=0,
        ttl=64,
        checksum=0x42F4,
        source=ip_address("192.0.2.2"),
        destination=ip_address("192.0.2.1"),
        options=b"",
    )
    header = syn.transport
    assert (header.source_port, header.destination_port) == (50158, 54939)
    assert header.sequence_number == 0xD8B1B92F
    assert header.acknowledgment_number == 0
    assert header.flags == TcpFlags.SYN
    assert header.window == 64240
    assert header.header_length == 40
    assert header.options == (
        MaximumSegmentSize(2, b"\x05\xb4", 1460),
        SackPermitted(4, b""),
        Timestamps(8, bytes.fromhex("63c34c4a00000000"), 0x63C34C4A, 0),
        NoOperation(1, b""),
        WindowScale(3, b"\x0a", 10),
    )
    assert syn.data_length == 0


def test_a_captured_syn_over_ipv6_is_parsed() -> None:
    """RFC 6437: the flow label has 20 bits; RFC 3168 section 6.1.1: ECE and CWR request ECN."""
    syn = captured.IPV6.saved_syn()
    network = syn.network
    assert isinstance(network, IPv6Header)
    assert network.flow_label == 0xE709F
    assert (network.hop_limit, network.payload_length, network.extensions) == (64, 40, ())
    assert network.source == network.destination == ip_address("::1")
    assert syn.transport.flags == TcpFlags.SYN | TcpFlags.ECE | TcpFlags.CWR
    mss = syn.transport.option(MaximumSegmentSize)
    assert mss is not None
    assert mss.value == 65476


@pytest.mark.parametrize("name", REAL)
def test_each_captured_syn_is_parsed_to_its_end(name: str) -> None:
    syn = REAL[name].saved_syn()
    assert (syn.link is not None) == REAL[name].link_layer
    assert TcpFlags.SYN in syn.transport.flags
    assert syn.raw == REAL[name].syn


def test_dscp_and_ttl_set_by_the_client_are_parsed() -> None:
    """RFC 2474: the DSCP is the upper six bits of IP_TOS."""
    network = captured.CLAMPED.saved_syn().network
    assert isinstance(network, IPv4Header)
    assert (network.dscp, network.ecn, network.ttl) == (0x48 >> 2, 0, 57)


def test_fast_open_cookies_are_parsed() -> None:
    """RFC 7413 section 4.1.1: an option of two bytes requests a cookie."""
    asked = captured.FAST_OPEN_ASKED.saved_syn()
    assert asked.transport.option(FastOpen) == FastOpen(34, b"", b"")
    assert asked.data_length == 0
    used = captured.FAST_OPEN.saved_syn()
    cookie = bytes.fromhex("26a2d8853b94c0e1")
    assert used.transport.option(FastOpen) == FastOpen(34, cookie, cookie)
    assert used.data_length == len(b"hello")


def test_the_last_of_two_equal_options_counts() -> None:
    """Linux, tcp_parse_options: each overwrites the one before. Observed too: after MSS 1460 and
    769 Linux sent segments of 769 bytes."""
    header = captured.VETH.saved_syn().transport
    twice = replace(header, options=parse_options(bytes.fromhex("020405b402040301")))
    mss = twice.option(MaximumSegmentSize)
    assert mss is not None
    assert mss.value == 769


def test_mp_capable_is_parsed() -> None:
    """RFC 8684 section 3.1: the first SYN has MP_CAPABLE, version 1, and no key yet."""
    option = captured.MPTCP.saved_syn().transport.option(Mptcp)
    assert option == Mptcp(30, b"\x01\x01", 0, 1)
    assert option.shown == "MP_CAPABLE"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", ()),
        (b"\x00\x00\x00", (EndOfOptions(0, b"\x00\x00"),)),
        (b"\x02\x04\x05\xb4", (MaximumSegmentSize(2, b"\x05\xb4", 1460),)),
        (b"\x02\x03\x05", (UnknownOption(2, b"\x05"),)),
        (b"\x03\x03\x0f", (WindowScale(3, b"\x0f", 15),)),
        (b"\xfe\x04\xf9\x89", (FastOpen(254, b"\xf9\x89", b""),)),
        (b"\xfe\x04\x01\x02", (UnknownOption(254, b"\x01\x02"),)),
        (b"\x22\x05abc", (UnknownOption(34, b"abc"),)),
        (b"\x1e\x02", (UnknownOption(30, b""),)),
        (b"\x1e\x03\x10", (Mptcp(30, b"\x10", 1, None),)),
        (b"\x01\x08", (NoOperation(1, b""), MalformedOption(8, b""))),
        (b"\x08\x01\x01", (MalformedOption(8, b"\x01\x01"),)),
        (b"\x08\x0a\x01", (MalformedOption(8, b"\x0a\x01"),)),
    ],
)
def test_options_are_parsed(data: bytes, expected: tuple[TCPOption, ...]) -> None:
    """RFC 9293 section 3.1: kind, length (which counts itself and the kind), data."""
    assert parse_options(data) == expected


@given(st.binary(max_size=60))
def test_option_lengths_add_up_to_the_input(data: bytes) -> None:
    assert sum(option.length for option in parse_options(data)) == len(data)


def test_options_have_names() -> None:
    assert name_of(4) == "SACK permitted"
    assert name_of(200) == "option 200"


WORD = st.integers(0, 0xFFFF)
LONG = st.integers(0, 0xFFFFFFFF)
BYTE = st.integers(0, 255)


@st.composite
def tcp_headers(draw: st.DrawFn) -> tuple[bytes, dict[str, object]]:
    """Generate a TCP header (RFC 9293 section 3.1) and its fields."""
    fields: dict[str, object] = {
        "source_port": draw(WORD),
        "destination_port": draw(WORD),
        "sequence_number": draw(LONG),
        "acknowledgment_number": draw(LONG),
        "reserved": draw(st.integers(0, 7)),
        "flags": TcpFlags(draw(st.integers(0, 0x1FF))),
        "window": draw(WORD),
        "checksum": draw(WORD),
        "urgent_pointer": draw(WORD),
    }
    options = b"".join(draw(st.lists(st.binary(min_size=4, max_size=4), max_size=10)))
    one, two, three, four, reserved, flags, *rest = fields.values()
    bits = (5 + len(options) // 4) << 12 | int(str(reserved)) << 9 | int(flags)  # type: ignore[call-overload]
    return struct.pack("!HHIIHHHH", one, two, three, four, bits, *rest) + options, fields


LINKS = st.sampled_from(
    [
        (None, ()),
        ("", ()),
        ("8100 2064", (Vlan(0x8100, 1, False, 100),)),
        ("88a8 1fff 8100 f001", (Vlan(0x88A8, 0, True, 4095), Vlan(0x8100, 7, True, 1))),
    ]
)


def link(tags: str | None, ethertype: int) -> bytes:
    if tags is None:
        return b""
    return bytes(12) + bytes.fromhex(tags) + ethertype.to_bytes(2, "big")


def assert_link(syn: SavedSyn, tags: str | None, vlans: tuple[Vlan, ...]) -> None:
    assert (syn.link is None) == (tags is None)
    if syn.link is not None:
        assert syn.link.vlans == vlans


@given(
    LINKS,
    tcp_headers(),
    st.tuples(BYTE, WORD, WORD, st.integers(0, 7), BYTE, WORD, LONG, LONG),
    st.integers(0, 10),
)
def test_a_generated_ipv4_packet_is_parsed(
    tags: tuple[str | None, tuple[Vlan, ...]],
    tcp: tuple[bytes, dict[str, object]],
    numbers: tuple[int, ...],
    words: int,
) -> None:
    """RFC 791 section 3.1, after no link layer, Ethernet, or 802.1Q tags."""
    service, length, identification, flags, ttl, checksum, source, destination = numbers
    header, fields = tcp
    options = b"\x01" * (words * 4)
    data = (
        struct.pack(
            "!BBHHHBBHII",
            0x45 + words,
            service,
            length,
            identification,
            flags << 13,
            ttl,
            6,
            checksum,
            source,
            destination,
        )
        + options
        + header
    )
    # a raw packet from 8.0.69.x resembles Ethernet for 12 bytes; the exact length decides
    syn = parse_saved_syn(link(tags[0], 0x0800) + data, link_layer=True)
    assert_link(syn, *tags)
    network = syn.network
    assert isinstance(network, IPv4Header)
    assert network == IPv4Header(
        service >> 2,
        service & 3,
        length,
        identification,
        bool(flags & 4),
        bool(flags & 2),
        bool(flags & 1),
        0,
        ttl,
        checksum,
        ip_address(source),
        ip_address(destination),
        options,
    )
    assert {name: getattr(syn.transport, name) for name in fields} == fields
    assert syn.transport.header_length == len(header)
    assert syn.data_length == max(0, length - len(options) - 20 - len(header))


#: RFC 8200 section 4: each extension header has the next header and (except fragment) its length.
EXTENSIONS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from([0, 43, 60, 135, 139, 140]), st.integers(0, 3)),
        st.tuples(st.just(44), st.just(0)),
        st.tuples(st.just(51), st.sampled_from([2, 4])),
    ),
    max_size=4,
)


@given(
    LINKS,
    tcp_headers(),
    st.tuples(BYTE, st.integers(0, 0xFFFFF), WORD, BYTE),
    st.tuples(st.ip_addresses(v=6), st.ip_addresses(v=6)),
    EXTENSIONS,
)
def test_a_generated_ipv6_packet_is_parsed(
    tags: tuple[str | None, tuple[Vlan, ...]],
    tcp: tuple[bytes, dict[str, object]],
    numbers: tuple[int, ...],
    ends: tuple[object, object],
    extensions: list[tuple[int, int]],
) -> None:
    """RFC 8200 section 3, with any extension headers in front of TCP."""
    traffic_class, label, payload, hop_limit = numbers
    header, fields = tcp
    kinds = [kind for kind, _ in extensions] + [6]
    middle = b""
    for (kind, size), following in zip(extensions, kinds[1:], strict=True):
        # RFC 4302 section 2.2: an authentication header counts in units of 4 bytes
        length = (size + 2) * 4 if kind == 51 else (size + 1) * 8
        middle += bytes([following, size]).ljust(length, b"\0")
    first = 6 << 28 | traffic_class << 20 | label
    data = (
        struct.pack("!IHBB", first, payload, kinds[0], hop_limit)
        + ends[0].packed  # type: ignore[attr-defined]
        + ends[1].packed  # type: ignore[attr-defined]
        + middle
        + header
    )
    syn = parse_saved_syn(link(tags[0], 0x86DD) + data, link_layer=True)
    assert_link(syn, *tags)
    network = syn.network
    assert isinstance(network, IPv6Header)
    assert (network.dscp, network.ecn) == (traffic_class >> 2, traffic_class & 3)
    assert (network.flow_label, network.payload_length) == (label, payload)
    assert (network.hop_limit, network.source, network.destination) == (hop_limit, *ends)
    assert [extension.kind for extension in network.extensions] == kinds[:-1]
    assert b"".join(extension.data for extension in network.extensions) == middle
    assert {name: getattr(syn.transport, name) for name in fields} == fields


@given(st.binary(max_size=120), st.booleans())
@example(b"", True)
@example(b"", False)
@example(b"\x60" + bytes(5) + b"\x00" * 60, False)
def test_any_bytes_parse_or_raise_packet_error(data: bytes, link_layer: bool) -> None:
    """parse_saved_syn raises nothing else."""
    try:
        syn = parse_saved_syn(data, link_layer)
    except PacketError as error:
        assert str(error)
    else:
        assert syn.raw == data


@given(st.sampled_from(sorted(REAL)), st.data())
def test_a_corrupted_packet_parses_or_raises_packet_error(name: str, data: st.DataObject) -> None:
    """Any one byte of a captured packet may change."""
    real = REAL[name]
    at = data.draw(st.integers(0, len(real.syn) - 1))
    byte = data.draw(st.binary(min_size=1, max_size=1))
    corrupted = real.syn[:at] + byte + real.syn[at + 1 :]
    # any other exception fails the test
    with contextlib.suppress(PacketError):
        assert parse_saved_syn(corrupted, real.link_layer).raw == corrupted


@given(st.sampled_from(sorted(REAL)), st.data())
def test_a_truncated_packet_raises_packet_error(name: str, data: st.DataObject) -> None:
    """The kernel saves exactly the headers: fewer or more bytes are not a packet."""
    real = REAL[name]
    short = data.draw(st.integers(0, len(real.syn) - 1))
    with pytest.raises(PacketError):
        parse_saved_syn(real.syn[:short], real.link_layer)
    with pytest.raises(PacketError):
        parse_saved_syn(real.syn + b"\0", real.link_layer)


def test_a_syn_without_a_link_layer_header_starts_with_ip() -> None:
    """On a tunnel TCP_SAVE_SYN 2 saves the same as 1."""
    syn = parse_saved_syn(captured.IPV4.syn, link_layer=True)
    assert syn.link is None
    assert syn.transport.destination_port == 38789


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ((12, b"\x08\x06"), "Ethernet type 0x0806 is neither IPv4 nor IPv6"),
        ((12, b"\x86\xdd"), "Ethernet type 0x86dd before IP version 4"),
        ((14, b"\x44"), "an IPv4 header of 16 bytes in 60"),
        ((23, b"\x11"), "IPv4 protocol 17 is not TCP"),
        ((20, b"\x20\x01"), "a later fragment, without a TCP header"),
        ((46, b"\x40"), "a TCP header of 16 bytes in 40"),
    ],
)
def test_errors_name_the_invalid_field(change: tuple[int, bytes], words: str) -> None:
    at, instead = change
    data = captured.VETH.syn[:at] + instead + captured.VETH.syn[at + len(instead) :]
    with pytest.raises(PacketError, match=words):
        parse_saved_syn(data, link_layer=True)
