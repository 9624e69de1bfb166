"""docs/explanation/handshake.rst shows current output."""

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
from tcpd.handshake.facts import Absence, Endpoint, Facts, Proxy, Tls
from tcpd.handshake.hints import IDS
from tcpd.handshake.packet import IPv4Header
from tcpd.handshake.report import build
from tcpd.handshake.tcp_options import (
    MaximumSegmentSize,
    NoOperation,
    SackPermitted,
    TCPOption,
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

#: The connection of the page's examples.
PLAIN = captured.VETH.facts(
    server_isn=4167493784, no_server_isn=None, interface="server-eth", interface_mtu=1500
)


#: Bits of tcpi_options by SYN option (linux/tcp.h, TCPI_OPT_*).
_NEGOTIATED: dict[type[TCPOption] | None, int] = {Timestamps: 1, SackPermitted: 2, WindowScale: 4}


def masked(line: str) -> str:
    """Mask what differs between connections: numbers, MAC addresses, widths."""
    line = re.sub(r"^\s+|\s+$", "", line)
    line = re.sub(r"\b[0-9a-f]{2}(:[0-9a-f]{2}){5}\b", "MAC", line)
    line = re.sub(r"\d+", "N", line)
    return re.sub(r"-{3,}| {2,}", "--", line)


def offering(*options: TCPOption, without: type[TCPOption] | None = None) -> Facts:
    """Change the options of the SYN, and the negotiated options with them."""
    syn = PLAIN.saved_syn
    assert syn is not None
    changed: list[TCPOption] = []
    for option in syn.transport.options:
        if type(option) is without:
            # replace with NOPs, as firewalls do: lengths stay the same
            changed += [NoOperation(1, b"")] * option.length
        else:
            changed += [next((other for other in options if type(other) is type(option)), option)]
    header = replace(syn.transport, options=tuple(changed))
    facts = replace(PLAIN, saved_syn=replace(syn, transport=header))
    info = captured.VETH.tcp_info()
    info = replace(info, options=info.options & ~_NEGOTIATED.get(without, 0))
    return replace(facts, accepted=info, now=info)


def arriving_with(ttl: int) -> Facts:
    syn = PLAIN.saved_syn
    assert syn is not None
    assert isinstance(syn.network, IPv4Header)
    return replace(PLAIN, saved_syn=replace(syn, network=replace(syn.network, ttl=ttl)))


def sent_three_times() -> Facts:
    info = replace(captured.VETH.tcp_info(), total_retrans=2)
    return replace(PLAIN, accepted=info, now=info)


#: The connections of the exercises.
EXERCISES = {
    "advmss": offering(MaximumSegmentSize(2, b"", 1400)),
    "clamped": offering(MaximumSegmentSize(2, b"", 1200)),
    "no sack": offering(without=SackPermitted),
    "no window scaling": offering(without=WindowScale),
    "no timestamps": offering(without=Timestamps),
    "ttl": arriving_with(70),
    "lost": sent_three_times(),
    "proxy": replace(
        PLAIN, proxy=Proxy(version=2, client=Endpoint(ip_address("198.51.100.2"), 56260))
    ),
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
    """Yield the hints on the page, each on one line."""
    for block in BLOCKS:
        for found in re.findall(r"^ *\* (.+?\[[a-z-]+\])$", block, re.M | re.S):
            yield " ".join(found.split())


def test_first_drawing_is_current() -> None:
    (shown,) = [block for block in BLOCKS if "nc 192.0.2.1 7080\n" in block]
    lines = textwrap.dedent(shown.partition("\n")[2]).splitlines()
    assert list(map(masked, lines)) == list(map(masked, drawing(build(PLAIN))))


def test_labels_are_current() -> None:
    """Each label of the page is in the same section of a report; the page may omit lines."""
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


def test_remarks_on_values_are_current() -> None:
    """The text after a value is current, except for numbers, names and addresses."""
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
def test_hints_are_current(hint: str) -> None:
    given = {
        f"{found.sentence} [{found.id}]"
        for facts in EXERCISES.values()
        for found in build(facts).hints
    }
    assert hint in given


def test_exercises_show_at_least_eight_hints() -> None:
    found = {re.findall(r"\[(.+)\]", hint)[-1] for hint in hints()}
    assert found <= set(IDS)
    assert len(found) >= 8


def test_drawings_of_exercises_are_current() -> None:
    drawn = {masked(line) for facts in ALL for line in drawing(build(facts))}
    shown = [
        line for block in BLOCKS for line in block.splitlines() if line.lstrip().startswith("|")
    ]
    assert len(shown) > 18
    for line in shown:
        assert masked(line) in drawn, line


@pytest.mark.live
def test_daemon_starts_with_class_ini(tmp_path: Path) -> None:
    """With or without the capability for ``server_isn``."""
    (ini,) = [block for block in BLOCKS if block.startswith("[tcpd]")]
    daemon = Daemon(
        tmp_path, re.sub(r"^listen = \*:\d+", "listen =\n    127.0.0.1:0", ini, flags=re.M)
    )
    try:
        with daemon.connect("handshake") as client:
            report = receive_all(client).decode("ascii")
        titles = re.findall(r"^(SYN.*|ACK.*|Layer \d.*)\r$", report, re.M)
        shown = [line for block in BLOCKS for line in block.splitlines() if line in titles]
        assert shown
        assert len(titles) == 10
        for block in BLOCKS:
            for title in re.findall(r"^(SYN-|ACK,|SYN,|Layer \d)(.*)$", block, re.M):
                assert "".join(title) in titles
    finally:
        daemon.stop()
