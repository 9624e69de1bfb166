"""docs/explanation/handshake.rst: what it shows as tcpd's output is what tcpd writes today."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from itertools import chain
from pathlib import Path

import pytest
from handshake import captured
from running import Daemon, receive_all

from tcpd.handshake.drawing import drawing
from tcpd.handshake.facts import Absence, End, Facts, Proxy, Tls
from tcpd.handshake.hints import IDS
from tcpd.handshake.packet import IPv4Header
from tcpd.handshake.report import build
from tcpd.handshake.tcp_options import (
    MaximumSegmentSize,
    NoOperation,
    Option,
    SackPermitted,
    Timestamps,
    WindowScale,
)
from tcpd.handshake.text import handshake_lines, layers_lines

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "explanation" / "handshake.rst").read_text(encoding="utf-8")

#: Literal blocks, in order.
BLOCKS = [
    textwrap.dedent(block).strip("\n")
    for block in re.findall(r"(?:::|code-block:: \w+)\n\n((?:(?: {3}.*)?\n)+)", PAGE)
]

#: As over the wire of the page's classroom.
PLAIN = captured.VETH.facts(
    server_isn=4167493784, no_server_isn=None, interface="server-eth", interface_mtu=1500
)


#: What is not in use, by the option that was not offered (linux/tcp.h, TCPI_OPT_*).
_AGREED: dict[type[Option] | None, int] = {Timestamps: 1, SackPermitted: 2, WindowScale: 4}


def masked(line: str) -> str:
    """What stays the same from connection to connection."""
    line = re.sub(r"^\s+|\s+$", "", line)
    line = re.sub(r"\b[0-9a-f]{2}(:[0-9a-f]{2}){5}\b", "MAC", line)
    line = re.sub(r"\d+", "N", line)
    return re.sub(r"-{3,}| {2,}", "--", line)


def offering(*options: Option, without: type[Option] | None = None) -> Facts:
    """The same client with other options in its SYN, and a server that goes along."""
    syn = PLAIN.saved_syn
    assert syn is not None
    changed: list[Option] = []
    for option in syn.transport.options:
        if type(option) is without:
            # as firewalls strip them, so that all lengths stay
            changed += [NoOperation(1, b"")] * option.length
        else:
            changed += [next((other for other in options if type(other) is type(option)), option)]
    header = replace(syn.transport, options=tuple(changed))
    facts = replace(PLAIN, saved_syn=replace(syn, transport=header))
    info = captured.VETH.tcp_info()
    info = replace(info, options=info.options & ~_AGREED.get(without, 0))
    return replace(facts, accepted=info, now=info)


def arriving_with(ttl: int) -> Facts:
    syn = PLAIN.saved_syn
    assert syn is not None
    assert isinstance(syn.network, IPv4Header)
    return replace(PLAIN, saved_syn=replace(syn, network=replace(syn.network, ttl=ttl)))


def sent_three_times() -> Facts:
    info = replace(captured.VETH.tcp_info(), total_retrans=2)
    return replace(PLAIN, accepted=info, now=info)


#: What the exercises do to a connection.
EXERCISES = {
    "advmss": offering(MaximumSegmentSize(2, b"", 1400)),
    "clamped": offering(MaximumSegmentSize(2, b"", 1200)),
    "no sack": offering(without=SackPermitted),
    "no window scaling": offering(without=WindowScale),
    "no timestamps": offering(without=Timestamps),
    "ttl": arriving_with(70),
    "lost": sent_three_times(),
    "proxy": replace(PLAIN, proxy=Proxy(version=2, client=End(ip_address("198.51.100.2"), 56260))),
    "cookies": replace(
        PLAIN, saved_syn=None, no_saved_syn=Absence.COOKIES_OR_LOST, server_isn=4167493784
    ),
}
ALL = [
    PLAIN,
    replace(
        PLAIN,
        tls=Tls(
            version="TLSv1.3",
            cipher="TLS_AES_128_GCM_SHA256",
            group="x25519",
            server_name="a.example",
        ),
    ),
    replace(PLAIN, encoding="UTF-8", line_ending="LF", commands=1),
    *EXERCISES.values(),
]


def hints() -> Iterator[str]:
    """The hints on the page, each on one line."""
    for block in BLOCKS:
        for found in re.findall(r"^ *\* (.+?\[[a-z-]+\])$", block, re.M | re.S):
            yield " ".join(found.split())


def test_the_first_drawing_is_drawn_so() -> None:
    (shown,) = [block for block in BLOCKS if "nc 192.0.2.1 7080\n" in block]
    lines = textwrap.dedent(shown.partition("\n")[2]).splitlines()
    assert list(map(masked, lines)) == list(map(masked, drawing(build(PLAIN))))


def test_every_line_of_a_section_is_one_of_that_section_in_its_order() -> None:
    """Continued lines too; what is cut out is cut out by whole lines."""
    written: dict[str, set[str]] = {}
    for facts in ALL:
        title = ""
        for line in chain(handshake_lines(build(facts)), layers_lines(build(facts))):
            title = line if re.match(r"(SYN|ACK|Layer \d)", line) else title
            label = re.match(r"  (?:- )?[a-zA-Z][^:]*?(?=  )", line)
            if label:
                written.setdefault(title, set()).add(label[0].strip())
    seen = 0
    for block in BLOCKS:
        title = ""
        for line in block.splitlines():
            title = line if re.match(r"(SYN|ACK|Layer \d)", line) else title
            label = re.match(r"  (?:- )?[a-zA-Z][^:]*?(?=  )", line)
            if title and label:
                assert label[0].strip() in written[title], line
                seen += 1
    assert seen > 30


def test_the_values_and_their_reasons_are_worded_so() -> None:
    """The words behind a label are today's, but for numbers, names and addresses."""
    written = " ".join(
        masked(line)
        for facts in ALL
        for line in chain(handshake_lines(build(facts)), layers_lines(build(facts)))
    )
    reasons = {
        " ".join(found.split())
        for block in BLOCKS
        if re.match(r"(SYN|Layer)", block)
        for found in re.findall(r"\((?:derived: )?[^)(]+\)|not available: [^\n]+", block)
    }
    assert len(reasons) > 8
    for reason in reasons:
        assert masked(reason) in written, reason


@pytest.mark.parametrize("hint", list(hints()))
def test_each_hint_is_given_so_for_its_exercise(hint: str) -> None:
    given = {
        f"{found.sentence} [{found.id}]"
        for facts in EXERCISES.values()
        for found in build(facts).hints
    }
    assert hint in given


def test_the_exercises_show_enough_hints() -> None:
    found = {re.findall(r"\[(.+)\]", hint)[-1] for hint in hints()}
    assert found <= set(IDS)
    assert len(found) >= 8


def test_the_lines_of_drawings_in_the_exercises_are_drawn_so() -> None:
    drawn = {masked(line) for facts in ALL for line in drawing(build(facts))}
    shown = [
        line for block in BLOCKS for line in block.splitlines() if line.lstrip().startswith("|")
    ]
    assert len(shown) > 18
    for line in shown:
        assert masked(line) in drawn, line


@pytest.mark.live
def test_the_configuration_of_the_classroom_is_served(tmp_path: Path) -> None:
    """The whole of class.ini; where this process may not ask for the server's number, without."""
    (ini,) = [block for block in BLOCKS if block.startswith("[tcpd]")]
    daemon = Daemon(
        tmp_path, re.sub(r"^listen = \*:\d+", "listen =\n    127.0.0.1:0", ini, flags=re.M)
    )
    try:
        with daemon.connect("handshake") as client:
            told = receive_all(client).decode("ascii")
        titles = re.findall(r"^(SYN.*|ACK.*|Layer \d.*)\r$", told, re.M)
        shown = [line for block in BLOCKS for line in block.splitlines() if line in titles]
        assert shown
        assert len(titles) == 10
        for block in BLOCKS:
            for title in re.findall(r"^(SYN-|ACK,|SYN,|Layer \d)(.*)$", block, re.M):
                assert "".join(title) in titles
    finally:
        daemon.stop()
