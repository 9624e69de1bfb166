"""The two tables: their columns, and in what order their rows are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tcpd.ctl.top.rates import ConnectionRow, Rate, Seen, ServiceRow
from tcpd.ops.amounts import size, span

#: Of the connections no more are asked for, which is the most that the daemon gives.
MOST_CONNECTIONS = 1000


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    :ivar heading: in capitals.
    :ivar value: of a row, to sort by: a number, a text, or ``None`` for unknown.
    :ivar show: of a row, as text that is safe to print.
    :ivar width: that it has at least, so that the table does not jump about.
    :ivar is_text: whether it is set to the left, and sorted from A on; a number is set to the
        right, and the greatest comes first.
    :ivar gives: whether it may be cut to its width where room is short.
    :ivar leaves: where room is short the columns with the highest number are left out first; with 0
        it stays.
    :ivar asked: what the daemon is asked to sort connections by, for the best of many.
    """

    heading: str
    value: Callable[[Any], Any]
    show: Callable[[Any], str]
    width: int
    is_text: bool = False
    gives: bool = False
    leaves: int = 0
    asked: str = "age"


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    :ivar noun: what its rows are.
    :ivar columns: from the left.
    :ivar first: the place of the column that it is sorted by until another is chosen.
    :ivar rows: takes the rows out of what was seen.
    """

    noun: str
    columns: tuple[Column, ...]
    first: int
    rows: Callable[[Seen], Sequence[Any]]


def number(rate: Rate) -> str:
    """So many a second, in five characters; ``-`` if that is unknown."""
    if rate is None:
        return "-"
    return f"{rate:.1f}" if rate < 1000 else size(round(rate))


def amount(rate: Rate) -> str:
    """Bytes a second; ``-`` if unknown."""
    return "-" if rate is None else size(round(rate))


def _protocol(row: ServiceRow) -> str:
    return row.service.protocol


def _of_service(heading: str, name: str, width: int, leaves: int = 0) -> Column:
    """A number of a service."""
    return Column(
        heading,
        lambda row: getattr(row.service, name),
        lambda row: str(getattr(row.service, name)),
        width,
        leaves=leaves,
    )


def _in_flow(heading: str, name: str, show: Callable[[Rate], str], width: int) -> Column:
    """A rate of a service."""
    return Column(
        heading,
        lambda row: getattr(row.flow, name),
        lambda row: show(getattr(row.flow, name)),
        width,
    )


SERVICES = Table(
    "services",
    (
        Column(
            "SERVICE",
            lambda row: row.service.name,
            lambda row: row.service.name,
            12,
            is_text=True,
            gives=True,
        ),
        Column("PROTOCOL", _protocol, _protocol, 9, is_text=True, gives=True, leaves=4),
        Column(
            "STATE",
            lambda row: row.service.state,
            lambda row: row.service.state,
            8,
            is_text=True,
            leaves=3,
        ),
        _of_service("OPEN", "connections", 5),
        _in_flow("NEW/S", "accepted", number, 5),
        _in_flow("REF/S", "refused", number, 5),
        _in_flow("IN/S", "bytes_in", amount, 4),
        _in_flow("OUT/S", "bytes_out", amount, 5),
        _of_service("ACCEPTED", "accepted", 8, leaves=6),
        _of_service("REFUSED", "refused", 7, leaves=5),
    ),
    first=3,
    rows=lambda seen: seen.services,
)


def _of_connection(
    heading: str,
    name: str,
    width: int,
    show: Callable[[Any], str] = str,
    *,
    is_text: bool = False,
    gives: bool = False,
    leaves: int = 0,
    asked: str = "age",
) -> Column:
    """A value of a connection."""
    return Column(
        heading,
        lambda row: getattr(row.connection, name),
        lambda row: show(getattr(row.connection, name)),
        width,
        is_text,
        gives,
        leaves,
        asked,
    )


def _number_of(id: str) -> int:
    return int(id) if id.isascii() and id.isdigit() else 0


def _quiet(seconds: float | None) -> str:
    return "-" if seconds is None else span(seconds)


def _in(row: ConnectionRow) -> Rate:
    return row.bytes_in


def _out(row: ConnectionRow) -> Rate:
    return row.bytes_out


CONNECTIONS = Table(
    "connections",
    (
        Column(
            "ID",
            lambda row: _number_of(row.connection.id),
            lambda row: row.connection.id,
            5,
            asked="new",
        ),
        _of_connection("SERVICE", "service", 8, is_text=True, gives=True),
        _of_connection("PEER", "peer", 15, is_text=True, gives=True),
        # numbers are given in the order of coming; ages are rounded, and rows of those that came
        # together would change places at each look
        Column(
            "AGE",
            lambda row: -_number_of(row.connection.id),
            lambda row: span(row.connection.seconds),
            6,
            leaves=1,
        ),
        _of_connection("QUIET", "quiet", 6, _quiet, leaves=3, asked="idle"),
        Column("IN/S", _in, lambda row: amount(_in(row)), 4, asked="in"),
        Column("OUT/S", _out, lambda row: amount(_out(row)), 5, asked="out"),
        _of_connection("IN", "bytes_in", 4, size, leaves=2, asked="in"),
        _of_connection("OUT", "bytes_out", 4, size, leaves=2, asked="out"),
        _of_connection("TLS", "tls", 7, is_text=True, leaves=4),
    ),
    first=3,
    rows=lambda seen: seen.connections or (),
)


def arranged(
    table: Table, rows: Sequence[Any], column: int, is_reversed: bool, wanted: str
) -> list[Any]:
    """The rows that are wanted, in order.

    :param column: the place of the column to sort by; unknown values come last.
    :param is_reversed: the other way round.
    :param wanted: a text that one of a row's cells has to have in it, in capitals or not.
    """
    by = table.columns[column]
    if wanted:
        rows = [row for row in rows if _has(table, row, wanted.casefold())]
    known = [row for row in rows if by.value(row) is not None]
    unknown = [row for row in rows if by.value(row) is None]
    return sorted(known, key=by.value, reverse=by.is_text == is_reversed) + unknown


def _has(table: Table, row: Any, wanted: str) -> bool:
    return any(wanted in column.show(row).casefold() for column in table.columns)
