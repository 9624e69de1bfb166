"""Hints of the text frontend, and its rendering of IRC's formatting, CTCP and raw keys."""

from __future__ import annotations

import pytest
from chat.irc_chat import IrcChat
from chat.text_chat import TextTestClient
from chat.transports import over_tcp

from tcpd.chat.text.conversation import ATTEMPTS

PROMPT = [
    "Welcome to the chat on chat.example.net.",
    "Type the nickname you want to go by, and press Enter.",
]


def at_prompt(chat: IrcChat | None = None) -> TextTestClient:
    client = (chat or IrcChat()).text_client()
    assert client.screen() == PROMPT
    return client


def two_clients() -> tuple[IrcChat, TextTestClient, TextTestClient]:
    chat = IrcChat()
    ann, bob = chat.text_client("ann"), chat.text_client("bob")
    ann.screen()
    bob.screen()
    return chat, ann, bob


# --- formatting and CTCP from IRC ---


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (
            "PRIVMSG #lobby :\x02\x0304,01red\x03\x02 \x1dand\x1d \x04ff8800more\x0f",
            "<eve> red and more",
        ),
        ("PRIVMSG #lobby :\x01ACTION \x02waves\x02\x01", "* eve waves"),
        ("PRIVMSG #lobby :\x01ACTION waves", "* eve waves"),
        ("PRIVMSG #lobby :\x01action waves\x01", "* eve waves"),
        ("NOTICE #lobby :\x01ACTION waves\x01", "* eve waves"),
        ("PRIVMSG #lobby :\x01VERSION\x01", "* eve sent a CTCP request: VERSION"),
        ("PRIVMSG #lobby :\x01PING 123 45\x01", "* eve sent a CTCP request: PING 123 45"),
        ("NOTICE #lobby :\x01VERSION HexChat 2\x01", "* eve sent a CTCP reply: VERSION HexChat 2"),
        ("PRIVMSG #lobby :\x01\x01", "* eve sent a CTCP request:"),
        ("PRIVMSG #lobby :a \x01b\x01", "<eve> a b"),
        ("PRIVMSG #lobby :\x1b[2Jboo", "<eve> \ufffd[2Jboo"),
    ],
)
def test_formatting_and_ctcp_are_shown_as_plain_text(sent: str, shown: str) -> None:
    """docs/reference/chat.rst, On the wire"""
    chat, ann, _ = two_clients()
    eve = chat.irc_client("eve", joined="#lobby")
    ann.screen()
    eve.send(sent)
    assert ann.screen() == [f"#lobby {shown}"]
    assert any(line.endswith(f" #lobby {shown}") for line in chat.text_client().type("zoe")), (
        "history"
    )
    eve.send(sent.replace("#lobby", "ann"))
    assert ann.screen()[-1] == f"[private] {shown}"


def test_formatting_in_topics_and_reasons_is_removed() -> None:
    chat, ann, _ = two_clients()
    eve = chat.irc_client("eve", joined="#tea")
    ann.type("/join #tea")
    eve.send("TOPIC #tea :\x0312Assam\x03, \x02please")
    eve.send("PART #tea :\x02bye\x02", "JOIN #tea", "QUIT :\x1dgone\x1d")
    assert ann.screen() == [
        "* eve set the topic of #tea: Assam, please",
        "* eve left #tea: bye",
        "* eve joined #tea",
        "* eve left the chat: gone",
    ]
    assert ann.type("/rooms")[-1].endswith(" Assam, please")
    assert ann.type("/topic") == ["  Topic: Assam, please"]


@pytest.mark.parametrize(
    ("quit", "shown"),
    [
        ("QUIT :Leaving", "* eve left the chat: Leaving"),
        ("QUIT", "* eve left the chat"),
        ("QUIT :", "* eve left the chat"),
        ("QUIT :Quit: Leaving", "* eve left the chat: Leaving"),
        ("QUIT :Quit:", "* eve left the chat"),
    ],
)
def test_prefix_of_a_quit_reason_is_not_shown(quit: str, shown: str) -> None:
    chat, ann, _ = two_clients()
    eve = chat.irc_client("eve", joined="#lobby")
    ann.screen()
    eve.send(quit)
    assert ann.screen() == [shown]


# --- keys ---


@over_tcp("messages have no line ends")
def test_keys_of_a_raw_terminal() -> None:
    """docs/reference/chat.rst, On the wire"""
    chat = IrcChat()
    bob = chat.text_client("bob")
    ann = chat.text_client()
    for key in b"anm\x7fn\r":
        ann.send(bytes((key,)))
    assert ann.screen()[2].startswith("Hello ann.")
    bob.screen()
    ann.send(b"\x1b[A\x1b[Bheloo\b\x7flo\x04\r\0")
    ann.send(b"wrong\xff\xf8righ\xff\xf7ht\r\n")
    assert bob.screen() == ["#lobby <ann> hello", "#lobby <ann> right"]
    ann.send(b"\x04")
    assert not ann.transport.disconnecting
    ann.send(b"\r")
    assert ann.screen() == ["Goodbye."]
    assert ann.transport.disconnecting
    assert bob.screen() == ["* ann left the chat"]


def test_ctrl_d_at_the_nickname_prompt() -> None:
    client = at_prompt()
    client.send(b"\x04\n")
    assert client.screen() == ["Goodbye."]
    assert client.transport.disconnecting


def test_ctcp_cannot_be_typed() -> None:
    """Ctrl-A, the key for the start of a line, would make a CTCP message of a text."""
    chat, ann, _ = two_clients()
    eve = chat.irc_client("eve", joined="#lobby")
    ann.type("\x01VERSION\x01")
    assert eve.lines()[-1].endswith("PRIVMSG #lobby :VERSION")


# --- commands without a slash ---


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("quit", "to leave, type /quit"),
        ("EXIT", "to leave, type /quit"),
        ("bye", "to leave, type /quit"),
        ("logout", "to leave, type /quit"),
        (":q!", "to leave, type /quit"),
        ("help", "for help, type /help"),
        ("?", "for help, type /help"),
        ("who", "commands begin with a slash, as /who"),
        ("list", "commands begin with a slash, as /rooms"),
        ("join #tea", "commands begin with a slash, as /join #ROOM"),
        ("nick", "commands begin with a slash, as /nick NAME"),
        ("part #", "commands begin with a slash, as /part"),
    ],
)
def test_command_without_its_slash_is_said_with_a_hint(typed: str, hint: str) -> None:
    """docs/reference/chat.rst, Commands"""
    _, ann, bob = two_clients()
    assert ann.type(typed) == [f"  You said that to all in #lobby; {hint}."]
    assert bob.screen() == [f"#lobby <ann> {typed}"]


@pytest.mark.parametrize(
    "typed", ["quit smoking", "help me", "who is there", "goodbye", "join us", "//quit"]
)
def test_ordinary_text_gets_no_hint(typed: str) -> None:
    _, ann, bob = two_clients()
    assert ann.type(typed) == []
    assert len(bob.screen()) == 1


def test_no_hint_for_an_unsent_line() -> None:
    _, ann, _ = two_clients()
    ann.type("/part")
    assert ann.type("quit") == ["  You are in no room now; /join #lobby takes you back."]


# --- the nickname prompt ---


@pytest.mark.parametrize("typed", ["/help", "/?", "/H", "/help join"])
def test_help_at_the_nickname_prompt(typed: str) -> None:
    """docs/reference/chat.rst, Commands"""
    chat, ann, _ = two_clients()
    client = at_prompt(chat)
    shown = client.type(typed)
    assert shown == ann.type(typed)
    assert not any(line.startswith("!") for line in shown)
    assert client.type("zoe")[0].startswith("Hello zoe.")


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("quit", "! to leave, type /quit; to be called quit, type /nick quit"),
        ("Exit", "! to leave, type /quit; to be called Exit, type /nick Exit"),
        ("help", "! for help, type /help; to be called help, type /nick help"),
        ("?", "! for help, type /help"),
        ("/who", "! say who you are first: type the nickname you want to go by"),
        ("/xyzzy", "! say who you are first: type the nickname you want to go by"),
        ("/msg bob hi", "! say who you are first: type the nickname you want to go by"),
        ("/help jion", "! there is no command jion; did you mean /help join?"),
    ],
)
def test_command_names_at_the_nickname_prompt(typed: str, answer: str) -> None:
    client = at_prompt()
    assert client.type(typed) == [answer]
    assert client.type("/nick help")[0].startswith("Hello help.")


@pytest.mark.parametrize("typed", ["/quit", "/Exit", "/q", "/bye now"])
def test_quit_at_the_nickname_prompt(typed: str) -> None:
    client = at_prompt()
    assert client.type(typed) == ["Goodbye."]
    assert client.transport.disconnecting


@pytest.mark.parametrize("typed", ["/who", "quit"])
def test_commands_at_the_nickname_prompt_count_as_tries(typed: str) -> None:
    client = at_prompt()
    for _ in range(ATTEMPTS - 1):
        client.type(typed)
    assert client.type(typed)[0].endswith("; that was one try too many")
    assert client.transport.disconnecting


# --- replies of commands ---


def test_msg_to_a_room() -> None:
    _, ann, bob = two_clients()
    ann.type("/join #Tea")
    bob.type("/join #tea", "/join #lobby")
    bob.screen()
    ann.screen()
    assert ann.type("/msg #tea hello there") == [], "the current room needs no reply"
    assert ann.type("/m #lobby hi") == ["  You said that in #lobby."]
    assert bob.screen() == ["#Tea <ann> hello there", "#lobby <ann> hi"]
    assert ann.type("/msg #nope hi") == ["! there is no room #nope"]
    assert ann.type(f"/msg #{'n' * 600} {'hi ' * 200}") == ["! there is no room #" + "n" * 49]
    assert ann.type("/msg #tea") == ["! write it like this: /msg NAME TEXT"]
    bob.type("/part #tea")
    ann.screen()
    assert bob.type("/msg #tea hi") == ["! you are not in #Tea"]
    assert ann.screen() == []


def test_join_with_a_wrong_key() -> None:
    chat, _, bob = two_clients()
    eve = chat.irc_client("eve", joined="#tea")
    eve.send("MODE #tea +k sesame")
    assert bob.type("/join #tea") == ["! #tea has a key; write it behind the name: /join #tea KEY"]
    assert bob.type("/join #tea simsim") == ["! that is not the key of #tea"]
    assert bob.type("/join #tea sesame")[0] == "* bob joined #tea"


def test_commands_without_an_effect_reply() -> None:
    _, ann, bob = two_clients()
    ann.type("/join #tea")
    bob.type("/join #tea")
    ann.screen()
    assert ann.type("/nick ann") == ["  You are already called ann."]
    assert ann.type("/nick Ann") == ["* ann is now Ann"]
    assert ann.type("/join #tea") == ["  What you type goes to #tea now."]
    assert ann.type("/op ann") == ["  Ann is already an operator of #tea."]
    assert ann.type("/deop bob") == ["  bob is not an operator of #tea."]
    ann.type("/ban zoe")
    assert ann.type("/ban zoe") == ["  zoe is already banned from #tea."]
    assert bob.type("/op ann")[-1] == "! you are not an operator of #tea"
