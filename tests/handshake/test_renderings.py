"""Text, drawing and JSON renderings of one report."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from handshake import captured
from handshake.captured import Captured
from hypothesis import given
from hypothesis import strategies as st

from tcpd.handshake.as_json import as_json, compact, handshake_json, layers_json, tcpinfo_json
from tcpd.handshake.client_hello import ClientHello
from tcpd.handshake.drawing import drawing
from tcpd.handshake.facts import Absence, Endpoint, Facts, Proxy, Tls, Transport
from tcpd.handshake.page import page
from tcpd.handshake.report import build
from tcpd.handshake.text import REPLY_WIDTH, handshake_lines, layers_lines, tcpinfo_lines
from tcpd.handshake.values import duration, safe

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "handshake.rst"
ALL: list[Captured] = [value for value in vars(captured).values() if isinstance(value, Captured)]

ASCII = """\
   client                                                  server
   192.0.2.2:50158                                192.0.2.1:54939
   |                                                            |
   |------ SYN seq=3635525935 --------------------------------->|
   |       MSS 1460, SACK, timestamps                           |
   |       window 64240, scale 10 (x1024), TTL 64               |
   |                                                            |
   |<----- SYN-ACK seq=? ack=3635525936 ------------------------| .
   |       MSS 1460, SACK, timestamps                           | |
   |       window 65160, scale 10 (x1024)                       | |
   |                                                            | | 15 us
   |------ ACK seq=3635525936 ack=? --------------------------->| '
   |       window 64512                                         |
   |                                                            |

   The SYN is as received; SYN-ACK and ACK are derived from it and TCP_INFO.
   The server's ISN (?) is unknown: [tcpd] server_isn = no.
"""

BOXES = """\
   client                                                  server
   192.0.2.2:50158                                192.0.2.1:54939
   │                                                            │
   │────── SYN seq=3635525935 ─────────────────────────────────▶│
   │       MSS 1460, SACK, timestamps                           │
   │       window 64240, scale 10 (×1024), TTL 64               │
   │                                                            │
   │◀───── SYN-ACK seq=4294967295 ack=3635525936 ───────────────│ ╮
   │       MSS 1460, SACK, timestamps                           │ │
   │       window 65160, scale 10 (×1024)                       │ │
   │                                                            │ │ 15 µs
   │────── ACK seq=3635525936 ack=0 ───────────────────────────▶│ ╯
   │       window 64512                                         │
   │                                                            │

   The SYN is as received; SYN-ACK and ACK are derived from it and TCP_INFO.
"""


def test_drawing_in_ascii() -> None:
    assert drawing(build(captured.VETH.facts())) == ASCII.splitlines()


def test_the_reference_shows_the_current_drawing() -> None:
    assert ASCII in PAGE.read_text(encoding="utf-8")


def test_drawing_in_box_characters() -> None:
    facts = captured.VETH.facts(server_isn=0xFFFFFFFF, no_server_isn=None)
    assert drawing(build(facts), utf8=True) == BOXES.splitlines()


def test_drawing_without_a_saved_syn() -> None:
    lines = drawing(build(captured.COOKIES.facts()))
    assert "   |------ SYN seq=? " in lines[3]
    assert "(not saved)" in lines[4]
    assert "SYN-ACK seq=? ack=? " in lines[6]
    assert "SYN cookies" in " ".join(lines)


def test_unknown_values_leave_no_empty_line_in_the_drawing() -> None:
    info = replace(captured.VETH.tcp_info(), data_segs_in=1)
    lines = drawing(build(captured.VETH.facts(accepted=info, now=info)))
    assert len(lines) == len(drawing(build(captured.VETH.facts()))) - 1
    assert all(one != other for one, other in pairwise(lines))


def test_drawing_shows_a_retransmitted_syn_ack() -> None:
    info = replace(captured.VETH.tcp_info(), total_retrans=2, rtt=0)
    lines = drawing(build(captured.VETH.facts(accepted=info, now=info)))
    assert any("sent 3 times" in line for line in lines)
    # no RTT beside the lifeline
    assert all(line.endswith("|") for line in lines[2:14])


def test_drawing_puts_long_addresses_on_two_lines() -> None:
    long = "2001:db8:1111:2222:3333:4444:5555:6666"
    facts = captured.IPV6.facts(
        remote=Endpoint(ip_address(long), 50158), local=Endpoint(ip_address(long), 65535)
    )
    lines = drawing(build(facts))
    assert lines[1] == f"   [{long}]:50158"
    assert lines[2].strip() == f"[{long}]:65535"
    assert len(lines[2]) == 65


def test_a_unix_socket_has_no_drawing() -> None:
    facts = Facts(transport=Transport.UNIX, no_saved_syn=Absence.UNIX)
    assert drawing(build(facts)) == [
        "   No drawing: a UNIX socket has no handshake: the kernel connects both ends at",
        "   once.",
    ]


@pytest.mark.parametrize("real", ALL)
def test_text_is_ascii_of_at_most_79_columns(real: Captured) -> None:
    report = build(real.facts(tls=Tls(version="TLSv1.3"), age=3.0, interface_mtu=1500))
    for lines in (
        drawing(report),
        handshake_lines(report),
        layers_lines(report),
        tcpinfo_lines(report),
    ):
        assert max(map(len, lines)) <= 79
        assert all(line.isascii() and line == line.rstrip() for line in lines)


@pytest.mark.parametrize("real", ALL)
@pytest.mark.parametrize("proxy", [None, Proxy(version=2, tls_version="TLSv1.3")])
def test_reply_lines_have_at_most_79_columns(real: Captured, proxy: Proxy | None) -> None:
    """REPLY_WIDTH leaves four columns for ``250-``."""
    report = build(real.facts(tls=Tls(version="TLSv1.3"), interface_mtu=1500, proxy=proxy))
    for lines in (
        page(report, width=REPLY_WIDTH),
        layers_lines(report, width=REPLY_WIDTH),
        tcpinfo_lines(report, width=REPLY_WIDTH),
    ):
        assert max(len(f"250-{line}") for line in lines) <= 79


def test_tcp_info_behind_a_proxy_has_a_note() -> None:
    facts = captured.VETH.facts(proxy=Proxy(version=1))
    assert tcpinfo_lines(build(facts))[1] == "  between the proxy and this server"


def test_drawing_of_ipv6_shows_the_hop_limit() -> None:
    """RFC 8200 section 3: IPv6 has a hop limit and no TTL."""
    lines = drawing(build(captured.IPV6.facts()))
    assert any("hop limit 64" in line for line in lines)
    assert not any("TTL" in line for line in lines)


def test_a_count_of_one_is_singular() -> None:
    info = replace(captured.VETH.tcp_info(), total_retrans=1)
    facts = captured.VETH.facts(accepted=info, now=info)
    lines = handshake_lines(build(facts))
    assert any("  retransmitted            1 time " in line for line in lines)


NASTY = st.text(max_size=300)


@given(NASTY, NASTY, NASTY, st.booleans())
def test_text_chosen_by_the_peer_is_escaped(name: str, alpn: str, account: str, utf8: bool) -> None:
    """Peers choose SNI, ALPN and account: no control character or line end reaches a terminal."""
    tls = Tls(server_name=name, alpn=alpn, client=account)
    proxy = Proxy(version=2, server_name=name, alpn=alpn, tls_cipher=account)
    report = build(captured.VETH.facts(tls=tls, proxy=proxy, account=account, encoding=alpn))
    lines = layers_lines(report, utf8)
    assert all(line.isprintable() for line in lines)
    assert max(map(len, lines)) <= 79
    if not utf8:
        assert all(line.isascii() for line in lines)
    for section in report.layers:
        for value in section.values:
            assert not isinstance(value.value, str) or value.value.isprintable()


def test_unsafe_characters_are_escaped_and_long_texts_truncated() -> None:
    assert safe("a\x1b[2J\u202e\U000e0001\ud800") == "a\\x1b[2J\\u202e\\U000e0001\\ud800"
    assert safe("café") == "café"
    assert safe("x" * 300) == "x" * 255 + "..."


def test_text_marks_derived_and_unavailable_values() -> None:
    lines = handshake_lines(build(captured.VETH.facts()))
    text = "\n".join(lines)
    assert lines[0] == "Handshake of 192.0.2.2:50158 with 192.0.2.1:54939"
    assert "  sequence number          3635525935 (the client's ISN)" in lines
    assert "  acknowledgment number    3635525936 (derived: the client's ISN + 1)" in lines
    assert "not available: [tcpd] server_isn = no" in text
    assert lines[-1] == "No anomalies."
    clamped = handshake_lines(build(captured.CLAMPED.facts()))
    assert "Hints:" in clamped
    assert any(line.endswith("[mss-low]") for line in clamped)


def test_tcp_info_in_two_columns() -> None:
    now = replace(captured.VETH.tcp_info(), snd_cwnd=20, snd_ssthresh=12)
    lines = tcpinfo_lines(build(captured.VETH.facts(now=now)))
    assert lines[1].split() == ["at", "accept", "now"]
    assert ["snd_cwnd", "10", "20", "segments"] in [line.split() for line in lines]
    assert ["snd_ssthresh", "no", "limit", "12", "segments"] in [line.split() for line in lines]
    assert tcpinfo_lines(build(Facts()))[1] == "  not available: it could not be read"


def test_json_has_the_whole_report_under_stable_names() -> None:
    report = build(captured.VETH.facts())
    whole = json.loads(json.dumps(as_json(report)))
    assert whole["version"] == 1
    assert (whole["transport"], whole["remote"]) == ("tcp", "192.0.2.2:50158")
    assert list(whole["handshake"]) == ["syn", "syn_ack", "ack"]
    syn = whole["handshake"]["syn"]["values"]
    assert syn["mss"] == {"value": 1460, "unit": "bytes", "source": "seen", "why": None}
    assert syn["options"]["value"][0] == "maximum segment size"
    isn = whole["handshake"]["syn_ack"]["values"]["sequence_number"]
    assert isn == {
        "value": None,
        "unit": None,
        "source": "unavailable",
        "why": "[tcpd] server_isn = no",
    }
    assert whole["no_server_isn"] == "off"
    assert len(whole["layers"]) == 7
    assert whole["tcpinfo"]["now"]["rtt"] == 15
    assert whole["hints"] == []
    parts: dict[str, Any] = {}
    for part in (handshake_json(report), layers_json(report), tcpinfo_json(report)):
        parts |= part
    assert parts == as_json(report)


def test_json_lists_the_hints() -> None:
    hints = as_json(build(captured.CLAMPED.facts()))["hints"]
    assert [hint["id"] for hint in hints] == ["mss-low", "ttl-odd"]


def test_the_reference_documents_each_name_in_the_json() -> None:
    """as_json.py: "Names are stable"."""
    page = PAGE.read_text(encoding="utf-8")
    hello = ClientHello(0x0303, 0, (0x1301,), ((0, b""),))
    tls = Tls(alpn="", client="", group="x25519", hello=hello)
    proxy = Proxy(version=2)
    facts = [real.facts() for real in ALL]
    facts += [real.facts(tls=tls, proxy=proxy) for real in ALL]
    reports = [build(each) for each in facts]
    names = {
        value.name
        for report in reports
        for section in (*report.steps, *report.layers)
        for value in section.values
    }
    names |= set(as_json(reports[0]))
    assert {name for name in names if f"``{name}``" not in page} == set()


def test_compact_has_the_values_of_a_log_line() -> None:
    assert compact(captured.VETH.facts()) == {
        "mss": 1460,
        "wscale": 10,
        "sack": True,
        "ts": True,
        "ttl": 64,
        "rtt": 15,
    }
    bare = compact(captured.BARE.facts())
    assert (bare["wscale"], bare["sack"], bare["ts"]) == (None, False, False)
    assert set(compact(Facts()).values()) == {None}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 us"),
        (18e-6, "18 us"),
        (0.00123, "1.23 ms"),
        (0.2, "200 ms"),
        (1.5, "1.5 s"),
        (90, "2 min"),
        (3661, "1 h 1 min"),
    ],
)
def test_durations_are_formatted(seconds: float, text: str) -> None:
    assert duration(seconds) == text
