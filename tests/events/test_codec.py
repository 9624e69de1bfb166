"""Codec of events: 'All nodes decode the same entry to the same event, or all of them skip it.'"""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from amounts import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tcpd.eventlog.entry import deliver_entry
from tcpd.events.chat import (
    RANKS,
    AnyEvent,
    Change,
    Entered,
    Event,
    EventId,
    Identity,
    Kind,
    Line,
    Mode,
    ModesChanged,
    RoomMessage,
)
from tcpd.events.codec import VERSION, Undecodable, decode, encode
from tcpd.ops.counters import ChatCounters

#: Characters that middle parameters of IRC cannot contain, and those that sources cannot.
CONTROLS = "".join(map(chr, range(33))) + "\x7f"
OF_SOURCES = CONTROLS + "!@"


def without(characters: str, least: int = 0, most: int = 30) -> st.SearchStrategy[str]:
    allowed = st.characters(exclude_categories=["Cs"], exclude_characters=characters)
    return st.text(allowed, min_size=least, max_size=most)


TEXT = without("\0\r\n", most=60)
WORD = without(CONTROLS + ":")
NICK = without(OF_SOURCES + ":#", 1)
HOST = without(OF_SOURCES)
ROOM = without(CONTROLS + ",").map(lambda name: f"#{name}")
IDS = st.builds(
    EventId,
    st.from_regex(r"[A-Za-z0-9._-]{1,32}", fullmatch=True),
    st.from_regex(r"[A-Za-z0-9._-]{1,12}", fullmatch=True),
    st.integers(1, 2**60),
)
PEOPLE = st.builds(
    Identity, st.from_regex(r"[!-~]{1,64}", fullmatch=True), NICK, HOST, HOST, st.booleans()
)
RANK_CHANGES = st.builds(Change, st.booleans(), st.sampled_from(RANKS), target=PEOPLE)
OTHER_CHANGES = st.builds(
    Change,
    st.booleans(),
    st.sampled_from([mode for mode in Mode if mode not in (*RANKS, Mode.LIMIT)]),
    WORD.filter(bool),
    network=st.sampled_from([None, "192.0.2.1/32", "2001:db8::/64"]),
)
LIMITS = st.builds(Change, st.just(True), st.just(Mode.LIMIT), st.integers(1, 10**6).map(str))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "id": IDS,
    "time": st.floats(0, 1e10),
    "actor": PEOPLE,
    "target": PEOPLE,
    "opened": st.booleans(),
    "secure": st.booleans(),
    "kind": st.sampled_from(Kind),
    "tags": st.lists(st.tuples(st.sampled_from(["+a", "+x.org/b"]), TEXT), max_size=3).map(tuple),
    "lines": st.lists(st.builds(Line, TEXT, st.booleans()), max_size=3).map(tuple),
    "least": st.sampled_from([None, *RANKS]),
    "changes": st.lists(st.one_of(RANK_CHANGES, OTHER_CHANGES, LIMITS), max_size=4).map(tuple),
    "nick": NICK,
    "host": without(OF_SOURCES + ":", 1),
    "room": ROOM,
    "name": ROOM,
    "message": st.from_regex(r"[!-9;-~][!-~]{0,60}", fullmatch=True),
    "author": st.sampled_from(["", "n-b-m1"]),
    "speaker": without(OF_SOURCES + ":"),
    "added": st.text("Biow", max_size=4),
    "removed": st.text("Biow", max_size=4),
    "address": st.sampled_from(["", "192.0.2.1", "2001:db8::1"]),
}


def events(cls: type[Event]) -> st.SearchStrategy[Event]:
    fields = cls.__struct_fields__
    values = {name: VALUES.get(name, TEXT) for name in fields}
    if cls is Entered:
        values["actor"] = PEOPLE.filter(lambda who: who.user and who.host)
    return st.builds(cls, **values)


EVERY = get_args(AnyEvent)


def test_codec_has_all_events() -> None:
    assert set(EVERY) == set(Event.__subclasses__())


@settings(max_examples=examples(40), deadline=None)
@pytest.mark.parametrize("cls", EVERY, ids=lambda cls: cls.__name__)
@given(data=st.data())
def test_round_trip(cls: type[Event], data: Any) -> None:
    event = data.draw(events(cls))
    entry = encode(event)
    assert b"\n" not in entry
    assert decode(entry) == event
    assert encode(decode(entry)) == entry


MESSAGE = RoomMessage(
    EventId("n", "b", 1), 1.5, Identity("n-b-m1", "ann"), "#tea", "hello", Kind.MESSAGE
)


def changed(**more: Any) -> bytes:
    """Return an entry with changed values."""
    version, body = json.loads(encode(MESSAGE))
    return json.dumps([more.pop("version", version), body | more]).encode()


def test_entry_is_json() -> None:
    """ "An entry is JSON: [VERSION, {"type": "RoomMessage", ...}]" """
    version, body = json.loads(encode(MESSAGE))
    assert (version, body["type"], body["text"]) == (VERSION, "RoomMessage", "hello")


def test_unknown_fields_are_ignored() -> None:
    assert decode(changed(mood="good", deep={"a": [{}] * 3})) == MESSAGE


def test_fields_with_defaults_are_optional() -> None:
    version, body = json.loads(encode(MESSAGE))
    short = {key: body[key] for key in ("type", "id", "time", "actor", "room", "text", "kind")}
    assert decode(json.dumps([version, short]).encode()) == MESSAGE


@pytest.mark.parametrize(
    "entry",
    [
        b"",
        b"x",
        b"[]",
        b"{}",
        b"[1]",
        b"[1, {}]",
        b'[1, {"type": "NoSuchEvent"}]',
        b"\xff" * 10,
        b"[" * 100_000,
        b'[1, {"type": "RoomMessage", "more": ' + b"[" * 100_000,
        changed(version=VERSION + 1),
        changed(version=0),
        changed(time=-1.0),
        changed(time="now"),
        changed(kind="shout"),
        changed(id={"node": "a b", "boot": "b", "sequence": 1}),
        changed(id={"node": "n", "boot": "b", "sequence": 0}),
        changed(actor={"id": "n-b-m1", "nick": ""}),
        changed(text=None),
        *(changed(text=f"a{end}QUIT :x") for end in ("\r\n", "\n", "\r", "\0")),
        changed(lines=[{"text": "a\nb"}], text="a\nb"),
        *(changed(room=name) for name in ("", "tea", "#a b", "#a,b", "#a\n", "#\x07")),
        *(
            changed(actor={"id": "n-b-m1", "nick": nick})
            for nick in ("a b", "a!b", "a@b", ":a", "#a", "a\r", "\x7f")
        ),
        changed(actor={"id": "n-b-m1", "nick": "ann", "host": "a b"}),
        changed(actor={"id": "n-b-m1", "nick": "ann", "user": "a@b"}),
        changed(speaker="a b"),
        changed(speaker=":a"),
        changed(tags=[["+a b", "x"]]),
        changed(tags=[["time", "x"]]),
        changed(tags=[["+a", "\0"]]),
        encode(MESSAGE)[:-1],
        encode(MESSAGE) + b"x",
    ],
    ids=lambda entry: entry[:40].decode("latin-1"),
)
def test_invalid_entries_are_skipped_and_counted(entry: bytes) -> None:
    """Undecodable: "Readers of a log skip the entry and count"."""
    with pytest.raises(Undecodable):
        decode(entry)
    counters = ChatCounters()
    delivered: list[Event] = []
    for each in (encode(MESSAGE), entry, encode(MESSAGE)):
        deliver_entry(each, delivered.append, counters)
    assert delivered == [MESSAGE, MESSAGE]
    assert counters.undecodable == 1


@pytest.mark.parametrize(
    "change",
    [
        Change(True, Mode.LIMIT, "many"),
        Change(True, Mode.LIMIT, "0"),
        Change(True, Mode.OPERATOR, "ann"),
        Change(True, Mode.MODERATED, target=Identity("x", "ann")),
        Change(True, Mode.BAN, "*!*@*", network="anywhere"),
    ],
)
def test_invalid_mode_change_is_undecodable(change: Change) -> None:
    event = ModesChanged(MESSAGE.id, 1.0, MESSAGE.actor, "#tea", (change,))
    with pytest.raises(Undecodable):
        decode(encode(event))


def test_message_to_a_mode_without_rank_is_undecodable() -> None:
    with pytest.raises(Undecodable):
        decode(changed(least="b"))


MEMBER = Identity("n-b-m1", "ann", "~ann", "host")


@pytest.mark.parametrize("missing", [{"user": ""}, {"host": ""}])
def test_entered_requires_user_and_host(missing: dict[str, str]) -> None:
    assert decode(encode(Entered(MESSAGE.id, 1.0, MEMBER, "Ann")))
    with pytest.raises(Undecodable):
        decode(encode(Entered(MESSAGE.id, 1.0, replace(MEMBER, **missing), "Ann")))


def test_invalid_address_is_undecodable() -> None:
    with pytest.raises(Undecodable):
        decode(encode(Entered(MESSAGE.id, 1.0, MEMBER, "Ann", "nowhere")))


@given(st.binary(max_size=200))
def test_random_bytes_are_undecodable(entry: bytes) -> None:
    try:
        decode(entry)
    except Undecodable:
        return
    raise AssertionError("random bytes are no event")
