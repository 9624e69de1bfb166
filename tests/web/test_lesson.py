"""The lesson: chapters, exercises and their checks."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from handshake import captured
from web.pages import check_page
from web.reports import HOSTILE, LONG, REPORTS, TCP, with_rtt, with_syn

from tcpd.handshake.facts import Facts
from tcpd.handshake.report import build
from tcpd.web import lesson
from tcpd.web.lesson import CHAPTERS, EXERCISES, Place, check, place_of
from tcpd.web.rendering import Templates

PLACE = Place("http://192.0.2.1:7800", "192.0.2.1", 7800)


@pytest.fixture(scope="module")
def templates() -> Templates:
    return Templates()


@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_chapters_of_any_connection(chapter: str, name: str, templates: Templates) -> None:
    html = lesson.chapter_page(chapter, REPORTS[name], templates)
    page = check_page(html)
    assert CHAPTERS[chapter].title in page.text
    assert "None" not in page.text
    if name not in TCP:
        assert "Your connection is not TCP" in page.text
        assert "shaft" not in html or chapter in ("connection", "trouble")


@pytest.mark.parametrize(
    ("chapter", "sentence"),
    [
        ("connection", "address 192.0.2.2 , port 50158 , and address 192.0.2.1 , port 54939"),
        ("connection", "Your bytes are counted from 3635525935"),
        ("layers", "Your SYN arrived with a TTL of 64"),
        ("syn", "Your SYN announces 1460 bytes"),
        ("syn", "Your SYN allows 64240 bytes in flight"),
        ("syn", "Your shift is 10 , so later windows count in units of 1024 bytes"),
        ("syn", "Your clock stood at 1673743434"),
        ("syn-ack", "It acknowledges 3635525936 : your 3635525935 plus 1"),
        ("syn-ack", "[tcpd] server_isn = no"),
        ("ack", "From SYN-ACK to ACK took 15 µs on this connection"),
        ("ack", "the first one that is scaled: 64512 bytes"),
    ],
)
def test_sentences_have_the_reader_s_numbers(
    chapter: str, sentence: str, templates: Templates
) -> None:
    page = check_page(lesson.chapter_page(chapter, REPORTS["veth"], templates))
    assert sentence in page.text


def test_throughput_of_one_window(templates: Templates) -> None:
    """One window in each round trip: 64512 bytes in 23.4 ms are 22.1 Mbit/s."""
    page = check_page(lesson.chapter_page("ack", build(with_rtt(23_400)), templates))
    assert "at most 22.1 Mbit/s" in page.text


def test_hint_on_this_connection(templates: Templates) -> None:
    page = check_page(lesson.chapter_page("trouble", REPORTS["clamped"], templates))
    assert "mss-low This hint is on your connection now." in page.text
    assert page.text.count("This hint is on your connection now.") == len(REPORTS["clamped"].hints)


@pytest.mark.parametrize(("name", "words"), [("retransmitted", "sent it again 2 times")])
def test_retransmissions_in_words(name: str, words: str, templates: Templates) -> None:
    assert words in check_page(lesson.chapter_page("trouble", REPORTS[name], templates)).text


@pytest.mark.parametrize("name", ["veth", "unix", "proxied"])
def test_contents(name: str, templates: Templates) -> None:
    page = check_page(lesson.index_page(REPORTS[name], templates))
    assert [link for link in page.links if link.startswith("/learn/")] == [
        *(f"/learn/{chapter}" for chapter in CHAPTERS),
        "/learn/exercises",
    ]


def test_unknown_names() -> None:
    with pytest.raises(KeyError):
        check("no-such-exercise", REPORTS["veth"])
    with pytest.raises(KeyError):
        lesson.answer_text("no-such-exercise", REPORTS["veth"])


#: SYN options of 20 bytes: MSS 1200, SACK, timestamps and window scale as captured.
SMALL_MSS = bytes.fromhex("020404b0")

#: Facts that pass and facts that fail, with a part of each sentence.
CASES: dict[str, tuple[Facts, str, Facts, str]] = {
    "small-mss": (
        with_syn(options=SMALL_MSS),
        "announces an MSS of 1200 bytes",
        captured.VETH.facts(),
        "an MSS of 1460 bytes, more than 1200",
    ),
    "receive-buffer": (
        with_syn(window=b"\x20\x00"),
        "is 8192 bytes",
        captured.VETH.facts(),
        "is 64240 bytes, more than 16384",
    ),
    "no-window-scaling": (
        captured.BARE.facts(),
        "does not offer window scaling",
        captured.VETH.facts(),
        "Check sysctl net.ipv4.tcp_window_scaling",
    ),
    "no-timestamps": (
        captured.BARE.facts(),
        "does not offer timestamps",
        captured.VETH.facts(),
        "Check sysctl net.ipv4.tcp_timestamps",
    ),
    "no-sack": (
        captured.BARE.facts(),
        "does not offer SACK",
        captured.VETH.facts(),
        "Check sysctl net.ipv4.tcp_sack",
    ),
    "ecn": (
        captured.ECN.facts(),
        "flags ECE and CWR, and the server agreed",
        captured.VETH.facts(),
        "does not request ECN",
    ),
    "ipv6": (
        captured.IPV6.facts(),
        "over IPv6, from ::1",
        captured.VETH.facts(),
        "over IPv4, from 192.0.2.2",
    ),
    "fast-open": (
        captured.FAST_OPEN_ASKED.facts(),
        "requests a Fast Open cookie",
        captured.VETH.facts(),
        "no Fast Open option",
    ),
}


@pytest.mark.parametrize("name", EXERCISES)
def test_exercises_pass_and_fail(name: str, templates: Templates) -> None:
    right, passed, wrong, failed = CASES[name]
    for facts, expected, words in ((right, True, passed), (wrong, False, failed)):
        report = build(facts)
        answer = check(name, report)
        assert answer == check(EXERCISES[name], report)
        assert answer.passed is expected
        assert words in answer.sentence
        page = check_page(lesson.answer_page(name, report, templates, PLACE))
        assert answer.sentence in page.text
        lines = lesson.answer_text(name, report)
        assert lines[0] == f"{'PASSED' if expected else 'NOT YET'}: {EXERCISES[name].title}"
        assert lines[1] == answer.sentence


@pytest.mark.parametrize(
    ("facts", "name", "words"),
    [
        (with_syn(flags=b"\xa1\xc2"), "ecn", "flags AE, CWR and ECE"),
        (with_syn(flags=b"\xa0\xc2"), "ecn", "but the server did not agree"),
        (with_syn(flags=b"\xa0\xc2", accepted=None, now=None), "ecn", "flags ECE and CWR."),
        (captured.FAST_OPEN.facts(), "fast-open", "and carries 5 bytes of data"),
    ],
)
def test_other_ways_to_pass(facts: Facts, name: str, words: str) -> None:
    answer = check(name, build(facts))
    assert answer.passed
    assert words in answer.sentence


def test_no_mss_at_all() -> None:
    answer = check("small-mss", build(with_syn(options=b"\x01\x01\x01\x01")))
    assert not answer.passed
    assert "no MSS option" in answer.sentence


@pytest.mark.parametrize("name", [name for name in EXERCISES if name != "ipv6"])
@pytest.mark.parametrize("kind", ["cookies", "off", "nothing"])
def test_without_a_saved_syn(name: str, kind: str) -> None:
    """An option in use was offered; nothing else is certain without the SYN."""
    answer = check(name, REPORTS[kind])
    assert not answer.passed
    if kind != "nothing" and name in ("no-sack", "no-timestamps", "no-window-scaling"):
        assert "still offers" in answer.sentence
    else:
        assert "cannot be checked: " in answer.sentence


@pytest.mark.parametrize("name", EXERCISES)
@pytest.mark.parametrize("kind", ["unix", "other", "proxied_unix"])
def test_without_tcp(name: str, kind: str) -> None:
    answer = check(name, REPORTS[kind])
    assert not answer.passed
    assert "Connect" in answer.sentence


@pytest.mark.parametrize("name", EXERCISES)
def test_behind_a_proxy(name: str) -> None:
    proxy = REPORTS["proxied"].facts.proxy
    assert "the handshake of your proxy" in check(name, REPORTS["proxied"]).sentence
    assert check(name, build(replace(CASES[name][0], proxy=proxy))).passed


def test_commands_are_for_this_service(templates: Templates) -> None:
    page = check_page(lesson.exercises_page(REPORTS["veth"], templates, PLACE))
    assert "ip route get 192.0.2.1 " in page.text
    assert "curl http://192.0.2.1:7800/learn/check/no-sack" in page.text
    assert "socat -t 5 - TCP:192.0.2.1:7800,mss=1200" in page.text
    assert "{" not in page.text
    for name in EXERCISES:
        assert name in page.ids
        assert f"/learn/check/{name}" in page.links


def test_commands_for_a_host_name_have_the_address_of_the_socket(templates: Templates) -> None:
    place = place_of(REPORTS["veth"], "tcp.example.org", secure=True)
    page = check_page(lesson.exercises_page(REPORTS["veth"], templates, place))
    assert "ip route get 192.0.2.1 " in page.text
    assert "OPENSSL:tcp.example.org:443,mss=1200" in page.text


def test_commands_for_an_ipv6_address(templates: Templates) -> None:
    place = place_of(REPORTS["ipv6"], "[::1]:7800")
    page = check_page(lesson.exercises_page(REPORTS["ipv6"], templates, place))
    assert "curl 'http://[::1]:7800/learn/check/no-sack'" in page.text
    assert "TCP:[::1]:7800,mss=1200" in page.text
    assert "ip route get ::1 " in page.text


@pytest.mark.parametrize(
    ("host", "secure", "place"),
    [
        (None, False, Place("http://192.0.2.1:54939", "192.0.2.1", 54939)),
        ("tcp.example.org", False, Place("http://tcp.example.org", "tcp.example.org", 80)),
        ("tcp.example.org", True, Place("https://tcp.example.org", "tcp.example.org", 443)),
        ("127.0.0.1:7800", False, Place("http://127.0.0.1:7800", "127.0.0.1", 7800)),
        ("[::1]:7800", False, Place("http://[::1]:7800", "::1", 7800)),
        ("a;rm -rf /", False, Place("http://192.0.2.1:54939", "192.0.2.1", 54939)),
        ("-o", False, Place("http://192.0.2.1:54939", "192.0.2.1", 54939)),
        ("$(id):80", False, Place("http://192.0.2.1:54939", "192.0.2.1", 54939)),
        (HOSTILE, False, Place("http://192.0.2.1:54939", "192.0.2.1", 54939)),
    ],
)
def test_place(host: str | None, secure: bool, place: Place) -> None:
    """Text that a shell could interpret is not in commands to copy."""
    assert place_of(REPORTS["veth"], host, secure) == place


def test_place_without_a_host_header() -> None:
    assert place_of(REPORTS["unix"]) == Place("http://localhost", "localhost", 80)
    six = replace(REPORTS["veth"].facts, local=replace(LONG, address=ip_address("fe80::1%eth0")))
    assert place_of(build(six)) == Place("http://[fe80::1]:65535", "fe80::1", 65535)
