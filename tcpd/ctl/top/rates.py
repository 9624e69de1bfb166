"""Rates per second, computed from two samples.

A rate is never negative or estimated. It is unknown (``None``) without a value to compare with: at
the first sample, after a restart of the daemon, and for a service or a connection that the previous
sample does not contain. It is also unknown if a counter decreased.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tcpd.ctl.top.sample import ConnectionSample, Sample, Service, Status

Rate = float | None


@dataclass(frozen=True, slots=True)
class Flow:
    """Rates per second: accepted and refused clients, bytes in and out."""

    accepted: Rate
    refused: Rate
    bytes_in: Rate
    bytes_out: Rate

    @property
    def traffic(self) -> Rate:
        """Bytes in both directions."""
        return _sum((self.bytes_in, self.bytes_out))


#: The counters of a service that become rates, in the order of :class:`Flow`.
_FLOW = ("accepted", "refused", "bytes_in", "bytes_out")

#: The rates of earlier samples, oldest first: of all services together, and of each by its name.
History = tuple[tuple[Flow, Mapping[str, Flow]], ...]


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """A service and its rates."""

    service: Service
    flow: Flow


@dataclass(frozen=True, slots=True)
class ConnectionRow:
    """A connection and its bytes per second."""

    connection: ConnectionSample
    bytes_in: Rate
    bytes_out: Rate


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The content of the screen.

    :ivar at: the time of the later sample.
    :ivar flow: the flow of all services except internal ones.
    :ivar connections: the connections of the request; ``None`` without a request.
    :ivar total: the number of connections that match the request.
    """

    at: float
    status: Status
    flow: Flow
    services: tuple[ServiceRow, ...]
    connections: tuple[ConnectionRow, ...] | None
    total: int


def compare(before: Sample | None, after: Sample) -> Snapshot:
    """Make rates of two samples.

    :param before: the previous sample; ``None`` for the first one.
    :param after: the sample to show.
    """
    if before is not None and (_run(before) != _run(after) or before.at >= after.at):
        before = None
    services = _services(before, after)
    flows = [row.flow for row in services if not row.service.own]
    flow = Flow(*(_sum(getattr(each, name) for each in flows) for name in _FLOW))
    connections = None if after.connections is None else _connections(before, after)
    return Snapshot(after.at, after.status, flow, services, connections, after.total)


def _run(sample: Sample) -> tuple[int, str]:
    return sample.status.pid, sample.status.started


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
        counts = ((getattr(old, name, None), getattr(service, name)) for name in _FLOW)
        return ServiceRow(service, Flow(*(_rate(*each, seconds) for each in counts)))

    return tuple(map(row, after.services))


def _connections(before: Sample | None, after: Sample) -> tuple[ConnectionRow, ...]:
    known = {each.id: each for each in (before.connections if before else None) or ()}
    seconds = after.at - before.at if before else 1.0

    def row(each: ConnectionSample) -> ConnectionRow:
        old = known.get(each.id)
        if old is not None:
            then_in, then_out = old.bytes_in, old.bytes_out
        elif before is not None and each.seconds <= seconds:
            then_in = then_out = 0  # opened since the previous sample
        else:
            return ConnectionRow(each, None, None)
        return ConnectionRow(
            each,
            _rate(then_in, each.bytes_in, seconds),
            _rate(then_out, each.bytes_out, seconds),
        )

    return tuple(map(row, after.connections or ()))
