"""Samples for ``tcpd-ctl top``, without a daemon."""

from __future__ import annotations

from typing import Any

from tcpd.ctl.top.sample import ConnectionSample, Sample, Service, Status

STATUS = Status(
    server_name="test.example",
    version="0.1.0",
    pid=7,
    started="2026-11-29T10:00:00Z",
    unready=None,
    uptime=3600.0,
    connections=3,
    connections_limit=10_000,
    members=2,
    rooms=1,
    bans=0,
    memory=50 << 20,
    reactor_lag=0.0004,
    reactor_lag_max=0.012,
)


def service(name: str, **counts: Any) -> Service:
    """Make a service whose other counters are zero."""
    values: dict[str, Any] = {
        "protocol": name,
        "state": "open",
        "own": False,
        "connections": 0,
        "accepted": 0,
        "refused": 0,
        "bytes_in": 0,
        "bytes_out": 0,
    }
    return Service(name=name, **(values | counts))


def connection(id: str, **facts: Any) -> ConnectionSample:
    """Make a connection that is ten seconds old."""
    values: dict[str, Any] = {
        "service": "echo",
        "peer": f"192.0.2.{id}:4711",
        "seconds": 10.0,
        "quiet": 1.0,
        "bytes_in": 0,
        "bytes_out": 0,
        "tls": None,
    }
    return ConnectionSample(id=id, **(values | facts))


def sample(
    at: float,
    *services: Service,
    connections: tuple[ConnectionSample, ...] | None = None,
    total: int = 0,
    status: Status = STATUS,
) -> Sample:
    """Make a sample of these services and connections."""
    return Sample(at, status, services, connections, total or len(connections or ()))
