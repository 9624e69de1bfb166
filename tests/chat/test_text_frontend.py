"""The text frontend as its users see it."""

from __future__ import annotations

import pytest
from chat.irc_chat import IrcChat
from chat.text_chat import TextChat
from chat.transports import over_tcp
from zope.interface.verify import verifyObject

from tcpd.chat.text.conversation import ATTEMPTS, LINE_BYTES
from tcpd.chat.text.kind import kind
from tcpd.chat.text.parse import COMMANDS
from tcpd.config.fields import options_of
from tcpd.interfaces import IKind


def test_kind() -> None:
    assert verifyObject(IKind, kind)
    assert kind.idle == 0.0
    assert [option.name for option in options_of(kind.settings)] == ["nick_timeout", "rate"]


def test_welcome() -> None:
    chat = TextChat()
    client = chat.text_client()
    assert client.screen() == [
        "Welcome to the chat on chat.example.net.",
        "Type the nickname you want to go by, and press Enter.",
    ]
    assert client.type("ann") == [
        "Hello ann. Type a line and press Enter to send it to the room.",
        "/help lists the commands, /quit says goodbye.",
        "",
        "* ann joined #lobby",
        "  Topic: Talk about anything",
        "  In #lobby (1): ann",
    ]


def test_two_people_talk() -> None:
    chat = TextChat()
    ann, bob = chat.text_client("ann"), chat.text_client("bob")
    assert ann.screen() == ["* bob joined #lobby"]
    assert ann.type("hello", "/me waves", "//join is a command") == [], (
        "no echo: the terminal shows what was typed"
    )
    assert bob.screen()[-3:] == [
        "#lobby <ann> hello",
        "#lobby * ann waves",
        "#lobby <ann> /join is a command",
    ]
    assert bob.type("/msg ann psst") == ["[private to ann] <bob> psst"]
    assert ann.screen() == ["[private] <bob> psst"]
    assert bob.type("/quit see you") == ["Goodbye."]
    assert bob.transport.disconnecting
    assert bob.transport.producer is None, "unregistered, or the transport would wait for it"
    assert ann.screen() == ["* bob left the chat: see you"]
    assert chat.counters["messages"] == 3
    assert chat.counters["private"] == 1


def test_rooms_of_three_people() -> None:
    chat = TextChat()
    ann, bob, eve = chat.text_client("ann"), chat.text_client("bob"), chat.text_client("eve")
    for client in (ann, bob, eve):
        client.screen()
    assert ann.type("/join tea") == [
        "* ann opened #tea",
        "  In #tea (1): @ann",
        "  What you type goes to #tea now.",
    ]
    assert ann.type("/topic Assam") == ["* ann set the topic of #tea: Assam"]
    ann.type("first")
    assert bob.type("/j #TEA") == [
        "* bob joined #tea",
        "  Topic: Assam",
        "  Said before in #tea (times are UTC):",
        "  22:13 #tea <ann> first",
        "  In #tea (2): @ann, bob",
        "  What you type goes to #tea now.",
    ]
    bob.type("in the tea room", "/join #lobby", "in the lobby")
    assert ann.screen() == [
        "* bob joined #tea",
        "#tea <bob> in the tea room",
        "#lobby <bob> in the lobby",
    ]
    assert eve.screen() == ["#lobby <bob> in the lobby"]
    assert eve.type("/rooms") == [
        "  2 rooms:",
        "  #lobby                   3 people  Talk about anything",
        "  #tea                     2 people  Assam",
    ]
    assert eve.type("/who tea") == ["  In #tea (2): @ann, bob"]
    assert eve.type("/topic #tea") == ["! you are not in #tea"]
    assert eve.type("/nick zoe") == ["* eve is now zoe"]
    bob.screen()
    assert bob.type("/part") == ["* bob left #lobby", "  What you type goes to #tea now."]
    assert bob.type("/part") == [
        "* bob left #tea",
        "  You are in no room now; /join #lobby takes you back.",
    ]
    assert bob.type("hello?") == ["  You are in no room now; /join #lobby takes you back."]
    assert bob.type("/who") == ["! you are in no room; /join #lobby takes you back"]


def test_operators() -> None:
    chat = TextChat()
    ann, bob = chat.text_client("ann"), chat.text_client("bob")
    ann.type("/join #tea")
    bob.type("/join #tea")
    ann.screen()
    bob.screen()
    assert bob.type("/kick ann") == ["! you are not an operator of #tea"]
    assert bob.type("/join #lobby", "/topic mine")[-1] == ("! #lobby has no operators")
    assert ann.type("/op bob", "/deop bob") == [
        "* ann made bob an operator of #tea",
        "* ann removed bob as an operator of #tea",
    ]
    bob.screen()
    assert ann.type("/ban bob enough") == [
        "* ann banned bob from #tea",
        "* ann kicked bob out of #tea: enough",
    ]
    assert bob.screen() == [
        "* ann banned bob from #tea",
        "* ann kicked bob out of #tea: enough",
    ], "bob's current room stays the lobby"
    assert bob.type("/join #tea") == ["! you are banned from #tea"]
    assert ann.type("/ban") == ["  Banned from #tea (1): bob"]
    assert (
        ann.type("/join #lobby", "/unban #tea bob")[-1] == "* ann lifted the ban of bob from #tea"
    )
    assert ann.type("/ban #tea") == ["  There are no bans in #tea."]
    assert ann.type("/topic #tea Assam", "/topic #tea -") == [
        "* ann set the topic of #tea: Assam",
        "* ann removed the topic of #tea",
    ]
    assert ann.type("/topic #tea") == ["  #tea has no topic."]


def test_kicked_member_is_shown_the_current_room() -> None:
    chat = TextChat()
    ann, bob = chat.text_client("ann"), chat.text_client("bob")
    ann.type("/join #tea")
    bob.type("/join #tea")
    bob.screen()
    ann.type("/kick bob")
    assert bob.screen() == ["* ann kicked bob out of #tea", "  What you type goes to #lobby now."]


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("/jion #tea", "! there is no command /jion; did you mean /join?"),
        ("/xyzzy", "! there is no command /xyzzy; /help lists them"),
        ("/", "! there is no command /; /help lists them"),
        ("/help jion", "! there is no command jion; did you mean /help join?"),
        ("/join", "! write it like this: /join #ROOM [KEY]"),
        ("/join a,b", "! a room name cannot have ',' in it"),
        ("/nick", "! write it like this: /nick NAME"),
        ("/nick bob", "! the nickname bob is already in use"),
        ("/nick a b", "! a nickname has no spaces"),
        ("/msg bob", "! write it like this: /msg NAME TEXT"),
        ("/msg zoe hi", "! there is no nickname zoe"),
        ("/me", "! write it like this: /me TEXT"),
        ("/kick", "! write it like this: /kick NAME [REASON]"),
        ("/kick #x bob", "! you are not in #x"),
        ("/who #x", "! there is no room #x"),
        ("/history x", "! write it like this: /history [NUMBER] [#ROOM]"),
        ("/history 0", "! write it like this: /history [NUMBER] [#ROOM]"),
        ("/history", "  Nothing was said in #lobby yet."),
        ("/msg \x9b2J hi", "! there is no nickname \ufffd2J"),
    ],
)
def test_errors_of_commands(typed: str, answer: str) -> None:
    chat = TextChat()
    ann = chat.text_client("ann")
    chat.text_client("bob")
    ann.screen()
    assert ann.type(typed) == [answer]


def test_help_fits_80_columns() -> None:
    chat = TextChat()
    ann = chat.text_client("ann")
    ann.screen()
    screen = ann.type("/help")
    assert all(len(line) < 80 for line in screen)
    assert len(screen) <= 23, "a terminal has 24 rows"
    for command in COMMANDS:
        assert any(line.startswith(f"  /{command.name}") for line in screen)
        more = ann.type(f"/help {command.name}")
        assert all(len(line) < 80 for line in more)


def test_history_on_joining_and_on_request() -> None:
    """docs/reference/chat.rst, Bounds, ``history_shown``: the last 20 messages, oldest first."""
    chat = TextChat()
    ann = chat.text_client("ann")
    ann.type(*(f"line {number}" for number in range(30)))
    bob = chat.text_client()
    shown = [line for line in bob.type("bob") if "<ann>" in line]
    assert shown == [f"  22:13 #lobby <ann> line {number}" for number in range(10, 30)]
    assert bob.type("/history 2")[1:] == [
        "  22:13 #lobby <ann> line 28",
        "  22:13 #lobby <ann> line 29",
    ]
    assert len(bob.type("/history 100 #lobby")) == 31


def test_history_is_bounded_by_the_outbox() -> None:
    chat = TextChat(bounds={"outbox": 16384})
    ann = chat.text_client("ann")
    ann.type(*(f"{number:03}" + "\u0080" * 195 for number in range(100)))
    bob = chat.text_client("bob")
    shown = bob.type("/history 100")
    assert 2 < len(shown) < 20
    assert shown[-1].startswith("  22:13 #lobby <ann> 099")
    assert not bob.transport.disconnecting


# --- the nickname prompt ---


def test_invalid_or_taken_nickname_is_prompted_again() -> None:
    chat = TextChat()
    chat.text_client("ann")
    client = chat.text_client()
    client.screen()
    assert client.type("Ann") == ["! the nickname Ann is already in use; try another"]
    assert client.type("two words") == ["! a nickname has no spaces; try another"]
    assert client.type("") == ["! a nickname has at least one character; try another"]
    assert client.type("/nick bob")[0].startswith("Hello bob.")


def test_tries_are_bounded() -> None:
    chat = TextChat()
    client = chat.text_client()
    client.type(*["a b"] * (ATTEMPTS - 1))
    assert not client.transport.disconnecting
    client.screen()
    assert client.type("a b") == ["! a nickname has no spaces; that was one try too many"]
    assert client.transport.disconnecting


def test_quit_at_the_nickname_prompt() -> None:
    chat = TextChat()
    client = chat.text_client()
    client.screen()
    assert client.type("/quit") == ["Goodbye."]
    assert client.transport.disconnecting


def test_nickname_prompt_times_out() -> None:
    """docs/reference/chat.rst, Bounds, ``nick_timeout``"""
    chat = TextChat()
    client, ann = chat.text_client(), chat.text_client("ann")
    client.screen()
    chat.clock.advance(59)
    assert not client.transport.disconnecting
    chat.clock.advance(2)
    assert client.screen() == ["! you did not say who you are in time"]
    assert client.transport.disconnecting
    assert not ann.transport.disconnecting


def test_full_chat() -> None:
    chat = TextChat(bounds={"max_members": 1})
    chat.text_client("ann")
    client = chat.text_client()
    client.screen()
    assert client.type("bob") == ["! there are too many people here, try again later"]
    assert client.transport.disconnecting


# --- refused input ---


def test_invalid_utf8_is_refused() -> None:
    """docs/reference/chat.rst, On the wire"""
    chat = TextChat()
    ann, bob = chat.text_client("ann"), chat.text_client("bob")
    ann.screen()
    bob.screen()
    ann.send(b"caf\xe9\r\nafter\r\n")
    assert ann.screen() == ["! that line is not UTF-8, set your terminal to it; nothing was sent"]
    assert bob.screen() == ["#lobby <ann> after"]
    assert chat.counters["bad-lines"] == 1


@over_tcp("half a line cannot be sent")
def test_too_long_line_is_skipped() -> None:
    """docs/reference/chat.rst, Bounds: a line of more than 4096 bytes is refused, and the
    connection stays."""
    chat = TextChat()
    ann, bob = chat.text_client("ann"), chat.text_client("bob")
    ann.screen()
    bob.screen()
    ann.send(b"x" * (LINE_BYTES + 2))
    assert ann.screen() == ["! that line is longer than 4096 bytes; nothing was sent"]
    ann.send(b"x" * 100_000 + b"\r\nafter\r\n")
    assert ann.screen() == []
    assert bob.screen() == ["#lobby <ann> after"]


def test_long_line_becomes_several_messages() -> None:
    chat = TextChat()
    ann, bob = chat.text_client("ann"), chat.text_client("bob")
    bob.screen()
    ann.type("é" * 500)
    room = (510 - len(":ann!text@localhost PRIVMSG #lobby :")) // 2
    assert bob.screen() == [
        "#lobby <ann> " + "é" * room,
        "#lobby <ann> " + "é" * room,
        "#lobby <ann> " + "é" * (500 - 2 * room),
    ]


@over_tcp("an invalid message closes a WebSocket")
@pytest.mark.parametrize("text", ["\x1b[2Jboo", "a\rb", "a\0b", "\u202eevil", "x\x9bH", "\x07"])
def test_control_characters_reach_no_other_client(text: str) -> None:
    chat = TextChat()
    ann, bob = chat.text_client("ann"), chat.text_client("bob")
    ann.type("/join #tea", "/join #lobby")
    bob.type("/join #tea")
    ann.screen()
    bob.screen()
    ann.type(
        text, f"/me {text}", f"/msg bob {text}", f"/topic #tea x{text}", f"/kick #tea bob {text}"
    )
    eve = chat.text_client("eve")
    ann.type(f"/quit {text}")
    for data in (bob.raw(), eve.raw()):
        assert data
        for bad in ("\x1b", "\x07", "\x9b", "\u202e", "\0"):
            assert bad not in data.decode()
        assert data.count(b"\r") == data.count(b"\r\n") == data.count(b"\n")


def test_no_user_can_forge_lines_of_the_server() -> None:
    chat = TextChat()
    ann, bob = chat.text_client("ann"), chat.text_client("bob")
    bob.screen()
    ann.type("* the server is shutting down", "! error", "  indented")
    assert all(line.startswith("#lobby <ann> ") for line in bob.screen())


@over_tcp("WebSocket has no telnet negotiation")
def test_telnet_negotiation_is_refused_and_removed() -> None:
    chat = TextChat()
    bob = chat.text_client("bob")
    ann = chat.text_client()
    ann.send(b"\xff\xfb\x1fan\xff\xf4\xff\xfd\x06n\r\0")
    assert b"\xff\xfe\x1f\xff\xfc\x06" in ann.raw()
    assert bob.screen()[-1] == "* ann joined #lobby"


def test_real_name_of_a_text_client_is_its_nickname() -> None:
    """The real name changes with the nickname."""
    chat = IrcChat()
    ann = chat.irc_client("ann", "extended-join", "setname", joined="#lobby")
    zoe = chat.text_client("zoe")
    assert ann.lines()[0].endswith(" JOIN #lobby * :zoe")
    assert next(line for line in ann.send("WHOIS zoe") if " 311 " in line).endswith(" * :zoe")
    zoe.type("/nick Zoë")
    renamed, set_name = ann.lines()
    assert renamed.endswith(" NICK Zoë")
    assert set_name.endswith(" SETNAME :Zoë")
    assert next(line for line in ann.send("WHOIS Zoë") if " 311 " in line).endswith(" * :Zoë")
