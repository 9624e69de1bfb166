"""The raw signature of p0f, version 3."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from handshake import captured
from handshake.captured import Captured
from hypothesis import given
from hypothesis import strategies as st

from tcpd.handshake.p0f import p0f_signature
from tcpd.handshake.packet import IPv4Header, PacketError, SavedSyn, TcpFlags, parse_saved_syn
from tcpd.handshake.report import build
from tcpd.handshake.tcp_options import parse_options


def changed(options: str | None = None, ip: dict[str, Any] | None = None, **tcp: Any) -> SavedSyn:
    """Return a SYN over Ethernet with other fields.

    :param options: the TCP options, in hexadecimal.
    """
    syn = captured.VETH.saved_syn()
    if options is not None:
        tcp["options"] = parse_options(bytes.fromhex(options))
    header = replace(syn.transport, **tcp)
    assert isinstance(syn.network, IPv4Header)
    length = 20 + header.header_length
    network = replace(syn.network, **({"total_length": length} | (ip or {})))
    return replace(syn, network=network, transport=header)


@pytest.mark.parametrize(
    ("real", "signature"),
    [
        (captured.VETH, "4:64+0:0:1460:mss*44,10:mss,sok,ts,nop,ws:df,id+:0"),
        (captured.CLAMPED, "4:57+7:0:900:mss*72,10:mss,sok,ts,nop,ws:df,id+:0"),
        (captured.ECN, "4:64+0:0:65495:mss*1,10:mss,sok,ts,nop,ws:df,id+,ecn:0"),
        (captured.IPV6, "6:64+0:0:65476:mss*1,10:mss,sok,ts,nop,ws:ecn,flow:0"),
        (captured.BARE, "4:64+0:0:65495:mss*1,0:mss:df,id+:0"),
        (captured.FAST_OPEN, "4:64+0:0:65495:mss*1,10:mss,sok,ts,nop,ws,?34,nop,nop:df,id+:+"),
        (captured.MPTCP, "4:64+0:0:65495:mss*1,10:mss,sok,ts,nop,ws,?30:df,id+:0"),
    ],
)
def test_signatures_of_captured_syns(real: Captured, signature: str) -> None:
    """p0f.fp has ``*:64:0:*:mss*44,7:mss,sok,ts,nop,ws:df,id+:0`` and the like for Linux."""
    assert p0f_signature(real.saved_syn()) == signature


def test_signature_is_in_the_report() -> None:
    found = build(captured.VETH.facts()).steps[0].value("p0f")
    assert found is not None
    assert str(found.source) == "derived"
    assert found.value == p0f_signature(captured.VETH.saved_syn())
    assert build(captured.COOKIES.facts()).steps[0].value("p0f") is None


@pytest.mark.parametrize(
    ("syn", "field", "text"),
    [
        (changed(ip={"ttl": 54}), 1, "54+10"),
        (changed(ip={"ttl": 30}), 1, "30+2"),
        # "If initial TTL can't be guessed, p0f will output 'nnn+?'"
        (changed(ip={"ttl": 200}), 1, "200+?"),
        (changed(ip={"options": bytes(4), "total_length": 64}), 2, "4"),
        (changed(""), 3, "0"),
        (changed(window=8192), 4, "8192,10"),
        (changed(window=0), 4, "0,10"),
        (changed(window=1448 * 5), 4, "mss*5,10"),
        (changed(window=1500 * 4), 4, "mtu*4,10"),
        (changed("020405b4010303080101040200", window=65535), 4, "65535,8"),
        (changed("0101050a00000001000000020000"), 5, "nop,nop,sack,eol+1"),
        (changed("feff"), 5, "?254"),
        # "own timestamp specified as zero", "non-zero peer timestamp on initial SYN"
        (changed("080a0000000000000001"), 6, "df,id+,ts1-,ts2+"),
        (changed("03030e"), 6, "df,id+"),
        (changed("03030f"), 6, "df,id+,exws"),
        (changed("000001"), 6, "df,id+,opt+"),
        (changed("0203"), 6, "df,id+,bad"),
        (changed("fe09"), 6, "df,id+,bad"),
        (changed("01" * 25), 6, "df,id+,bad"),
        (changed(ip={"identification": 0}), 6, "df"),
        (changed(ip={"dont_fragment": False, "identification": 0}), 6, "id-"),
        (changed(ip={"dont_fragment": False}), 6, ""),
        (changed(ip={"reserved": True, "ecn": 2}), 6, "df,id+,ecn,0+"),
        (changed(sequence_number=0, acknowledgment_number=7), 6, "df,id+,seq-,ack+"),
        (changed(flags=TcpFlags.SYN | TcpFlags.ACK), 6, "df,id+,ack-"),
        (changed(urgent_pointer=9), 6, "df,id+,uptr+"),
        (
            changed(urgent_pointer=9, flags=TcpFlags.SYN | TcpFlags.URG | TcpFlags.PSH),
            6,
            "df,id+,urgf+,pushf+",
        ),
        (changed(ip={"total_length": 61}), 7, "+"),
    ],
)
def test_fields(syn: SavedSyn, field: int, text: str) -> None:
    """p0f's README, section 5: "TCP signatures"."""
    assert p0f_signature(syn).split(":")[field] == text


@given(st.binary(max_size=40), st.integers(0, 255), st.integers(0, 0xFFFF))
def test_any_syn_has_a_signature(options: bytes, ttl: int, window: int) -> None:
    options += bytes(-len(options) % 4)
    syn = bytearray(captured.IPV4.syn[:40])
    syn[2:4] = (40 + len(options)).to_bytes(2, "big")
    syn[8] = ttl
    syn[32] = (5 + len(options) // 4) << 4
    syn[34:36] = window.to_bytes(2, "big")
    try:
        parsed = parse_saved_syn(bytes(syn) + options)
    except PacketError:
        raise AssertionError from None
    signature = p0f_signature(parsed)
    assert re.fullmatch(
        r"4:\d+\+(\d+|\?):0:\d+:((mss|mtu)\*)?\d+,\d+:[a-z0-9?,+]*:[a-z0-9+,-]*:0", signature
    )
