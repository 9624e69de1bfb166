"""MODE of channels and users.

Quotes without a source are from the Modern IRC Client Protocol (https://modern.ircdocs.horse/),
mostly from "MODE message".
"""

from __future__ import annotations

import pytest
from chat.irc_chat import ANN, SERVER, IrcChat, command, open_tea, plain
from hypothesis import given
from hypothesis import strategies as st

from tcpd.chat.irc.commands.modes import USER_MODES
from tcpd.events.chat import LISTS, Mode

# --- advertised modes ---


def test_advertised_modes_agree_with_mode() -> None:
    """004 and 005 list the modes that MODE takes."""
    chat = IrcChat()
    received = chat.irc_client().send("NICK ann", "USER ann 0 * :Ann")
    (myinfo,) = (line.split(" ") for line in received if command(line) == "004")
    user_modes, room_modes, with_argument = myinfo[5:]
    tokens = dict(
        word.partition("=")[::2]
        for line in received
        if command(line) == "005"
        for word in line.split()
    )
    lists, always, when_set, never = tokens["CHANMODES"].split(",")
    ranks, prefixes = tokens["PREFIX"][1:].split(")")
    assert set(user_modes) == set(USER_MODES) == set(user_modes)
    assert sorted(room_modes) == sorted(lists + always + when_set + never + ranks)
    assert sorted(with_argument) == sorted(lists + always + when_set + ranks)
    assert set(room_modes) == {mode.value for mode in Mode}
    assert set(lists) == set(LISTS)
    assert tokens["STATUSMSG"] == prefixes == "@%+"
    assert (tokens["EXCEPTS"], tokens["INVEX"], tokens["BOT"]) == ("e", "I", "B")
    for letter in room_modes:
        assert "472" not in IrcChat().irc_client("x", joined="#x").numerics(f"MODE #x +{letter} x")


# --- channel modes ---


def test_channel_modes_are_shown() -> None:
    """'If modestring is not given, the RPL_CHANNELMODEIS numeric is returned. Servers MAY choose to
    hide sensitive information such as channel keys when sending the current modes. Servers MAY also
    return the RPL_CREATIONTIME numeric following RPL_CHANNELMODEIS.'"""
    chat, ann, _ = open_tea()
    assert ann.send("MODE #TEA") == [
        f"{SERVER} 324 ann #tea +nt",
        f"{SERVER} 329 ann #tea 1700000000",
    ]
    ann.send("MODE #tea +lkim 9 sesame")
    assert ann.send("MODE #tea")[0] == f"{SERVER} 324 ann #tea +imntkl sesame 9"
    bob = chat.irc_client("bob")
    assert bob.send("MODE #tea")[0] == f"{SERVER} 324 bob #tea +imntkl * 9"
    ann.send("MODE #tea -ntimlk *")
    assert ann.send("MODE #tea")[0] == f"{SERVER} 324 ann #tea +"
    assert ann.numerics("MODE #tea :") == ["324", "329"]


def test_modes_of_a_secret_channel_are_hidden_from_outsiders() -> None:
    chat, ann, _ = open_tea()
    ann.send("MODE #tea +s")
    bob = chat.irc_client("bob")
    assert bob.numerics("MODE #tea") == ["442"]
    assert bob.numerics("MODE #tea b") == ["442"]
    assert bob.numerics("MODE #tea -s") == ["442"]


def test_mode_of_a_nonexistent_channel() -> None:
    """'If target is a channel that does not exist on the network, the ERR_NOSUCHCHANNEL numeric is
    returned.'"""
    ann = IrcChat().irc_client("ann")
    for typed in ("MODE #no", "MODE #no +o ann", "MODE #no b"):
        assert ann.send(typed) == [f"{SERVER} 403 ann #no :No such channel"]


# --- changes ---


def test_several_changes_in_one_line() -> None:
    """'When the server is done processing the modes, a MODE command is sent to all members of the
    channel containing the mode changes.'"""
    _, ann, (bob,) = open_tea("bob")
    received = f"{ANN} MODE #tea +ovb-t+kl bob bob *!*@192.168.0.1 sesame 5"
    assert ann.send("MODE #TEA +ovb-t+kl BOB bob *@192.168.0.1 sesame 05 spurious") == [received]
    assert bob.lines() == [received]


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("im", "+im"),
        ("+-+i", "+i"),
        ("--n++i", "-n+i"),
        ("+i-i+i", "+i"),
        ("+i-i", None),
        ("n", None),
        ("-k", None),
        ("-l+i", "+i"),
        ("+v bob", "+v bob"),
        ("-t+v-n bob more", "-t+v-n bob"),
        ("-v bob", None),
        ("+b-b x x", "+b-b x!*@* x!*@*"),
        ("+", None),
    ],
)
def test_signs_in_mode_strings(typed: str, sent: str | None) -> None:
    """'modestring starts with a plus or minus character'; some clients omit the plus. Changes
    without an effect are not sent."""
    _, ann, (_,) = open_tea("bob")
    assert ann.send(f"MODE #tea {typed}") == ([] if sent is None else [f"{ANN} MODE #tea {sent}"])


def test_modes_with_arguments_are_limited() -> None:
    """MODES in 005 limits the modes with an argument in one MODE."""
    _, ann, _ = open_tea(*(f"m{number}" for number in range(8)))
    nicks = " ".join(f"m{number}" for number in range(8))
    assert ann.send(f"MODE #tea +vvvvvvvvi {nicks}") == [
        f"{ANN} MODE #tea +vvvvvvi m0 m1 m2 m3 m4 m5"
    ]


def test_long_changes_are_split_into_lines() -> None:
    """A line has at most 512 bytes; no change is truncated."""
    chat = IrcChat()
    ann = chat.irc_client("ann", joined="#" + "t" * 49)
    ann.send("NICK " + "a" * 30)
    masks = [f"{'x' * 60}{number}" for number in range(6)]
    received = ann.send(f"MODE #{'t' * 49} +bbbbbb {' '.join(masks)}")
    assert len(received) > 1
    words = [line.split(" ")[3:] for line in received if command(line) == "MODE"]
    assert [mask for _, *some in words for mask in some] == [f"{mask}!*@*" for mask in masks]
    assert "".join(letters for letters, *_ in words).replace("+", "") == "bbbbbb"


def test_mode_requires_an_operator() -> None:
    """'If a user does not have appropriate privileges to change modes on the target channel, the
    server MUST not process the message, and ERR_CHANOPRIVSNEEDED numeric is returned.'"""
    chat, ann, (bob,) = open_tea("bob")
    refusal = [f"{SERVER} 482 bob #tea :you are not an operator of #tea"]
    assert bob.send("MODE #tea +o bob") == refusal
    assert bob.send("MODE #tea +imb-o x ann") == refusal
    assert chat.irc_client("carol").numerics("MODE #tea +i") == ["442"]
    assert ann.lines() == []


def test_half_operator_cannot_set_operators() -> None:
    _, ann, (bob, carol) = open_tea("bob", "carol")
    ann.send("MODE #tea +h bob")
    bob.lines()
    assert bob.send("MODE #tea +oohvm bob carol carol carol") == [
        ":bob!~bob@localhost MODE #tea +vm carol",
        f"{SERVER} 482 bob #tea :you are not an operator of #tea",
    ]
    assert carol.lines()[-1] == ":bob!~bob@localhost MODE #tea +vm carol"


def test_lobby_has_no_channel_operators() -> None:
    ann = IrcChat().irc_client("ann", joined="#lobby")
    assert ann.send("MODE #lobby +m") == [f"{SERVER} 482 ann #lobby :#lobby has no operators"]
    assert ann.numerics("MODE #lobby") == ["324", "329"]


def test_ranks_of_absent_users() -> None:
    """ERR_NOSUCHNICK and ERR_USERNOTINCHANNEL; the other changes are made."""
    chat, ann, _ = open_tea()
    chat.irc_client("carol")
    assert ann.send("MODE #tea +oovi nobody carol ann") == [
        f"{ANN} MODE #tea +vi ann",
        f"{SERVER} 401 ann nobody :No such nick/channel",
        f"{SERVER} 441 ann carol #tea :They aren't on that channel",
    ]


def test_unknown_channel_modes() -> None:
    """ERR_UNKNOWNMODE: '"<client> <modechar> :is unknown mode char to me"'; known modes are set."""
    _, ann, _ = open_tea()
    assert ann.send("MODE #tea +Zi-ZY:") == [
        f"{ANN} MODE #tea +i",
        f"{SERVER} 472 ann Z :is unknown mode char to me",
        f"{SERVER} 472 ann Y :is unknown mode char to me",
        f"{SERVER} 472 ann * :is unknown mode char to me",
    ]
    received = ann.numerics("MODE #tea ABDEFGHJKLMNOPQRSTUVWXYZ")
    assert received == ["472"] * 10, "the replies are bounded"


def test_missing_mode_arguments() -> None:
    """'If a type B or C mode does not have a parameter when being set, the server MUST ignore that
    mode'; RFC 2812 section 3.2.3 has ERR_NEEDMOREPARAMS."""
    _, ann, _ = open_tea()
    for letter in "klohv":
        assert ann.send(f"MODE #tea +{letter}m") == [
            f"{ANN} MODE #tea +m",
            f"{SERVER} 461 ann MODE :Not enough parameters",
        ]
        ann.send("MODE #tea -m")
    assert ann.numerics("MODE #tea -o") == ["461"]


@pytest.mark.parametrize(
    ("mode", "argument", "shown"),
    [
        ("k", "a b", "*"),
        ("k", "a,b", "*"),
        ("k", "", "*"),
        ("k", "long" * 100, "*"),
        ("l", "0", "0"),
        ("l", "-1", "-1"),
        ("l", "", "*"),
        ("l", "many more", "many"),
        ("b", "a b", "a"),
        ("e", "a@b!c@d", "a@b!c@d"),
        ("I", "x" * 300, "x" * 200),
    ],
)
def test_invalid_mode_arguments(mode: str, argument: str, shown: str) -> None:
    """ERR_INVALIDMODEPARAM: '"<client> <target chan/user> <mode char> <parameter>
    :<description>"'; 'If the value is invalid, they SHOULD return ERR_INVALIDMODEPARAM'."""
    _, ann, _ = open_tea()
    (line,) = ann.send(f"MODE #tea +{mode} :{argument}")
    assert line.startswith(f"{SERVER} 696 ann #tea {mode} {shown} :")
    assert ann.send("MODE #tea")[0] == f"{SERVER} 324 ann #tea +nt"


@pytest.mark.parametrize("typed", ["-k sesame", "-k wrong", "-k *", "-k"])
def test_key_is_removed_with_any_argument(typed: str) -> None:
    """'Type B: These modes MUST always have a parameter'; clients may omit it."""
    _, ann, _ = open_tea()
    ann.send("MODE #tea +k sesame")
    assert ann.send(f"MODE #tea {typed}") == [f"{ANN} MODE #tea -k sesame"]
    assert ann.send(f"MODE #tea {typed}") == []


def test_removed_key_takes_its_argument() -> None:
    _, ann, (_,) = open_tea("bob")
    ann.send("MODE #tea +kl sesame 5")
    assert ann.send("MODE #tea -klo+v x bob bob") == [f"{ANN} MODE #tea -kl+v sesame bob"]


def test_limit_is_removed_without_an_argument() -> None:
    """'Type C: These modes MUST have a parameter when being set, and MUST NOT have a parameter when
    being unset.'"""
    _, ann, (_,) = open_tea("bob")
    assert ann.send("MODE #tea +l 7") == [f"{ANN} MODE #tea +l 7"]
    assert ann.send("MODE #tea -lv+v bob bob") == [f"{ANN} MODE #tea -l+v bob"]


# --- lists ---


def test_bans_are_folded_and_completed() -> None:
    chat, ann, _ = open_tea()
    assert ann.send("MODE #tea +b BOB") == [f"{ANN} MODE #tea +b BOB!*@*"]
    assert ann.send("MODE #tea +b bob!*@*") == []
    bob = chat.irc_client("Bob")
    assert bob.numerics("JOIN #tea") == ["474"]
    assert ann.send("MODE #tea -b bob") == [f"{ANN} MODE #tea -b BOB!*@*"]
    assert ann.send("MODE #tea -b bob") == [], "not listed"
    assert bob.numerics("JOIN #tea")[0] == "JOIN"


def test_mute() -> None:
    """irctest, mute_extban.py: the list has the mask with its type, a muted user gets 404, and -b
    ignores case."""
    _, ann, (bob,) = open_tea("bob")
    assert any(" EXTBAN=,m " in line for line in ann.send("ISUPPORT"))
    assert ann.send("MODE #tea +b m:BOB") == [f"{ANN} MODE #tea +b m:BOB!*@*"]
    bob.lines()
    assert bob.send("PRIVMSG #tea :hi") == [f"{SERVER} 404 bob #tea :you are muted in #tea"]
    assert bob.send("NOTICE #tea :hi") == []
    assert ann.lines() == []
    assert bob.send("MODE #tea b")[0].startswith(f"{SERVER} 367 bob #tea m:BOB!*@* ann ")
    assert ann.send("MODE #tea -b m:bob!*@*") == [f"{ANN} MODE #tea -b m:BOB!*@*"]
    bob.send("PRIVMSG #tea :hi again")
    assert ann.lines() == [":bob!~bob@localhost PRIVMSG #tea :hi again"]
    assert ann.numerics("MODE #tea +I m:bob") == ["696"]


def test_mute_in_the_text_frontend() -> None:
    chat, ann, _ = open_tea()
    dave = chat.text_client("dave")
    dave.type("/join #tea")
    ann.send("MODE #tea +b m:dave")
    assert dave.screen()[-1] == "* ann muted dave in #tea"
    assert dave.type("hello") == ["! you are muted in #tea"]
    ann.send("MODE #tea +o dave")
    dave.screen()
    assert dave.type("/ban") == ["  Muted in #tea (1): m:dave"]
    assert dave.type("/unban m:dave") == ["* dave lifted the mute of dave in #tea"]
    assert dave.type("/ban") == ["  There are no bans in #tea."]


def test_no_ctcp_mode() -> None:
    """irctest, no_ctcp.py: 'Test Ergo's +C channel mode that blocks CTCPs': 404, except for
    ACTION."""
    _, ann, (bob,) = open_tea("bob")
    assert ann.send("MODE #tea +C") == [f"{ANN} MODE #tea +C"]
    assert ann.send("MODE #tea")[0] == f"{SERVER} 324 ann #tea +Cnt"
    bob.lines()
    assert bob.send("PRIVMSG #tea :\x01PING 1 2\x01") == [
        f"{SERVER} 404 bob #tea :#tea accepts no CTCP except ACTION"
    ]
    assert bob.send("NOTICE #tea :\x01PING 1 2\x01") == []
    bob.send("PRIVMSG #tea :\x01ACTION waves\x01", "PRIVMSG ann :\x01PING 1\x01")
    assert ann.lines() == [
        ":bob!~bob@localhost PRIVMSG #tea :\x01ACTION waves\x01",
        ":bob!~bob@localhost PRIVMSG ann :\x01PING 1\x01",
    ]


def test_ban_exemption() -> None:
    """'they will not be blocked from joining due to the ban mode.'"""
    chat, ann, _ = open_tea()
    ann.send("MODE #tea +be *!*@* *!~bob@*")
    assert chat.irc_client("bob").numerics("JOIN #tea")[0] == "JOIN"
    assert chat.irc_client("carol").numerics("JOIN #tea") == ["474"]


@pytest.mark.parametrize(
    ("mode", "entry", "end", "text"),
    [
        ("b", "367", "368", "End of channel ban list"),
        ("e", "348", "349", "End of channel exception list"),
        ("I", "346", "347", "End of Channel Invite Exception List"),
    ],
)
def test_lists_are_shown_to_members(mode: str, entry: str, end: str, text: str) -> None:
    """'If a type A mode has been sent without an argument, the contents of the list MUST be sent to
    the user, unless it contains sensitive information the user is not allowed to access.'"""
    chat, ann, (bob,) = open_tea("bob")
    ann.send(f"MODE #tea +{mode}{mode} x@y carol")
    bob.lines()
    for typed in (f"MODE #tea {mode}", f"MODE #TEA +{mode}", f"MODE #tea -{mode}{mode}"):
        assert bob.send(typed) == [
            f"{SERVER} {entry} bob #tea *!x@y ann 1700000000",
            f"{SERVER} {entry} bob #tea carol!*@* ann 1700000000",
            f"{SERVER} {end} bob #tea :{text}",
        ]
    assert chat.irc_client("dave").send(f"MODE #tea {mode}") == [
        f"{SERVER} 442 dave #tea :You're not on that channel"
    ]


def test_list_query_and_change_in_one_line() -> None:
    _, ann, _ = open_tea()
    assert [command(line) for line in ann.send("MODE #tea +beiI x!*@*")] == [
        "MODE",
        "349",
        "347",
    ]


def test_list_entry_of_the_longest_mask_is_not_truncated() -> None:
    chat = IrcChat()
    name = "#" + "ж" * 49
    ann = chat.irc_client("ж" * 30, joined=name)
    mask = "x" * 156
    ann.send(f"MODE {name} +b {mask}")
    entry, end = ann.send(f"MODE {name} b")
    assert entry.split(" ")[4:] == [f"{mask}!*@*", "ж" * 30, "1700000000"]
    assert command(end) == "368"


def test_full_list() -> None:
    """RFC 2812 section 5.2: '478 ERR_BANLISTFULL "<channel> <char> :Channel list is full"'."""
    chat = IrcChat(bounds={"bans_per_room": 2})
    ann = chat.irc_client("ann", joined="#tea")
    received = ann.send("MODE #tea +bbb x y z")
    assert received == [
        f"{ANN} MODE #tea +bb x!*@* y!*@*",
        f"{SERVER} 478 ann #tea b :#tea has 2 bans, remove one first",
    ]


def test_bans_are_shared_with_the_text_frontend() -> None:
    chat = IrcChat()
    dave = chat.text_client("dave")
    dave.type("/join #tea")
    ann = chat.irc_client("ann", joined="#tea")
    dave.type("/ban eve")
    assert ann.lines() == [":dave!text@localhost MODE #tea +b eve!*@*"]
    assert ann.send("MODE #tea b")[0] == f"{SERVER} 367 ann #tea eve!*@* dave 1700000000"
    dave.type("/op ann")
    dave.screen()
    ann.send("MODE #tea -b+mv eve dave")
    assert dave.screen() == [
        "* ann lifted the ban of eve from #tea",
        "* ann made #tea moderated",
        "* ann gave dave voice in #tea",
    ]


# --- user modes ---


def test_user_modes() -> None:
    """'If modestring is not given, the RPL_UMODEIS numeric is sent back'; 'If modestring is given,
    the supplied modes will be applied, and a MODE message will be sent to the user containing the
    changed modes.'"""
    ann = IrcChat().irc_client("ann")
    assert ann.send("MODE ANN") == [f"{SERVER} 221 ann +"]
    assert ann.send("MODE ann +iwB") == [f"{ANN} MODE ann +Biw"]
    assert ann.send("MODE ann") == [f"{SERVER} 221 ann +Biw"]
    assert ann.send("MODE ann i+w") == []
    assert ann.send("MODE ann -iw+i") == [f"{ANN} MODE ann -w"]
    assert ann.send("MODE ann +w-B") == [f"{ANN} MODE ann +w-B"]
    assert ann.send("MODE ann") == [f"{SERVER} 221 ann +iw"]


def test_user_cannot_set_operator_mode() -> None:
    """RFC 2812 section 3.1.5: 'If a user attempts to make themselves an operator using the "+o" or
    "+O" flag, the attempt SHOULD be ignored ... There is no restriction, however, on anyone
    deopping themselves'."""
    chat = IrcChat()
    ann = chat.irc_client("ann")
    assert ann.send("MODE ann +o") == []
    member = chat.person("ann")
    assert not member.server_operator
    chat.set_mode(member, "o", True)
    assert ann.lines() == [f"{ANN} MODE ann +o"]
    assert ann.send("MODE ann") == [f"{SERVER} 221 ann +o"]
    assert ann.send("MODE ann -o+o") == [f"{ANN} MODE ann -o"]
    assert chat.hub.state.server_operators == 0


def test_unknown_user_modes() -> None:
    """'If one or more modes sent are not implemented on the server, the server MUST apply the modes
    that are implemented, and then send the ERR_UMODEUNKNOWNFLAG in reply along with the MODE
    message.'"""
    ann = IrcChat().irc_client("ann")
    assert ann.send("MODE ann +ZiY") == [
        f"{ANN} MODE ann +i",
        f"{SERVER} 501 ann :Unknown MODE flag",
    ]


def test_modes_of_other_users() -> None:
    """'If target is a nickname that does not exist on the network, the ERR_NOSUCHNICK numeric is
    returned. If target is a different nick than the user who sent the command, the
    ERR_USERSDONTMATCH numeric is returned.'"""
    chat = IrcChat()
    ann = chat.irc_client("ann")
    chat.irc_client("bob")
    for more in ("", " +i"):
        assert ann.send(f"MODE bob{more}") == [
            f"{SERVER} 502 ann :Cant change mode for other users"
        ]
        assert ann.send(f"MODE nobody{more}") == [f"{SERVER} 401 ann nobody :No such nick/channel"]


def test_bot_mode_adds_the_bot_tag() -> None:
    """bot-mode: 'servers may include the bot tag on that client's outgoing messages.'"""
    chat = IrcChat()
    ann = chat.irc_client("ann", joined="#tea")
    bob = chat.irc_client("bob", "message-tags", joined="#tea")
    ann.send("MODE ann +B", "PRIVMSG #tea :beep")
    assert [plain(line) for line in bob.lines()] == [f"@bot {ANN} PRIVMSG #tea :beep"]
    ann.send("MODE ann -B", "PRIVMSG #tea :hello")
    assert [plain(line) for line in bob.lines()] == [f"{ANN} PRIVMSG #tea :hello"]


def test_invisible_users_are_counted() -> None:
    chat = IrcChat()
    ann = chat.irc_client("ann")
    ann.send("MODE ann +i")
    assert chat.hub.state.invisible == 1
    ann.send("QUIT")
    assert chat.hub.state.invisible == 0


# --- any input ---


@given(
    st.text("+-beIklimnstovhZ", max_size=30),
    st.lists(st.sampled_from(["ann", "bob", "x", "x!y@z", "5", "07", "sesame", "*"]), max_size=9),
)
def test_replayed_mode_messages_give_the_modes_of_the_channel(
    letters: str, words: list[str]
) -> None:
    """A client that applies all MODE messages as 005 describes ends with the state that
    RPL_CHANNELMODEIS and the ban list show."""
    _, ann, (bob,) = open_tea("bob")
    flags, arguments, bans = set("nt"), {}, set()
    ann.send(f"MODE #tea {letters} {' '.join(words)}")
    ann.send(f"MODE #tea {letters[::-1]} {' '.join(words)}")
    for line in bob.lines():
        _, name, _, modes, *more = line.split(" ")
        assert name == "MODE"
        adding = True
        for letter in modes:
            if letter in "+-":
                adding = letter == "+"
            elif letter in "beIohvk" or (letter == "l" and adding):
                argument = more.pop(0)
                if letter == "b":
                    (bans.add if adding else bans.remove)(argument)
                elif letter in "kl":
                    arguments[letter] = argument if adding else ""
            elif letter == "l":
                arguments.pop("l")
            else:
                assert (letter in flags) is not adding, "a change without effect is not sent"
                (flags.add if adding else flags.remove)(letter)
        assert more == []
    received = [line.split(" ") for line in bob.send("MODE #tea", "MODE #tea b")]
    _, _, _, _, modes, *more = received[0]
    shown = {letter: more.pop(0) for letter in "kl" if letter in modes}
    assert set(modes) - set("+kl") == flags
    assert shown == {letter: value for letter, value in arguments.items() if value}
    assert {words[4] for words in received if words[1] == "367"} == bans
