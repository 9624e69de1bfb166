"""Draws the three-way handshake as an SVG sequence diagram.

Time runs downwards, and the arrows slope: a packet takes half a round trip. The slope grows with
the logarithm of the measured RTT, within bounds. The drawing is legible without a style sheet, on
any background: it has its own sheet, and colors as presentation attributes. In a page, classes
override them.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from tcpd.handshake.derive import peer_name
from tcpd.handshake.facts import Endpoint, Transport
from tcpd.handshake.report import Report
from tcpd.handshake.values import Source, duration
from tcpd.web.terms import Chip, chips, micro, missing, numbers

_SANS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif"
_MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"

#: Presentation attributes: legible on the sheet, overridden by classes of the same meaning.
_INK, _QUIET, _CLIENT, _SERVER, _DONE = "#16202e", "#56606e", "#1d5fd1", "#b4450b", "#147a48"

#: The least and the most pixels that an arrow falls, and the RTTs in microseconds for them.
_FLATTEST, _STEEPEST, _FAST, _SLOW = 66, 124, 10, 1_000_000

_TOP = 78
_ROW = 29
_CHIP = 23
_TIP = 300

_STEPS = (("SYN", True), ("SYN-ACK", False), ("ACK", True))


@dataclass(frozen=True, slots=True)
class _Form:
    """The measures of a drawing: the wide one has values at its sides."""

    name: str
    width: int
    left: int
    right: int
    steepest: int
    small: float

    @property
    def wide(self) -> bool:
        return self.width > 500


_WIDE = _Form("wide", 920, 278, 642, _STEEPEST, 12.5)
_NARROW = _Form("narrow", 320, 10, 310, 92, 10.8)


def svg(report: Report, *, inline: bool = False, narrow: bool = False) -> str:
    """Draw the handshake.

    :param inline: for a page with ``page.css``: the values are links to their explanations
        (``#syn-mss``), which show on hover and focus. Otherwise the image stands alone.
    :param narrow: for a small screen: without the values at the sides.
    :return: an ``<svg>`` element. All text of the peer is escaped.
    """
    form = _NARROW if narrow else _WIDE
    if report.facts.transport is not Transport.TCP:
        body, height = _without_arrows(report, form)
        return _document(form, inline, body, words(report), height)
    drawing = _Drawing(report, form, inline)
    body = "".join(drawing.parts())
    return _document(form, inline, body, words(report), drawing.height)


def words(report: Report) -> list[str]:
    """State the handshake in sentences: the first one is a title."""
    facts = report.facts
    if facts.transport is not Transport.TCP:
        return ["No three-way handshake", f"No drawing: {report.steps[0].note}."]
    peer = peer_name(facts)
    sentences = [f"Three-way handshake of {_end(facts.remote)} with {_end(facts.local)}"]
    verbs = (f"The {peer} sends", "The server answers with", f"The {peer} sends")
    for (name, _), verb, section in zip(_STEPS, verbs, report.steps, strict=True):
        values = [f"{chip.label} {chip.text}" for chip in (*numbers(section), *chips(section))]
        sentences.append(f"{verb} {name}: {', '.join(values)}.")
    rtt = report.handshake.rtt
    if rtt is None:
        sentences.append(f"The round-trip time is unknown: {report.handshake.no_rtt}.")
    else:
        sentences.append(f"From SYN-ACK to ACK it took {micro(duration(rtt * 1e-6))}.")
    if report.steps[0].note:
        sentences.append(f"Note: {report.steps[0].note}.")
    return [*sentences, *missing(report)]


def fall(rtt: int | None, steepest: int = _STEEPEST) -> float:
    """Return how far an arrow falls, in pixels.

    :param rtt: microseconds; ``None`` = unknown.
    """
    if rtt is None:
        return (_FLATTEST + steepest) / 2
    bounded = min(max(rtt, _FAST), _SLOW)
    share = math.log(bounded / _FAST) / math.log(_SLOW / _FAST)
    return round(_FLATTEST + share * (steepest - _FLATTEST), 1)


def _end(end: Endpoint | None) -> str:
    return "unknown" if end is None else str(end)


def _document(form: _Form, inline: bool, body: str, sentences: Sequence[str], height: float) -> str:
    title, *rest = map(escape, sentences)
    name = form.name
    # axe: an image may not contain links, so the one with links is a group
    role = "group" if inline and form.wide else "img"
    size = "" if inline else f' width="{form.width}" height="{height:g}"'
    sheet = (
        ""
        if inline
        else f'<rect x="-11.5" y="-11.5" width="{form.width + 23}" height="{height + 23:g}" '
        'rx="12" fill="#ffffff" stroke="#c9d0da"/>'
    )
    edge = "" if inline else "-12 -12 "
    box = f"0 0 {form.width} {height:g}" if inline else f"{edge}{form.width + 24} {height + 24:g}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="diagram {name}" role="{role}" '
        f'aria-labelledby="{name}-title" aria-describedby="{name}-words" viewBox="{box}"{size} '
        f'font-family="{_SANS}" font-size="{form.small}" fill="{_INK}">'
        f'<title id="{name}-title">{title}</title>'
        f'<desc id="{name}-words">{" ".join(rest)}</desc>{sheet}{body}</svg>'
    )


def _without_arrows(report: Report, form: _Form) -> tuple[str, float]:
    title, *rest = words(report)
    lines = _wrapped(rest, form)
    texts = [
        _text(0, 46 + 18 * number, line, "note", color=_QUIET) for number, line in enumerate(lines)
    ]
    head = f'<g font-size="15">{_text(0, 18, title, "head", bold=True)}</g>'
    return head + "".join(texts), 40 + 18 * len(lines)


def _wrapped(sentences: Sequence[str], form: _Form) -> list[str]:
    width = int(form.width / (form.small * 0.55))
    return [line for sentence in sentences for line in textwrap.wrap(sentence, width)]


def _text(
    x: float,
    y: float,
    text: str,
    style: str,
    *,
    anchor: str = "start",
    color: str = "",
    bold: bool = False,
) -> str:
    more = f' fill="{color}"' if color else ""
    if anchor != "start":
        more += f' text-anchor="{anchor}"'
    if bold:
        more += ' font-weight="700"'
    return f'<text class="{style}" x="{x:g}" y="{y:g}"{more}>{escape(text)}</text>'


def _marked(source: Source) -> str:
    """Attributes of a text: derived values are in italics, unknown ones are gray."""
    if source is Source.DERIVED:
        return ' class="derived" font-style="italic"'
    if source is Source.UNAVAILABLE:
        return f' class="unavailable" fill="{_QUIET}"'
    return ' class="seen"'


class _Drawing:
    """One drawing of a TCP handshake."""

    def __init__(self, report: Report, form: _Form, inline: bool) -> None:
        self._report = report
        self._form = form
        self._inline = inline
        self._fall = fall(report.handshake.rtt, form.steepest)
        two = not form.wide or max(len(_end(report.facts.remote)), len(self._local)) > 24
        self._split_heads = two and len(_end(report.facts.remote) + self._local) > 42
        top = _TOP + (18 if self._split_heads and not form.wide else 0)
        #: The times of the four events: SYN sent, received, SYN-ACK received, ACK received.
        self._times = [top + step * self._fall for step in range(4)]
        self._groups = self._place_chips() if form.wide else []
        last = max([self._times[3], *(bottom - 14 for *_, bottom in self._groups)])
        self._established = last + 24
        notes = [f"Note: {note}." for section in report.steps if (note := section.note)]
        self._notes = _wrapped([*notes, *missing(report)], form)
        self._legend = self._established + (58 if form.wide else 60)
        self.height = self._legend + 14 + 18 * len(self._notes)

    @property
    def _local(self) -> str:
        return _end(self._report.facts.local)

    def parts(self) -> Iterator[str]:
        """Yield the elements, from the back to the front."""
        yield self._heads()
        yield self._lifelines()
        for step in range(3):
            yield self._arrow(step)
        yield self._round_trip()
        for caption, placed, _ in self._groups:
            yield caption
            for chip, x, y, width in placed:
                yield self._chip(chip, x, y, width)
        yield self._key()
        for number, line in enumerate(self._notes):
            y = self._legend + 24 + 18 * number
            yield _text(0, y, line, "note", color=_QUIET)

    def _heads(self) -> str:
        form, facts = self._form, self._report.facts
        left, right = peer_name(facts), "server"
        remote, local = _end(facts.remote), self._local
        if not form.wide:
            lower = 18 if self._split_heads else 0
            places = ((0, "start", 0), (form.width, "end", lower))
        elif self._split_heads:
            # two long IPv6 addresses meet in the middle
            places = ((form.left + 166, "end", 0), (form.left + 198, "start", 0))
        else:
            places = ((form.left, "middle", 0), (form.right, "middle", 0))
        parts = []
        for (x, anchor, lower), name, end, color in zip(
            places, (left, right), (remote, local), (_CLIENT, _SERVER), strict=True
        ):
            side = "client" if color is _CLIENT else "server"
            y = 16 + lower if not form.wide or not self._split_heads else 16
            if self._split_heads and not form.wide:
                line = f"{name} {end}"
                parts.append(
                    f'<g font-size="9.6">'
                    f"{_text(x, y, line, f'address {side}', anchor=anchor, color=color)}</g>"
                )
                continue
            parts.append(
                f'<g font-size="15">'
                f"{_text(x, y, name, f'head {side}', anchor=anchor, color=color, bold=True)}</g>"
                f'<g font-family="{_MONO}">{_text(x, y + 20, end, "address", anchor=anchor)}</g>'
            )
        return "".join(parts)

    def _lifelines(self) -> str:
        form, (sent, received, answered, done) = self._form, self._times
        top, bottom = sent - 30, self._established
        parts = [
            f'<path class="life" d="M{x} {top:g}V{bottom:g}" stroke="#9aa4b2" stroke-width="1.5" '
            'stroke-dasharray="2 4"/>'
            for x in (form.left, form.right)
        ]
        for x, side, color, start, end in (
            (form.left, "client", _CLIENT, sent, answered),
            (form.right, "server", _SERVER, received, done),
        ):
            parts.append(
                f'<rect class="busy {side}" x="{x - 3}" y="{start:g}" width="6" '
                f'height="{end - start:g}" rx="3" fill="{color}" fill-opacity="0.35"/>'
                f'<path class="open" d="M{x} {end:g}V{bottom:g}" stroke="{_DONE}" '
                'stroke-width="3"/>'
            )
        middle = (form.left + form.right) / 2
        parts.append(
            f'<rect class="done" x="{form.left - 3}" y="{bottom:g}" '
            f'width="{form.right - form.left + 6}" height="28" rx="6" fill="{_DONE}"/>'
            f'<g font-size="13">'
            f"{self._white(middle, bottom + 18.5, 'established: data flows both ways')}</g>"
        )
        return "".join(parts)

    def _white(self, x: float, y: float, text: str) -> str:
        return _text(x, y, text, "on-done", anchor="middle", color="#ffffff", bold=True)

    def _arrow(self, step: int) -> str:
        form = self._form
        name, to_server = _STEPS[step]
        start, end = self._times[step], self._times[step + 1]
        side, color = ("client", _CLIENT) if to_server else ("server", _SERVER)
        gap = 5
        slope = self._fall / (form.right - form.left)
        angle = math.degrees(math.atan(slope))
        if to_server:
            x1, x2, turn = form.left + gap, form.right - gap, angle
        else:
            x1, x2, turn = form.right - gap, form.left + gap, -angle
        y1, y2 = start + gap * slope, end - gap * slope
        section = self._report.steps[step]
        retransmissions = section.value("retransmissions")
        again = retransmissions.value if retransmissions is not None else None
        label = f"{name} ×{again + 1}" if isinstance(again, int) and again else name
        tip = turn if to_server else 180 + turn
        parts = [
            f'<g class="packet {side}"><path class="shaft" d="M{x1} {y1:.1f}L{x2} {y2:.1f}" '
            f'stroke="{color}" stroke-width="2" fill="none"/>'
            f'<path class="point" d="M1 0L-11 -5L-11 5Z" fill="{color}" '
            f'transform="translate({x2} {y2:.1f}) rotate({tip:.2f})"/>'
            f'<g transform="translate({(form.left + form.right) / 2:g} {(start + end) / 2:.1f}) '
            f'rotate({turn:.2f})"><text y="-8" text-anchor="middle" font-family="{_MONO}">'
            f'<tspan class="flag {side}" fill="{color}" font-weight="700">{label}</tspan>'
        ]
        for chip in numbers(section):
            parts.append(f" {self._number(chip)}")
        parts.append("</text>")
        if not form.wide:
            parts.append(self._below(step))
        parts.append("</g></g>")
        return "".join(parts)

    def _number(self, chip: Chip) -> str:
        data = f' data-name="{chip.step}.{chip.value.name}"'
        mark, shown = _marked(chip.value.source), f"{chip.label}={chip.text}"
        if self._inline and self._form.wide:
            label = f"{_title(chip)}, {shown}"
            text = f"<tspan{mark}{data}>{shown}</tspan>"
            return f'<a href="#{chip.id}" aria-label="{label}">{text}</a>'
        about = escape(f"{chip.sentence} {chip.origin}")
        return f"<tspan{mark}{data}><title>{about}</title>{shown}</tspan>"

    def _below(self, step: int) -> str:
        """The most important values, below the arrow of a narrow drawing."""
        parts = []
        for chip in chips(self._report.steps[step]):
            if chip.value.name in ("mss", "window"):
                data = f' data-name="{chip.step}.{chip.value.name}"'
                parts.append(
                    f'<tspan class="label" fill="{_QUIET}">{chip.label}</tspan> '
                    f"<tspan{_marked(chip.value.source)}{data}>{escape(chip.text)}</tspan>"
                )
        return f'<text y="17" text-anchor="middle">{", ".join(parts)}</text>' if parts else ""

    def _round_trip(self) -> str:
        form = self._form
        y = (self._times[1] + self._times[3]) / 2
        rtt = self._report.handshake.rtt
        x = form.right - 16
        if rtt is None:
            why = escape(self._report.handshake.no_rtt)
            return (
                f'<g class="rtt"><title>Round-trip time: unknown: {why}</title>'
                f"{_text(x, y + 4, 'RTT unknown', 'unavailable', anchor='end', color=_QUIET)}</g>"
            )
        size = 22 if form.wide else 17
        return (
            '<g class="rtt"><title>Round-trip time, from SYN-ACK to ACK</title>'
            f'<g font-size="{size}" data-name="ack.round_trip_time" data-us="{rtt}">'
            f"{_text(x, y + 4, micro(duration(rtt * 1e-6)), 'time', anchor='end', bold=True)}</g>"
            f'<g font-size="11">'
            f"{_text(x, y + 19, 'round trip', 'label', anchor='end', color=_QUIET)}</g></g>"
        )

    def _place_chips(self) -> list[tuple[str, list[tuple[Chip, float, float, float]], float]]:
        """Place the values of each packet beside its sender, in rows."""
        form = self._form
        side = form.left - 22
        groups = []
        bottom = {True: 0.0, False: 0.0}
        for step, (name, to_server) in enumerate(_STEPS):
            found = chips(self._report.steps[step])
            if not found:
                continue
            y = max(self._times[step] - 2, bottom[to_server] + 24)
            x = side if to_server else form.right + 22
            color, style = (_CLIENT, "client") if to_server else (_SERVER, "server")
            anchor = "end" if to_server else "start"
            caption = _text(
                x, y, _CAPTIONS[name], f"caption {style}", anchor=anchor, color=color, bold=True
            )
            y += 10
            placed: list[tuple[Chip, float, float, float]] = []
            for row in _rows(found, side):
                at = x - sum(width + 6 for _, width in row) + 6 if to_server else x
                for chip, width in row:
                    placed.append((chip, at, y, width))
                    at += width + 6
                y += _ROW
            bottom[to_server] = y
            groups.append((caption, placed, y))
        return groups

    def _chip(self, chip: Chip, x: float, y: float, width: float) -> str:
        source = chip.value.source
        side = "server" if chip.step == "syn_ack" else "client"
        color = _SERVER if side == "server" else _CLIENT
        dash = {Source.DERIVED: ' stroke-dasharray="4 3"', Source.UNAVAILABLE: ""}.get(source, "")
        stroke = "#b6bec9" if source is Source.UNAVAILABLE else color
        weight = "" if source is Source.UNAVAILABLE else ' font-weight="600"'
        off = " off" if chip.text in ("no", "none") else ""
        about = f"{chip.sentence} {chip.origin}"
        body = (
            f'<rect class="chip" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{_CHIP}" '
            f'rx="6" fill="#ffffff" stroke="{stroke}"{dash}/>'
            f'<text x="{x + width / 2:.1f}" y="{y + 15.8:.1f}" text-anchor="middle">'
            f'<tspan class="label" fill="{_QUIET}">{chip.label}</tspan> '
            f'<tspan{_marked(source)}{weight} data-name="{chip.step}.{chip.value.name}">'
            f"{escape(chip.text)}</tspan></text>"
        )
        name = escape(f"{_title(chip)}, {chip.label} {chip.text}")
        style = f"val {side} {source}{off}"
        if not self._inline:
            return (
                f'<g class="{style}" tabindex="0"><title>{name}: {escape(about)}</title>{body}</g>'
            )
        tip = self._tip(about, x + width - _TIP if side == "client" else x, y)
        return f'<a class="{style}" href="#{chip.id}" aria-label="{name}">{body}{tip}</a>'

    def _tip(self, about: str, x: float, y: float) -> str:
        lines = textwrap.wrap(about, 47)
        height = 17 * len(lines) + 14
        left = min(max(x, 0), self._form.width - _TIP)
        top = y - height - 6
        text = "".join(
            f'<tspan x="{left + 12:.1f}" dy="17">{escape(line)}</tspan>' for line in lines
        )
        return (
            f'<g class="tip" aria-hidden="true"><rect x="{left:.1f}" y="{top:.1f}" '
            f'width="{_TIP}" height="{height}" rx="8"/>'
            f'<text y="{top + 3:.1f}">{text}</text></g>'
        )

    def _key(self) -> str:
        """The legend."""
        y = self._legend
        parts = [f'<g class="key" fill="{_QUIET}">']
        x = 0.0
        for source, text in (
            (Source.SEEN, "seen"),
            (Source.DERIVED, "derived"),
            (Source.UNAVAILABLE, "unknown"),
        ):
            dash = ' stroke-dasharray="4 3"' if source is Source.DERIVED else ""
            stroke = "#b6bec9" if source is Source.UNAVAILABLE else _QUIET
            width = len(text) * 6.6 + 18
            parts.append(
                f'<rect class="chip" x="{x:g}" y="{y - 15:g}" width="{width:.0f}" height="20" '
                f'rx="6" fill="#ffffff" stroke="{stroke}"{dash}/>'
                f'<text x="{x + width / 2:.1f}" y="{y:g}" text-anchor="middle">'
                f"<tspan{_marked(source)}>{text}</tspan></text>"
            )
            x += width + 8
        if self._form.wide:
            more = "Time runs downwards. The slope grows with the round trip, not to scale."
            parts.append(_text(x + 8, y, more, "note"))
        parts.append("</g>")
        return "".join(parts)


_CAPTIONS = {"SYN": "the SYN offers", "SYN-ACK": "the SYN-ACK answers", "ACK": "the ACK adds"}


def _title(chip: Chip) -> str:
    return chip.step.upper().replace("_", "-")


def _rows(found: Sequence[Chip], most: float) -> list[list[tuple[Chip, float]]]:
    rows: list[list[tuple[Chip, float]]] = [[]]
    used = 0.0
    for chip in found:
        width = (len(chip.label) + len(chip.text) + 1) * 7.2 + 18
        if used + width > most and rows[-1]:
            rows.append([])
            used = 0.0
        rows[-1].append((chip, width))
        used += width + 6
    return rows


def packet(report: Report, step: int) -> str:
    """Draw one packet of the handshake, for the lesson.

    :param step: 0 to 2.
    :return: an ``<svg>`` element, for a page with ``page.css``; empty without TCP.
    """
    if report.facts.transport is not Transport.TCP:
        return ""
    name, to_server = _STEPS[step]
    side, color = ("client", _CLIENT) if to_server else ("server", _SERVER)
    x1, x2, tip = (70, 290, 0) if to_server else (290, 70, 180)
    labels = " ".join(f"{chip.label}={chip.text}" for chip in numbers(report.steps[step]))
    ends = ((36, peer_name(report.facts), "client"), (324, "server", "server"))
    heads = "".join(
        f'<rect class="end {which}" x="{x - 34}" y="24" width="68" height="32" rx="8" '
        f'fill="#ffffff" stroke="{_CLIENT if which == "client" else _SERVER}"/>'
        + _text(x, 45, text, f"head {which}", anchor="middle", bold=True)
        for x, text, which in ends
    )
    middle = (x1 + x2) / 2
    # the numbers do not fit beside the ends: they are below
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="diagram small" role="img" '
        f'viewBox="0 0 360 88" font-family="{_SANS}" font-size="12.5" fill="{_INK}">'
        f"<title>{name}: {escape(labels)}</title>{heads}"
        f'<g class="packet {side}"><path class="shaft" d="M{x1 + (4 if to_server else -4)} 40H'
        f'{x2 - (6 if to_server else -6)}" stroke="{color}" stroke-width="2"/>'
        f'<path class="point" d="M1 0L-11 -5L-11 5Z" fill="{color}" '
        f'transform="translate({x2 - (6 if to_server else -6)} 40) rotate({tip})"/>'
        f"{_text(middle, 32, name, f'flag {side}', anchor='middle', color=color, bold=True)}</g>"
        f'<g font-family="{_MONO}" font-size="12">'
        f"{_text(180, 78, labels, 'label', anchor='middle')}</g></svg>"
    )
