"""``lobby =``: there is no room that is always there, and the text frontend asks for one."""

from __future__ import annotations

import pytest
from chat.irc_chat import IrcChat

from tcpd.chat.settings import ChatSettings
from tcpd.config.fields import options_of

ASKED = [
    "Which room do you want to talk in? Type its name, such as #tea, and press Enter.",
    "/rooms lists those that there are; any other is opened for you.",
]
IN_TEA = ["* ann opened #tea", "  In #tea (1): @ann"]


def chat() -> IrcChat:
    return IrcChat(bounds={"lobby": ""})


def test_nothing_behind_the_equals_sign_is_no_lobby() -> None:
    """'With nothing behind the = there is none.'"""
    (lobby,) = (option for option in options_of(ChatSettings) if option.name == "lobby")
    assert lobby.type.parse("") == ""
    assert lobby.type.parse("#Hall") == "#Hall"
    assert lobby.type.show("") == ""
    with pytest.raises(ValueError, match="begins with"):
        lobby.type.parse("hall")


@pytest.mark.parametrize("typed", ["tea", "#tea", "/join tea", "/j #tea", "#tea sesame"])
def test_the_text_frontend_asks_for_a_room(typed: str) -> None:
    ann = chat().text_client()
    ann.screen()
    assert ann.type("ann")[-2:] == ASKED
    assert ann.type(typed) == IN_TEA
    assert ann.type("hello") == [], "from now on what is typed goes there"
    assert ann.type("/history")[-1].endswith("#tea <ann> hello")


def test_what_is_no_name_of_a_room_opens_none() -> None:
    there = chat()
    ann = there.text_client("ann")
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
    assert not list(there.hub.rooms)
    assert ann.type("tea") == IN_TEA


def test_other_commands_work_before_there_is_a_room() -> None:
    there = chat()
    bob = there.text_client("bob")
    bob.type("tea")
    ann = there.text_client("ann")
    ann.screen()
    assert ann.type("/rooms") == ["  One room:", "  #tea                     1 person"]
    assert ann.type("/msg bob psst") == ["[private to bob] <ann> psst"]
    assert ann.type("tea")[0] == "* ann joined #tea"


def test_who_has_left_is_not_asked_again() -> None:
    """A line typed by mistake where no room is left opens none."""
    there = chat()
    ann = there.text_client("ann")
    ann.type("tea")
    received = ["  You are in no room now; /join #ROOM takes you into one."]
    assert ann.type("/part")[-1:] == received
    assert ann.type("tea") == received
    assert not list(there.hub.rooms)


def test_irc_without_a_lobby() -> None:
    there = chat()
    ann = there.irc_client("ann")
    assert ann.numerics("LIST") == ["321", "323"]
    assert ann.numerics("JOIN #lobby") == ["JOIN", "353", "366"]
    received = ann.send("MODE #lobby +i")
    assert received == [":ann!~ann@localhost MODE #lobby +i"], (
        "a room like any other, with an operator"
    )


def test_a_lobby_with_nobody_in_it_is_not_listed() -> None:
    """In IRC, a channel with nobody in it does not exist; LUSERS counts those that are formed."""
    there = IrcChat()
    ann = there.irc_client("ann")
    assert ann.numerics("LIST") == ["321", "323"]
    assert ann.numerics("LIST <5") == ["321", "323"]
    assert ann.numerics("LIST #lobby") == ["321", "322", "323"], "who asks for it finds it"
    assert " 254 ann 0 " in next(line for line in ann.send("LUSERS") if " 254 " in line)
    there.text_client("zoe")
    assert ann.numerics("LIST") == ["321", "322", "323"]
    assert " 254 ann 1 " in next(line for line in ann.send("LUSERS") if " 254 " in line)


def test_people_of_the_text_frontend_have_a_real_name() -> None:
    """It is their nickname, and goes with it: nobody says another there."""
    there = IrcChat()
    ann = there.irc_client("ann", "extended-join", "setname", joined="#lobby")
    zoe = there.text_client("zoe")
    assert ann.lines()[0].endswith(" JOIN #lobby * :zoe")
    assert next(line for line in ann.send("WHOIS zoe") if " 311 " in line).endswith(" * :zoe")
    zoe.type("/nick Zoë")
    renamed, set_name = ann.lines()
    assert renamed.endswith(" NICK Zoë")
    assert set_name.endswith(" SETNAME :Zoë")
    assert next(line for line in ann.send("WHOIS Zoë") if " 311 " in line).endswith(" * :Zoë")
