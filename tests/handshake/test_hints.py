"""What stands out: each hint where it belongs, and nothing where all is well."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from handshake import captured

from tcpd.handshake.drawing import drawing
from tcpd.handshake.facts import Absence, Facts, Proxy, Transport
from tcpd.handshake.hints import IDS
from tcpd.handshake.packet import IPv4Header, TcpFlags, TcpHeader
from tcpd.handshake.report import build
from tcpd.handshake.tcp_info import InfoOptions
from tcpd.handshake.tcp_options import MalformedOption, MaximumSegmentSize, UnknownOption

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "handshake.rst"


def ids(facts: Facts) -> list[str]:
    return [hint.id for hint in build(facts).hints]


def sentence(facts: Facts, id: str) -> str:
    return next(hint.sentence for hint in build(facts).hints if hint.id == id)


def with_header(facts: Facts, **changes: Any) -> Facts:
    """The same with another TCP header in the SYN."""
    assert facts.saved_syn is not None
    header: TcpHeader = replace(facts.saved_syn.transport, **changes)
    return replace(facts, saved_syn=replace(facts.saved_syn, transport=header))


def with_ip(facts: Facts, **changes: Any) -> Facts:
    """The same with another IPv4 header in the SYN."""
    assert facts.saved_syn is not None
    network = facts.saved_syn.network
    assert isinstance(network, IPv4Header)
    return replace(facts, saved_syn=replace(facts.saved_syn, network=replace(network, **changes)))


def with_now(facts: Facts, **changes: Any) -> Facts:
    assert facts.now is not None
    return replace(facts, now=replace(facts.now, **changes))


VETH = captured.VETH.facts(interface_mtu=1500)


@pytest.mark.parametrize(
    "real", [captured.VETH, captured.ECN, captured.IPV6, captured.IPV4, captured.FAST_OPEN]
)
def test_an_ordinary_handshake_has_nothing_that_stands_out(real: captured.Captured) -> None:
    assert ids(real.facts()) == []


def test_mss_below_what_the_path_allows() -> None:
    facts = captured.CLAMPED.facts()
    assert ids(facts) == ["mss-low", "ttl-odd"]
    assert "MSS is 900 bytes, where the path MTU of 65535 would allow 65495" in sentence(
        facts, "mss-low"
    )


def test_an_mss_above_what_the_path_allows_is_no_matter() -> None:
    """A client with a larger MTU than ours: both ends use the smaller."""
    options = (MaximumSegmentSize(2, b"", 8960), *VETH.saved_syn.transport.options[1:])  # type: ignore[union-attr]
    assert ids(with_header(VETH, options=options)) == []


def test_ipv6_headers_are_20_bytes_longer() -> None:
    """RFC 9293 section 3.7.1: the MSS is the MTU less the fixed IP and TCP headers."""
    facts = captured.IPV6.facts()
    assert ids(facts) == []
    assert "65536 would allow 65476" in sentence(
        with_header(facts, options=(MaximumSegmentSize(2, b"", 1440),)), "mss-low"
    )


def test_no_options_at_all() -> None:
    assert ids(with_header(VETH, options=())) == ["mss-missing"]
    bare = captured.BARE.facts()
    assert ids(bare) == ["no-sack", "no-window-scaling", "no-timestamps"]
    assert "does not offer SACK" in sentence(bare, "no-sack")


def test_offered_and_refused_by_this_server() -> None:
    assert VETH.accepted is not None
    info = replace(VETH.accepted, options=int(InfoOptions.TIMESTAMPS | InfoOptions.WINDOW_SCALE))
    facts = replace(VETH, accepted=info, now=info)
    assert ids(facts) == ["no-sack"]
    assert "this server refused" in sentence(facts, "no-sack")


def test_a_path_mtu_below_the_interfaces() -> None:
    facts = with_now(VETH, pmtu=1400)
    # the SYN's MSS of 1460 is more than 1360: no second hint
    assert ids(facts) == ["path-mtu-low"]
    assert "1400 bytes, where the interface has 1500" in sentence(facts, "path-mtu-low")
    assert "Ethernet has 1500" in sentence(replace(facts, interface_mtu=None), "path-mtu-low")


def test_loopbacks_mtu_is_one_more_than_ipv4_can_use() -> None:
    """RFC 791: the total length has 16 bits; the loopback interface says 65536."""
    assert ids(captured.IPV4.facts(interface_mtu=65536)) == []
    assert ids(captured.IPV6.facts(interface_mtu=65536)) == []


@pytest.mark.parametrize(("times", "words"), [(1, "once more"), (3, "3 more times")])
def test_a_syn_ack_that_was_sent_again(times: int, words: str) -> None:
    """tcp_minisocks.c: total_retrans of a new socket starts with the SYN-ACK's."""
    assert VETH.accepted is not None
    info = replace(VETH.accepted, total_retrans=times)
    facts = replace(VETH, accepted=info, now=info)
    assert ids(facts) == ["syn-retransmitted"]
    assert words in sentence(facts, "syn-retransmitted")


def test_segments_sent_again_later_are_told_apart_from_it() -> None:
    facts = with_now(VETH, total_retrans=2, data_segs_out=9)
    assert ids(facts) == ["segments-retransmitted"]
    assert "2 segments were sent again" in sentence(facts, "segments-retransmitted")


_COOKIES = {Absence.COOKIES_OR_LOST, Absence.COOKIES_OR_EARLY}


def test_on_a_socket_of_systemds_cookies_are_one_of_two_causes() -> None:
    """A connection that waited when the daemon started has no saved SYN either."""
    early = captured.COOKIES.facts(interface_mtu=65535, no_saved_syn=Absence.COOKIES_OR_EARLY)
    assert ids(early) == ["syn-cookies"]
    assert "began before the daemon did" in sentence(early, "syn-cookies")
    info = replace(captured.COOKIES.tcp_info(), total_retrans=1)
    assert ids(replace(early, accepted=info, now=info)) == ["syn-retransmitted"]


def test_behind_a_proxy_hints_speak_of_it() -> None:
    """It is the proxy's SYN that is told of, and the proxy that packets go to."""
    facts = captured.BARE.facts(proxy=Proxy(version=2), interface_mtu=65536)
    facts = with_now(with_ip(facts, dont_fragment=False), total_retrans=2, data_segs_out=9)
    for id in set(ids(facts)) - {"proxy"}:
        assert "client" not in sentence(facts, id)
        assert "proxy" in sentence(facts, id)


def test_with_fast_open_resent_syn_acks_are_not_told_as_lost_data() -> None:
    """Accepted in SYN-RECEIVED, nobody knows how many of total_retrans were the SYN-ACK."""
    began = replace(captured.FAST_OPEN.tcp_info(), state=3, rtt=0)
    now = replace(began, state=1, total_retrans=2, data_segs_out=4)
    facts = captured.FAST_OPEN.facts(accepted=began, now=now, interface_mtu=65536)
    assert not {"syn-retransmitted", "segments-retransmitted"} & set(ids(facts))


def test_syn_cookies() -> None:
    assert ids(captured.COOKIES.facts(interface_mtu=65535)) == ["syn-cookies"]


@pytest.mark.parametrize("absence", [each for each in Absence if each not in _COOKIES])
def test_another_reason_for_no_saved_syn_is_no_hint_of_cookies(absence: Absence) -> None:
    assert ids(captured.COOKIES.facts(no_saved_syn=absence)) == []


def test_segments_sent_again_are_counted_from_none_with_cookies() -> None:
    """syncookies.c: the request is made anew when the ACK comes, and so is its count."""
    now = replace(captured.COOKIES.tcp_info(), total_retrans=3, data_segs_out=9)
    facts = captured.COOKIES.facts(interface_mtu=65535, now=now)
    assert ids(facts) == ["syn-cookies", "segments-retransmitted"]
    assert "3 segments were sent again" in sentence(facts, "segments-retransmitted")


def test_what_was_counted_by_the_kernel_was_no_cookie() -> None:
    """With SYN cookies the kernel has no request, and so sends no SYN-ACK again."""
    info = replace(captured.COOKIES.tcp_info(), total_retrans=1)
    facts = captured.COOKIES.facts(interface_mtu=65535, accepted=info, now=info)
    assert ids(facts) == ["syn-retransmitted"]


def test_ecn_refused() -> None:
    """RFC 3168 section 6.1.1: ECE and CWR in the SYN ask for it."""
    asked = with_header(VETH, flags=TcpFlags.SYN | TcpFlags.ECE | TcpFlags.CWR)
    assert ids(asked) == ["ecn-refused"]
    accurate = with_header(VETH, flags=TcpFlags.SYN | TcpFlags.ECE | TcpFlags.CWR | TcpFlags.AE)
    assert ids(accurate) == ["ecn-refused"]
    assert ids(with_header(VETH, flags=TcpFlags.SYN | TcpFlags.ECE)) == []


def test_flags_that_ask_for_no_ecn_are_not_drawn_as_if_they_did() -> None:
    """RFC 3168 section 6.1.1 and RFC 9768 section 3.1.1 know no AE and ECE without CWR."""
    flags = {
        "ECN": TcpFlags.SYN | TcpFlags.ECE | TcpFlags.CWR,
        "": TcpFlags.SYN | TcpFlags.ECE | TcpFlags.AE,
    }
    for word, bits in flags.items():
        rows = drawing(build(with_header(VETH, flags=bits)))
        assert ("ECN" in "".join(rows)) == bool(word)


def test_ecn_bits_in_the_ip_header_of_a_syn() -> None:
    """RFC 3168 section 6.1.1: "A host MUST NOT set ECT on SYN or SYN-ACK packets"."""
    facts = with_ip(captured.ECN.facts(), ecn=2)
    assert ids(facts) == ["syn-ecn-marked"]


@pytest.mark.parametrize(
    ("ttl", "odd"), [(64, False), (32, False), (31, True), (100, False), (90, True), (1, True)]
)
def test_an_odd_ttl(ttl: int, odd: bool) -> None:
    assert ids(with_ip(VETH, ttl=ttl)) == (["ttl-odd"] if odd else [])


def test_a_syn_that_may_be_fragmented() -> None:
    assert ids(with_ip(VETH, dont_fragment=False)) == ["no-df"]


def test_options_that_end_within_one() -> None:
    assert VETH.saved_syn is not None
    options = (*VETH.saved_syn.transport.options, MalformedOption(8, b"\x0a"))
    facts = with_header(VETH, options=options)
    assert ids(facts) == ["options-malformed"]
    assert "cannot be (timestamps)" in sentence(facts, "options-malformed")


@pytest.mark.parametrize(
    ("kind", "id"),
    [(2, "mss-missing"), (3, "no-window-scaling"), (4, "no-sack"), (8, "no-timestamps")],
)
def test_an_option_that_is_there_was_not_stripped(kind: int, id: str) -> None:
    """Nor has the client it off: the hint says what is wrong with it."""
    facts = with_header(captured.BARE.facts(), options=(UnknownOption(kind, b"\1\2\3"),))
    assert "Its option is there" in sentence(facts, id)
    assert "strip" not in sentence(facts, id)
    assert "has it off" not in sentence(facts, id)


def test_an_option_of_a_wrong_length() -> None:
    """RFC 7323 section 2.2: window scale has 3 bytes. Linux takes no notice of another length."""
    assert VETH.saved_syn is not None
    options = (*VETH.saved_syn.transport.options, UnknownOption(3, b"\x07\x07"))
    facts = with_header(VETH, options=options)
    assert ids(facts) == ["options-malformed"]
    assert "cannot be (window scale)" in sentence(facts, "options-malformed")
    # one that nobody knows has no length that it ought to have
    options = (*VETH.saved_syn.transport.options, UnknownOption(77, b"\x07\x07"))
    assert ids(with_header(VETH, options=options)) == []


@pytest.mark.parametrize(
    ("id", "facts", "others"),
    [
        ("path-mtu-low", with_now(VETH, pmtu=1400), "a route of this server says so"),
        ("syn-ecn-marked", with_ip(captured.ECN.facts(), ecn=2), "or the client itself does"),
        (
            "options-malformed",
            with_header(VETH, options=(MalformedOption(8, b"\x0a"),)),
            "A tool made the packet",
        ),
    ],
)
def test_a_hint_names_other_causes_than_a_device_on_the_way(
    id: str, facts: Facts, others: str
) -> None:
    """hints.py: "it never says more than the facts bear"."""
    assert others in sentence(facts, id)


def test_an_odd_hop_limit_is_called_so() -> None:
    """RFC 8200 section 3: IPv6 has a hop limit, and no time to live."""
    facts = captured.IPV6.facts()
    assert facts.saved_syn is not None
    network = replace(facts.saved_syn.network, hop_limit=60)
    odd = replace(facts, saved_syn=replace(facts.saved_syn, network=network))
    assert "with a hop limit of 60" in sentence(odd, "ttl-odd")


def test_behind_a_proxy() -> None:
    assert ids(replace(VETH, proxy=Proxy(version=1))) == ["proxy"]
    narrow = replace(with_now(VETH, pmtu=1400), proxy=Proxy(version=1))
    assert "The path MTU to the proxy is" in sentence(narrow, "path-mtu-low")


def test_behind_a_proxy_on_a_unix_socket_there_may_be_a_network() -> None:
    """``listen = unix:PATH proxy=unix``: the client is somewhere beyond the proxy."""
    facts = Facts(transport=Transport.UNIX, proxy=Proxy(version=2))
    assert ids(facts) == ["unix-socket", "proxy"]
    words = " ".join(hint.sentence for hint in build(facts).hints)
    assert "no network" not in words
    assert "between the proxy and this server" in words


def test_what_is_no_tcp_has_no_hints_of_tcp() -> None:
    assert ids(Facts(transport=Transport.OTHER)) == []
    assert ids(Facts(transport=Transport.UNIX)) == ["unix-socket"]


@pytest.mark.parametrize("id", IDS)
def test_each_id_has_a_paragraph_in_the_reference(id: str) -> None:
    """The ids are stable and people look them up."""
    assert f"\n``{id}``\n" in PAGE.read_text(encoding="utf-8")
