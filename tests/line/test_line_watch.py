"""TCPINFO watch."""

from __future__ import annotations

import pytest
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from tcpd.line.builtin import ping
from tcpd.line.command import CommandTable, PlainFacts
from tcpd.line.factory import LineFactory
from tcpd.line.handshake import tcpinfo
from tcpd.line.protocol import LineProtocol
from tcpd.line.reply import Reply, WrongArguments
from tcpd.line.settings import LineSettings
from tcpd.line.testing import MemoryContext, make_request
from tcpd.line.watch import TcpInfoWatch


class Measured(PlainFacts):
    """A TCP connection whose RTT grows with each sample."""

    calls: list[None]

    def tcp_sample(self) -> dict[str, int] | None:
        self.calls.append(None)
        return {"rtt": len(self.calls), "snd_cwnd": 10}


class WatchClient:
    """A client of a line service, in memory."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.context = MemoryContext()
        self.clock = self.context.clock
        self.facts = Measured("line", "192.0.2.1:4711")
        object.__setattr__(self.facts, "calls", [])
        monkeypatch.setattr(LineProtocol, "facts", lambda *_: self.facts)
        factory = LineFactory(LineSettings(), self.context, CommandTable([tcpinfo, ping]))
        self.protocol: LineProtocol = factory.buildProtocol(None)
        self.transport = StringTransport()
        self.protocol.makeConnection(self.transport)
        self.received()

    def send(self, data: bytes) -> list[str]:
        self.protocol.dataReceived(data)
        return self.received()

    def received(self) -> list[str]:
        lines: list[str] = self.transport.value().decode().splitlines()
        self.transport.clear()
        return lines

    def advance(self, seconds: float) -> list[str]:
        self.clock.advance(seconds)
        return self.received()


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> WatchClient:
    return WatchClient(monkeypatch)


def test_a_line_each_second_and_then_the_end(client: WatchClient) -> None:
    """ "a line of figures each second, for 1 to 60 seconds" """
    (first,) = client.send(b"TCPINFO watch 3\r\n")
    assert first.startswith("250-rtt=2us ")  # one sample to see that it is TCP
    assert " cwnd=10 " in first
    assert client.advance(0.5) == []
    (second,) = client.advance(0.5)
    assert second.startswith("250-rtt=3us ")
    (third,) = client.advance(1)
    assert third.startswith("250-rtt=4us ")
    assert client.advance(1) == ["250 3 lines"]
    assert not client.clock.getDelayedCalls()
    assert client.send(b"PING x\r\n") == ["250 PONG x"]


def test_input_ends_it(client: WatchClient) -> None:
    """ "or until you send anything" """
    client.send(b"tcpinfo WATCH 60\r\n")
    assert client.send(b"PING x\r\n") == ["250 1 line", "250 PONG x"]
    assert not client.clock.getDelayedCalls()
    assert client.advance(5) == []


def test_requests_sent_before_its_end_are_answered_after_it(client: WatchClient) -> None:
    assert client.send(b"TCPINFO watch 9\r\nPING x\r\n")[1:] == ["250 1 line", "250 PONG x"]


def test_a_client_that_does_not_read_gets_no_lines(client: WatchClient) -> None:
    """ "While the client does not read, no line is sent and none is buffered" """
    client.send(b"TCPINFO watch 4\r\n")
    client.protocol.pauseProducing()
    client.clock.advance(1)
    client.clock.advance(1)
    assert client.received() == []
    client.protocol.resumeProducing()
    assert len(client.advance(1)) == 1
    assert client.advance(1) == ["250 2 lines"]


def test_it_ends_while_the_client_does_not_read(client: WatchClient) -> None:
    client.send(b"TCPINFO watch 1\r\n")
    client.protocol.pauseProducing()
    assert client.advance(1) == []
    client.protocol.resumeProducing()
    assert client.received() == ["250 1 line"]
    assert client.send(b"PING x\r\n") == ["250 PONG x"]


def test_half_close_and_loss_end_it(client: WatchClient) -> None:
    client.send(b"TCPINFO watch 9\r\n")
    client.protocol.readConnectionLost()
    assert client.received() == ["250 1 line"]
    assert not client.clock.getDelayedCalls()


def test_lost_connection_stops_it(client: WatchClient) -> None:
    client.send(b"TCPINFO watch 9\r\n")
    client.protocol.connectionLost(Failure(ConnectionDone()))
    assert not client.clock.getDelayedCalls()


@pytest.mark.parametrize("seconds", ["1", "60", "07"])
def test_valid_times(client: WatchClient, seconds: str) -> None:
    request = make_request(f"watch {seconds}", connection=client.facts)
    assert isinstance(tcpinfo.call(request), TcpInfoWatch)


@pytest.mark.parametrize("words", ["watch", "watch 0", "watch 61", "watch -1", "watch 1.5"])
@pytest.mark.parametrize("more", ["", " json"])
def test_other_times_are_refused(client: WatchClient, words: str, more: str) -> None:
    with pytest.raises(WrongArguments):
        tcpinfo.call(make_request(words + more, connection=client.facts))


@pytest.mark.parametrize("word", ["9" * 4000, "\u0663", "\u00b2"])
def test_other_digits_are_refused(client: WatchClient, word: str) -> None:
    with pytest.raises(WrongArguments):
        tcpinfo.call(make_request(f"watch {word}", connection=client.facts))


def test_without_tcp_there_are_no_figures() -> None:
    reply = tcpinfo.call(make_request("watch 5"))
    assert reply == Reply(250, ("not available: not a TCP connection",))
