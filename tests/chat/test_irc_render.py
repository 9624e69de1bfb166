"""Rendering of events for each set of capabilities.

Sources: https://modern.ircdocs.horse/ and the IRCv3 specification of each capability.
"""

from __future__ import annotations

import pytest
from amounts import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from tcpd.chat.irc import caps
from tcpd.chat.irc.caps import RENDERING
from tcpd.chat.irc.message import parse
from tcpd.chat.irc.render import Formats, timestamp
from tcpd.events.chat import (
    Announced,
    AwayChanged,
    Change,
    Event,
    EventId,
    HostChanged,
    Identity,
    Invited,
    Joined,
    Kicked,
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
)

ANN = Identity("m1", "ann", "~ann", "there")
BOB = Identity("m2", "bob", "~bob", "here")
BOT = Identity("m3", "bot", "~bot", "there", bot=True)
HEAD = (EventId("node", "boot", 7), 1_700_000_000.25, ANN)
SOURCE = ":ann!~ann@there"

TIME = "time=2023-11-14T22:13:20.250Z"
MSGID = "msgid=node-boot-7"
TAGS = (("+draft/reply", "x y"), ("+z", ""))
LINES = (Line("one"), Line(""), Line("two"), Line(" more", joined=True))

#: Each event, the capability without which it is not rendered, and its lines without tags.
EVENTS: list[tuple[Event, str | None, list[str]]] = [
    (RoomMessage(*HEAD, "#c", "hi", Kind.MESSAGE), None, [f"{SOURCE} PRIVMSG #c :hi"]),
    (RoomMessage(*HEAD, "#c", "hi", Kind.NOTICE), None, [f"{SOURCE} NOTICE #c :hi"]),
    (
        RoomMessage(*HEAD, "#c", "hi", Kind.ACTION),
        None,
        [f"{SOURCE} PRIVMSG #c :\x01ACTION hi\x01"],
    ),
    (
        RoomMessage(*HEAD, "#c", "hi", Kind.MESSAGE, least=Mode.VOICE),
        None,
        [f"{SOURCE} PRIVMSG +#c :hi"],
    ),
    (RoomMessage(*HEAD, "#c", "hi", Kind.NOTICE, tags=TAGS), None, [f"{SOURCE} NOTICE #c :hi"]),
    (
        RoomMessage(*HEAD, "#c", "", Kind.TAGS, tags=TAGS),
        caps.MESSAGE_TAGS,
        [f"{SOURCE} TAGMSG #c"],
    ),
    (
        RoomMessage(*HEAD, "#c", "hi", Kind.MESSAGE, speaker="a/b"),
        None,
        [":a/b!~ann@there PRIVMSG #c :hi"],
    ),
    (PrivateMessage(*HEAD, BOB, "hi", Kind.MESSAGE), None, [f"{SOURCE} PRIVMSG bob :hi"]),
    (PrivateMessage(*HEAD, BOB, "", Kind.TAGS, TAGS), caps.MESSAGE_TAGS, [f"{SOURCE} TAGMSG bob"]),
    (Joined(*HEAD, "#c", False, "Ann"), None, [f"{SOURCE} JOIN #c"]),
    (Parted(*HEAD, "#c", ""), None, [f"{SOURCE} PART #c"]),
    (Parted(*HEAD, "#c", "bye"), None, [f"{SOURCE} PART #c :bye"]),
    (Quit(*HEAD, "Quit: "), None, [f"{SOURCE} QUIT :Quit: "]),
    (NickChanged(*HEAD, "eve"), None, [f"{SOURCE} NICK eve"]),
    (TopicChanged(*HEAD, "#c", "tea"), None, [f"{SOURCE} TOPIC #c :tea"]),
    (TopicChanged(*HEAD, "#c", ""), None, [f"{SOURCE} TOPIC #c :"]),
    (Kicked(*HEAD, "#c", BOB, ""), None, [f"{SOURCE} KICK #c bob :ann"]),
    (Kicked(*HEAD, "#c", BOB, "why"), None, [f"{SOURCE} KICK #c bob :why"]),
    (
        ModesChanged(
            *HEAD,
            "#c",
            (
                Change(True, Mode.OPERATOR, target=BOB),
                Change(True, Mode.MODERATED),
                Change(False, Mode.BAN, "*!*@x"),
            ),
        ),
        None,
        [f"{SOURCE} MODE #c +om-b bob *!*@x"],
    ),
    (Invited(*HEAD, "#c", BOB), caps.INVITE_NOTIFY, [f"{SOURCE} INVITE bob #c"]),
    (RoomRenamed(*HEAD, "#c", "#d", "y"), caps.CHANNEL_RENAME, [f"{SOURCE} RENAME #c #d :y"]),
    (AwayChanged(*HEAD, "tea"), caps.AWAY_NOTIFY, [f"{SOURCE} AWAY :tea"]),
    (AwayChanged(*HEAD, ""), caps.AWAY_NOTIFY, [f"{SOURCE} AWAY"]),
    (RealNameChanged(*HEAD, "Ann B"), caps.SETNAME, [f"{SOURCE} SETNAME :Ann B"]),
    (HostChanged(*HEAD, "new"), caps.CHGHOST, [f"{SOURCE} CHGHOST ~ann new"]),
    (Announced(*HEAD, "news"), None, [f"{SOURCE} WALLOPS :news"]),
    (Redacted(*HEAD, "#c", "id", "y"), caps.MESSAGE_REDACTION, [f"{SOURCE} REDACT #c id :y"]),
    (Redacted(*HEAD, "#c", "id", ""), caps.MESSAGE_REDACTION, [f"{SOURCE} REDACT #c id"]),
]


def rendered(event: Event, *enabled: str) -> list[str]:
    data = Formats().of(frozenset(enabled)).render(event).decode()
    assert data == "" or data.endswith("\r\n")
    return data.split("\r\n")[:-1]


@pytest.mark.parametrize(("event", "needed", "lines"), EVENTS)
def test_each_event(event: Event, needed: str | None, lines: list[str]) -> None:
    assert rendered(event) == ([] if needed else lines)
    if needed == caps.MESSAGE_TAGS:
        return
    own = () if needed is None else (needed,)
    assert rendered(event, *own) == lines
    assert rendered(event, *own, caps.SERVER_TIME) == [f"@{TIME} {line}" for line in lines]


@pytest.mark.parametrize(("event", "needed", "lines"), EVENTS)
def test_each_event_with_tags(event: Event, needed: str | None, lines: list[str]) -> None:
    """Message tags: server-initiated tags "MUST be included before client-only tags"."""
    own = (
        ""
        if not isinstance(event, RoomMessage | PrivateMessage)
        else "".join(
            {"+draft/reply": ";+draft/reply=x\\sy", "+z": ";+z"}[name] for name, _ in event.tags
        )
    )
    enabled = {caps.SERVER_TIME, caps.MESSAGE_TAGS} | ({needed} if needed else set())
    assert rendered(event, *enabled) == [f"@{TIME};{MSGID}{own} {line}" for line in lines]


def test_bot_tag() -> None:
    """bot-mode: "This tag SHOULD be added by the server to all commands sent by a bot ... This tag
    MUST only be sent to users who have requested the message-tags capability." """
    event = RoomMessage(*HEAD[:2], BOT, "#c", "hi", Kind.MESSAGE)
    line = ":bot!~bot@there PRIVMSG #c :hi"
    assert rendered(event) == [line]
    assert rendered(event, caps.SERVER_TIME) == [f"@{TIME} {line}"]
    assert rendered(event, caps.MESSAGE_TAGS) == [f"@{MSGID};bot {line}"]
    joined = Joined(*HEAD[:2], BOT, "#c", False)
    assert rendered(joined, caps.MESSAGE_TAGS) == [f"@{MSGID};bot :bot!~bot@there JOIN #c"]


def test_extended_join() -> None:
    """ ":nick!user@host JOIN #channelname accountname :Real Name", with "*" for no account."""
    event = Joined(*HEAD, "#c", False, "Ann B")
    assert rendered(event, caps.EXTENDED_JOIN) == [f"{SOURCE} JOIN #c * :Ann B"]


def test_join_while_away() -> None:
    """away-notify: JOIN, then AWAY."""
    event = Joined(*HEAD, "#c", False, "Ann", "tea")
    assert rendered(event) == [f"{SOURCE} JOIN #c"]
    received = rendered(event, caps.AWAY_NOTIFY, caps.EXTENDED_JOIN, caps.MESSAGE_TAGS)
    assert received == [f"@{MSGID} {SOURCE} JOIN #c * :Ann", f"{SOURCE} AWAY :tea"]


def test_relayed_message() -> None:
    event = RoomMessage(*HEAD, "#c", "hi", Kind.MESSAGE, speaker="a/b", tags=TAGS)
    assert rendered(event, caps.RELAYMSG) == ["@draft/relaymsg=ann :a/b!~ann@there PRIVMSG #c :hi"]
    assert rendered(event, caps.RELAYMSG, caps.MESSAGE_TAGS) == [
        f"@{MSGID};draft/relaymsg=ann;+draft/reply=x\\sy;+z :a/b!~ann@there PRIVMSG #c :hi"
    ]


@pytest.mark.parametrize("wanted", [(), (caps.MULTILINE,), (caps.BATCH,)])
def test_multiline_fallback(wanted: tuple[str, ...]) -> None:
    event = RoomMessage(*HEAD, "#c", "one\n\ntwo more", Kind.MESSAGE, lines=LINES)
    assert rendered(event, *wanted) == [
        f"{SOURCE} PRIVMSG #c :{text}" for text in ("one", "two", " more")
    ]


def test_multiline_batch() -> None:
    event = PrivateMessage(*HEAD, BOB, "one\n\ntwo more", Kind.MESSAGE, TAGS, LINES)
    received = rendered(event, caps.BATCH, caps.MULTILINE, caps.SERVER_TIME, caps.MESSAGE_TAGS)
    assert received == [
        f"@{TIME};{MSGID};+draft/reply=x\\sy;+z {SOURCE} BATCH +m7 draft/multiline bob",
        f"@batch=m7 {SOURCE} PRIVMSG bob :one",
        f"@batch=m7 {SOURCE} PRIVMSG bob :",
        f"@batch=m7 {SOURCE} PRIVMSG bob :two",
        f"@batch=m7;draft/multiline-concat {SOURCE} PRIVMSG bob : more",
        f"{SOURCE} BATCH -m7",
    ]


def test_many_mode_changes_are_split_into_lines() -> None:
    """RFC 1459 section 2.3: a line has 15 parameters, so 13 arguments beside channel and
    letters."""
    changes = tuple(Change(True, Mode.BAN, f"n{number}!*@*") for number in range(13))
    received = rendered(ModesChanged(*HEAD, "#c", changes))
    assert [line.count("!*@*") for line in received] == [12, 1]
    assert received[0].startswith(f"{SOURCE} MODE #c +bbbbbbbbbbbb n0!*@*")


@settings(max_examples=examples(300), deadline=None)
@given(st.frozensets(st.sampled_from(sorted(RENDERING))), st.sampled_from(EVENTS))
def test_formats_use_enabled_capabilities_only(
    enabled: frozenset[str], case: tuple[Event, str | None, list[str]]
) -> None:
    event, needed, _ = case
    received = rendered(event, *enabled)
    assert bool(received) == (needed is None or needed in enabled)
    for line in received:
        message = parse(line.encode())
        assert message is not None
        assert message.source is not None
        allowed = set()
        if caps.SERVER_TIME in enabled:
            allowed |= {"time"}
        if caps.RELAYMSG in enabled:
            allowed |= {caps.RELAYMSG}
        if caps.MESSAGE_TAGS in enabled:
            allowed |= {"msgid", "bot", "+draft/reply", "+z"}
        assert set(message.tags) <= allowed


def test_formats_are_cached() -> None:
    """Capabilities that do not affect rendering share a format."""
    formats = Formats()
    assert formats.of(frozenset()) is formats.of(frozenset({caps.MULTI_PREFIX}))
    assert formats.of(frozenset()) is not formats.of(frozenset({caps.SERVER_TIME}))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1.001, "1970-01-01T00:00:01.001Z"),
        (1.9999, "1970-01-01T00:00:01.999Z"),
        (1_700_000_000.25, "2023-11-14T22:13:20.250Z"),
    ],
)
def test_timestamp(seconds: float, text: str) -> None:
    """server-time: "YYYY-MM-DDThh:mm:ss.sssZ" """
    assert timestamp(seconds) == text
