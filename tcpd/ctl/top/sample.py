"""A sample of the daemon's status and counters."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import msgspec

from tcpd.ctl.client import Answer, Unreachable
from tcpd.wire.safe_text import escape_controls

_T = TypeVar("_T")


class Asking(Protocol):
    """A connection to the daemon: a :class:`~tcpd.ctl.client.Control`."""

    def ask(self, request: str) -> Answer: ...


@dataclass(frozen=True, slots=True)
class Status:
    """The reply to ``STATUS json``. Texts are safe to print.

    :ivar pid: the process id; with ``started`` it identifies a run of the daemon.
    :ivar unready: the reason why new clients are not served; ``None`` if they are.
    :ivar uptime: seconds.
    :ivar memory: bytes; ``None`` if unknown.
    :ivar reactor_lag: seconds that the reactor was late at the last check.
    :ivar reactor_lag_max: the largest of the last minute or two.
    """

    server_name: str
    version: str
    pid: int
    started: str
    unready: str | None
    uptime: float
    connections: int
    connections_limit: int
    members: int
    rooms: int
    bans: int
    memory: int | None
    reactor_lag: float
    reactor_lag_max: float


@dataclass(frozen=True, slots=True)
class Service:
    """A service and its counters. :ivar own: whether it is internal to the daemon."""

    name: str
    protocol: str
    state: str
    own: bool
    connections: int
    accepted: int
    refused: int
    bytes_in: int
    bytes_out: int


@dataclass(frozen=True, slots=True)
class ConnectionSample:
    """A connection.

    :ivar seconds: the age in seconds.
    :ivar quiet: seconds without bytes in either direction; ``None`` if unknown.
    :ivar tls: the version; ``None`` without TLS.
    """

    id: str
    service: str
    peer: str
    seconds: float
    quiet: float | None
    bytes_in: int
    bytes_out: int
    tls: str | None


@dataclass(frozen=True, slots=True)
class Sample:
    """All values of one moment.

    :ivar at: seconds of a monotonic clock.
    :ivar connections: the connections of the request; ``None`` without a request.
    :ivar total: the number of connections that match the request.
    """

    at: float
    status: Status
    services: tuple[Service, ...]
    connections: tuple[ConnectionSample, ...] | None = None
    total: int = 0


@dataclass(frozen=True, slots=True)
class _Services:
    services: tuple[Service, ...]


@dataclass(frozen=True, slots=True)
class _Connections:
    connections: tuple[ConnectionSample, ...]
    total: int


def take(control: Asking, at: float, connections: str = "") -> Sample:
    """Get a sample from a daemon.

    :param control: a connection to it.
    :param at: the moment.
    :param connections: the request for connections; empty for none.
    :raise Unreachable: if the connection is lost, or an answer cannot be parsed.
    """
    try:
        listed = _ask(control, connections, _Connections) if connections else None
        return Sample(
            at,
            _ask(control, "STATUS json", Status),
            _ask(control, "SERVICES json", _Services).services,
            listed.connections if listed else None,
            listed.total if listed else 0,
        )
    except ValueError as error:
        raise Unreachable(
            f"the daemon's answer cannot be parsed ({error}): its version may differ from this "
            "tcpd-ctl's"
        ) from error


def _ask(control: Asking, request: str, kind: type[_T]) -> _T:
    answer = control.ask(request)
    text = "\n".join(answer.lines)
    if answer.code >= 400:
        raise Unreachable(text)
    return msgspec.convert(json.loads(text, object_hook=_safe), kind)


def _safe(values: dict[str, Any]) -> dict[str, Any]:
    # decoded JSON may contain control characters
    return {
        key: escape_controls(value) if isinstance(value, str) else value
        for key, value in values.items()
    }
