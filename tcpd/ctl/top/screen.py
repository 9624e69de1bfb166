"""The live display, at any size of the terminal, as renderables of rich (the extra ``top``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from tcpd.ctl.top.plain import cells, header
from tcpd.ctl.top.rates import History, Rate, Snapshot
from tcpd.ctl.top.tables import CONNECTIONS, SERVICES
from tcpd.ctl.top.view import HELP, View
from tcpd.wire.safe_text import escape_controls

_KEYS = "q quit  c {other}  < > sort  r reverse  / filter  p pause  h help"

#: The number of lines required to show everything, and to show the most important parts.
_ALL, _MOST = 10, 6

#: The space between columns of a table, and the minimum width of a sparkline.
_GAP, _SPARKLINE = 2, 8

_BLOCKS = "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"


@dataclass(frozen=True, slots=True)
class Sparkline:
    """The latest rates as blocks, the newest on the right.

    The highest block is the largest rate; a space is an unknown one.
    """

    rates: Sequence[Rate]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        latest = self.rates[-options.max_width :]
        scale = (len(_BLOCKS) - 1) / max((rate for rate in latest if rate), default=1.0)
        blocks = (" " if rate is None else _BLOCKS[round(rate * scale)] for rate in latest)
        yield _line("".join(blocks).rjust(options.max_width))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(_SPARKLINE, max(_SPARKLINE, len(self.rates)))


def draw(
    view: View, snapshot: Snapshot, history: History, notice: str, width: int, height: int
) -> RenderableType:
    """Draw the screen.

    :param view: the user's choices; its first row and its page size are set to fit.
    :param history: the values of the sparklines.
    :param notice: a warning; empty for none.
    :param width: columns of the terminal.
    :param height: lines of the terminal.
    """
    first, *others = header(snapshot)
    status = [_line(first, "reverse" if snapshot.status.unready else "bold"), *map(_line, others)]
    warning = [_line(escape_controls(notice), "reverse")] if notice else []
    footer = _footer(view, snapshot)
    top: list[RenderableType] = [*(warning or status)[:1]]
    if height >= _ALL:
        top = [*status, *warning] if warning else [*status, _sparklines(history)]
    elif height >= _MOST:
        top, footer = [*status[:2], *warning], footer[1:]
    else:
        footer = footer[1:] if view.is_typing and height > 1 else []
    room = max(0, height - len(top) - len(footer))
    middle: list[RenderableType] = [*map(_line, HELP[:room])]
    blank = room - len(middle)
    if not view.help and room:
        rows = _visible(view, snapshot, room - 1)
        middle = [_table(view, rows, history, width)]
        if not rows and room > 1:
            middle.append(_line(_no_rows(view, snapshot)))
        blank = max(0, room - 1 - max(1, len(rows)))
    return Group(*top, *middle, *[Text()] * blank, *footer)


def _line(text: str, style: str = "") -> Text:
    return Text(text, style, no_wrap=True, overflow="ellipsis")


def _sparklines(history: History) -> Table:
    """The rates of all services together."""
    flows = [flow for flow, _ in history]
    rates = {
        "new": [flow.accepted for flow in flows],
        "in": [flow.bytes_in for flow in flows],
        "out": [flow.bytes_out for flow in flows],
    }
    grid = Table.grid(expand=True, padding=(0, 1, 0, 0))
    row: list[RenderableType] = []
    for name, each in rates.items():
        grid.add_column()
        grid.add_column(ratio=1)
        row += [_line(name), Sparkline(each)]
    grid.add_row(*row)
    return grid


def _visible(view: View, snapshot: Snapshot, count: int) -> list[list[str]]:
    """The rows on the screen. A view that is past the last row is scrolled back."""
    rows = cells(view, snapshot)
    view.page = max(1, count)
    view.first = max(0, min(view.first, len(rows) - view.page))
    return rows[view.first : view.first + count]


def _no_rows(view: View, snapshot: Snapshot) -> str:
    if view.table is CONNECTIONS and snapshot.connections is None:
        return "waiting for the daemon ..."
    return f"no {view.table.noun}" + (" with this text" if view.filter else "")


def _table(view: View, rows: Sequence[Sequence[str]], history: History, width: int) -> Table:
    """Make the table. Columns are dropped by their rank until the others fit, then texts shrink."""
    columns = view.table.columns

    def needed(index: int) -> int:
        column = columns[index]
        longest = 0 if column.shrinks else max((cell_len(row[index]) for row in rows), default=0)
        return max(column.width, len(column.heading), longest)

    indices = list(range(len(columns)))
    left = width + _GAP - sum(needed(index) + _GAP for index in indices)
    while left < 0:
        dropped = max(indices, key=lambda index: columns[index].drop_rank)
        if not columns[dropped].drop_rank:
            break
        indices.remove(dropped)
        left += needed(dropped) + _GAP
    has_sparklines = view.table is SERVICES and left >= _GAP + _SPARKLINE
    table = Table(
        box=None,
        padding=(0, _GAP, 0, 0),
        pad_edge=False,
        header_style="reverse",
        expand=has_sparklines,
        # a table that is too wide is cropped on the right; rich would shrink the names first
        width=width - left if left < 0 else None,
    )
    for index in indices:
        column = columns[index]
        table.add_column(
            _line(column.heading),
            min_width=column.width,
            justify="left" if column.is_text else "right",
            no_wrap=not column.shrinks,
        )
    if has_sparklines:
        table.add_column("IN+OUT", ratio=1)
    for row in rows:
        shown: list[RenderableType] = [_line(row[index]) for index in indices]
        if has_sparklines:
            flows = (services.get(row[0]) for _, services in history)
            shown.append(Sparkline([flow.traffic if flow else None for flow in flows]))
        table.add_row(*shown)
    return table


def _footer(view: View, snapshot: Snapshot) -> list[Text]:
    """The order and the filter of the table; below, the keys or the filter that the user types."""
    order, noun = view.order, view.table.noun
    count = len(view.table.rows(snapshot))
    text = f"{count} {noun}"
    if view.table is CONNECTIONS and snapshot.total > count:
        text = f"{count} of {snapshot.total} {noun}"
    text += f", by {view.table.columns[order.column].heading}"
    text += " reversed" if order.is_reversed else ""
    text += f", from row {view.first + 1}" if view.first else ""
    pattern = escape_controls(view.filter)
    text += f", with {pattern!r}" if view.filter else ""
    text = f"PAUSED, {text}" if view.is_paused else text
    other = "services" if view.table is CONNECTIONS else "connections"
    last = f"filter: {pattern}_" if view.is_typing else _KEYS.format(other=other)
    return [
        _line(text, "reverse" if view.is_paused else ""),
        _line(last, "bold" if view.is_typing else ""),
    ]
