"""Draws the handshake as a sequence diagram.

::

    client                           server
    |------ SYN seq=1000 ---------------->|
    |<----- SYN-ACK seq=5000 ack=1001 ----|
    |------ ACK seq=1001 ack=5001 ------->|
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from tcpd.handshake.derive import EcnSetup, ecn_setup, peer_name, ttl_of
from tcpd.handshake.facts import Facts, Transport
from tcpd.handshake.network import ttl_name
from tcpd.handshake.report import Report
from tcpd.handshake.tcp_info import InfoOptions
from tcpd.handshake.tcp_options import MaximumSegmentSize, SackPermitted, Timestamps, WindowScale
from tcpd.handshake.text import WIDTH
from tcpd.handshake.values import Source, ascii_only, duration

#: The columns of the two lifelines: 60 between them for an arrow, 10 on the right for the RTT.
_LEFT, _RIGHT = 3, 64
_BETWEEN = _RIGHT - _LEFT - 1


@dataclass(frozen=True, slots=True)
class _Pen:
    line: str
    shaft: str
    right: str
    left: str
    clock_top: str
    clock: str
    clock_end: str
    times: str


_ASCII = _Pen("|", "-", ">", "<", ".", "|", "'", "x")
_BOXES = _Pen("│", "─", "▶", "◀", "╮", "│", "╯", "×")


def drawing(report: Report, utf8: bool = False, width: int = WIDTH) -> list[str]:
    """Draw the handshake.

    :param utf8: use box-drawing characters; ASCII otherwise.
    :param width: the width of the sentences below the drawing. The drawing itself has 75 columns.
    :return: lines; without TCP, a sentence.
    """
    facts = report.facts
    if facts.transport is not Transport.TCP:
        return _wrapped(f"No drawing: {report.steps[0].note}.", width)
    pen = _BOXES if utf8 else _ASCII
    lines = [*_heads(facts), *_arrows(report, pen), "", *_remarks(report, width)]
    return [line.rstrip() for line in (lines if utf8 else map(ascii_only, lines))]


def _heads(facts: Facts) -> Iterator[str]:
    names = (peer_name(facts), "server")
    ends = [str(end) if end is not None else "unknown" for end in (facts.remote, facts.local)]
    for left, right in (names, ends):
        # aligned with the lifelines
        start = f"{'':{_LEFT}}{left}"
        if len(start) + 2 + len(right) <= _RIGHT + 1:
            yield start + right.rjust(_RIGHT + 1 - len(start))
        else:
            # two long IPv6 addresses do not fit on one line
            yield start
            yield right.rjust(_RIGHT + 1)


def _arrows(report: Report, pen: _Pen) -> Iterator[str]:
    syn, syn_ack, ack = (_numbers(report, step) for step in range(3))
    rtt = report.handshake.rtt
    clock = "" if rtt is None else f"{pen.clock} {_micro(duration(rtt * 1e-6), pen)}"
    running = "" if rtt is None else pen.clock
    top, end = ("", "") if rtt is None else (pen.clock_top, pen.clock_end)
    yield _row(pen, "")
    yield _to_server(pen, f"SYN {syn}")
    for line in _offers(report, pen):
        yield _row(pen, line)
    yield _row(pen, "")
    yield _to_client(pen, f"SYN-ACK {syn_ack}", top)
    for line in _answers(report, pen):
        yield _row(pen, line, running)
    yield _row(pen, "", clock)
    yield _to_server(pen, f"ACK {ack}", end)
    window = report.handshake.client_window
    if window is not None:
        yield _row(pen, f"window {window}")
    yield _row(pen, "")


def _remarks(report: Report, width: int) -> Iterator[str]:
    facts = report.facts
    if facts.saved_syn is None:
        why = "" if facts.no_saved_syn is None else f": {facts.no_saved_syn.why}"
        yield from _wrapped(f"No saved SYN{why}. All values are derived from TCP_INFO.", width)
    else:
        yield from _wrapped(
            "The SYN is as received; SYN-ACK and ACK are derived from it and TCP_INFO.", width
        )
    if facts.server_isn is None:
        reason = "" if facts.no_server_isn is None else f": {facts.no_server_isn.why}"
        yield from _wrapped(f"The server's ISN (?) is unknown{reason}.", width)


def _wrapped(text: str, width: int) -> list[str]:
    edge = " " * _LEFT
    return textwrap.wrap(text, width, initial_indent=edge, subsequent_indent=edge)


def _micro(text: str, pen: _Pen) -> str:
    return text.replace(" us", " µs") if pen is _BOXES else text


def _numbers(report: Report, step: int) -> str:
    texts = []
    for name, word in (("sequence_number", "seq"), ("acknowledgment_number", "ack")):
        value = report.steps[step].value(name)
        if value is None:
            continue
        known = value.source is not Source.UNAVAILABLE
        texts.append(f"{word}={value.value}" if known else f"{word}=?")
    return " ".join(texts)


def _row(pen: _Pen, text: str, clock: str = "") -> str:
    inside = f"{'':7}{text}".ljust(_BETWEEN)
    return f"{'':{_LEFT}}{pen.line}{inside}{pen.line} {clock}"


def _to_server(pen: _Pen, label: str, clock: str = "") -> str:
    shaft = f"{pen.shaft * 6} {label} ".ljust(_BETWEEN - 1, pen.shaft)
    return f"{'':{_LEFT}}{pen.line}{shaft}{pen.right}{pen.line} {clock}"


def _to_client(pen: _Pen, label: str, clock: str = "") -> str:
    shaft = f"{pen.shaft * 5} {label} ".ljust(_BETWEEN - 1, pen.shaft)
    return f"{'':{_LEFT}}{pen.line}{pen.left}{shaft}{pen.line} {clock}"


def _offers(report: Report, pen: _Pen) -> Iterator[str]:
    syn = report.facts.saved_syn
    if syn is None:
        yield "(not saved)"
        return
    header = syn.transport
    mss = header.option(MaximumSegmentSize)
    scale = header.option(WindowScale)
    parts = [
        "no MSS" if mss is None else f"MSS {mss.value}",
        "SACK" if header.option(SackPermitted) else "no SACK",
        "timestamps" if header.option(Timestamps) else "no timestamps",
    ]
    yield ", ".join(parts)
    parts = [
        f"window {header.window}",
        _scaled(None if scale is None else scale.shift, pen),
        f"{ttl_name(syn.network.source.version)} {ttl_of(syn)}",
    ]
    if ecn_setup(syn) in (EcnSetup.CLASSIC, EcnSetup.ACCURATE):
        parts.append("ECN")
    if syn.data_length:
        parts.append(f"data {syn.data_length}")
    yield ", ".join(parts)


def _answers(report: Report, pen: _Pen) -> Iterator[str]:
    handshake = report.handshake
    if handshake.negotiated is None:
        yield "(not saved)"
        return
    yield ", ".join(
        [
            f"MSS {handshake.server_mss}",
            "SACK" if InfoOptions.SACK in handshake.negotiated else "no SACK",
            "timestamps" if InfoOptions.TIMESTAMPS in handshake.negotiated else "no timestamps",
        ]
    )
    parts = [_scaled(handshake.server_scale, pen)]
    if handshake.server_window is not None:
        parts.insert(0, f"window {handshake.server_window}")
    if InfoOptions.ECN in handshake.negotiated:
        parts.append("ECN")
    if handshake.retransmissions:
        parts.append(f"sent {handshake.retransmissions + 1} times")
    yield ", ".join(parts)


def _scaled(shift: int | None, pen: _Pen) -> str:
    return "not scaled" if shift is None else f"scale {shift} ({pen.times}{1 << min(shift, 14)})"
