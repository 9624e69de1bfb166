"""Properties of :class:`tcpd.chat.state.ChatState`: any events, as other nodes may append them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from amounts import examples
from chat.doubles import snapshot
from hypothesis import given, settings
from hypothesis import strategies as st

from tcpd.chat.irc.caps import RENDERING
from tcpd.chat.irc.render import Formats
from tcpd.chat.names import fold
from tcpd.chat.state import ChatState
from tcpd.chat.text.render import TextFormat
from tcpd.events import chat as events
from tcpd.events.chat import LISTS, RANKS, Change, Event, EventId, Identity, Kind, Line, Mode
from tcpd.events.codec import Undecodable, decode, encode

WHO = st.builds(
    Identity,
    st.sampled_from(["n-b-m1", "n-b-m1", "n-b-m2", "n-b-m3"]),
    st.sampled_from(["ann", "ANN", "bob", "a b", "\u00df", "SS", "#tea", "@"]),
    st.sampled_from(["~u", ""]),
    st.sampled_from(["host", "h@t"]),
    st.booleans(),
)
ROOM = st.sampled_from(["#tea", "#tea", "#tea", "#TEA", "#lobby", "", "# a", "#\u00df", "#ss"])
TEXT = st.sampled_from(["", "x", "a b", ":", "\x01VERSION\x01", "x" * 900, "a\r\nQUIT :b", "a\nb"])
TAGS = st.sampled_from([(), (("+a", "b"),)])
MASK = st.sampled_from(["", " ", "ann", "m:ann", "*!*@*", "\uff0a", "@@", "a@b", "\u00df*"])
LINES = st.sampled_from([(), (Line("a"), Line("", True))])
OTHERS = [mode for mode in Mode if mode not in (*LISTS, *RANKS, Mode.LIMIT)]
NETWORK = st.sampled_from([None, "192.0.2.0/24", "::/0"])
CHANGE = st.one_of(
    st.builds(Change, st.booleans(), st.sampled_from(LISTS), MASK, network=NETWORK),
    st.builds(Change, st.booleans(), st.sampled_from(OTHERS), TEXT),
    st.builds(Change, st.booleans(), st.sampled_from(RANKS), target=WHO),
    st.builds(Change, st.booleans(), st.just(Mode.LIMIT), st.sampled_from(["1", "2"])),
)
LEAST = st.none() | st.sampled_from(Mode)
KIND = st.sampled_from(Kind)
ADDRESS = st.sampled_from(["", "192.0.2.1", "2001:db8::1", "::1"])
LETTERS = st.text("Biowx", max_size=4)
VALUES: dict[type[Event], tuple[st.SearchStrategy[Any], ...]] = {
    events.Entered: (TEXT, ADDRESS, st.booleans()),
    events.Joined: (ROOM, st.booleans(), TEXT, TEXT),
    events.Parted: (ROOM, TEXT),
    events.RoomMessage: (ROOM, TEXT, KIND, TAGS, LINES, LEAST, st.sampled_from(["", "a/b"])),
    events.PrivateMessage: (WHO, TEXT, KIND, TAGS, LINES),
    events.Redacted: (ROOM, TEXT, TEXT, st.sampled_from(["", "n-b-m1"])),
    events.TopicChanged: (ROOM, TEXT),
    events.NickChanged: (st.sampled_from(["ann", "aNN", "bob", "\u00df", "ss", "-"]),),
    events.Kicked: (ROOM, WHO, TEXT),
    events.ModesChanged: (ROOM, st.lists(CHANGE, max_size=3).map(tuple)),
    events.Invited: (ROOM, WHO),
    events.RoomRenamed: (ROOM, ROOM, TEXT),
    events.AwayChanged: (TEXT,),
    events.RealNameChanged: (TEXT,),
    events.HostChanged: (st.sampled_from(["", "other", "a b"]),),
    events.UserModesChanged: (LETTERS, LETTERS),
    events.Announced: (TEXT,),
    events.Quit: (TEXT,),
    events.Killed: (WHO, TEXT, TEXT),
}


def head() -> tuple[st.SearchStrategy[Any], ...]:
    ids = st.builds(EventId, st.just("n"), st.just("b"), st.integers(1, 9))
    return ids, st.floats(0.0, 1e6), WHO


ANY = st.one_of([st.builds(cls, *head(), *values) for cls, values in VALUES.items()])


def check(state: ChatState) -> None:
    """Check what holds in every state."""
    people = state.people.values()
    assert {person.id: person for person in people} == state.people
    assert {person.key: person for person in people} == state.nicks
    assert all(person.key == fold(person.nick) for person in people)
    assert {room.key: room for room in state.rooms.values()} == state.rooms
    assert {(room, person) for room in state.rooms.values() for person in room.members} == {
        (state.rooms[key], person) for person in people for key in person.rooms
    }
    for room in state.rooms.values():
        assert room.key == fold(room.name)
        assert room.is_lobby or room.members
        restricts = room.bans or room.modes.flags & {Mode.MODERATED, Mode.NO_CTCP}
        assert room.unrestricted is not bool(restricts)
    assert state.listed == sum(room.listed for room in state.rooms.values())
    assert state.server_operators == sum(person.server_operator for person in people)
    assert state.invisible == sum(person.invisible for person in people)


FORMATS = [TextFormat(), *map(Formats().of, (frozenset(), RENDERING))]


def assert_renders(event: Event) -> None:
    """Check that each format renders whole lines, and that no text forges a line."""
    if isinstance(event, events.Entered):
        return  # sent to nobody
    for format in FORMATS:
        *lines, end = format.render(event).split(b"\r\n")
        assert end == b""
        assert not any(set(line) & set(b"\0\r\n") for line in lines)


def begin() -> Iterator[Event]:
    """Two people in a room."""
    for number, nick in enumerate(("ann", "bob"), 1):
        who = Identity(f"n-b-m{number}", nick, "~u", "host")
        yield events.Entered(EventId("n", "b", number), 0.0, who, nick)
        yield events.Joined(EventId("n", "b", number + 2), 0.0, who, "#tea", False)


BEGIN = tuple(begin())


def test_every_event_has_a_strategy() -> None:
    assert VALUES.keys() == ChatState().handlers.keys()


@settings(max_examples=examples(300))
@given(st.lists(ANY, min_size=8, max_size=40))
def test_any_events_in_any_order(made: list[Event]) -> None:
    """docs/decisions/0016: nodes that apply the same events in the same order have the same state
    and refuse the same events."""
    one, other = ChatState("#lobby", "hi", 1.0), ChatState("#lobby", "hi", 1.0)
    for event in (*BEGIN, *made):
        try:
            read = [decode(encode(event)) for _ in range(2)]
        except Undecodable:
            continue
        outcomes = [state.apply(each) for state, each in zip((one, other), read, strict=True)]
        assert outcomes[0].event == outcomes[1].event
        assert outcomes[0].refused == outcomes[1].refused
        if outcomes[0].refused is None:
            assert_renders(outcomes[0].event)
        check(one)
    assert snapshot(one) == snapshot(other)
