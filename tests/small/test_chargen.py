"""Character generator, RFC 864."""

from __future__ import annotations

from typing import Any

import pytest
from flow_control import LimitedTransport
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from tcpd.interfaces import IFarewell
from tcpd.policy.reasons import End
from tcpd.small.chargen import CHUNK, PATTERN, Chargen, ChargenFactory, answer


class ReadingClient:
    """A client that reads on demand, on a transport that pauses its producer above a limit."""

    def __init__(self, limit: int = 65536) -> None:
        self.clock = Clock()
        self.protocol: Any = ChargenFactory(self.clock).buildProtocol(None)
        self.transport = LimitedTransport(limit)
        self.protocol.makeConnection(self.transport)

    def turns(self, count: int) -> None:
        """Run one reactor turn: calls that it schedules wait for the next."""
        for _ in range(count):
            due = list(self.clock.calls)
            self.clock.calls.clear()
            for call in due:
                call.called = 1
                call.func(*call.args)

    def read(self) -> bytes:
        data: bytes = self.transport.value()
        self.transport.clear()
        if self.transport.paused and self.transport.producer is not None:
            self.transport.paused = False
            self.transport.producer.resumeProducing()
        return data

    def lose(self) -> None:
        """Lose the connection as transports do: stop the producer, then notify the protocol."""
        if self.transport.producer is not None:
            self.transport.producer.stopProducing()
            self.transport.producer = None
        self.protocol.connectionLost(Failure(ConnectionLost()))


def test_pattern_is_that_of_the_rfc() -> None:
    """RFC 864: "One popular pattern is 72 character lines of the ASCII printing characters. There
    are 95 printing characters in the ASCII character set. Sort the characters in an ordered
    sequence and number the characters from 0 through 94. Think of the sequence as a ring so that
    character number 0 follows character number 94. On the first line (line 0) put the characters
    numbered 0 through 71. On the next line (line 1) put the characters numbered 1 through 72. And
    so on"."""
    lines = PATTERN.split(b"\r\n")
    assert lines.pop() == b""
    assert len(lines) == 95
    for n, line in enumerate(lines):
        assert line == bytes(32 + (n + column) % 95 for column in range(72))
    assert lines[0].startswith(b" !\"#$%&'()*+,-./0123456789:;<=>?@ABC")
    assert lines[94].startswith(b"~ !\"#$%&'()")


def test_pattern_repeats_seamlessly() -> None:
    conversation = ReadingClient()
    stream = b""
    for _ in range(4):
        conversation.turns(1)
        stream += conversation.read()
    assert stream == (PATTERN * (len(stream) // len(PATTERN) + 1))[: len(stream)]
    assert len(stream) == 4 * len(CHUNK)


@given(st.binary(max_size=1500))
def test_reply_is_no_longer_than_the_datagram(datagram: bytes) -> None:
    """RFC 864: "When a datagram is received, an answering datagram is sent containing a random
    number (between 0 and 512) of characters (the data in the received datagram is ignored)"."""
    assert answer(datagram) == PATTERN[: min(512, len(datagram))]


def test_interfaces() -> None:
    for interface in (IPushProducer, IHalfCloseableProtocol, IFarewell):
        verifyObject(interface, Chargen(Clock()))


def test_client_that_does_not_read_has_one_chunk_buffered() -> None:
    conversation = ReadingClient()
    conversation.turns(1000)
    assert len(conversation.transport.value()) == len(CHUNK)
    assert conversation.clock.getDelayedCalls() == []
    conversation.read()
    conversation.turns(1000)
    assert len(conversation.transport.value()) == len(CHUNK)


def test_one_chunk_a_turn_without_pauses() -> None:
    """Other connections are served in between."""
    conversation = ReadingClient(limit=10**9)
    for turn in range(1, 5):
        conversation.turns(1)
        assert len(conversation.transport.value()) == turn * len(CHUNK)


def test_double_resume_writes_once_a_turn() -> None:
    conversation = ReadingClient(limit=10**9)
    conversation.protocol.resumeProducing()
    conversation.protocol.resumeProducing()
    conversation.turns(1)
    assert len(conversation.transport.value()) == len(CHUNK)


def test_received_data_is_discarded() -> None:
    """RFC 864: "Any data received is thrown away"."""
    conversation = ReadingClient()
    conversation.protocol.dataReceived(b"stop!\r\n")
    conversation.turns(1)
    assert conversation.read() == CHUNK


def test_half_closed_client_gets_further_data() -> None:
    """RFC 864: "This continues until the calling user terminates the connection"."""
    conversation = ReadingClient()
    conversation.protocol.readConnectionLost()
    conversation.turns(1)
    assert conversation.read() == CHUNK
    conversation.turns(1)
    assert conversation.read() == CHUNK
    assert not conversation.transport.disconnecting


@pytest.mark.parametrize("paused", [True, False])
def test_farewell_stops_writing(paused: bool) -> None:
    conversation = ReadingClient()
    conversation.turns(1 if paused else 0)
    before = conversation.transport.value()
    assert conversation.protocol.farewell(End.SHUTDOWN) == b""
    assert conversation.transport.producer is None
    conversation.protocol.resumeProducing()
    conversation.turns(5)
    assert conversation.transport.value() == before
    assert conversation.clock.getDelayedCalls() == []


def test_nothing_is_written_while_closing() -> None:
    conversation = ReadingClient()
    conversation.transport.loseConnection()
    conversation.turns(3)
    assert conversation.transport.value() == b""
    assert conversation.clock.getDelayedCalls() == []


@pytest.mark.parametrize("paused", [True, False])
def test_lost_connection_leaves_no_timer(paused: bool) -> None:
    conversation = ReadingClient()
    conversation.turns(1 if paused else 0)
    conversation.lose()
    assert conversation.clock.getDelayedCalls() == []
    conversation.protocol.resumeProducing()
    assert conversation.clock.getDelayedCalls() == []
    assert conversation.protocol.farewell(End.LOST) == b""
