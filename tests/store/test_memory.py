"""History in memory: bounds in messages and bytes, for each room and for all; pages."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from amounts import examples
from chat.doubles import Chat, change_modes
from hypothesis import given, settings
from hypothesis import strategies as st

from tcpd.chat.settings import ChatSettings
from tcpd.events.chat import Change, EventId, Identity, Kind, Line, Mode, RoomMessage
from tcpd.store.history import Selector, UnknownMessage, Which, milliseconds
from tcpd.store.memory import ROOM_BYTES, HistoryLimits, MemoryHistory, size_of

ANN = Identity("n-b-m1", "ann", "text", "localhost")


def message_of(number: int, text: str = "hello", time: float | None = None) -> RoomMessage:
    when = float(number) if time is None else time
    return RoomMessage(EventId("n", "b", number), when, ANN, "#tea", text, Kind.MESSAGE)


def several(number: int, *texts: str) -> RoomMessage:
    text, lines = "\n".join(texts), tuple(map(Line, texts))
    id = EventId("n", "b", number)
    return RoomMessage(id, float(number), ANN, "#tea", text, Kind.MESSAGE, (), lines)


MANY = 1 << 30


def store(messages: int = 100, room: int = MANY, total: int = MANY) -> MemoryHistory:
    return MemoryHistory(HistoryLimits(messages, room, total), Counter())


def page(history: MemoryHistory, room: str = "#tea", selector: Selector | None = None) -> Any:
    """Return the messages of a page, or its exception."""
    found: list[Any] = []
    history.page(room, selector or Selector.latest(1000)).addCallbacks(
        found.append, lambda failure: found.append(failure.value)
    )
    return found[0]


def numbers(messages: Any) -> list[int]:
    return [message.id.sequence for message in messages]


@pytest.mark.parametrize(
    "make",
    [
        lambda number: message_of(number, f"{number:03}" + "x" * 397),
        lambda number: message_of(number, "hi"[: number % 2 + 1]),
        lambda number: message_of(number, f"{number:03}" + "ж" * 197),
        lambda number: message_of(number, f"{number:03}" + "\U0001f600" * 97),
        lambda number: several(number, *(f"{number:03} {line}" for line in range(32))),
        lambda number: several(number, *(f"{number:03}" + "x" * 120 for line in range(32))),
    ],
)
def test_estimated_size_is_an_upper_bound(make: Callable[[int], RoomMessage]) -> None:
    """At most four times the memory that messages take."""
    history = store(1000)
    tracemalloc.start()
    for number in range(500):
        history.append("#tea", make(number + 1))
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken < history.size < taken * 4


def test_oldest_messages_are_dropped_first() -> None:
    size = size_of(message_of(1))
    history = store(room=3 * size + 1)
    for number in range(1, 6):
        history.append("#tea", message_of(number))
    assert numbers(page(history)) == [3, 4, 5]
    assert (len(history), history.size) == (3, ROOM_BYTES + 3 * size)
    history.redact("#tea", str(message_of(4).id))
    history.redact("#tea", "no such message")
    history.redact("#nowhere", "x")
    assert (numbers(page(history)), history.size) == ([3, 5], ROOM_BYTES + 2 * size)
    history.append("#tea", several(9, *["x" * 400] * 32))
    assert (numbers(page(history)), history.size) == ([], 0), "larger than the bound"


def test_bound_in_messages() -> None:
    history = store(2)
    for number in range(1, 6):
        history.append("#tea", message_of(number))
    assert numbers(page(history)) == [4, 5]
    nothing = store(0)
    nothing.append("#tea", message_of(1))
    assert (len(nothing), nothing.size) == (0, 0)


def test_reload_to_no_history_drops_messages() -> None:
    """At the next message of the room."""
    history = store()
    history.append("#tea", message_of(1))
    history.limits = HistoryLimits(0, MANY, MANY)
    history.append("#tea", message_of(2))
    assert (len(history), history.size) == (0, 0)


def test_oldest_messages_of_all_rooms_are_dropped_first() -> None:
    size = size_of(message_of(1))
    total = 2 * ROOM_BYTES + 7 * size
    history = store(total=total)
    for number in range(1, 11):
        history.append("#one" if number % 2 else "#other", message_of(number))
    assert numbers(page(history, "#one")) == [5, 7, 9]
    assert numbers(page(history, "#other")) == [4, 6, 8, 10]
    assert history.size == total


def test_many_messages_are_dropped_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload with a much lower bound does not block the reactor."""
    monkeypatch.setattr("tcpd.store.memory._AT_A_TIME", 3)
    history = store()
    for number in range(1, 11):
        history.append("#tea", message_of(number))
    history.limits = HistoryLimits(100, MANY, 1)
    left = []
    for number in range(11, 16):
        history.append("#tea", message_of(number))
        left.append(len(history))
    assert left == [8, 6, 4, 2, 0]


def test_renamed_room_keeps_its_history() -> None:
    history = store()
    history.append("#tea", message_of(1))
    history.append("#pot", message_of(2))
    history.rename("#tea", "#pot")
    assert numbers(page(history, "#tea")) == []
    assert numbers(page(history, "#pot")) == [1]
    history.forget("#pot")
    assert (numbers(page(history, "#pot")), len(history), history.size) == ([], 0, 0)


TEN = [message_of(number) for number in range(1, 11)]


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        (Selector(Which.LATEST, 3), [8, 9, 10]),
        (Selector(Which.LATEST, 3, "n-b-8"), [9, 10]),
        (Selector(Which.LATEST, 3, 8.0), [9, 10]),
        (Selector(Which.BEFORE, 3, "n-b-5"), [2, 3, 4]),
        (Selector(Which.BEFORE, 3, 2.5), [1, 2]),
        (Selector(Which.AFTER, 3, "n-b-5"), [6, 7, 8]),
        (Selector(Which.AFTER, 3, 9.0), [10]),
        (Selector(Which.AROUND, 3, "n-b-5"), [4, 5, 6]),
        (Selector(Which.AROUND, 4, 1.0), [1, 2, 3, 4]),
        (Selector(Which.BETWEEN, 3, "n-b-2", "n-b-9"), [3, 4, 5]),
        (Selector(Which.BETWEEN, 3, "n-b-9", "n-b-2"), [6, 7, 8]),
        (Selector(Which.BETWEEN, 30, 2.0, "n-b-5"), [3, 4]),
    ],
)
def test_pages(selector: Selector, found: list[int]) -> None:
    """https://ircv3.net/specs/extensions/chathistory."""
    history = store()
    for message in TEN:
        history.append("#tea", message)
    assert numbers(page(history, selector=selector)) == found


@pytest.mark.parametrize(
    ("which", "found"),
    [(Which.BEFORE, [1]), (Which.AFTER, [4]), (Which.LATEST, [4]), (Which.AROUND, [1, 2, 3])],
)
def test_times_are_compared_in_milliseconds(which: Which, found: list[int]) -> None:
    """As clients see them: 0.1231 and 0.1239 s are 0.123 s."""
    history = store()
    for number, time in enumerate((0.1221, 0.1231, 0.1239, 0.1241), 1):
        history.append("#tea", message_of(number, time=1_700_000_000 + time))
    selector = Selector(which, 3, 1_700_000_000.123)
    assert numbers(page(history, selector=selector)) == found


@given(st.integers(0, 4 * 10**12), st.integers(0, 999))
def test_milliseconds_of_a_float(whole: int, fraction: int) -> None:
    """A time that a client sends back, without its microseconds, is the same millisecond. Until
    2096."""
    assert milliseconds(whole / 1000) == whole
    assert milliseconds((whole * 1000 + fraction) / 1_000_000) == whole


@pytest.mark.parametrize("room", ["#tea", "#nowhere"])
def test_page_from_an_unknown_message_fails(room: str) -> None:
    history = store()
    history.append("#tea", message_of(1))
    for selector in (Selector(Which.AFTER, 3, "x"), Selector(Which.BETWEEN, 3, 1.0, "x")):
        assert isinstance(page(history, room, selector), UnknownMessage)


@settings(max_examples=examples(100))
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("say"), st.sampled_from("abc"), st.integers(0, 30)),
            st.tuples(st.just("redact"), st.sampled_from("abc"), st.integers(1, 40)),
            st.tuples(st.just("rename"), st.sampled_from("abc"), st.integers(0, 2)),
            st.tuples(st.just("forget"), st.sampled_from("abc"), st.just(0)),
        ),
        max_size=60,
    )
)
def test_sizes_match_the_messages(acts: list[tuple[str, str, int]]) -> None:
    size = size_of(message_of(1, ""))
    total = ROOM_BYTES + 7 * size
    history = store(5, 4 * size, total)
    number = 0
    for what, room, value in acts:
        if what == "say":
            number += 1
            history.append(room, message_of(number, "x" * value))
        elif what == "redact":
            history.redact(room, str(message_of(value).id))
        elif what == "rename":
            history.rename(room, "abc"[value])
        else:
            history.forget(room)
        pages = [page(history, name) for name in "abc"]
        stored = [message for found in pages for message in found]
        rooms = ROOM_BYTES * sum(map(bool, pages))
        assert history.size == rooms + sum(map(size_of, stored)) <= total
        assert len(history) == len(stored)


# --- in the hub ---


def fill(chat: Chat, member: Any, room: str, count: int, text: str = "x" * 400) -> None:
    for _ in range(count):
        chat.now += 1
        assert chat.hub.say(member, room, text) is None


def test_bound_in_bytes_of_a_room() -> None:
    """history_bytes; drops are counted with bound *room*."""
    chat = Chat(history_bytes=8_000)
    ann = chat.enter("ann", "#tea")
    fill(chat, ann, "#tea", 20)
    assert len(chat.kept_messages("#tea")) == 10
    assert chat.history.size <= ROOM_BYTES + 8_000
    assert chat.hub.counters.forgotten == {"room": 10, "all": 0}
    lines = [Line("y" * 120)] * 32
    assert chat.hub.say_more(ann, "#tea", lines) is None
    assert chat.history.size <= ROOM_BYTES + 8_000


def test_reopened_room_has_its_history() -> None:
    chat = Chat()
    ann = chat.enter("ann", "#tea")
    fill(chat, ann, "#tea", 3)
    chat.hub.part(ann, "#tea")
    assert chat.hub.room("#tea") is None
    chat.hub.join(ann, "#TEA")
    assert len(chat.kept_messages("#tea")) == 3


@pytest.mark.parametrize("is_lifted", [False, True])
@pytest.mark.parametrize("mode", ["k", "i", "s", "b"])
def test_empty_private_room_loses_its_history(mode: str, is_lifted: bool) -> None:
    """The next member might not have been allowed to read it; also if the last member has removed
    the mode."""
    chat = Chat()
    ann = chat.enter("ann", "#tea")
    assert change_modes(chat.hub, ann, "#tea", [Change(True, Mode(mode), "sesame!*@*")]) == []
    fill(chat, ann, "#tea", 3)
    if is_lifted:
        assert change_modes(chat.hub, ann, "#tea", [Change(False, Mode(mode), "sesame!*@*")]) == []
    chat.hub.leave(ann)
    assert chat.kept_messages("#tea") == ()


def test_rooms_count_with_their_names() -> None:
    """A room with one short message uses history_in_all for its name, too."""
    history = store(total=100 * ROOM_BYTES)
    tracemalloc.start()
    for number in range(1, 401):
        history.append(f"#{number}", message_of(number))
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken < history.size <= 100 * ROOM_BYTES
    assert page(history, "#1") == ()
    assert numbers(page(history, "#400")) == [400]


def test_bound_in_bytes_of_all_rooms() -> None:
    """history_in_all: 'the oldest of all are dropped'."""
    chat = Chat(history_in_all=16_000)
    ann = chat.enter("ann", "#a", "#b")
    fill(chat, ann, "#a", 15)
    fill(chat, ann, "#b", 15)
    a, b = chat.kept_messages("#a"), chat.kept_messages("#b")
    assert chat.history.size <= 16_000
    assert len(b) == 15, "the newer messages"
    assert len(a) < 6
    assert chat.hub.counters.forgotten["all"] == 30 - len(a) - len(b)
    before = chat.history.size
    chat.hub.redact(ann, "#a" if a else "#b", str((a or b)[0].id))
    assert chat.history.size < before


def test_default_bounds() -> None:
    """Fault: multiline messages of maximum size took 3.4 MB a room."""
    settings = ChatSettings()
    assert settings.history_bytes * settings.max_rooms >= settings.history_in_all
    assert settings.history_in_all <= 64 << 20
    chat = Chat()
    ann = chat.enter("ann", "#tea")
    for _ in range(200):
        chat.hub.say_more(ann, "#tea", [Line("y" * 128)] * 32)
    assert chat.history.size <= 128 << 10
