"""The two tables: their columns and the order of their rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tcpd.ctl.top.rates import ConnectionRow, Rate, ServiceRow, Snapshot
from tcpd.ops.amounts import size, span

#: The limit of a request for connections; the daemon allows no more.
MOST_CONNECTIONS = 1000


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    :ivar heading: in capitals.
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
    :ivar columns: from the left.
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


def _protocol(row: ServiceRow) -> str:
    return row.service.protocol


def _of_service(heading: str, name: str, width: int, drop_rank: int = 0) -> Column:
    """A number of a service."""
    return Column(
        heading,
        lambda row: getattr(row.service, name),
        lambda row: str(getattr(row.service, name)),
        width,
        drop_rank=drop_rank,
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
            shrinks=True,
        ),
        Column("PROTOCOL", _protocol, _protocol, 9, is_text=True, shrinks=True, drop_rank=4),
        Column(
            "STATE",
            lambda row: row.service.state,
            lambda row: row.service.state,
            8,
            is_text=True,
            drop_rank=3,
        ),
        _of_service("OPEN", "connections", 5),
        _in_flow("NEW/S", "accepted", number, 5),
        _in_flow("REF/S", "refused", number, 5),
        _in_flow("IN/S", "bytes_in", amount, 4),
        _in_flow("OUT/S", "bytes_out", amount, 5),
        _of_service("ACCEPTED", "accepted", 8, drop_rank=6),
        _of_service("REFUSED", "refused", 7, drop_rank=5),
    ),
    first=3,
    rows=lambda snapshot: snapshot.services,
)


def _of_connection(
    heading: str,
    name: str,
    width: int,
    show: Callable[[Any], str] = str,
    *,
    is_text: bool = False,
    shrinks: bool = False,
    drop_rank: int = 0,
    sort: str = "age",
) -> Column:
    """A value of a connection."""
    return Column(
        heading,
        lambda row: getattr(row.connection, name),
        lambda row: show(getattr(row.connection, name)),
        width,
        is_text,
        shrinks,
        drop_rank,
        sort,
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
            sort="new",
        ),
        _of_connection("SERVICE", "service", 8, is_text=True, shrinks=True),
        _of_connection("PEER", "peer", 15, is_text=True, shrinks=True),
        # by id, not by age: ages are rounded, and rows of the same age would swap at each refresh
        Column(
            "AGE",
            lambda row: -_number_of(row.connection.id),
            lambda row: span(row.connection.seconds),
            6,
            drop_rank=1,
        ),
        _of_connection("QUIET", "quiet", 6, _quiet, drop_rank=3, sort="idle"),
        Column("IN/S", _in, lambda row: amount(_in(row)), 4, sort="in"),
        Column("OUT/S", _out, lambda row: amount(_out(row)), 5, sort="out"),
        _of_connection("IN", "bytes_in", 4, size, drop_rank=2, sort="in"),
        _of_connection("OUT", "bytes_out", 4, size, drop_rank=2, sort="out"),
        _of_connection("TLS", "tls", 7, lambda tls: tls or "-", is_text=True, drop_rank=4),
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
    :param filter: a text that one of a row's cells must contain, in any case; empty for all rows.
    """
    by = table.columns[column]
    if filter:
        rows = [row for row in rows if _contains(table, row, filter.casefold())]
    known = [row for row in rows if by.value(row) is not None]
    unknown = [row for row in rows if by.value(row) is None]
    return sorted(known, key=by.value, reverse=by.is_text == is_reversed) + unknown


def _contains(table: Table, row: Any, text: str) -> bool:
    return any(text in column.show(row).casefold() for column in table.columns)
