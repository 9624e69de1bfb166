"""Events as lines of the text frontend."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpd.chat.text.render import (
    WIDTH,
    TextFormat,
    columns,
    describe_all,
    describe_past,
    describe_sent,
    encode_lines,
)
from tcpd.events.chat import (
    Announced,
    AwayChanged,
    Change,
    Entered,
    Event,
    EventId,
    HostChanged,
    Identity,
    Invited,
    Joined,
    Kicked,
    Killed,
    Kind,
    Line,
    Mode,
    ModesChanged,
    NickChanged,
    Parted,
    PrivateMessage,
    Quit,
    RealNameChanged,
    Redacted,
    RoomMessage,
    RoomRenamed,
    TopicChanged,
    UserModesChanged,
)

ANN, BOB = Identity("n-b-m1", "ann"), Identity("n-b-m2", "bob")
HEAD = (EventId("n", "b", 1), 1_700_000_000.0, ANN)


def changed(*changes: Change) -> ModesChanged:
    return ModesChanged(*HEAD, "#tea", changes)


LINES: list[tuple[Event, str]] = [
    (RoomMessage(*HEAD, "#lobby", "hello", Kind.MESSAGE), "#lobby <ann> hello"),
    (RoomMessage(*HEAD, "#lobby", "waves", Kind.ACTION), "#lobby * ann waves"),
    (RoomMessage(*HEAD, "#lobby", "beep", Kind.NOTICE), "#lobby -ann- beep"),
    (PrivateMessage(*HEAD, BOB, "psst", Kind.MESSAGE), "[private] <ann> psst"),
    (Joined(*HEAD, "#tea", False), "* ann joined #tea"),
    (Joined(*HEAD, "#tea", True), "* ann opened #tea"),
    (Parted(*HEAD, "#tea", ""), "* ann left #tea"),
    (Parted(*HEAD, "#tea", "bye"), "* ann left #tea: bye"),
    (Killed(*HEAD, BOB, "spam", "Killed (ann (spam))"), "* bob left the chat: Killed (ann (spam))"),
    (Quit(*HEAD, "bye"), "* ann left the chat: bye"),
    (NickChanged(*HEAD, "anna"), "* ann is now anna"),
    (TopicChanged(*HEAD, "#tea", "Assam"), "* ann set the topic of #tea: Assam"),
    (TopicChanged(*HEAD, "#tea", ""), "* ann removed the topic of #tea"),
    (Kicked(*HEAD, "#tea", BOB, "spam"), "* ann kicked bob out of #tea: spam"),
    (changed(Change(True, Mode.OPERATOR, target=BOB)), "* ann made bob an operator of #tea"),
    (
        changed(Change(False, Mode.OPERATOR, target=BOB)),
        "* ann removed bob as an operator of #tea",
    ),
    (
        changed(Change(True, Mode.BAN, "bob!*@*", network="192.0.2.1/32")),
        "* ann banned bob from #tea",
    ),
    (changed(Change(False, Mode.BAN, "bob!*@*")), "* ann lifted the ban of bob from #tea"),
    (changed(Change(True, Mode.BAN, "*!*@h")), "* ann banned *!*@h from #tea"),
    (changed(Change(True, Mode.BAN, "m:bob!*@*")), "* ann muted bob in #tea"),
    (changed(Change(False, Mode.BAN, "m:bob!*@*")), "* ann lifted the mute of bob in #tea"),
    (
        changed(Change(True, Mode.EXEMPT, "m:*!*@h")),
        "* ann exempted *!*@h from the mutes of #tea",
    ),
    (changed(Change(True, Mode.NO_CTCP)), "* ann blocked CTCP in #tea, except actions"),
    (changed(Change(True, Mode.KEY, "k")), "* ann set a key on #tea"),
    (changed(Change(False, Mode.LIMIT)), "* ann removed the limit of #tea"),
    (changed(Change(True, Mode.LIMIT, "3")), "* ann limited #tea to 3 members"),
    (changed(Change(True, Mode.MODERATED)), "* ann made #tea moderated"),
    (Invited(*HEAD, "#tea", BOB), "* ann invited bob to #tea"),
    (Redacted(*HEAD, "#tea", "n-b-1", "typo"), "* ann deleted a message in #tea: typo"),
    (RoomRenamed(*HEAD, "#tea", "#chai", ""), "* ann renamed #tea to #chai"),
    (RoomMessage(*HEAD, "#tea", "hi", Kind.MESSAGE, (("+a", "b"),)), "#tea <ann> hi"),
    (RoomMessage(*HEAD, "#tea", "hi", Kind.MESSAGE, least=Mode.OPERATOR), "@#tea <ann> hi"),
    (RoomMessage(*HEAD, "#tea", "hi", Kind.MESSAGE, speaker="bob/x"), "#tea <bob/x> hi"),
]

#: Events that the text frontend does not show.
HIDDEN: list[Event] = [
    AwayChanged(*HEAD, "out"),
    RealNameChanged(*HEAD, "Ann"),
    HostChanged(*HEAD, "example.org"),
    Announced(*HEAD, "news"),
    Entered(*HEAD, "Ann"),
    UserModesChanged(*HEAD, "i", ""),
    RoomMessage(*HEAD, "#tea", "", Kind.TAGS, (("+typing", "active"),)),
    PrivateMessage(*HEAD, BOB, "", Kind.TAGS, (("+typing", "active"),)),
]


@pytest.mark.parametrize(("event", "line"), LINES)
def test_events_are_rendered_as_lines(event: Event, line: str) -> None:
    assert describe_all(event) == [line]
    assert TextFormat().render(event) == line.encode() + b"\r\n"


@pytest.mark.parametrize("event", HIDDEN)
def test_hidden_events_render_nothing(event: Event) -> None:
    assert TextFormat().render(event) == b""


def test_each_mode_change_and_each_line_has_its_own_line() -> None:
    both = changed(Change(True, Mode.VOICE, target=BOB), Change(True, Mode.INVITE_ONLY))
    assert describe_all(both) == [
        "* ann gave bob voice in #tea",
        "* ann made #tea invite-only",
    ]
    lines = (Line("one"), Line(""), Line("two"))
    said = RoomMessage(*HEAD, "#tea", "one\n\ntwo", Kind.MESSAGE, (), lines)
    assert describe_all(said) == ["#tea <ann> one", "#tea <ann> two"]
    assert describe_past(said, HEAD[1]) == "  22:13 #tea <ann> one  two"
    received = PrivateMessage(*HEAD, BOB, "one\ntwo", Kind.MESSAGE, (), lines)
    assert describe_all(received) == ["[private] <ann> one", "[private] <ann> two"]
    assert describe_sent(received) == "[private to bob] <ann> one two"


def test_every_event_and_every_mode_is_rendered() -> None:
    shown = {type(event).__name__ for event in [*HIDDEN, *(event for event, _ in LINES)]}
    assert shown == {cls.__name__ for cls in Event.__subclasses__()}
    for mode in Mode:
        for adding in (True, False):
            person = BOB if mode in "ohv" else None
            [line] = describe_all(changed(Change(adding, mode, "1", person)))
            assert line.startswith("* ann ")


def test_sent_and_past_messages() -> None:
    private = PrivateMessage(*HEAD, BOB, "psst", Kind.MESSAGE)
    assert describe_sent(private) == "[private to bob] <ann> psst"
    said = RoomMessage(*HEAD, "#lobby", "hello", Kind.MESSAGE)
    assert describe_past(said, HEAD[1] + 60) == "  22:13 #lobby <ann> hello"
    assert describe_past(said, HEAD[1] + 86400) == "  2023-11-14 22:13 #lobby <ann> hello"


@given(st.text())
def test_any_text_is_free_of_control_characters(text: str) -> None:
    """docs/reference/chat.rst, On the wire"""
    for event in (
        RoomMessage(*HEAD, "#lobby", text, Kind.MESSAGE),
        PrivateMessage(*HEAD, BOB, text, Kind.MESSAGE),
        TopicChanged(*HEAD, "#tea", text),
        Kicked(*HEAD, "#tea", BOB, text),
        Quit(*HEAD, text),
    ):
        data = TextFormat().render(event)
        assert data.endswith(b"\r\n")
        shown = data[:-2].decode()
        assert not any(ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u202e\u2028" for c in shown)


def test_escape_sequence_is_replaced() -> None:
    assert encode_lines(["\x1b[2J\x07"]) == "\ufffd[2J\ufffd\r\n".encode()


def test_names_are_wrapped_to_80_columns() -> None:
    lines = columns([f"member{number:03}" for number in range(30)], "  In #tea (99):", 69)
    assert all(len(line) <= WIDTH for line in lines)
    assert len(lines) > 3
    assert lines[-1].endswith("and 69 more")
    assert columns(["ann", "bob"], "  In #tea (2):", 0) == ["  In #tea (2): ann, bob"]
