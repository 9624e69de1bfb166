"""SinglePump: rates, open requests, streamed replies, and when it pauses reading."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flow_control import TurnClock
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from tcpd.config.values import Rate
from tcpd.interfaces import IBusy, IFarewell
from tcpd.lines.linebuffer import LineFault
from tcpd.lines.single import LINES_A_SHARE, LINES_A_TURN, REQUEST_SECONDS, Ready, SinglePump
from tcpd.net.turns import work_queue
from tcpd.policy.reasons import End, Refusal
from tcpd.policy.workqueue import SECONDS_A_TURN, WorkQueue
from tcpd.wire.opening import Opening


class WorkClock(TurnClock):
    """A clock with a work queue; it advances only if a conversation takes time."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = work_queue(self)


class MemoryOutput:
    """Output buffer that is written by :meth:`flush`."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self.paused = False
        self.limit = 1000
        self.waiting = b""
        self.write = write

    @property
    def size(self) -> int:
        return len(self.waiting)

    def put(self, data: bytes) -> bool:
        self.waiting += data
        return True

    def take(self) -> bytes:
        waiting, self.waiting = self.waiting, b""
        return waiting

    def flush(self) -> None:
        if self.waiting and not self.paused:
            self.write(self.take())

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False
        self.flush()

    def close(self) -> None:
        self.waiting = b""
        self.limit = -1


class RecordingConversation:
    """A conversation that records its lines.

    ``OPEN`` leaves a request open, ``LONG`` streams a reply, ``ENTER`` enters, ``QUIT`` hangs up,
    ``BUG`` raises.
    """

    def __init__(self, pump: Pump) -> None:
        self.pump = pump
        self.entered = False
        self.waiting = False
        self.left = 0
        self.lines: list[bytes | LineFault] = []
        self.reason: str | None = None
        self.ready = Ready.NOW
        self.ended: list[str] = []
        self.takes = 0.0

    @property
    def streaming(self) -> bool:
        return self.left > 0

    def greet(self) -> None:
        self.pump.output.put(b"hello\n")

    def ready_for(self, line: bytes | LineFault | None) -> Ready:
        return self.ready if line == b"PING" else Ready.NOW

    def line(self, line: bytes | LineFault) -> None:
        self.pump.clock.rightNow += self.takes
        self.lines.append(line)
        self.pump.order.append((self.pump.name, line))
        if line == b"OPEN":
            self.waiting = True
        elif line == b"LONG":
            self.left = 5
        elif line == b"ENTER":
            self.entered = True
        elif line == b"QUIT":
            self.pump.output.put(b"bye\n")
            self.pump.hang_up()
        elif line == b"BUG":
            raise ZeroDivisionError("a bug")

    def complete(self) -> None:
        self.waiting = False
        self.pump.proceed()

    def stream_more(self) -> None:
        self.left -= 1
        self.pump.output.put(b"x" * 200)

    def finished(self) -> None:
        self.ended.append("finished")
        self.pump.hang_up()

    def entry_timed_out(self) -> None:
        self.ended.append("too late")
        self.pump.hang_up()

    def request_timed_out(self) -> None:
        self.ended.append("request_timed_out")
        self.pump.hang_up()

    def leave(self, reason: str) -> None:
        assert self.reason is None
        self.reason = reason


class Pump(SinglePump):
    """A pump on a memory transport."""

    def __init__(
        self,
        clock: WorkClock,
        name: str = "",
        order: list[Any] | None = None,
        rate: Rate | None = None,
        entry_timeout: float = 0.0,
    ) -> None:
        queue: WorkQueue = clock.queue
        self.timeout = entry_timeout
        super().__init__(
            clock,
            queue,
            Opening(any_case=True),
            line_bytes=100,
            rate=rate,
        )
        self.clock = clock
        self.name = name
        self.order: list[Any] = [] if order is None else order
        self.held = 0
        self.runs = 0
        self.throttles = 0
        self.wire = StringTransport()
        self.makeConnection(self.wire)  # type: ignore[arg-type]

    def open(self) -> tuple[RecordingConversation, MemoryOutput]:
        self.output = MemoryOutput(self.wire.write)
        self.talk = RecordingConversation(self)
        return self.talk, self.output

    def why_lost(self, reason: Failure) -> str:
        return "lost"

    def hold(self) -> None:
        self.held += 1
        self.runs += 1

    def release(self) -> None:
        self.held -= 1

    def entry_timeout(self) -> float:
        return self.timeout

    def throttled(self) -> None:
        self.throttles += 1

    def refusal(self, reason: Refusal) -> bytes:
        return b"no\n"

    def farewell(self, reason: End) -> bytes:
        return b""

    @property
    def reads(self) -> bool:
        return bool(self.wire.producerState == "producing")


@pytest.fixture
def clock() -> WorkClock:
    return WorkClock()


def test_lines_are_processed_in_one_batch(clock: WorkClock) -> None:
    pump = Pump(clock)
    pump.dataReceived(b"a\r\nb\nc")
    assert pump.talk.lines == [b"a", b"b"]
    assert pump.runs == 1
    assert not pump.held
    assert pump.reads
    pump.dataReceived(b"\n" + b"y" * 200 + b"\n")
    assert pump.talk.lines[2:] == [b"c", LineFault.TOO_LONG]


def test_no_line_is_taken_while_a_request_is_open(clock: WorkClock) -> None:
    """Conversation.waiting: "no line is taken until ``proceed``" """
    pump = Pump(clock)
    pump.dataReceived(b"OPEN\na\n")
    pump.dataReceived(b"b\n")
    assert pump.talk.lines == [b"OPEN"]
    assert not pump.reads
    assert pump.busy
    assert IBusy.providedBy(pump)
    pump.talk.complete()
    assert pump.talk.lines == [b"OPEN"]  # not within complete()
    clock.settle()
    assert pump.talk.lines == [b"OPEN", b"a", b"b"]
    assert pump.reads
    pump.proceed()  # without waiting lines
    assert pump.reads


def test_request_that_completes_in_release(clock: WorkClock) -> None:
    class Completing(Pump):
        def release(self) -> None:
            super().release()
            if self.talk.waiting:
                self.talk.complete()

    pump = Completing(clock)
    pump.dataReceived(b"OPEN\na\n")
    clock.settle()
    assert pump.talk.lines == [b"OPEN", b"a"]
    assert pump.reads


def test_barrier_waits_for_the_next_turn_or_proceed(clock: WorkClock) -> None:
    pump = Pump(clock)
    pump.talk.ready = Ready.NEXT_TURN
    pump.dataReceived(b"a\nPING\nb\n")
    assert pump.talk.lines == [b"a"]
    clock.turn()
    clock.turn()
    assert pump.talk.lines == [b"a"]
    pump.talk.ready = Ready.LATER
    clock.settle()
    assert not pump.reads
    assert pump.talk.lines == [b"a"]
    pump.talk.ready = Ready.NOW
    pump.proceed()
    clock.settle()
    assert pump.talk.lines == [b"a", b"PING", b"b"]
    assert pump.reads


def test_long_reply_is_streamed_as_the_client_reads(clock: WorkClock) -> None:
    pump = Pump(clock)
    pump.dataReceived(b"LONG\na\n")
    assert pump.talk.left == 3  # the outbox has to be written first
    assert not pump.reads
    pump.pauseProducing()
    clock.settle()
    assert pump.talk.left == 3
    pump.resumeProducing()
    assert pump.wire.value() == b"hello\n" + b"x" * 400
    while pump.talk.streaming:
        pump.output.flush()
        clock.turn()
    pump.output.flush()
    clock.settle()
    assert pump.order == [("", b"LONG"), ("", b"a")]
    assert pump.wire.value() == b"hello\n" + b"x" * 1000
    assert pump.reads


def test_no_line_is_taken_while_the_transport_is_full(clock: WorkClock) -> None:
    pump = Pump(clock)
    pump.pauseProducing()
    assert not pump.reads
    assert not pump.busy
    pump.dataReceived(b"a\n")
    clock.settle()
    assert pump.talk.lines == []
    pump.resumeProducing()
    assert pump.talk.lines == [b"a"]
    assert pump.reads


def test_transport_that_is_full_again_after_the_outbox(clock: WorkClock) -> None:
    pump = Pump(clock)
    pump.pauseProducing()
    pump.dataReceived(b"a\n")
    write = pump.output.write
    pump.output.write = lambda data: (write(data), pump.pauseProducing())[0]
    pump.resumeProducing()
    assert pump.talk.lines == []
    assert not pump.reads
    pump.resumeProducing()
    assert pump.talk.lines == [b"a"]


def test_rate_limits_lines(clock: WorkClock) -> None:
    pump = Pump(clock, rate=Rate(1, 2))
    pump.dataReceived(b"a\nb\nc\nd\n")
    assert pump.talk.lines == [b"a", b"b"]
    assert not pump.reads
    assert pump.throttles == 1
    clock.advance(0.5)
    assert pump.talk.lines == [b"a", b"b"]
    clock.advance(0.6)
    assert pump.talk.lines == [b"a", b"b", b"c"]
    clock.advance(1.1)
    assert pump.talk.lines == [b"a", b"b", b"c", b"d"]
    assert pump.reads


def test_deferred_work_does_not_wait_for_the_rate(clock: WorkClock) -> None:
    pump = Pump(clock, rate=Rate(0.01, 1))
    pump.dataReceived(b"a\nb\n")
    done: list[str] = []
    pump.when_there_is_time(lambda: done.append("list"))
    assert not done
    clock.settle()
    assert done == ["list"]
    assert pump.talk.lines == [b"a"]
    assert not pump.reads
    clock.advance(100.1)
    assert pump.talk.lines == [b"a", b"b"]


def test_deferred_work_waits_for_an_open_request(clock: WorkClock) -> None:
    pump = Pump(clock)
    pump.dataReceived(b"OPEN\na\n")
    pump.when_there_is_time(lambda: pump.order.append("list"))
    clock.settle()
    assert pump.order == [("", b"OPEN")]
    pump.talk.complete()
    clock.settle()
    assert pump.order == [("", b"OPEN"), "list", ("", b"a")]


def test_flood_shares_turns_with_others(clock: WorkClock) -> None:
    order: list[Any] = []
    flood, other = Pump(clock, "flood", order), Pump(clock, "other", order)
    flood.dataReceived(b"x\n" * 1000)
    assert len(order) == LINES_A_TURN
    assert not flood.reads
    other.dataReceived(b"y\n" * 40)
    rest = order[LINES_A_TURN:]
    assert rest == [("other", b"y")] * LINES_A_SHARE, "it has nothing queued"
    clock.settle()
    rest = order[LINES_A_TURN:]
    assert rest.count(("flood", b"x")) == 1000 - LINES_A_TURN
    runs = rest[LINES_A_SHARE : 4 * LINES_A_SHARE]
    assert runs == (
        [("flood", b"x")] * LINES_A_SHARE
        + [("other", b"y")] * LINES_A_SHARE
        + [("flood", b"x")] * LINES_A_SHARE
    )
    assert flood.reads
    assert other.reads


def test_slow_lines_are_bounded_by_time(clock: WorkClock) -> None:
    pump = Pump(clock)
    pump.talk.takes = SECONDS_A_TURN / 2
    pump.dataReceived(b"x\n" * 10)
    assert len(pump.talk.lines) == 2
    clock.turn()
    clock.turn()
    assert len(pump.talk.lines) == 4


def test_failure_closes_the_connection_only(clock: WorkClock, logged_failures: Any) -> None:
    pump = Pump(clock)
    pump.dataReceived(b"a\nBUG\nb\n")
    [event] = logged_failures.expect("a bug")
    assert event["event_id"] == "connection.failed"
    assert pump.wire.disconnected
    assert pump.talk.lines == [b"a", b"BUG"]
    pump.dataReceived(b"c\n")
    pump.connectionLost(Failure(ConnectionDone()))
    assert pump.talk.reason == "lost"


def test_hang_up_flushes_the_output(clock: WorkClock) -> None:
    pump = Pump(clock, entry_timeout=10)
    pump.dataReceived(b"QUIT\na\n")
    assert pump.wire.value() == b"hello\nbye\n"
    assert pump.wire.disconnecting
    assert pump.wire.producer is None
    assert pump.talk.lines == [b"QUIT"]
    clock.settle()
    assert not clock.getDelayedCalls()


def test_leave_goes_through_the_queue(clock: WorkClock) -> None:
    """Leaving the rooms of many connections takes long."""
    busy, pump = Pump(clock), Pump(clock)
    busy.talk.takes = 1.0
    busy.dataReceived(b"x\nx\n")
    pump.connectionLost(Failure(ConnectionDone()))
    assert pump.talk.reason is None
    clock.settle()
    assert pump.talk.reason == "lost"


def test_lines_before_eof_are_all_taken(clock: WorkClock) -> None:
    pump = Pump(clock)
    pump.dataReceived(b"OPEN\na\nb")
    pump.readConnectionLost()
    assert pump.talk.ended == []
    pump.talk.complete()
    clock.settle()
    assert pump.talk.lines == [b"OPEN", b"a", b"b"]
    assert pump.talk.ended == ["finished"]


def test_entry_timeout_stops_while_reading_is_paused(clock: WorkClock) -> None:
    pump = Pump(clock, entry_timeout=10)
    clock.advance(5)
    pump.pauseProducing()
    clock.pump([1.0] * 100)
    pump.resumeProducing()
    assert not pump.talk.ended
    clock.advance(4.9)
    assert not pump.talk.ended
    clock.advance(0.2)
    assert pump.talk.ended == ["too late"]

    pump = Pump(clock, entry_timeout=10)
    pump.dataReceived(b"ENTER\n")
    clock.advance(20)
    assert pump.talk.ended == []


def test_open_request_times_out(clock: WorkClock) -> None:
    """'Every wait has a bound': a store or a log may never answer."""
    pump = Pump(clock)
    pump.dataReceived(b"OPEN\na\n")
    clock.advance(REQUEST_SECONDS - 1)
    pump.talk.complete()
    clock.settle()
    assert pump.talk.lines == [b"OPEN", b"a"]
    pump.dataReceived(b"OPEN\nb\n")
    clock.advance(REQUEST_SECONDS - 1)
    assert pump.talk.ended == []
    clock.advance(1)
    assert pump.talk.ended == ["request_timed_out"]
    assert pump.wire.disconnecting
    assert not clock.getDelayedCalls()


def test_request_timeout_is_cancelled_at_the_close(clock: WorkClock) -> None:
    pump = Pump(clock)
    pump.dataReceived(b"OPEN\n")
    pump.connectionLost(Failure(ConnectionDone()))
    clock.settle()
    assert not clock.getDelayedCalls()


def test_another_protocol_is_refused(clock: WorkClock) -> None:
    pump = Pump(clock)
    pump.dataReceived(b"POST / HTTP/1.1\r\na\r\n")
    assert pump.wire.value() == b"hello\nno\n"
    assert pump.wire.disconnecting
    assert pump.talk.lines == []
    assert pump.talk.reason == ""
    assert IFarewell.providedBy(pump)
