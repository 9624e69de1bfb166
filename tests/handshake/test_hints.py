"""Each anomaly gives its hint, and an ordinary handshake gives none."""

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
    """Change the TCP header of the SYN."""
    assert facts.saved_syn is not None
    header: TcpHeader = replace(facts.saved_syn.transport, **changes)
    return replace(facts, saved_syn=replace(facts.saved_syn, transport=header))


def with_ip(facts: Facts, **changes: Any) -> Facts:
    """Change the IPv4 header of the SYN."""
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
def test_an_ordinary_handshake_has_no_hints(real: captured.Captured) -> None:
    assert ids(real.facts()) == []


def test_an_mss_below_the_path_mtu_gives_a_hint() -> None:
    facts = captured.CLAMPED.facts()
    assert ids(facts) == ["mss-low", "ttl-odd"]
    assert "MSS is 900 bytes, where the path MTU of 65535 would allow 65495" in sentence(
        facts, "mss-low"
    )


def test_an_mss_above_the_path_mtu_gives_no_hint() -> None:
    """If the client's MTU is larger than the server's, both ends use the smaller."""
    options = (MaximumSegmentSize(2, b"", 8960), *VETH.saved_syn.transport.options[1:])  # type: ignore[union-attr]
    assert ids(with_header(VETH, options=options)) == []


def test_the_ipv6_header_is_20_bytes_longer() -> None:
    """RFC 9293 section 3.7.1: the MSS is the MTU less the fixed IP and TCP headers."""
    facts = captured.IPV6.facts()
    assert ids(facts) == []
    assert "65536 would allow 65476" in sentence(
        with_header(facts, options=(MaximumSegmentSize(2, b"", 1440),)), "mss-low"
    )


def test_missing_options_give_hints() -> None:
    assert ids(with_header(VETH, options=())) == ["mss-missing"]
    bare = captured.BARE.facts()
    assert ids(bare) == ["no-sack", "no-window-scaling", "no-timestamps"]
    assert "does not offer SACK" in sentence(bare, "no-sack")


def test_an_option_disabled_on_the_server_gives_a_hint() -> None:
    assert VETH.accepted is not None
    info = replace(VETH.accepted, options=int(InfoOptions.TIMESTAMPS | InfoOptions.WINDOW_SCALE))
    facts = replace(VETH, accepted=info, now=info)
    assert ids(facts) == ["no-sack"]
    assert "this server has it disabled" in sentence(facts, "no-sack")


def test_a_path_mtu_below_the_interface_mtu_gives_a_hint() -> None:
    facts = with_now(VETH, pmtu=1400)
    # the SYN's MSS of 1460 is more than 1360: no second hint
    assert ids(facts) == ["path-mtu-low"]
    assert "1400 bytes, where the interface has 1500" in sentence(facts, "path-mtu-low")
    assert "Ethernet has 1500" in sentence(replace(facts, interface_mtu=None), "path-mtu-low")


def test_the_loopback_mtu_of_65536_gives_no_hint() -> None:
    """RFC 791: the total length has 16 bits, so IPv4 uses at most 65535."""
    assert ids(captured.IPV4.facts(interface_mtu=65536)) == []
    assert ids(captured.IPV6.facts(interface_mtu=65536)) == []


@pytest.mark.parametrize(("times", "words"), [(1, "SYN-ACK once:"), (3, "SYN-ACK 3 times:")])
def test_a_retransmitted_syn_ack_gives_a_hint(times: int, words: str) -> None:
    """tcp_minisocks.c: total_retrans of a new socket starts with the SYN-ACK's count."""
    assert VETH.accepted is not None
    info = replace(VETH.accepted, total_retrans=times)
    facts = replace(VETH, accepted=info, now=info)
    assert ids(facts) == ["syn-retransmitted"]
    assert words in sentence(facts, "syn-retransmitted")


def test_later_retransmissions_are_not_counted_as_syn_acks() -> None:
    facts = with_now(VETH, total_retrans=2, data_segs_out=9)
    assert ids(facts) == ["segments-retransmitted"]
    assert "2 segments retransmitted" in sentence(facts, "segments-retransmitted")


_COOKIES = {Absence.COOKIES_OR_LOST, Absence.COOKIES_OR_EARLY}


def test_a_missing_syn_on_a_systemd_socket_has_two_possible_causes() -> None:
    """A connection that was in the backlog when the daemon started has no saved SYN either."""
    early = captured.COOKIES.facts(interface_mtu=65535, no_saved_syn=Absence.COOKIES_OR_EARLY)
    assert ids(early) == ["syn-cookies"]
    assert "began before the daemon started" in sentence(early, "syn-cookies")
    info = replace(captured.COOKIES.tcp_info(), total_retrans=1)
    assert ids(replace(early, accepted=info, now=info)) == ["syn-retransmitted"]


def test_hints_behind_a_proxy_name_the_proxy() -> None:
    """The SYN is the proxy's, and the server sends to the proxy."""
    facts = captured.BARE.facts(proxy=Proxy(version=2), interface_mtu=65536)
    facts = with_now(with_ip(facts, dont_fragment=False), total_retrans=2, data_segs_out=9)
    for id in set(ids(facts)) - {"proxy"}:
        assert "client" not in sentence(facts, id)
        assert "proxy" in sentence(facts, id)


def test_syn_acks_retransmitted_with_fast_open_are_not_counted_as_data() -> None:
    """Accepted in SYN-RECEIVED, total_retrans does not separate SYN-ACKs from data."""
    began = replace(captured.FAST_OPEN.tcp_info(), state=3, rtt=0)
    now = replace(began, state=1, total_retrans=2, data_segs_out=4)
    facts = captured.FAST_OPEN.facts(accepted=began, now=now, interface_mtu=65536)
    assert not {"syn-retransmitted", "segments-retransmitted"} & set(ids(facts))


def test_syn_cookies_give_a_hint() -> None:
    assert ids(captured.COOKIES.facts(interface_mtu=65535)) == ["syn-cookies"]


@pytest.mark.parametrize("absence", [each for each in Absence if each not in _COOKIES])
def test_other_reasons_for_no_saved_syn_give_no_hint(absence: Absence) -> None:
    assert ids(captured.COOKIES.facts(no_saved_syn=absence)) == []


def test_with_syn_cookies_retransmissions_are_counted_from_zero() -> None:
    """syncookies.c: the kernel creates the request, with its count, when the ACK arrives."""
    now = replace(captured.COOKIES.tcp_info(), total_retrans=3, data_segs_out=9)
    facts = captured.COOKIES.facts(interface_mtu=65535, now=now)
    assert ids(facts) == ["syn-cookies", "segments-retransmitted"]
    assert "3 segments retransmitted" in sentence(facts, "segments-retransmitted")


def test_a_retransmitted_syn_ack_rules_out_syn_cookies() -> None:
    """With SYN cookies the kernel has no request, so it retransmits no SYN-ACK."""
    info = replace(captured.COOKIES.tcp_info(), total_retrans=1)
    facts = captured.COOKIES.facts(interface_mtu=65535, accepted=info, now=info)
    assert ids(facts) == ["syn-retransmitted"]


def test_an_ecn_request_that_was_not_accepted_gives_a_hint() -> None:
    """RFC 3168 section 6.1.1: ECE and CWR in the SYN request ECN."""
    classic = with_header(VETH, flags=TcpFlags.SYN | TcpFlags.ECE | TcpFlags.CWR)
    assert ids(classic) == ["ecn-refused"]
    accurate = with_header(VETH, flags=TcpFlags.SYN | TcpFlags.ECE | TcpFlags.CWR | TcpFlags.AE)
    assert ids(accurate) == ["ecn-refused"]
    assert ids(with_header(VETH, flags=TcpFlags.SYN | TcpFlags.ECE)) == []


def test_the_drawing_shows_ecn_only_if_it_was_requested() -> None:
    """RFC 3168 section 6.1.1 and RFC 9768 section 3.1.1 do not define AE and ECE without CWR."""
    flags = {
        "ECN": TcpFlags.SYN | TcpFlags.ECE | TcpFlags.CWR,
        "": TcpFlags.SYN | TcpFlags.ECE | TcpFlags.AE,
    }
    for word, bits in flags.items():
        rows = drawing(build(with_header(VETH, flags=bits)))
        assert ("ECN" in "".join(rows)) == bool(word)


def test_ecn_bits_in_the_ip_header_of_a_syn_give_a_hint() -> None:
    """RFC 3168 section 6.1.1: "A host MUST NOT set ECT on SYN or SYN-ACK packets"."""
    facts = with_ip(captured.ECN.facts(), ecn=2)
    assert ids(facts) == ["syn-ecn-marked"]


@pytest.mark.parametrize(
    ("ttl", "odd"), [(64, False), (32, False), (31, True), (100, False), (90, True), (1, True)]
)
def test_an_unusual_ttl_gives_a_hint(ttl: int, odd: bool) -> None:
    assert ids(with_ip(VETH, ttl=ttl)) == (["ttl-odd"] if odd else [])


def test_a_syn_without_df_gives_a_hint() -> None:
    assert ids(with_ip(VETH, dont_fragment=False)) == ["no-df"]


def test_a_truncated_option_gives_a_hint() -> None:
    assert VETH.saved_syn is not None
    options = (*VETH.saved_syn.transport.options, MalformedOption(8, b"\x0a"))
    facts = with_header(VETH, options=options)
    assert ids(facts) == ["options-malformed"]
    assert "invalid length (timestamps)" in sentence(facts, "options-malformed")


@pytest.mark.parametrize(
    ("kind", "id"),
    [(2, "mss-missing"), (3, "no-window-scaling"), (4, "no-sack"), (8, "no-timestamps")],
)
def test_an_option_of_invalid_length_is_not_reported_as_stripped(kind: int, id: str) -> None:
    """The option is present, so it was neither stripped nor disabled."""
    facts = with_header(captured.BARE.facts(), options=(UnknownOption(kind, b"\1\2\3"),))
    assert "present but has an invalid length" in sentence(facts, id)
    assert "strip" not in sentence(facts, id)
    assert "disabled" not in sentence(facts, id)


def test_an_option_of_invalid_length_gives_a_hint() -> None:
    """RFC 7323 section 2.2: window scale has 3 bytes. Linux ignores any other length."""
    assert VETH.saved_syn is not None
    options = (*VETH.saved_syn.transport.options, UnknownOption(3, b"\x07\x07"))
    facts = with_header(VETH, options=options)
    assert ids(facts) == ["options-malformed"]
    assert "invalid length (window scale)" in sentence(facts, "options-malformed")
    # an unknown option has no defined length
    options = (*VETH.saved_syn.transport.options, UnknownOption(77, b"\x07\x07"))
    assert ids(with_header(VETH, options=options)) == []


@pytest.mark.parametrize(
    ("id", "facts", "others"),
    [
        ("path-mtu-low", with_now(VETH, pmtu=1400), "a route of this server sets it"),
        ("syn-ecn-marked", with_ip(captured.ECN.facts(), ecn=2), "or the client sets them"),
        (
            "options-malformed",
            with_header(VETH, options=(MalformedOption(8, b"\x0a"),)),
            "A tool crafted the packet",
        ),
    ],
)
def test_a_hint_names_other_causes_than_a_middlebox(id: str, facts: Facts, others: str) -> None:
    """hints.py: "never claims more than the facts support"."""
    assert others in sentence(facts, id)


def test_the_hint_on_an_ipv6_ttl_names_the_hop_limit() -> None:
    """RFC 8200 section 3: IPv6 has a hop limit and no TTL."""
    facts = captured.IPV6.facts()
    assert facts.saved_syn is not None
    network = replace(facts.saved_syn.network, hop_limit=60)
    odd = replace(facts, saved_syn=replace(facts.saved_syn, network=network))
    assert "with a hop limit of 60" in sentence(odd, "ttl-odd")


def test_a_proxy_header_gives_a_hint() -> None:
    assert ids(replace(VETH, proxy=Proxy(version=1))) == ["proxy"]
    narrow = replace(with_now(VETH, pmtu=1400), proxy=Proxy(version=1))
    assert "The path MTU to the proxy is" in sentence(narrow, "path-mtu-low")


def test_a_proxy_on_a_unix_socket_may_have_remote_clients() -> None:
    """``listen = unix:PATH proxy=unix``: the client connects to the proxy over a network."""
    facts = Facts(transport=Transport.UNIX, proxy=Proxy(version=2))
    assert ids(facts) == ["unix-socket", "proxy"]
    words = " ".join(hint.sentence for hint in build(facts).hints)
    assert "no network" not in words
    assert "between the proxy and this server" in words


def test_other_sockets_have_no_hints_on_tcp() -> None:
    assert ids(Facts(transport=Transport.OTHER)) == []
    assert ids(Facts(transport=Transport.UNIX)) == ["unix-socket"]


@pytest.mark.parametrize("id", IDS)
def test_reference_describes_each_id(id: str) -> None:
    """hints.py: "``docs/reference/handshake.rst`` has a paragraph on each"."""
    assert f"``{id}``" in PAGE.read_text(encoding="utf-8")
