"""What the daemon answers, read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from operating import House

from tcpd.ctl.client import Answer, Unreachable
from tcpd.ctl.top.sample import take


class Told:
    """Answers each command with JSON that was given to it."""

    def __init__(self, code: int = 250, **answers: Any) -> None:
        self.code = code
        self.answers = answers
        self.asked: list[str] = []

    def ask(self, request: str) -> Answer:
        self.asked.append(request)
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


def test_text_that_json_hides_controls_in_is_safe_to_print() -> None:
    """Peer text never reaches a terminal unescaped: JSON's own escapes are undone by its reader."""
    told = Told(
        status=STATUS | {"server_name": "\x1b]0;x\x07"},
        services={"services": []},
        connections={"total": 1, "connections": [CONNECTION]},
    )
    sample = take(told, 0.0, "CONNECTIONS json")
    assert sample.status.server_name == r"\x1b]0;x\x07"
    assert sample.connections
    assert sample.connections[0].peer == r"a\x1b[2Jb\u202e"
    assert sample.connections[0].tls == "-"


def test_connections_are_asked_for_only_where_they_are_wanted() -> None:
    told = Told(status=STATUS, services={"services": []})
    assert take(told, 0.0).connections is None
    assert told.asked == ["STATUS json", "SERVICES json"]


@pytest.mark.parametrize(
    "status",
    [[], "x", None, {}, STATUS | {"uptime": "long"}, STATUS | {"memory": []}],
)
def test_an_answer_of_another_kind_is_an_error_in_words(status: Any) -> None:
    with pytest.raises(Unreachable, match="cannot be parsed"):
        take(Told(status=status, services={"services": []}), 0.0)


def test_a_refusal_is_told_in_the_daemons_words() -> None:
    with pytest.raises(Unreachable, match="no such"):
        take(Told(500, status="no such command"), 0.0)


class InMemory:
    """A daemon in memory, asked as by the control socket."""

    def __init__(self, house: House) -> None:
        self._operator = house.operator()

    def ask(self, request: str) -> Answer:
        code, _, text = self._operator.ask(request).partition(" ")
        return Answer(int(code), (text,))


@pytest.mark.usefixtures("listeners_in_memory")
def test_the_real_daemon_says_all_of_it() -> None:
    """Every field that is read is one that the daemon has."""
    house = House("[service:echo]\nprotocol = echo\nlisten = 127.0.0.1:7\n")
    house.connect(7)
    sample = take(InMemory(house), 0.0, "CONNECTIONS json SORT=in LIMIT=1000")
    assert [each.name for each in sample.services] == ["echo"]
    assert sample.connections is not None
    assert [each.service for each in sample.connections] == ["echo"]
    assert sample.total == 1
    assert not sample.status.unready
    house.daemon.stopService()
    assert take(InMemory(house), 0.0).status.unready.startswith("stopping")
