"""The report as lines of text, as wide as it is told (characters, each one column wide).

What a peer chose in them was made safe when the report was built; without ``utf8`` they are ASCII.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from tcpd.handshake.facts import Transport
from tcpd.handshake.hints import Hint
from tcpd.handshake.report import Report
from tcpd.handshake.tcp_info import (
    NO_LIMIT,
    NO_MIN_RTT,
    NO_THRESHOLD,
    TcpInfo,
    tcp_info_names,
    unit_of,
)
from tcpd.handshake.values import Section, Source, Value, ascii_only, shown

#: 80 columns less one, for terminals that wrap when the last one is written.
WIDTH = 79

#: What is left of it behind the code of a reply (``250-``). The least that all of it fits into.
REPLY_WIDTH = WIDTH - 4

_LABELS = 24

#: A number in TCP_INFO's two columns: what a link would have to carry for years has 18 digits.
_COLUMN = 18


def handshake_lines(report: Report, utf8: bool = False, width: int = WIDTH) -> list[str]:
    """By handshake step, then what stands out."""
    lines = [
        title_of(report, "Handshake", width),
        *_sections(report.steps, width),
        "",
        *hint_lines(report.hints, width),
    ]
    return _for(lines, utf8, width)


def layers_lines(report: Report, utf8: bool = False, width: int = WIDTH) -> list[str]:
    """By layer of the OSI model, the physical one first."""
    lines = [title_of(report, "Layers", width), *_sections(report.layers, width)]
    return _for(lines, utf8, width)


def tcpinfo_lines(report: Report, utf8: bool = False, width: int = WIDTH) -> list[str]:
    """Every field of TCP_INFO, as at accept and as now, by the kernel's names."""
    facts = report.facts
    lines = [title_of(report, "TCP_INFO", width)]
    if facts.now is None and facts.accepted is None:
        why = "no TCP connection" if facts.transport is not Transport.TCP else "it cannot be read"
        return _for([*lines, f"  not available: {why}"], utf8, width)
    if facts.proxy is not None:
        lines += ["  of the way between the proxy and this server"]
    head = f"  {'':{_LABELS}} {'at accept':>{_COLUMN}} {'now':>{_COLUMN}}"
    return _for([*lines, head, *_columns(facts.accepted, facts.now)], utf8, width)


def hint_lines(hints: Sequence[Hint], width: int = WIDTH) -> list[str]:
    """What stands out, each with its id; a line that says so where nothing does."""
    if not hints:
        return ["Nothing stands out."]
    lines = ["What stands out:"]
    for hint in hints:
        lines += _wrapped(f"{hint.sentence} [{hint.id}]", "  * ", "    ", width)
    return lines


def title_of(report: Report, what: str, width: int = WIDTH) -> str:
    """The first line of a rendering.

    :param what: ``Handshake``, ``Layers``, ...
    """
    facts = report.facts
    if facts.remote is None or facts.local is None:
        return f"{what} of this connection"
    title = f"{what} of {facts.remote} with {facts.local}"
    return title if len(title) <= width else f"{what} of {facts.remote}"


def _sections(sections: Iterable[Section], width: int) -> Iterator[str]:
    for section in sections:
        yield ""
        yield section.title
        if section.note:
            yield from _wrapped(f"{section.note}.", "  ", "  ", width)
        for value in section.values:
            yield from _line(value, width)


def _line(value: Value, width: int) -> list[str]:
    text = shown(value)
    if value.source is Source.UNAVAILABLE:
        text = f"{text}: {value.why}"
    elif value.source is Source.DERIVED:
        text = f"{text} (derived: {value.why})"
    elif value.why:
        text = f"{text} ({value.why})"
    return _wrapped(text, f"  {value.label:{_LABELS}} ", " " * (_LABELS + 3), width)


def _columns(accepted: TcpInfo | None, now: TcpInfo | None) -> Iterator[str]:
    for name in tcp_info_names():
        unit = unit_of(name)
        told = [None if info is None else getattr(info, name) for info in (accepted, now)]
        if told == [None, None]:
            continue
        first, second = (_cell(name, value) for value in told)
        yield f"  {name:{_LABELS}} {first:>{_COLUMN}} {second:>{_COLUMN}} {unit}".rstrip()


def _cell(name: str, value: int | None) -> str:
    if value is None or (name == "min_rtt" and value == NO_MIN_RTT):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    limits = {"snd_ssthresh": NO_THRESHOLD, "pacing_rate": NO_LIMIT, "max_pacing_rate": NO_LIMIT}
    return "no limit" if value == limits.get(name) else str(value)


def _wrapped(text: str, first: str, other: str, width: int) -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=other,
        break_on_hyphens=False,
    )


def _for(lines: Iterable[str], utf8: bool, width: int) -> list[str]:
    if utf8:
        return list(lines)
    # an escape is longer than what it stands for, so the few lines that have one are wrapped anew
    plain = []
    for line in map(ascii_only, lines):
        if len(line) <= width:
            plain.append(line)
        else:
            plain += [line[at : at + width] for at in range(0, len(line), width)]
    return plain
