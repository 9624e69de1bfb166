"""Parser of struct tcp_info, of any kernel's length."""

from __future__ import annotations

import struct

import pytest
from handshake import captured
from hypothesis import given
from hypothesis import strategies as st

from tcpd.handshake.packet import PacketError
from tcpd.handshake.tcp_info import InfoOptions, parse_tcp_info, tcp_info_names, unit_of

#: Sizes of the structure in past kernels, with the last field of each and the next one.
LENGTHS = [
    (104, "total_retrans", "pacing_rate"),
    (144, "segs_in", "notsent_bytes"),
    (192, "sndbuf_limited", "delivered"),
    (224, "reord_seen", "rcv_ooopack"),
    (232, "snd_wnd", "rcv_wnd"),
    (240, "rehash", "total_rto"),
    (248, "total_rto_time", "received_ce"),
]


def test_a_captured_tcp_info_is_parsed() -> None:
    """The expected values are decoded by hand, by the offsets in linux/tcp.h."""
    info = captured.VETH.tcp_info()
    assert (info.state_name, info.ca_state_name) == ("ESTABLISHED", "open")
    options = InfoOptions.TIMESTAMPS | InfoOptions.SACK | InfoOptions.WINDOW_SCALE
    assert info.negotiated == options
    assert (info.snd_wscale, info.rcv_wscale) == (10, 10)
    assert (info.rto, info.snd_mss, info.pmtu, info.advmss) == (204000, 1448, 1500, 1448)
    assert (info.rtt, info.rttvar, info.min_rtt) == (15, 7, 15)
    assert (info.snd_cwnd, info.snd_wnd, info.rcv_wnd) == (10, 64512, 65160)
    assert (info.segs_in, info.total_retrans, info.data_segs_in) == (2, 0, 0)


@pytest.mark.parametrize(("length", "last", "first_missing"), LENGTHS)
def test_fields_missing_from_an_older_kernel_are_none(
    length: int, last: str, first_missing: str
) -> None:
    """Kernels only append to the structure (linux/tcp.h)."""
    info = parse_tcp_info(captured.VETH.info[:length], "little")
    whole = captured.VETH.tcp_info()
    names = tcp_info_names()
    known = names[: names.index(last) + 1]
    assert [getattr(info, name) for name in known] == [getattr(whole, name) for name in known]
    assert names[len(known)] == first_missing
    assert {getattr(info, name) for name in names[len(known) :]} == {None}


def test_unknown_fields_of_a_newer_kernel_are_ignored() -> None:
    longer = parse_tcp_info(captured.VETH.info + bytes(64), "little")
    assert longer == captured.VETH.tcp_info()


def test_bit_fields_of_a_big_endian_machine_start_at_the_high_bit() -> None:
    """The C ABI of a big-endian machine allocates bit fields from the high bit."""
    data = bytes([1, 0, 0, 0, 0, 7, 0x7A, 0x80]) + struct.pack(">24I", *range(24))
    info = parse_tcp_info(data, "big")
    assert (info.snd_wscale, info.rcv_wscale, info.delivery_rate_app_limited) == (7, 10, True)
    assert (info.rto, info.total_retrans) == (0, 23)
    little = parse_tcp_info(bytes([1, 0, 0, 0, 0, 7, 0x7A, 0x80]) + bytes(96), "little")
    assert (little.snd_wscale, little.rcv_wscale) == (10, 7)
    assert not little.delivery_rate_app_limited


@given(st.binary(max_size=320))
def test_any_bytes_parse_or_raise_packet_error(data: bytes) -> None:
    try:
        info = parse_tcp_info(data)
    except PacketError:
        assert len(data) < 104
    else:
        assert len(data) >= 104
        assert info.state_name
        assert info.ca_state_name
        assert InfoOptions(info.options) == info.negotiated


def test_fields_do_not_overlap() -> None:
    """Each byte belongs to one field, and each number has its C type's alignment."""
    seen = bytearray(276)
    for number in range(276):
        data = bytes(number) + b"\xff" + bytes(275 - number)
        changed = parse_tcp_info(data, "little")
        zero = parse_tcp_info(bytes(276), "little")
        seen[number] = sum(
            getattr(changed, name) != getattr(zero, name) for name in tcp_info_names()
        )
    # byte 6 has two fields, the window scales
    assert seen[6] == 2
    assert set(seen[:6] + seen[7:]) == {1}


def test_units_of_fields() -> None:
    """linux/tcp.h: times are in microseconds, those of last_... in milliseconds."""
    assert unit_of("rtt") == "us"
    assert unit_of("last_data_recv") == "ms"
    assert unit_of("snd_cwnd") == "segments"
    assert unit_of("pmtu") == "bytes"
    with pytest.raises(KeyError):
        unit_of("no_such_field")
