"""A sample of the daemon's status and counters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from tcpd.ctl.client import Answer, Unreachable
from tcpd.wire.safe_text import escape_controls


class Asking(Protocol):
    """A connection to the daemon: a :class:`~tcpd.ctl.client.Control`."""

    def ask(self, request: str) -> Answer: ...


@dataclass(frozen=True, slots=True)
class Status:
    """The status of the daemon. Texts are safe to print.

    :ivar began: identifies a run of the daemon.
    :ivar unready: why new clients are not served; empty if they are.
    :ivar uptime: seconds.
    :ivar memory: bytes; ``None`` if unknown.
    :ivar lag: seconds that the reactor was late at the last check.
    :ivar lag_max: the largest of the last minute or two.
    """

    server_name: str
    version: str
    began: tuple[int, str]
    unready: str
    uptime: float
    connections: int
    connections_limit: int
    members: int
    rooms: int
    bans: int
    memory: int | None
    lag: float
    lag_max: float


@dataclass(frozen=True, slots=True)
class Service:
    """A service and its counters. :ivar own: whether it is the daemon's own."""

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
class Connection:
    """A connection.

    :ivar seconds: how long it is open.
    :ivar quiet: seconds without bytes in either direction; ``None`` if unknown.
    :ivar tls: the version; ``-`` for none.
    """

    id: str
    service: str
    peer: str
    seconds: float
    quiet: float | None
    bytes_in: int
    bytes_out: int
    tls: str


@dataclass(frozen=True, slots=True)
class Sample:
    """All values of one moment.

    :ivar at: seconds of a monotonic clock.
    :ivar connections: those that were requested; ``None`` without a request.
    :ivar total: the number of connections that match the request.
    """

    at: float
    status: Status
    services: tuple[Service, ...]
    connections: tuple[Connection, ...] | None = None
    total: int = 0


def take(control: Asking, at: float, connections: str = "") -> Sample:
    """Get a sample from a daemon.

    :param control: a connection to it.
    :param at: the moment.
    :param connections: the request for connections; empty for none.
    :raise Unreachable: if the connection is lost, or an answer cannot be parsed.
    """
    try:
        listed = _parsed(control.ask(connections)) if connections else None
        return Sample(
            at,
            _status(_parsed(control.ask("STATUS json"))),
            tuple(map(_service, _parsed(control.ask("SERVICES json"))["services"])),
            None if listed is None else tuple(map(_connection, listed["connections"])),
            int(listed["total"]) if listed else 0,
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Unreachable(
            f"the daemon's answer cannot be parsed ({type(error).__name__}: {error}): it may be of "
            "another version than this tcpd-ctl"
        ) from error


def _parsed(answer: Answer) -> Mapping[str, Any]:
    text = "\n".join(answer.lines)
    if answer.code >= 400:
        raise Unreachable(text)
    found: Mapping[str, Any] = json.loads(text)
    return found


def _text(value: object) -> str:
    # decoding JSON has undone its escapes of control characters
    return escape_controls(str(value)) if value else "-"


def _status(data: Mapping[str, Any]) -> Status:
    memory = data["memory"]
    return Status(
        server_name=_text(data["server_name"]),
        version=_text(data["version"]),
        began=(int(data["pid"]), str(data["started"])),
        unready=_text(data["unready"]) if data["unready"] else "",
        uptime=float(data["uptime"]),
        connections=int(data["connections"]),
        connections_limit=int(data["connections_limit"]),
        members=int(data["members"]),
        rooms=int(data["rooms"]),
        bans=int(data["bans"]),
        memory=None if memory is None else int(memory),
        lag=float(data["reactor_lag"]),
        lag_max=float(data["reactor_lag_max"]),
    )


def _service(data: Mapping[str, Any]) -> Service:
    return Service(
        name=_text(data["name"]),
        protocol=_text(data["protocol"]),
        state=_text(data["state"]),
        own=bool(data["own"]),
        connections=int(data["connections"]),
        accepted=int(data["accepted"]),
        refused=int(data["refused"]),
        bytes_in=int(data["bytes_in"]),
        bytes_out=int(data["bytes_out"]),
    )


def _connection(data: Mapping[str, Any]) -> Connection:
    quiet = data["quiet"]
    return Connection(
        id=_text(data["id"]),
        service=_text(data["service"]),
        peer=_text(data["peer"]),
        seconds=float(data["seconds"]),
        quiet=None if quiet is None else float(quiet),
        bytes_in=int(data["bytes_in"]),
        bytes_out=int(data["bytes_out"]),
        tls=_text(data["tls"]),
    )
