"""Parsing of the daemon's replies."""

from __future__ import annotations

import json
from typing import Any

import pytest
from operating import OperatedDaemon

from tcpd.ctl.client import Answer, Unreachable
from tcpd.ctl.top.sample import take


class FakeControl:
    """Replies to each command with given JSON."""

    def __init__(self, code: int = 250, **answers: Any) -> None:
        self.code = code
        self.answers = answers
        self.requests: list[str] = []

    def ask(self, request: str) -> Answer:
        self.requests.append(request)
        return Answer(self.code, (json.dumps(self.answers[request.split()[0].lower()]),))


STATUS = {
    "server_name": "x",
    "version": "1",
    "pid": 1,
    "started": "then",
    "unready": None,
    "uptime": 1.0,
    "connections": 0,
    "connections_limit": 9,
    "members": 0,
    "rooms": 0,
    "bans": 0,
    "memory": None,
    "reactor_lag": 0.0,
    "reactor_lag_max": 0.0,
}
CONNECTION = {
    "id": "1",
    "service": "echo",
    "peer": "a\x1b[2Jb\u202e",
    "seconds": 1.5,
    "quiet": None,
    "bytes_in": 1,
    "bytes_out": 2,
    "tls": None,
}


def test_control_characters_in_json_are_escaped() -> None:
    """Text of a peer reaches a terminal only escaped; parsing JSON undoes JSON's own escapes."""
    control = FakeControl(
        status=STATUS | {"server_name": "\x1b]0;x\x07"},
        services={"services": []},
        connections={"total": 1, "connections": [CONNECTION]},
    )
    sample = take(control, 0.0, "CONNECTIONS json")
    assert sample.status.server_name == r"\x1b]0;x\x07"
    assert sample.connections
    assert sample.connections[0].peer == r"a\x1b[2Jb\u202e"
    assert sample.connections[0].tls is None


def test_connections_are_requested_only_on_demand() -> None:
    control = FakeControl(status=STATUS, services={"services": []})
    assert take(control, 0.0).connections is None
    assert control.requests == ["STATUS json", "SERVICES json"]


@pytest.mark.parametrize(
    "status",
    [[], "x", None, {}, STATUS | {"uptime": "long"}, STATUS | {"memory": []}],
)
def test_malformed_reply_raises_unreachable(status: Any) -> None:
    with pytest.raises(Unreachable, match="cannot be parsed"):
        take(FakeControl(status=status, services={"services": []}), 0.0)


def test_refusal_raises_unreachable_with_the_daemons_text() -> None:
    with pytest.raises(Unreachable, match="no such"):
        take(FakeControl(500, status="no such command"), 0.0)


class InMemory:
    """A daemon in memory behind its control protocol."""

    def __init__(self, harness: OperatedDaemon) -> None:
        self._operator = harness.operator()

    def ask(self, request: str) -> Answer:
        code, _, text = self._operator.ask(request).partition(" ")
        return Answer(int(code), (text,))


@pytest.mark.usefixtures("listeners_in_memory")
def test_daemon_sends_every_field() -> None:
    harness = OperatedDaemon("[service:echo]\nprotocol = echo\nlisten = 127.0.0.1:7\n")
    harness.connect(7)
    sample = take(InMemory(harness), 0.0, "CONNECTIONS json SORT=in LIMIT=1000")
    assert [each.name for each in sample.services] == ["echo"]
    assert sample.connections is not None
    assert [each.service for each in sample.connections] == ["echo"]
    assert sample.total == 1
    assert not sample.status.unready
    harness.daemon.stopService()
    assert take(InMemory(harness), 0.0).status.unready.startswith("stopping")
