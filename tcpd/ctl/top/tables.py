"""The two tables: their columns and the order of their rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from tcpd.ctl.top.rates import Rate, Snapshot
from tcpd.ops.amounts import size, span

#: The limit of a request for connections; the daemon allows no more.
MOST_CONNECTIONS = 1000


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    :ivar heading: the heading, in capitals.
    :ivar value: takes a row; returns its sort key: a number, a text, or ``None`` for unknown.
    :ivar show: takes a row; returns a text that is safe to print.
    :ivar width: the minimum, so that the table keeps its shape from sample to sample.
    :ivar is_text: aligned to the left and sorted from A to Z; a number is aligned to the right and
        sorted from the largest down.
    :ivar shrinks: whether a narrow terminal may truncate it to its width.
    :ivar drop_rank: on a narrow terminal the column with the highest rank is dropped first; one
        with 0 stays.
    :ivar sort: the ``SORT`` of a request, which chooses the connections that are compared.
    """

    heading: str
    value: Callable[[Any], Any]
    show: Callable[[Any], str]
    width: int
    is_text: bool = False
    shrinks: bool = False
    drop_rank: int = 0
    sort: str = "age"


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    :ivar noun: the name of its rows, in plural.
    :ivar columns: the columns, from the left.
    :ivar first: the index of the column that sorts it by default.
    :ivar rows: the rows of a snapshot.
    """

    noun: str
    columns: tuple[Column, ...]
    first: int
    rows: Callable[[Snapshot], Sequence[Any]]


def number(rate: Rate) -> str:
    """A rate in at most five characters; ``-`` if it is unknown."""
    if rate is None:
        return "-"
    return f"{rate:.1f}" if rate < 1000 else size(round(rate))


def amount(rate: Rate) -> str:
    """Bytes per second; ``-`` if unknown."""
    return "-" if rate is None else size(round(rate))


def _optional(show: Callable[[Any], str]) -> Callable[[Any], str]:
    return lambda value: "-" if value is None else show(value)


def _column(
    heading: str, path: str, width: int, show: Callable[[Any], str] = str, **options: Any
) -> Column:
    """Make a column of an attribute of a row. :param path: such as ``service.name``."""
    value = attrgetter(path)
    return Column(heading, value, lambda row: show(value(row)), width, **options)


def _number_of(id: str) -> int:
    return int(id) if id.isascii() and id.isdigit() else 0


SERVICES = Table(
    "services",
    (
        _column("SERVICE", "service.name", 12, is_text=True, shrinks=True),
        _column("PROTOCOL", "service.protocol", 9, is_text=True, shrinks=True, drop_rank=4),
        _column("STATE", "service.state", 8, is_text=True, drop_rank=3),
        _column("OPEN", "service.connections", 5),
        _column("NEW/S", "flow.accepted", 5, number),
        _column("REF/S", "flow.refused", 5, number),
        _column("IN/S", "flow.bytes_in", 4, amount),
        _column("OUT/S", "flow.bytes_out", 5, amount),
        _column("ACCEPTED", "service.accepted", 8, drop_rank=6),
        _column("REFUSED", "service.refused", 7, drop_rank=5),
    ),
    first=3,
    rows=lambda snapshot: snapshot.services,
)

CONNECTIONS = Table(
    "connections",
    (
        Column(
            "ID",
            lambda row: _number_of(row.connection.id),
            lambda row: row.connection.id,
            5,
            sort="new",
        ),
        _column("SERVICE", "connection.service", 8, is_text=True, shrinks=True),
        _column("PEER", "connection.peer", 15, is_text=True, shrinks=True),
        # by id, not by age: ages are rounded, and rows of the same age would swap at each refresh
        Column(
            "AGE",
            lambda row: -_number_of(row.connection.id),
            lambda row: span(row.connection.seconds),
            6,
            drop_rank=1,
        ),
        _column("QUIET", "connection.quiet", 6, _optional(span), drop_rank=3, sort="idle"),
        _column("IN/S", "bytes_in", 4, amount, sort="in"),
        _column("OUT/S", "bytes_out", 5, amount, sort="out"),
        _column("IN", "connection.bytes_in", 4, size, drop_rank=2, sort="in"),
        _column("OUT", "connection.bytes_out", 4, size, drop_rank=2, sort="out"),
        _column("TLS", "connection.tls", 7, _optional(str), is_text=True, drop_rank=4),
    ),
    first=3,
    rows=lambda snapshot: snapshot.connections or (),
)


def sorted_rows(
    table: Table, rows: Sequence[Any], column: int, is_reversed: bool, filter: str
) -> list[Any]:
    """Filter and sort rows.

    :param column: the index of the column that sorts them; unknown values come last.
    :param is_reversed: reverse the order.
    :param filter: a text that a cell of the row must contain, ignoring case; empty for all rows.
    """
    by = table.columns[column]
    if filter:
        rows = [row for row in rows if _contains(table, row, filter.casefold())]
    known = [row for row in rows if by.value(row) is not None]
    unknown = [row for row in rows if by.value(row) is None]
    return sorted(known, key=by.value, reverse=by.is_text == is_reversed) + unknown


def _contains(table: Table, row: Any, text: str) -> bool:
    return any(text in column.show(row).casefold() for column in table.columns)
