"""Outbox and FlushQueue: bounded, in order, one write per client and turn."""

from __future__ import annotations

from twisted.internet.task import Clock

from tcpd.chat.outbox import BROADCASTS_A_TURN, FlushQueue, Outbox


class Turn:
    """The flushes that are scheduled for the end of a reactor turn."""

    def __init__(self) -> None:
        self.calls: list[FlushQueue] = []
        self.queue = FlushQueue(self.calls.append)

    def end(self) -> None:
        calls, self.calls[:] = self.calls[:], []
        for call in calls:
            call.flush()


def test_one_write_per_client_and_turn() -> None:
    turn = Turn()
    written: list[tuple[str, bytes]] = []
    boxes = [
        Outbox(100, turn.queue, lambda data, name=name: written.append((name, data)))  # type: ignore[misc]
        for name in "ab"
    ]
    for data in (b"1", b"2", b"3"):
        for box in boxes:
            assert box.put(data)
    assert not written
    assert len(turn.calls) == 1, "one flush is scheduled per turn"
    turn.end()
    assert written == [("a", b"123"), ("b", b"123")]
    assert not turn.calls
    boxes[1].put(b"4")
    turn.end()
    assert written[2:] == [("b", b"4")]


def test_paused_outbox_is_written_on_resume() -> None:
    turn = Turn()
    written: list[bytes] = []
    box = Outbox(100, turn.queue, written.append)
    box.put(b"1")
    box.pause()
    box.put(b"2")
    turn.end()
    box.put(b"3")
    assert not turn.calls, "a paused outbox schedules no flush"
    assert not written
    assert box.size == 3
    box.resume()
    assert written == [b"123"]
    assert box.size == 0
    box.put(b"4")
    turn.end()
    assert written == [b"123", b"4"]


def test_transport_may_pause_the_outbox_during_a_write() -> None:
    turn = Turn()
    written: list[bytes] = []

    def write(data: bytes) -> None:
        written.append(data)
        box.pause()

    box = Outbox(100, turn.queue, write)
    box.put(b"1")
    turn.end()
    box.put(b"2")
    turn.end()
    assert written == [b"1"]


def test_paused_outbox_is_bounded() -> None:
    """docs/reference/chat.rst, Bounds, ``outbox``"""
    turn = Turn()
    written: list[bytes] = []
    box = Outbox(10, turn.queue, written.append)
    box.pause()
    assert box.put(b"x" * 10)
    assert not turn.calls, "a paused outbox schedules no flush"
    assert not box.put(b"y")
    assert box.size == 10


def test_unpaused_outbox_is_flushed_at_its_bound() -> None:
    """A client is slow only if its transport is paused."""
    turn = Turn()
    written: list[bytes] = []
    box = Outbox(10, turn.queue, written.append)
    for number in range(10):
        assert box.put(b"%d" % number * 4)
    turn.end()
    assert b"".join(written) == b"".join(b"%d" % number * 4 for number in range(10))
    assert all(len(data) <= 10 for data in written)
    assert not box.put(b"z" * 11), "exceeds the bound alone"


def test_closed_outbox_discards_data() -> None:
    turn = Turn()
    written: list[bytes] = []
    box = Outbox(10, turn.queue, written.append)
    box.put(b"1")
    box.close()
    assert box.put(b"2")
    turn.end()
    assert not written
    assert not box.chunks


def test_broadcasts_are_limited_per_turn() -> None:
    """:class:`tcpd.chat.outbox.FlushQueue`: at most ``BROADCASTS_A_TURN`` outboxes without a reply
    are flushed per turn."""
    turns: list[FlushQueue] = []
    queue = FlushQueue(turns.append)
    written: list[int] = []
    for number in range(2 * BROADCASTS_A_TURN + 1):
        outbox = Outbox(1000, queue, lambda data, number=number: written.append(number))  # type: ignore[misc]
        outbox.chunks.append(b"x")
        outbox.awaited = True
        queue.add(outbox)
    for call in range(1, 6):
        assert len(turns) == call, "scheduled once a call"
        turns[-1].flush()
        turn = (call + 1) // 2  # tcpd's reactor flushes twice
        assert written == list(range(min(turn * BROADCASTS_A_TURN, 2 * BROADCASTS_A_TURN + 1)))
    assert len(turns) == 5


def test_slow_writes_end_the_flush_of_a_turn() -> None:
    """Broadcasts have 5 ms of a turn, however few sockets they are."""
    turns: list[FlushQueue] = []
    clock = Clock()
    queue = FlushQueue(turns.append, clock.seconds)
    written: list[int] = []

    def write(number: int) -> None:
        clock.advance(0.001)
        written.append(number)

    for number in range(70):
        outbox = Outbox(1000, queue, lambda data, number=number: write(number))  # type: ignore[misc]
        outbox.put_broadcast(b"x")
    end = queue.position
    for call in range(5):
        assert len(turns) == call + 1, "requested once a call"
        turns[-1].flush()
        assert written == list(range(min(32 * (call // 2 + 1), 70)))
        assert queue.position == end
    assert queue.done == end == 70
    assert len(turns) == 5


def test_queue_is_crowded_until_all_broadcasts_are_flushed() -> None:
    """Half an outbox is enough for a client that reads; a slow reader does not delay others."""
    turn = Turn()
    reading, slow = (Outbox(100, turn.queue, lambda data: None) for _ in range(2))
    slow.pause()
    assert not slow.refuses(100)
    assert not turn.queue.crowded
    assert slow.refuses(101)
    reading.put_broadcast(b"x" * 60)
    assert not reading.refuses(60)
    assert turn.queue.crowded
    turn.end()
    assert not turn.queue.crowded


def test_replies_are_flushed_before_broadcasts() -> None:
    """:class:`tcpd.chat.outbox.FlushQueue`: an outbox with a reply is flushed at once, in order."""
    turns: list[FlushQueue] = []
    queue = FlushQueue(turns.append)
    written: list[bytes] = []
    for _ in range(BROADCASTS_A_TURN):
        other = Outbox(1000, queue, lambda data: None)
        other.chunks.append(b"x")
        other.awaited = True
        queue.add(other)
    outbox = Outbox(1000, queue, written.append)
    outbox.chunks.append(b"broadcast ")
    outbox.size = 10
    outbox.awaited = True
    queue.add(outbox)
    outbox.put(b"reply")
    turns.pop().flush()
    assert written == [b"broadcast reply"]
    while turns:
        turns.pop().flush()
    assert written == [b"broadcast reply"]
