"""Streams: one reply of many lines, ended by the client's next input."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from tcpd.line.builtin import ping, quit_
from tcpd.line.command import Command, CommandTable
from tcpd.line.factory import LineFactory
from tcpd.line.protocol import LineProtocol
from tcpd.line.settings import LineSettings
from tcpd.line.stream import Stream
from tcpd.line.testing import MemoryContext
from tcpd.policy.reasons import End


class Ticker(Stream):
    """Sends the lines of a test, and records the calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.say: Callable[[str], None] = lambda _: None

    def begin(self, say: Callable[[str], None]) -> None:
        self.calls.append("begin")
        self.say = say
        say("first")

    def pause(self) -> None:
        self.calls.append("pause")

    def resume(self) -> None:
        self.calls.append("resume")
        self.say("caught up")

    def stop(self) -> str:
        self.calls.append("stop")
        return "last"


class Watching:
    """A client of a service with a command that ticks."""

    def __init__(self) -> None:
        self.ticker = Ticker()
        table = CommandTable([Command("TICK", "", "Ticks.", lambda _: self.ticker), ping, quit_])
        factory = LineFactory(LineSettings(), MemoryContext(), table)
        self.protocol: LineProtocol = factory.buildProtocol(None)
        self.transport = StringTransport()
        self.protocol.makeConnection(self.transport)
        self.received()

    def send(self, data: bytes) -> bytes:
        self.protocol.dataReceived(data)
        return self.received()

    def received(self) -> bytes:
        data: bytes = self.transport.value()
        self.transport.clear()
        return data


def test_stream_ends_when_the_client_sends_anything() -> None:
    """ "Its last line is sent when the client sends something or closes its sending side." """
    client = Watching()
    assert client.send(b"TICK\n") == b"250-first\r\n"
    client.ticker.say("a\x1b[2J\nb")
    assert client.received() == b"250-a\\x1b[2J\r\n250-b\r\n"
    assert client.send(b"PING x\n") == b"250 last\r\n250 PONG x\r\n"
    assert client.ticker.calls == ["begin", "stop"]
    assert client.send(b"PING y\n") == b"250 PONG y\r\n"


@pytest.mark.parametrize("behind", [b"PING\n", b"PI"])
def test_stream_ends_by_input_of_the_same_segment(behind: bytes) -> None:
    """Segmentation does not matter."""
    client = Watching()
    said = client.send(b"TICK\n" + behind)
    assert said.startswith(b"250-first\r\n250 last\r\n")
    assert client.send(b"NG\n" if behind == b"PI" else b"").endswith(b"PONG\r\n") or said.endswith(
        b"PONG\r\n"
    )


def test_half_close_ends_the_stream_and_the_connection() -> None:
    client = Watching()
    client.send(b"TICK\n")
    client.protocol.readConnectionLost()
    assert client.received() == b"250 last\r\n"
    assert client.transport.disconnecting


def test_full_output_pauses_the_stream() -> None:
    client = Watching()
    client.send(b"TICK\n")
    client.protocol.pauseProducing()
    client.protocol.resumeProducing()
    assert client.received() == b"250-caught up\r\n"
    assert client.ticker.calls == ["begin", "pause", "resume"]


def test_lost_connection_stops_the_stream() -> None:
    client = Watching()
    client.send(b"TICK\n")
    client.protocol.connectionLost(Failure(ConnectionDone()))
    assert client.ticker.calls == ["begin", "stop"]


def test_farewell_ends_the_stream() -> None:
    client = Watching()
    client.send(b"TICK\n")
    assert client.protocol.farewell(End.SHUTDOWN).startswith(b"421 ")
    assert client.ticker.calls == ["begin", "stop"]


def test_consecutive_streams() -> None:
    client = Watching()
    client.send(b"TICK\n")
    assert client.send(b"TICK\n") == b"250 last\r\n250-first\r\n"
    assert client.send(b"QUIT\n").startswith(b"250 last\r\n221 ")
    assert client.transport.disconnecting
