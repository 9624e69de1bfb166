"""Outbox and FlushQueue: bounded, in order, one write a member and turn."""

from __future__ import annotations

from tcpd.chat.outbox import BROADCASTS_A_TURN, FlushQueue, Outbox


class Turn:
    """What is due at the end of a reactor turn."""

    def __init__(self) -> None:
        self.calls: list[FlushQueue] = []
        self.queue = FlushQueue(self.calls.append)

    def end(self) -> None:
        calls, self.calls[:] = self.calls[:], []
        for call in calls:
            call.flush()


def test_one_write_a_member_and_turn() -> None:
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
    assert len(turn.calls) == 1, "the flush set is scheduled once a turn"
    turn.end()
    assert written == [("a", b"123"), ("b", b"123")]
    assert not turn.calls
    boxes[1].put(b"4")
    turn.end()
    assert written[2:] == [("b", b"4")]


def test_paused_nothing_is_written_and_resumed_all_of_it() -> None:
    turn = Turn()
    written: list[bytes] = []
    box = Outbox(100, turn.queue, written.append)
    box.put(b"1")
    box.pause()
    box.put(b"2")
    turn.end()
    box.put(b"3")
    assert not turn.calls, "paused, it asks for no flush"
    assert not written
    assert box.size == 3
    box.resume()
    assert written == [b"123"]
    assert box.size == 0
    box.put(b"4")
    turn.end()
    assert written == [b"123", b"4"]


def test_a_transport_may_pause_it_in_the_middle_of_a_write() -> None:
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


def test_the_bound() -> None:
    """'Bounded in bytes': what does not fit a paused outbox is not taken."""
    turn = Turn()
    written: list[bytes] = []
    box = Outbox(10, turn.queue, written.append)
    box.pause()
    assert box.put(b"x" * 10)
    assert not turn.calls, "paused, it asks for no flush"
    assert not box.put(b"y")
    assert box.size == 10


def test_a_busy_turn_is_no_slow_reader() -> None:
    """'A reader is slow only if the transport has enough.'"""
    turn = Turn()
    written: list[bytes] = []
    box = Outbox(10, turn.queue, written.append)
    for number in range(10):
        assert box.put(b"%d" % number * 4)
    turn.end()
    assert b"".join(written) == b"".join(b"%d" % number * 4 for number in range(10))
    assert all(len(data) <= 10 for data in written)
    assert not box.put(b"z" * 11), "what can never fit"


def test_closed_it_takes_nothing_and_complains_of_nothing() -> None:
    turn = Turn()
    written: list[bytes] = []
    box = Outbox(10, turn.queue, written.append)
    box.put(b"1")
    box.close()
    assert box.put(b"2")
    turn.end()
    assert not written
    assert not box.chunks


def test_of_very_many_some_wait_for_the_next_turns() -> None:
    """ "Who was told of what others do may wait for some turns, if they are very many." """
    turns: list[FlushQueue] = []
    queue = FlushQueue(turns.append)
    written: list[int] = []
    for number in range(2 * BROADCASTS_A_TURN + 1):
        outbox = Outbox(1000, queue, lambda data, number=number: written.append(number))  # type: ignore[misc]
        outbox.chunks.append(b"x")
        outbox.awaited = True
        queue.add(outbox)
    for turn in range(1, 4):
        assert len(turns) == turn, "asked for once a turn"
        turns[-1].flush()
        assert written == list(range(min(turn * BROADCASTS_A_TURN, 2 * BROADCASTS_A_TURN + 1)))
    assert len(turns) == 3


def test_who_was_answered_comes_first() -> None:
    """ "Who was answered comes first": all that waits for them, in its order, and once."""
    turns: list[FlushQueue] = []
    queue = FlushQueue(turns.append)
    written: list[bytes] = []
    for _ in range(BROADCASTS_A_TURN):
        told = Outbox(1000, queue, lambda data: None)
        told.chunks.append(b"x")
        told.awaited = True
        queue.add(told)
    outbox = Outbox(1000, queue, written.append)
    outbox.chunks.append(b"told ")
    outbox.size = 5
    outbox.awaited = True
    queue.add(outbox)
    outbox.put(b"answered")
    turns.pop().flush()
    assert written == [b"told answered"]
    turns.pop().flush()
    assert written == [b"told answered"]
    assert not turns
