"""JOIN, PART, TOPIC, NAMES and LIST.

Quotes without a source are from the Modern IRC Client Protocol (https://modern.ircdocs.horse/).
"""

from __future__ import annotations

import itertools

import pytest
from amounts import examples
from chat.irc_chat import ANN, BOB, SERVER, IrcChat, IrcTestClient, command, open_tea, plain
from hypothesis import given, settings
from hypothesis import strategies as st

from tcpd.chat.irc.caps import CAPABILITIES
from tcpd.chat.irc.commands import channels, names
from tcpd.chat.irc.dispatch import IrcConversation
from tcpd.chat.irc.reply import IrcReply
from tcpd.config.values import Rate

# --- JOIN ---


def test_join_sends_join_topic_and_names() -> None:
    """'they receive a JOIN message from the server with their client as the message source and the
    channel they have joined as the first parameter of the message. After this, they are sent the
    channel's topic (with RPL_TOPIC) ... They are also sent a list of users'; 'If RPL_TOPIC is
    returned to the client sending this command, RPL_TOPICWHOTIME SHOULD also be sent'."""
    chat, ann, _ = open_tea()
    ann.send("TOPIC #tea :Darjeeling, please")
    bob = chat.irc_client("bob")
    assert bob.send("JOIN #TEA") == [
        f"{BOB} JOIN #tea",
        f"{SERVER} 332 bob #tea :Darjeeling, please",
        f"{SERVER} 333 bob #tea ann!~ann@localhost :1700000000",
        f"{SERVER} 353 bob = #tea :@ann bob",
        f"{SERVER} 366 bob #tea :End of /NAMES list",
    ]
    assert ann.lines()[-1] == f"{BOB} JOIN #tea"


def test_join_without_a_topic() -> None:
    """'and no message if the channel does not have a topic'."""
    assert IrcChat().irc_client("ann").numerics("JOIN #tea") == ["JOIN", "353", "366"]


def test_first_member_is_operator() -> None:
    """'the first client who joins a normal channel is made a channel operator'."""
    assert f"{SERVER} 353 ann = #tea :@ann" in IrcChat().irc_client("ann").send("JOIN #tea")


def test_second_join_has_no_reply() -> None:
    _, ann, (bob,) = open_tea("bob")
    assert ann.send("JOIN #tea", "JOIN #TEA", "JOIN #tea wrongkey") == []
    assert bob.lines() == []


def test_join_of_several_channels_with_keys() -> None:
    """'with the first key being used for the first channel, the second key being used for the
    second channel, etc.'; 'SHOULD distribute these multiple-channel JOIN messages as a series of
    messages with a single channel name on each'."""
    chat = IrcChat()
    ann = chat.irc_client("ann", joined="#a,#b,#c")
    ann.send("MODE #a +k one", "MODE #b +k two")
    bob = chat.irc_client("bob")
    received = bob.send("JOIN #c,,#a,#b x,,one,two")
    assert [line for line in received if command(line) not in ("353", "366")] == [
        f"{BOB} JOIN #c",
        f"{BOB} JOIN #a",
        f"{BOB} JOIN #b",
    ]
    carol = chat.irc_client("carol")
    assert carol.numerics("JOIN #a,#b one") == ["JOIN", "353", "366", "475"]


def test_join_0_parts_all_channels() -> None:
    """'The server will process this command as though the client had sent a PART command for each
    channel they are a member of.'"""
    chat = IrcChat()
    ann = chat.irc_client("ann", joined="#a,#b")
    assert ann.send("JOIN 0") == [f"{ANN} PART #a", f"{ANN} PART #b"]
    assert chat.hub.room_count == 1
    assert ann.send("JOIN 0") == []


@pytest.mark.parametrize(
    ("mode", "number", "text"),
    [
        ("+b bob", "474", "you are banned from #tea"),
        ("+i", "473", "#tea is invite-only"),
        ("+k sesame", "475", "#tea has a key"),
        ("+l 1", "471", "#tea is full"),
    ],
)
def test_modes_that_refuse_a_join(mode: str, number: str, text: str) -> None:
    """'The key, client limit, ban - exemption, invite-only - exemption ... channel modes affect
    whether or not a given client may join a channel.'"""
    chat, ann, _ = open_tea()
    ann.send(f"MODE #tea {mode}")
    bob = chat.irc_client("bob")
    assert bob.send("JOIN #tea wrong") == [f"{SERVER} {number} bob #tea :{text}"]
    assert ann.lines() == []


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("tea", "tea"),
        ("&tea", "&tea"),
        ("#", "#"),
        (":#a b", "#a"),
        ("::", "*"),
        ("#\x07", "#\x07"),
    ],
)
def test_invalid_channel_names(name: str, shown: str) -> None:
    """'ERR_BADCHANMASK: Indicates the supplied channel name is not a valid. This is similar to, but
    stronger than, ERR_NOSUCHCHANNEL'."""
    (line,) = IrcChat().irc_client("ann").send(f"JOIN {name}")
    assert line.startswith(f"{SERVER} 476 ann {shown} :")


def test_join_beyond_the_limits() -> None:
    """'If the client cannot join this channel because they would be over their limit, they will
    receive an ERR_TOOMANYCHANNELS reply and the command will fail.'"""
    ann = IrcChat(bounds={"rooms_per_member": 2, "max_rooms": 3}).irc_client("ann", joined="#a,#b")
    assert ann.numerics("JOIN #lobby") == ["405"]
    bob = ann.chat.irc_client("bob")
    assert bob.send("JOIN #c") == [
        f"{SERVER} 405 bob #c :there are too many rooms, no other can be opened"
    ]


def test_joins_are_rate_limited() -> None:
    chat = IrcChat(join_rate=Rate(1.0, 2.0))
    ann = chat.irc_client("ann", "standard-replies")
    assert ann.numerics("JOIN #a,#b", "JOIN #a") == ["JOIN", "353", "366"] * 2
    assert ann.send("JOIN #c") == [
        f"{SERVER} FAIL JOIN RATE_LIMITED #c :You join too fast; wait a moment"
    ]
    assert ann.numerics("JOIN ::x")[0] == "FAIL"
    chat.clock.advance(1)
    assert ann.numerics("JOIN #c") == ["JOIN", "353", "366"]


def test_no_implicit_names() -> None:
    """no-implicit-names: 'servers MUST NOT send an implicit NAMES reply after sending a JOIN
    message. Servers MUST reply to explicit NAMES commands sent by the client as usual.'"""
    ann = IrcChat().irc_client("ann", "draft/no-implicit-names")
    assert ann.numerics("JOIN #tea") == ["JOIN"]
    assert ann.numerics("NAMES #tea") == ["353", "366"]


def test_extended_join() -> None:
    """extended-join: ':nick!user@host JOIN #channelname * :Real Name ... This message represents
    that the user has not logged in to an account'."""
    chat = IrcChat()
    ann = chat.irc_client("ann", "extended-join", joined="#tea")
    bob = chat.irc_client("bob")
    assert bob.send("JOIN #tea")[0] == f"{BOB} JOIN #tea"
    assert ann.lines() == [f"{BOB} JOIN #tea * :Bob"]
    chat.text_client("carol").type("/join #tea")
    assert ann.lines() == [":carol!text@localhost JOIN #tea * :carol"]


def test_join_while_away() -> None:
    """away-notify: 'clients will be sent an AWAY message ... when a user joins and has an away
    message set.'"""
    chat = IrcChat()
    ann = chat.irc_client("ann", "away-notify", joined="#tea")
    carol = chat.irc_client("carol", joined="#tea")
    ann.lines()
    bob = chat.irc_client("bob")
    member = chat.person("bob")
    chat.hub.set_away(member.clients[0], "lunch")
    bob.send("JOIN #tea")
    assert ann.lines() == [f"{BOB} JOIN #tea", f"{BOB} AWAY :lunch"]
    assert carol.lines() == [f"{BOB} JOIN #tea"]


def test_text_clients_see_joins_and_parts() -> None:
    chat = IrcChat()
    dave = chat.text_client("dave")
    dave.type("/join #tea")
    ann = chat.irc_client("ann", joined="#tea")
    assert dave.screen() == ["* ann joined #tea"]
    ann.send("PART #tea :bye")
    assert dave.screen() == ["* ann left #tea: bye"]
    assert f"{SERVER} 353 ann = #tea :@dave ann" in ann.send("JOIN #tea")


# --- PART ---


def test_part() -> None:
    """'the user will receive a PART message from the server for each channel they have been removed
    from'; 'reason (if it exists) should be on each of these messages.'"""
    chat = IrcChat()
    ann = chat.irc_client("ann", joined="#a,#b")
    bob = chat.irc_client("bob", joined="#a,#b,#c")
    ann.lines()
    assert ann.send("PART #A,#b :to bed") == [f"{ANN} PART #a :to bed", f"{ANN} PART #b :to bed"]
    assert bob.lines() == [f"{ANN} PART #a :to bed", f"{ANN} PART #b :to bed"]
    assert bob.send("PART #c") == [f"{BOB} PART #c"]


def test_part_of_a_channel_not_joined() -> None:
    """'if the channel exists and the client is not joined to it, they will receive an
    ERR_NOTONCHANNEL reply and that channel will be ignored. If the channel does not exist, the
    client will receive an ERR_NOSUCHCHANNEL reply'."""
    chat, ann, _ = open_tea()
    bob = chat.irc_client("bob", joined="#x")
    assert bob.send("PART #tea,#nowhere,tea,#x :bye") == [
        f"{SERVER} 442 bob #tea :you are not in #tea",
        f"{SERVER} 403 bob #nowhere :there is no room #nowhere",
        f"{SERVER} 403 bob tea :there is no room tea",
        f"{BOB} PART #x :bye",
    ]
    assert ann.lines() == []


@pytest.mark.parametrize(
    "typed", ["JOIN", "PART", "TOPIC", "KICK", "KICK #tea", "MODE", "RENAME #a"]
)
def test_too_few_parameters(typed: str) -> None:
    ann = IrcChat().irc_client("ann")
    name = typed.split()[0]
    assert ann.send(typed) == [f"{SERVER} 461 ann {name} :Not enough parameters"]


# --- TOPIC ---


def test_topic_is_shown_set_and_cleared() -> None:
    """'If topic is not given, either RPL_TOPIC or RPL_NOTOPIC is returned ... If topic is an empty
    string, the topic for the channel will be cleared'; 'every client in that channel (including the
    author of the topic change) will receive a TOPIC command with the new topic as argument (or an
    empty argument if the topic was cleared)'."""
    _, ann, (bob,) = open_tea("bob")
    assert ann.send("TOPIC #TEA") == [f"{SERVER} 331 ann #tea :No topic is set"]
    assert ann.send("TOPIC #tea :Green :)") == [f"{ANN} TOPIC #tea :Green :)"]
    assert bob.lines() == [f"{ANN} TOPIC #tea :Green :)"]
    assert bob.send("TOPIC #tea") == [
        f"{SERVER} 332 bob #tea :Green :)",
        f"{SERVER} 333 bob #tea ann!~ann@localhost :1700000000",
    ]
    assert ann.send("TOPIC #tea :") == [f"{ANN} TOPIC #tea :"]
    assert bob.send("TOPIC #tea") == [
        f"{ANN} TOPIC #tea :",
        f"{SERVER} 331 bob #tea :No topic is set",
    ]


def test_same_topic_is_not_sent_again() -> None:
    """Modern IRC, TOPIC: "If the topic of a channel is changed or cleared, every client in that
    channel ... will receive a TOPIC command"."""
    chat = IrcChat()
    ann, bob = chat.irc_client("ann"), chat.irc_client("bob")
    ann.send("JOIN #t")
    bob.send("JOIN #t")
    ann.send("TOPIC #t :cats")
    bob.lines()
    assert ann.send("TOPIC #t :cats") == []
    assert bob.lines() == []
    ann.send("TOPIC #t :")
    assert len(bob.lines()) == 1
    assert ann.send("TOPIC #t :") == []


def test_protected_topic() -> None:
    """'If a client does not have appropriate channel permissions and tries to change the topic, the
    ERR_CHANOPRIVSNEEDED numeric is returned and the command will fail.'"""
    _, ann, (bob,) = open_tea("bob")
    assert bob.send("TOPIC #tea :mine") == [
        f"{SERVER} 482 bob #tea :you are not an operator of #tea"
    ]
    ann.send("MODE #tea -t")
    assert bob.send("TOPIC #tea :mine")[-1] == f"{BOB} TOPIC #tea :mine"


def test_topic_from_outside() -> None:
    """'If the client sending this command is not joined to the given channel, and tries to view
    its' topic, the server MAY return the ERR_NOTONCHANNEL numeric': for a secret channel."""
    chat, ann, _ = open_tea()
    ann.send("TOPIC #tea :Green")
    bob = chat.irc_client("bob")
    assert bob.numerics("TOPIC #tea") == ["332", "333"]
    assert bob.send("TOPIC #tea :mine") == [f"{SERVER} 442 bob #tea :you are not in #tea"]
    assert bob.send("TOPIC #no") == [f"{SERVER} 403 bob #no :No such channel"]
    ann.send("MODE #tea +s")
    assert bob.send("TOPIC #tea") == [f"{SERVER} 442 bob #tea :You're not on that channel"]


def test_topic_is_truncated_to_topiclen() -> None:
    _, ann, _ = open_tea()
    (line,) = ann.send("TOPIC #tea :" + "ä" * 200)
    assert line == f"{ANN} TOPIC #tea :" + "ä" * 150


def test_topic_of_the_lobby() -> None:
    ann = IrcChat().irc_client("ann", joined="#lobby")
    assert ann.send("TOPIC #lobby") == [
        f"{SERVER} 332 ann #lobby :Talk about anything",
        f"{SERVER} 333 ann #lobby chat.example.net :1700000000",
    ]
    assert ann.numerics("TOPIC #lobby :mine") == ["482"]


# --- NAMES ---


def test_names_with_multi_prefix_and_userhost_in_names() -> None:
    """multi-prefix: 'These prefixes MUST be in order of 'rank', from highest to lowest.'
    userhost-in-names: 'to contain the full hostmask (nick!user@host) of every user listed.'"""
    chat, ann, _ = open_tea("bob", "carol")
    ann.send("MODE #tea +vh ann bob", "MODE #tea +v bob")
    plainly = chat.irc_client("dave", joined="#tea")
    assert plainly.send("NAMES #tea")[0] == f"{SERVER} 353 dave = #tea :@ann %bob carol dave"
    multi = chat.irc_client("erin", "multi-prefix", joined="#tea")
    assert multi.send("NAMES #tea")[0] == f"{SERVER} 353 erin = #tea :@+ann %+bob carol dave erin"
    full = chat.irc_client("frank", "userhost-in-names")
    assert full.send("NAMES #tea")[0].startswith(
        f"{SERVER} 353 frank = #tea :@ann!~ann@localhost %bob!~bob@localhost carol!~carol@localhost"
    )


@pytest.mark.parametrize(
    ("name", "shown"),
    [("#nowhere", "#nowhere"), ("invalid", "invalid"), (":#a b", "#a")],
)
def test_names_of_a_nonexistent_channel(name: str, shown: str) -> None:
    """'If the channel name is invalid or the channel does not exist, one RPL_ENDOFNAMES numeric
    containing the given channel name should be returned.'"""
    ann = IrcChat().irc_client("ann")
    assert ann.send(f"NAMES {name}") == [f"{SERVER} 366 ann {shown} :End of /NAMES list"]


@pytest.mark.parametrize("line", ["NAMES", "NAMES :", "NAMES ,"])
def test_names_without_a_channel(line: str) -> None:
    """RFC 2812 section 3.2.5: 'a list of all channels and their occupants is returned. At the end
    of this list, a list of users who are visible but either not on any channel or not on a visible
    channel are listed as being on `channel' "*".'"""
    chat, ann, _ = open_tea("bob")
    carol = chat.irc_client("carol", joined="#den")
    carol.send("MODE #den +s")
    dave = chat.irc_client("dave")
    chat.irc_client("erin").send("MODE erin +i")
    chat.irc_client("frank", joined="#tea").send("MODE frank +i")
    end = "* :End of /NAMES list"
    for client in (ann, carol, dave):
        client.lines()
    assert dave.send(line) == [
        f"{SERVER} 353 dave = #tea :@ann bob",
        f"{SERVER} 353 dave * * :carol dave",
        f"{SERVER} 366 dave {end}",
    ]
    assert carol.send(line) == [
        f"{SERVER} 353 carol = #tea :@ann bob",
        f"{SERVER} 353 carol @ #den :@carol",
        f"{SERVER} 353 carol * * :dave",
        f"{SERVER} 366 carol {end}",
    ]
    assert ann.send(line)[0] == f"{SERVER} 353 ann = #tea :@ann bob frank"
    full = chat.irc_client("gil", "userhost-in-names")
    assert full.send(line)[1] == (
        f"{SERVER} 353 gil * * :carol!~carol@localhost dave!~dave@localhost gil!~gil@localhost"
    )


def test_names_without_a_channel_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """ERR_TOOMANYMATCHES (https://defs.ircdocs.horse/defs/numerics.html): names beyond the bound
    are omitted, and the client is notified."""
    chat, ann, _ = open_tea("bob", "carol")
    for most, shown, more in (
        (4, ["@ann bob carol", "dave"], False),
        (3, ["@ann bob carol"], True),
        (2, ["@ann bob"], True),
        (0, [], True),
    ):
        monkeypatch.setattr("tcpd.chat.irc.commands.names.MAX_NAMES", most)
        chat.irc_client("dave")
        received = ann.send("NAMES")
        assert [line.rpartition(":")[2] for line in received if command(line) == "353"] == shown
        assert ("416" in map(command, received)) is more
        assert command(received[-1]) == "366"


def test_names_without_a_channel_yield_to_other_clients() -> None:
    """:meth:`IrcClient.stream`: an empty line is not sent, and ends the turn. NAMES yields one
    after each 256 rooms or members, listed or not."""
    chat = IrcChat(bounds={"rooms_per_member": 1000})
    ann = chat.irc_client("ann")
    ann.send("JOIN " + ",".join(f"#{number}" for number in range(80)))
    for first in range(80, 600, 80):
        ann.send("JOIN " + ",".join(f"#{number}" for number in range(first, first + 80)))
    bob = chat.irc_client("bob")
    session = bob.session
    assert isinstance(session, IrcConversation)
    received = list(names._all_lines(IrcReply(session)))
    assert sum(b" 353 " in line for line in received) == chat.hub.room_count
    assert [number for number, line in enumerate(received) if not line] == [254, 511]


def test_names_of_a_secret_channel() -> None:
    """'If the given channel has the secret channel mode set and the user is not joined to that
    channel, one RPL_ENDOFNAMES numeric is returned.'"""
    chat, ann, _ = open_tea()
    ann.send("MODE #tea +s")
    bob = chat.irc_client("bob")
    assert bob.send("NAMES #tea") == [f"{SERVER} 366 bob #tea :End of /NAMES list"]
    assert ann.send("NAMES #tea")[0] == f"{SERVER} 353 ann @ #tea :@ann"


def test_names_of_invisible_users() -> None:
    """'Users with the invisible user mode set are not shown in channel responses unless the
    requesting client is also joined to that channel.'"""
    chat, ann, (bob,) = open_tea("bob")
    bob.send("MODE bob +i")
    carol = chat.irc_client("carol")
    assert carol.send("NAMES #tea")[0] == f"{SERVER} 353 carol = #tea :@ann"
    assert ann.send("NAMES #tea")[0] == f"{SERVER} 353 ann = #tea :@ann bob"


def test_names_of_several_channels_answer_the_first() -> None:
    """'Servers MAY only return information about the first channel and silently ignore the
    others.'"""
    ann = IrcChat().irc_client("ann", joined="#a,#b")
    assert ann.numerics("NAMES #a,#b") == ["353", "366"]


def test_long_names_are_split_into_lines() -> None:
    chat = IrcChat()
    nicks = [f"{'x' * 20}{number}" for number in range(60)]
    clients = [chat.irc_client(nick, joined="#tea") for nick in nicks]
    received = clients[0].send("NAMES #tea")[-5:]
    words = [line.partition(" #tea :")[2].split(" ") for line in received if command(line) == "353"]
    assert sum(map(len, words)) == 60
    assert {word.lstrip("@") for word in itertools.chain(*words)} == set(nicks)
    assert command(received[-1]) == "366"


# --- LIST ---


def test_long_list_search_yields_to_other_clients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(channels, "_PER_TURN", 10)
    chat = IrcChat(bounds={"rooms_per_member": 100})
    ann = chat.irc_client("ann", joined=",".join(f"#{number}" for number in range(95)))
    bob = chat.irc_client("bob")
    bob.protocol.dataReceived(b"LIST *nothing\r\nPING x\r\n")
    turns = 0
    while bob.session.streaming:  # type: ignore[union-attr]
        bob.protocol.work(chat.clock.seconds())
        turns += 1
    assert turns >= 6
    assert bob.numerics() == ["321", "323", "PONG"]
    assert ann.lines() == []


def test_list() -> None:
    """'the server MAY send one RPL_LISTSTART numeric, MUST send back zero or more RPL_LIST
    numerics, and MUST send back one RPL_LISTEND numeric.'"""
    chat, ann, _ = open_tea("bob")
    ann.send("TOPIC #tea :Green")
    carol = chat.irc_client("carol", joined="#x")
    assert carol.send("LIST") == [
        f"{SERVER} 321 carol Channel :Users  Name",
        f"{SERVER} 322 carol #tea 2 :Green",
        f"{SERVER} 322 carol #x 1 :",
        f"{SERVER} 323 carol :End of /LIST",
    ]


def test_list_of_secret_channels() -> None:
    """'A channel that is set to secret will not show up in responses to the LIST or NAMES command
    unless the client sending the command is joined to the channel.'"""
    chat, ann, _ = open_tea()
    ann.send("MODE #tea +s")
    assert listed(ann, "LIST #tea") == ["#tea"]
    assert listed(chat.irc_client("bob"), "LIST #tea") == []
    assert listed(chat.irc_client("carol"), "LIST") == []


def listed(client: IrcTestClient, typed: str) -> list[str]:
    received = client.send(typed)
    assert command(received[0]) == "321"
    assert command(received[-1]) == "323"
    return [line.split(" ")[3] for line in received[1:-1]]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("#TEA", ["#tea"]),
        ("#tea,#no,#x", ["#tea", "#x"]),
        ("*e*", ["#tea"]),
        ("!*e*", ["#lobby", "#x"]),
        (">1", ["#tea"]),
        ("<2", ["#lobby", "#x"]),
        ("#* >0,<2", ["#lobby", "#x"]),
        ("C<5", ["#x"]),
        ("C>5", ["#lobby", "#tea"]),
        ("T<5", ["#x"]),
        ("T>5", ["#lobby"]),
        ("nonsense", []),
    ],
)
def test_list_with_elist_conditions(query: str, found: list[str]) -> None:
    """ELIST=CMNTU: 'Searching based on channel creation time ... a mask ... a non-matching mask ...
    topic set time ... user count'."""
    chat, _, _ = open_tea("bob")
    chat.text_client("zoe")  # joins the lobby
    chat.now = itertools.repeat(1_700_000_600.0)
    carol = chat.irc_client("carol", joined="#x")
    carol.send("TOPIC #x :x")
    chat.now = itertools.repeat(1_700_000_660.0)
    assert listed(carol, f"LIST {query}") == found


def test_long_list_does_not_overflow_the_outbox() -> None:
    """SAFELIST: 'the server ensures that a client may perform the LIST command without being
    disconnected due to the large volume of data the LIST command generates.'"""
    chat = IrcChat(bounds={"outbox": 16384, "max_rooms": 2000, "rooms_per_member": 2000})
    ann = chat.irc_client("ann")
    for number in range(0, 1000, 25):
        ann.send("JOIN " + ",".join(f"#room-{each}" for each in range(number, number + 25)))
    bob = chat.irc_client("bob")
    bob.transport.producerState = "producing"
    found = listed_all(bob)
    assert len(found) == 1000
    assert not bob.closed


def listed_all(client: IrcTestClient) -> list[str]:
    received = client.send("LIST", "PING end")
    for _ in range(100):
        if command(received[-1]) == "PONG":
            break
        received += client.lines()
    assert command(received[-2]) == "323", "PONG follows the list"
    return [line.split(" ")[3] for line in received if command(line) == "322"]


def test_labelled_reply_of_several_lines_is_a_batch() -> None:
    """labeled-response: 'If the response consists of more than one message, it MUST be sent as a
    batch'."""
    ann = IrcChat().irc_client("ann", "labeled-response", "batch", joined="#tea")
    received = [plain(line) for line in ann.send("@label=x NAMES #tea")]
    assert received[0].startswith("@label=x :chat.example.net BATCH +")
    assert [command(line) for line in received] == ["BATCH", "353", "366", "BATCH"]
    (line,) = ann.send("@label=y PART #nowhere")
    assert line.startswith("@label=y :chat.example.net 403 ann #nowhere ")
    (line,) = ann.send("@label=z JOIN #tea")
    assert plain(line) == "@label=z :chat.example.net ACK"


# --- any input ---

_COMMANDS = ["JOIN", "PART", "TOPIC", "NAMES", "LIST", "KICK", "INVITE", "RENAME", "MODE"]
_TARGETS = st.sampled_from(["#tea", "#TEA", "#x", "ann", "bob", "0", "#tea,#x", "nobody"])
_MODES = st.text("+-beIklimnstovhwBzZ", max_size=20)
_WORDS = st.one_of(
    _TARGETS,
    _MODES,
    st.text(st.characters(exclude_characters="\0\r\n", codec="utf-8"), max_size=30),
    st.sampled_from(["x" * 300, "ж" * 150, ":", "::", ",,,", "*!*@*", "C<5", "ann,bob"]),
)
_ALL = [name for name in CAPABILITIES if name != "sts"]


@settings(max_examples=examples(300), deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(_COMMANDS), _WORDS, st.lists(_WORDS, max_size=4)),
        min_size=1,
        max_size=8,
    )
)
def test_any_channel_command_gets_well_formed_replies(
    typed: list[tuple[str, str, list[str]]],
) -> None:
    """Every reply is well-formed: :class:`IrcTestClient` checks each line."""
    chat, ann, (bob,) = open_tea("bob")
    dave = chat.text_client("dave")
    dave.type("/join #tea")
    erin = chat.irc_client("erin", *_ALL, joined="#tea")
    for name, first, more in typed:
        for client in (ann, erin):
            client.send(" ".join((name, first, *more)))
            client.send(f"@label=x {name} {first} :{' '.join(more)}")
        bob.lines()
        dave.screen()
    for client in (ann, bob, erin):
        assert client.numerics("PING x")[-1] == "PONG"
        assert not client.closed
