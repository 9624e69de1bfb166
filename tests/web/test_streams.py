"""Event streams: their number, their pace and their end."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.task import Clock

from tcpd.line.testing import MemoryContext
from tcpd.ops import catalogue
from tcpd.ops.follow import RECENT
from tcpd.web.status import StatusFeed
from tcpd.web.streams import PER_SHARE, SecondStream, Streams, event


class StreamClient:
    """The client of a stream."""

    def __init__(self, streams: Streams, events: int | None = None, share: Any = "a") -> None:
        self.sent: list[bytes] = []
        self.finished = 0
        self.stopped = 0
        self.number = 0
        self.full = False
        self.stream = SecondStream(streams, share, self.read, events, self.stop)
        self.stream.start(self.send, self.finish)

    def read(self) -> bytes:
        self.number += 1
        if self.number == 7:
            raise ZeroDivisionError("a bug")
        return event("x", self.number)

    def send(self, data: bytes) -> bool:
        if data and not self.full:
            self.sent.append(data)
        return not self.full

    def finish(self) -> None:
        self.finished += 1
        self.stream.stop()

    def stop(self) -> None:
        self.stopped += 1


def test_event_is_encoded_on_one_line() -> None:
    """HTML Standard section 9.2.6: a line end would end the field."""
    assert event("log", {"text": "a\nb"}) == b'event: log\ndata: {"text":"a\\nb"}\n\n'


def test_one_event_a_second_until_the_end() -> None:
    clock = Clock()
    streams = Streams(clock, 10)
    client = StreamClient(streams, 3)
    assert client.sent == [b"retry: 5000\n\n", event("x", 1)]
    clock.advance(1)
    clock.advance(1)
    assert client.sent[2:] == [event("x", 2), event("x", 3), event("end", {})]
    assert (client.finished, client.stopped, len(streams)) == (1, 1, 0)
    assert clock.getDelayedCalls() == [], "no timer without a stream"


def test_number_of_streams_is_limited() -> None:
    streams = Streams(Clock(), PER_SHARE + 1)
    clients = [StreamClient(streams) for _ in range(PER_SHARE)]
    assert not streams.has_room("a")
    assert streams.has_room("b")
    StreamClient(streams, share="b")
    assert not streams.has_room("c")
    clients[0].stream.stop()
    assert streams.has_room("a")


def test_stream_that_fails_is_ended_alone(logged_failures: Any) -> None:
    clock = Clock()
    streams = Streams(clock, 10)
    one, other = StreamClient(streams), StreamClient(streams)
    other.number = -100
    for _ in range(10):
        clock.advance(1)
    logged_failures.expect("an event stream failed")
    assert (one.finished, other.finished) == (1, 0)
    assert len(other.sent) == 12


@pytest.fixture
def context() -> MemoryContext:
    return MemoryContext()


def test_status_is_read_once_a_second_for_all(context: MemoryContext) -> None:
    reads = []

    def status() -> dict[str, Any]:
        reads.append(1)
        return {"status": {}, "services": []}

    context.status = status  # type: ignore[method-assign]
    feed = StatusFeed(context)
    watchers = [feed.watch() for _ in range(3)]
    for second in range(1, 4):
        assert len({watcher.read() for watcher in watchers}) == 1
        assert len(reads) == second
        context.clock.advance(1)


def test_recent_events_are_shown_to_the_next_client(context: MemoryContext) -> None:
    feed = StatusFeed(context)
    one = feed.watch()
    for number in range(RECENT + 1):
        context.followers(catalogue.EVENTS_DROPPED.make(count=number))
    log = one.read().split(b"data: ")[-1]
    counts = [each["fields"]["count"] for each in json.loads(log)]
    assert counts == list(range(1, RECENT + 1)), "the oldest is dropped"
    assert b"event: log" not in one.read(), "each event once"
    one.leave()
    one.leave()
    late = feed.watch()
    assert late.read().count(b'"events.dropped"') == RECENT
    late.leave()
    assert len(context.followers) == 0


def test_stream_waits_for_a_client_that_does_not_read() -> None:
    """Events and the end are not lost."""
    clock = Clock()
    client = StreamClient(Streams(clock, 10), 3)
    client.full = True
    for _ in range(5):
        clock.advance(1)
    assert client.sent[1:] == [event("x", 1)]
    client.full = False
    for _ in range(3):
        clock.advance(1)
    assert client.sent[2:] == [event("x", 2), event("x", 3), event("end", {})]
    assert client.finished == 1
