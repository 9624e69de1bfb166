"""Renders the report as lines of text of a given width (characters, one column each).

The report has escaped all text of the peer already. Without ``utf8`` the lines are ASCII.
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

#: 80 columns less one: some terminals wrap when the last column is written.
WIDTH = 79

#: The width left behind a reply code (``250-``). The smallest width that is supported.
REPLY_WIDTH = WIDTH - 4

_LABELS = 24

#: The width of the two columns of TCP_INFO; no realistic counter has more than 18 digits.
_COLUMN = 18


def handshake_lines(report: Report, utf8: bool = False, width: int = WIDTH) -> list[str]:
    """Render the handshake steps and the hints."""
    lines = [
        title_of(report, "Handshake", width),
        *_sections(report.steps, width),
        "",
        *hint_lines(report.hints, width),
    ]
    return _for(lines, utf8, width)


def layers_lines(report: Report, utf8: bool = False, width: int = WIDTH) -> list[str]:
    """Render the layers of the OSI model, the physical one first."""
    lines = [title_of(report, "Layers", width), *_sections(report.layers, width)]
    return _for(lines, utf8, width)


def tcpinfo_lines(report: Report, utf8: bool = False, width: int = WIDTH) -> list[str]:
    """Render every field of TCP_INFO, at accept and now, under the kernel's names."""
    facts = report.facts
    lines = [title_of(report, "TCP_INFO", width)]
    if facts.now is None and facts.accepted is None:
        tcp = facts.transport is Transport.TCP
        why = "it could not be read" if tcp else "not a TCP connection"
        return _for([*lines, f"  not available: {why}"], utf8, width)
    if facts.proxy is not None:
        lines += ["  between the proxy and this server"]
    head = f"  {'':{_LABELS}} {'at accept':>{_COLUMN}} {'now':>{_COLUMN}}"
    return _for([*lines, head, *_columns(facts.accepted, facts.now)], utf8, width)


def hint_lines(hints: Sequence[Hint], width: int = WIDTH) -> list[str]:
    """Render the hints, each with its id."""
    if not hints:
        return ["No anomalies."]
    lines = ["Hints:"]
    for hint in hints:
        lines += _wrapped(f"{hint.sentence} [{hint.id}]", "  * ", "    ", width)
    return lines


def title_of(report: Report, what: str, width: int = WIDTH) -> str:
    """Return the title line of a rendering.

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
    indent = _LABELS + 3
    if max(map(len, text.split(" "))) > width - indent:
        # a long word, such as a signature, gets a line, where it can be copied
        return [f"  {value.label}", *_wrapped(text, " " * 4, " " * 4, width)]
    return _wrapped(text, f"  {value.label:{_LABELS}} ", " " * indent, width)


def _columns(accepted: TcpInfo | None, now: TcpInfo | None) -> Iterator[str]:
    for name in tcp_info_names():
        unit = unit_of(name)
        values = [None if info is None else getattr(info, name) for info in (accepted, now)]
        if values == [None, None]:
            continue
        first, second = (_cell(name, value) for value in values)
        yield f"  {name:{_LABELS}} {first:>{_COLUMN}} {second:>{_COLUMN}} {unit}".rstrip()


def _cell(name: str, value: int | None) -> str:
    if value is None or (name == "min_rtt" and value == NO_MIN_RTT):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    limits = {"snd_ssthresh": NO_THRESHOLD, "pacing_rate": NO_LIMIT, "max_pacing_rate": NO_LIMIT}
    return "no limit" if value == limits.get(name) else str(value)


def _wrapped(text: str, first: str, other: str, width: int) -> list[str]:
    if text.isprintable() and text.strip() == text != "" and len(first) + len(text) <= width:
        return [first + text]  # the usual case; textwrap takes ten times as long
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
    # escapes make a line longer: wrap it again
    plain = []
    for line in map(ascii_only, lines):
        if len(line) <= width:
            plain.append(line)
        else:
            plain += [line[at : at + width] for at in range(0, len(line), width)]
    return plain
