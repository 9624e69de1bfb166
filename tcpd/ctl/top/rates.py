"""Two samples become rates: so many a second since the one before.

A rate is unknown (``None``), and never negative or made up, where there is nothing to compare with:
at the first sample, after a restart of the daemon, for a service or a connection that was not in
the sample before, and where a counter went back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tcpd.ctl.top.sample import Connection, Sample, Service, Status

Rate = float | None


@dataclass(frozen=True, slots=True)
class Flow:
    """What passes in a second: clients let in and refused, bytes in and out."""

    accepted: Rate
    refused: Rate
    bytes_in: Rate
    bytes_out: Rate


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """A service, and what passes it."""

    service: Service
    flow: Flow


@dataclass(frozen=True, slots=True)
class ConnectionRow:
    """A connection, and how many bytes a second go in and out."""

    connection: Connection
    bytes_in: Rate
    bytes_out: Rate


@dataclass(frozen=True, slots=True)
class Seen:
    """What is shown.

    :ivar at: when the later sample was taken.
    :ivar flow: of all services but the daemon's own.
    :ivar connections: as they were asked for; ``None`` if they were not.
    :ivar total: how many connections there are to choose from.
    """

    at: float
    status: Status
    flow: Flow
    services: tuple[ServiceRow, ...]
    connections: tuple[ConnectionRow, ...] | None
    total: int


def compare(before: Sample | None, after: Sample) -> Seen:
    """Make rates of two samples.

    :param before: the sample before; ``None`` if there is none.
    :param after: the one to show.
    """
    if before is not None and (before.status.began != after.status.began or before.at >= after.at):
        before = None
    services = _services(before, after)
    flow = Flow(
        _sum(row.flow.accepted for row in services if not row.service.own),
        _sum(row.flow.refused for row in services if not row.service.own),
        _sum(row.flow.bytes_in for row in services if not row.service.own),
        _sum(row.flow.bytes_out for row in services if not row.service.own),
    )
    connections = None if after.connections is None else _connections(before, after)
    return Seen(after.at, after.status, flow, services, connections, after.total)


def _rate(before: int | None, after: int, seconds: float) -> Rate:
    return None if before is None or after < before else (after - before) / seconds


def _sum(rates: Iterable[Rate]) -> Rate:
    known = [rate for rate in rates if rate is not None]
    return sum(known) if known else None


def _services(before: Sample | None, after: Sample) -> tuple[ServiceRow, ...]:
    known = {each.name: each for each in before.services} if before else {}
    seconds = after.at - before.at if before else 1.0

    def row(service: Service) -> ServiceRow:
        old = known.get(service.name)

        def rate(count: Callable[[Service], int]) -> Rate:
            return _rate(None if old is None else count(old), count(service), seconds)

        flow = Flow(
            rate(lambda each: each.accepted),
            rate(lambda each: each.refused),
            rate(lambda each: each.bytes_in),
            rate(lambda each: each.bytes_out),
        )
        return ServiceRow(service, flow)

    return tuple(map(row, after.services))


def _connections(before: Sample | None, after: Sample) -> tuple[ConnectionRow, ...]:
    known = {each.id: each for each in (before.connections if before else None) or ()}
    seconds = after.at - before.at if before else 1.0

    def row(each: Connection) -> ConnectionRow:
        old = known.get(each.id)
        if old is not None:
            then_in, then_out = old.bytes_in, old.bytes_out
        elif before is not None and each.seconds <= seconds:
            then_in = then_out = 0  # it is younger than the sample before
        else:
            return ConnectionRow(each, None, None)
        return ConnectionRow(
            each,
            _rate(then_in, each.bytes_in, seconds),
            _rate(then_out, each.bytes_out, seconds),
        )

    return tuple(map(row, after.connections or ()))
