"""HANDSHAKE, LAYERS and TCPINFO."""

from __future__ import annotations

import json
from ipaddress import IPv4Address
from typing import Any

import pytest

from tcpd.handshake.facts import Absence, Endpoint, Facts, NoServerIsn
from tcpd.line.command import CommandTable, ConnectionScope, PlainFacts
from tcpd.line.handshake import handshake, layers, tcpinfo
from tcpd.line.loading import load_commands
from tcpd.line.reply import Reply, WrongArguments
from tcpd.line.session import Session
from tcpd.line.testing import MemoryContext, make_request
from tcpd.ops.counters import ServiceCounters

ASKED = (handshake, layers, tcpinfo)


class Connected(PlainFacts):
    """A TCP connection with known addresses."""

    def facts(self) -> Facts:
        return Facts(
            local=Endpoint(IPv4Address("192.0.2.2"), 7100),
            remote=Endpoint(IPv4Address("192.0.2.1"), 4711),
            no_saved_syn=Absence.OFF,
            no_server_isn=NoServerIsn.OFF,
        )


CLIENT = Connected("line", "192.0.2.1:4711")


def answer(command: Any, argument: str = "") -> Reply:
    reply = command.call(make_request(argument, connection=CLIENT))
    assert isinstance(reply, Reply)
    assert reply.code == 250
    return reply


@pytest.mark.parametrize("command", ASKED)
@pytest.mark.parametrize("form", ["", "utf8", "UTF8"])
def test_lines_fit_a_terminal(command: Any, form: str) -> None:
    lines = answer(command, form).lines
    assert max(map(len, lines)) <= 79
    assert form or "".join(lines).isascii()
    assert any("192.0.2.1:4711" in line for line in lines)


@pytest.mark.parametrize(
    ("command", "key"),
    [(handshake, "handshake"), (layers, "layers"), (tcpinfo, "tcpinfo")],
)
def test_json_is_one_line(command: Any, key: str) -> None:
    [line] = answer(command, "json").lines
    found = json.loads(line)
    assert key in found
    assert found["version"] == 1


@pytest.mark.parametrize("command", ASKED)
@pytest.mark.parametrize("argument", ["12", "json utf8", "xml"])
def test_report_takes_no_connection_argument(command: Any, argument: str) -> None:
    """The report is about the client's connection: no argument names another."""
    with pytest.raises(WrongArguments):
        command.call(make_request(argument, connection=CLIENT))


def test_report_without_a_connection_layer() -> None:
    reply = handshake.call(make_request())
    assert isinstance(reply, Reply)
    assert reply.code == 250


@pytest.mark.parametrize(("end", "shown"), [(b"\r\n", "CRLF"), (b"\n", "LF")])
@pytest.mark.parametrize("cut", [False, True])
def test_report_contains_session_stats(end: bytes, shown: str, cut: bool) -> None:
    """ "commands so far", this one included, and "line ending in use"."""
    session = Session(
        ConnectionScope(CLIENT, MemoryContext(), CommandTable([*load_commands(points=())])),
        lambda name, error: "",
        ServiceCounters(),
    )
    data = b"PING" + end + b"PING a" + end + b"TIME" + end + b"LAYERS json" + end
    data += b"PING " + b"b" * 40 + end + (b"PING " + b"c" * 40 + end) * 3 + b"LAYERS json" + end
    for piece in [data[at : at + 7] for at in range(0, len(data), 7)] if cut else [data]:
        session.receive(piece)
    output = session.answer().decode()
    found = [
        json.loads(line.removeprefix("250 ")) for line in output.split("\r\n") if "layers" in line
    ]
    counts = [each["layers"]["application"]["values"]["commands"]["value"] for each in found]
    ends = {each["layers"]["presentation"]["values"]["line_ending"]["value"] for each in found}
    assert counts == [4, 9]
    assert ends == {shown}
