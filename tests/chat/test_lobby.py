"""The lobby: chats without one (``lobby =``), and an empty one in IRC."""

from __future__ import annotations

import pytest
from chat.irc_chat import IrcChat

from tcpd.chat.settings import ChatSettings
from tcpd.config.fields import options_of

ROOM_PROMPT = [
    "Which room do you want to talk in? Type its name, such as #tea, and press Enter.",
    "/rooms lists those that there are; any other is opened for you.",
]
JOINED_TEA = ["* ann opened #tea", "  In #tea (1): @ann"]


def chat_without_lobby() -> IrcChat:
    return IrcChat(bounds={"lobby": ""})


def test_empty_lobby_value() -> None:
    """docs/reference/configuration.rst, ``lobby``: empty for none."""
    (lobby,) = (option for option in options_of(ChatSettings) if option.name == "lobby")
    assert lobby.type.parse("") == ""
    assert lobby.type.parse("#Hall") == "#Hall"
    assert lobby.type.show("") == ""
    with pytest.raises(ValueError, match="begins with"):
        lobby.type.parse("hall")


@pytest.mark.parametrize("typed", ["tea", "#tea", "/join tea", "/j #tea", "#tea sesame"])
def test_text_client_is_prompted_for_a_room(typed: str) -> None:
    ann = chat_without_lobby().text_client()
    ann.screen()
    assert ann.type("ann")[-2:] == ROOM_PROMPT
    assert ann.type(typed) == JOINED_TEA
    assert ann.type("hello") == [], "goes to #tea"
    assert ann.type("/history")[-1].endswith("#tea <ann> hello")


def test_invalid_room_name_at_the_prompt() -> None:
    chat = chat_without_lobby()
    ann = chat.text_client("ann")
    assert ann.type("hello everybody") == [
        "! you are in no room yet, and the name of a room is one word, like #tea"
    ]
    assert ann.type("quit", "join #tea") == [
        "! to leave, type /quit",
        "! commands begin with a slash, as /join #ROOM",
    ]
    assert ann.type("a,b")[0].startswith("! a room name cannot have ','")
    assert ann.type("/me waves") == ["  You are in no room now; /join #ROOM takes you into one."]
    assert ann.type("/who") == ["! you are in no room; /join #ROOM takes you into one"]
    assert not list(chat.hub.rooms)
    assert ann.type("tea") == JOINED_TEA


def test_commands_at_the_room_prompt() -> None:
    chat = chat_without_lobby()
    bob = chat.text_client("bob")
    bob.type("tea")
    ann = chat.text_client("ann")
    ann.screen()
    assert ann.type("/rooms") == ["  One room:", "  #tea                     1 person"]
    assert ann.type("/msg bob psst") == ["[private to bob] <ann> psst"]
    assert ann.type("tea")[0] == "* ann joined #tea"


def test_no_room_prompt_after_leaving_the_last_room() -> None:
    """A line typed by mistake must not open a room."""
    chat = chat_without_lobby()
    ann = chat.text_client("ann")
    ann.type("tea")
    received = ["  You are in no room now; /join #ROOM takes you into one."]
    assert ann.type("/part")[-1:] == received
    assert ann.type("tea") == received
    assert not list(chat.hub.rooms)


def test_irc_without_a_lobby() -> None:
    chat = chat_without_lobby()
    ann = chat.irc_client("ann")
    assert ann.numerics("LIST") == ["321", "323"]
    assert ann.numerics("JOIN #lobby") == ["JOIN", "353", "366"]
    received = ann.send("MODE #lobby +i")
    assert received == [":ann!~ann@localhost MODE #lobby +i"], "an ordinary channel"


def test_empty_lobby_is_not_listed() -> None:
    """An IRC channel without members does not exist; LUSERS does not count it."""
    chat = IrcChat()
    ann = chat.irc_client("ann")
    assert ann.numerics("LIST") == ["321", "323"]
    assert ann.numerics("LIST <5") == ["321", "323"]
    assert ann.numerics("LIST #lobby") == ["321", "322", "323"], "listed by name"
    assert " 254 ann 0 " in next(line for line in ann.send("LUSERS") if " 254 " in line)
    chat.text_client("zoe")
    assert ann.numerics("LIST") == ["321", "322", "323"]
    assert " 254 ann 1 " in next(line for line in ann.send("LUSERS") if " 254 " in line)
