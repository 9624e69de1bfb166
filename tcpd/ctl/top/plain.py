"""``tcpd-ctl top --once``: the header and the table as plain text, without rich."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from tcpd.ctl.client import Control
from tcpd.ctl.top.rates import Snapshot, compare
from tcpd.ctl.top.sample import take
from tcpd.ctl.top.tables import Column, amount, number, sorted_rows
from tcpd.ctl.top.view import View
from tcpd.ops.amounts import size, span


def once(connect: Callable[[], Control], view: View, interval: float) -> str:
    """Take two samples and print the rates between them.

    :param interval: seconds between the samples.
    :raise Unreachable: if no daemon answers.
    :raise NotAllowed: if this user is no operator.
    """
    with connect() as control:
        before = take(control, time.monotonic(), view.request())
        time.sleep(interval)
        return plain(view, compare(before, take(control, time.monotonic(), view.request())))


def plain(view: View, snapshot: Snapshot) -> str:
    """Make text of the header and all rows, as wide as the longest cells require."""
    columns, rows = view.table.columns, cells(view, snapshot)
    widths = [
        max([column.width, len(column.heading), *(len(row[index]) for row in rows)])
        for index, column in enumerate(columns)
    ]

    def line(row: Sequence[str]) -> str:
        return "  ".join(map(_justify, columns, row, widths)).rstrip()

    table = map(line, [[column.heading for column in columns], *rows])
    return "\n".join([*header(snapshot), "", *table, ""])


def _justify(column: Column, text: str, width: int) -> str:
    return text.ljust(width) if column.is_text else text.rjust(width)


def cells(view: View, snapshot: Snapshot) -> list[list[str]]:
    """The texts of the rows that match the filter, in order."""
    table, order = view.table, view.order
    rows = sorted_rows(table, table.rows(snapshot), order.column, order.is_reversed, view.filter)
    return [[column.show(row) for column in table.columns] for row in rows]


def header(snapshot: Snapshot) -> list[str]:
    """The daemon's status in three lines."""
    status, flow = snapshot.status, snapshot.flow
    memory = "unknown" if status.memory is None else size(status.memory)
    return [
        f"tcpd {status.version} "
        + (f"NOT READY, {status.unready}" if status.unready else "ready")
        + f", up {span(status.uptime)}, on {status.server_name}",
        f"connections {status.connections} of {status.connections_limit}, "
        f"new {number(flow.accepted)}/s, refused {number(flow.refused)}/s, "
        f"lag {_lag(status.reactor_lag)}, max {_lag(status.reactor_lag_max)}",
        f"in {amount(flow.bytes_in)}/s, out {amount(flow.bytes_out)}/s, memory {memory}, "
        f"people {status.members}, rooms {status.rooms}, bans {status.bans}",
    ]


def _lag(seconds: float) -> str:
    return f"{seconds * 1000:.0f}ms" if seconds < 1 else f"{seconds:.1f}s"
