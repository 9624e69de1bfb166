"""What is kept of what was said: bounded in messages and in bytes, for each room and for all."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from chat.doubles import Chat

from tcpd.chat.history import History, forget_oldest, size_of
from tcpd.chat.settings import ChatSettings
from tcpd.events import EventId, Kind, Line, Said, SaidMore, Who

ANN = Who("n-b-m1", "ann", "text", "localhost")


def said(number: int, text: str = "hello", time: float | None = None) -> Said:
    when = float(number) if time is None else time
    return Said(EventId("n", "b", number), when, ANN, "#tea", text, Kind.MESSAGE)


def several(number: int, *texts: str) -> SaidMore:
    text, lines = "\n".join(texts), tuple(map(Line, texts))
    id = EventId("n", "b", number)
    return SaidMore(id, float(number), ANN, "#tea", text, Kind.MESSAGE, (), lines)


@pytest.mark.parametrize(
    "make",
    [
        lambda number: said(number, f"{number:03}" + "x" * 397),
        lambda number: said(number, "hi"[: number % 2 + 1]),
        lambda number: said(number, f"{number:03}" + "ж" * 197),
        lambda number: said(number, f"{number:03}" + "\U0001f600" * 97),
        lambda number: several(number, *(f"{number:03} {line}" for line in range(32))),
        lambda number: several(number, *(f"{number:03}" + "x" * 120 for line in range(32))),
    ],
)
def test_the_estimate_is_what_a_message_takes(make: Callable[[int], Said]) -> None:
    """From above, and not by far: what the setting says is what the memory is."""
    history = History(1000)
    tracemalloc.start()
    history.add([make(number) for number in range(500)], 1 << 30)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken < history.size < taken * 3


def test_the_oldest_go_first() -> None:
    size = size_of(said(1))
    history = History(100)
    assert history.add([said(number) for number in range(5)], 3 * size + 1) == 2
    assert [event.time for event in history] == [2.0, 3.0, 4.0]
    assert (len(history), history.size, history.oldest) == (3, 3 * size, 2.0)
    assert [event.time for event in reversed(history)] == [4.0, 3.0, 2.0]
    history.take_back(str(said(3).id))
    history.take_back("no such message")
    assert ([event.time for event in history], history.size) == ([2.0, 4.0], 2 * size)
    assert history.add([several(9, *["x" * 400] * 32)], 3 * size) == 3, "it does not fit itself"
    assert (len(history), history.size) == (0, 0)


def test_a_number_of_messages_bounds_it_as_well() -> None:
    history = History(2)
    assert history.add([said(number) for number in range(5)], 1 << 20) == 0
    assert [event.time for event in history] == [3.0, 4.0]
    assert History(0).add([said(1)], 1 << 20) == 0


def test_the_oldest_of_all_rooms_go_first() -> None:
    one, other, third = History(100), History(100), History(100)
    for number in range(10):
        (one if number % 2 else other).add([said(number)], 1 << 20)
    size = size_of(said(0))
    assert forget_oldest([one, other, third], 3 * size - 1) == 3
    assert [event.time for event in one] == [3.0, 5.0, 7.0, 9.0]
    assert [event.time for event in other] == [4.0, 6.0, 8.0]
    assert forget_oldest([one, other, third], 1 << 20) == 7
    assert forget_oldest([one, other, third], 1 << 20) == 0


def test_very_many_are_forgotten_little_by_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload with a much lower bound makes nobody wait."""
    monkeypatch.setattr("tcpd.chat.history._AT_A_TIME", 3)
    history = History(100)
    history.add([said(number) for number in range(10)], 1 << 20)
    assert [forget_oldest([history], 1 << 20) for _ in range(5)] == [3, 3, 3, 1, 0]


# --- in the rooms ---


def fill(chat: Chat, member: Any, room: str, count: int, text: str = "x" * 400) -> None:
    for _ in range(count):
        chat.now += 1
        assert chat.hub.say(member, room, text) is None


def test_a_room_keeps_no_more_bytes_than_it_may() -> None:
    """history_bytes; counted as dropped for the bound of a room."""
    chat = Chat(history_bytes=8_000)
    ann = chat.enter("ann", "#tea")
    fill(chat, ann, "#tea", 20)
    room = chat.hub.room("#tea")
    assert room is not None
    assert len(room.history) == 10
    assert chat.hub.history_size == room.history.size <= 8_000
    assert chat.hub.counters.forgotten == {"room": 10, "all": 0}
    lines = [Line("y" * 120)] * 32
    assert chat.hub.say_more(ann, "#tea", lines) is None
    assert room.history.size <= 8_000
    chat.hub.part(ann, "#tea")
    assert chat.hub.history_size == 0


def test_all_rooms_keep_no_more_bytes_than_they_may() -> None:
    """history_in_all: 'the oldest of all are dropped'."""
    chat = Chat(history_in_all=16_000)
    ann = chat.enter("ann", "#a", "#b")
    fill(chat, ann, "#a", 15)
    fill(chat, ann, "#b", 15)
    a, b = chat.hub.room("#a"), chat.hub.room("#b")
    assert a is not None
    assert b is not None
    assert chat.hub.history_size == a.history.size + b.history.size <= 16_000
    assert len(b.history) == 15, "they are the later ones"
    assert len(a.history) < 6
    dropped = chat.hub.counters.forgotten
    assert dropped["all"] == 30 - len(a.history) - len(b.history)
    (oldest, *_) = a.history or b.history
    chat.hub.redact(ann, "#a" if len(a.history) else "#b", str(oldest.id))
    assert chat.hub.history_size == a.history.size + b.history.size


def test_the_defaults_bound_what_one_thousand_rooms_take() -> None:
    """Multiline messages of the largest size took 3.4 MB a room before."""
    settings = ChatSettings()
    assert settings.history_bytes * settings.max_rooms >= settings.history_in_all
    assert settings.history_in_all <= 64 << 20
    chat = Chat()
    ann = chat.enter("ann", "#tea")
    for _ in range(200):
        chat.hub.say_more(ann, "#tea", [Line("y" * 128)] * 32)
    assert chat.hub.history_size <= 128 << 10
