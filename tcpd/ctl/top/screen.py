"""What was seen becomes the lines of a screen of any size."""

from __future__ import annotations

from dataclasses import dataclass

from tcpd.ctl.top.layout import cut, laid_out, set_in
from tcpd.ctl.top.rates import Seen
from tcpd.ctl.top.tables import CONNECTIONS, amount, arranged, number
from tcpd.ctl.top.view import HELP, View
from tcpd.ops.amounts import size, span
from tcpd.wire.safe_text import escape_controls

#: Styles of a line.
PLAIN, STRONG, REVERSE = "plain", "strong", "reverse"

_KEYS = "q quit  c {other}  < > sort  r reverse  / filter  p pause  h help"

#: From so many lines on all is shown; on fewer, and on very few, what matters most.
_WHOLE, _SOME = 10, 6


@dataclass(frozen=True, slots=True)
class Line:
    """A line, no longer than the screen is wide, without a control character in it."""

    text: str
    style: str = PLAIN


def head(seen: Seen) -> list[str]:
    """How the daemon is, in three lines."""
    status, flow = seen.status, seen.flow
    memory = "unknown" if status.memory is None else size(status.memory)
    return [
        f"tcpd {status.version} "
        + (f"NOT READY, {status.unready}" if status.unready else "ready")
        + f", up {span(status.uptime)}, on {status.server_name}",
        f"connections {status.connections} of {status.connections_limit}, "
        f"new {number(flow.accepted)}/s, refused {number(flow.refused)}/s, "
        f"lag {_late(status.lag)}, max {_late(status.lag_max)}",
        f"in {amount(flow.bytes_in)}/s, out {amount(flow.bytes_out)}/s, memory {memory}, "
        f"people {status.members}, rooms {status.rooms}, bans {status.bans}",
    ]


def _late(seconds: float) -> str:
    return f"{seconds * 1000:.0f}ms" if seconds < 1 else f"{seconds:.1f}s"


def body(view: View, seen: Seen, width: int | None) -> tuple[list[str], int]:
    """The table that is chosen: its lines, headings first, and how many rows there are in all."""
    table, order = view.table, view.order
    every = table.rows(seen)
    rows = arranged(table, every, order.column, order.is_reversed, view.wanted)
    shown = [[column.show(row) for column in table.columns] for row in rows]
    return laid_out(table.columns, shown, width), len(every)


def plain(view: View, seen: Seen) -> str:
    """All of it as text for a file or a pipe, as wide and as long as it is."""
    lines, _ = body(view, seen, None)
    return "\n".join([*head(seen), "", *lines]) + "\n"


def draw(view: View, seen: Seen, notice: str, width: int, height: int) -> list[Line]:
    """The lines of a screen.

    :param view: what is chosen; the place of its first row is brought into bounds.
    :param seen: what to show.
    :param notice: what is wrong; empty if nothing is.
    :param width: in columns.
    :param height: in lines; there are no more lines than that.
    """
    if width < 1 or height < 1:
        return []
    heads = [
        Line(cut(line, width), STRONG if not place else PLAIN)
        for place, line in enumerate(head(seen))
    ]
    if seen.status.unready:
        heads[0] = Line(heads[0].text, REVERSE)
    warning = [Line(set_in(escape_controls(notice), width, False), REVERSE)] if notice else []
    if height >= _WHOLE:
        above = [*heads, *(warning or [Line("")])]
        feet = 2
    elif height >= _SOME:
        above = [*heads[:2], *warning]
        feet = 1
    else:
        above = (warning or heads)[:1]
        feet = 1 if view.typing and height > 1 else 0
    room = height - len(above) - feet
    middle = _help(width, room) if view.help else _table(view, seen, width, room)
    middle += [Line("")] * (room - len(middle))
    return [*above, *middle, *_feet(view, seen, width)[2 - feet :]][:height]


def _help(width: int, room: int) -> list[Line]:
    return [Line(cut(line, width)) for line in HELP[: max(0, room)]]


def _table(view: View, seen: Seen, width: int, room: int) -> list[Line]:
    if room < 1:
        return []
    (heading, *rows), _ = body(view, seen, width)
    view.page = max(1, room - 1)
    view.first = max(0, min(view.first, len(rows) - view.page))
    shown = rows[view.first : view.first + room - 1]
    if not shown and room > 1:
        shown = [_nothing(view, seen)]
    return [
        Line(set_in(heading, width, False), REVERSE),
        *(Line(cut(row, width)) for row in shown),
    ]


def _nothing(view: View, seen: Seen) -> str:
    if view.table is CONNECTIONS and seen.connections is None:
        return "asking ..."
    return f"no {view.table.noun}" + (" like that" if view.wanted else "")


def _feet(view: View, seen: Seen, width: int) -> list[Line]:
    """The order and filter of the table; and the keys, or the filter that is being typed."""
    order, noun = view.order, view.table.noun
    count = len(view.table.rows(seen))
    text = f"{count} {noun}"
    if view.table is CONNECTIONS and seen.total > count:
        text = f"{count} of {seen.total} {noun}"
    text += f", by {view.table.columns[order.column].heading}"
    text += " reversed" if order.is_reversed else ""
    text += f", from row {view.first + 1}" if view.first else ""
    wanted = escape_controls(view.wanted)
    text += f", with {wanted!r}" if view.wanted else ""
    text = f"PAUSED, {text}" if view.paused else text
    other = "services" if view.table is CONNECTIONS else "connections"
    last = f"filter: {wanted}_" if view.typing else _KEYS.format(other=other)
    # a small screen shows only the last line
    style = REVERSE if view.paused else PLAIN
    return [Line(cut(text, width), style), Line(cut(last, width), STRONG if view.typing else PLAIN)]
