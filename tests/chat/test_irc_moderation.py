"""KICK, INVITE and RENAME.

Quotes without a source are from the Modern IRC Client Protocol (https://modern.ircdocs.horse/).
"""

from __future__ import annotations

import pytest
from chat.event_logs import on_the_local_log
from chat.irc_chat import ANN, BOB, SERVER, IrcChat, IrcTestClient, command, open_tea, plain

from tcpd.config.values import Rate

# --- KICK ---


def test_kick() -> None:
    """'It causes the user to be removed from the channel by force.'"""
    chat, ann, (bob, carol) = open_tea("bob", "carol")
    assert ann.send("KICK #TEA BOB :Speaking English") == [f"{ANN} KICK #tea bob :Speaking English"]
    assert bob.lines() == carol.lines() == [f"{ANN} KICK #tea bob :Speaking English"]
    carol.send("PRIVMSG #tea :hello")
    assert bob.lines() == []
    assert bob.numerics("JOIN #tea") == ["JOIN", "353", "366"]
    assert chat.hub.room("#tea") is not None


def test_kick_without_a_reason() -> None:
    """RFC 2812 section 3.2.8: 'the default message, the nickname of the user issuing the KICK'."""
    _, ann, (bob,) = open_tea("bob")
    ann.send("KICK #tea bob")
    assert bob.lines() == [f"{ANN} KICK #tea bob :ann"]


@pytest.mark.parametrize("rooms", ["#tea", "#tea,#tea,#tea"])
def test_kick_of_several_users(rooms: str) -> None:
    """'there MUST be either one channel parameter and multiple user parameter, or as many channel
    parameters as there are user parameters'; 'The server MUST NOT send KICK messages with multiple
    channels or users to clients.'"""
    _, ann, (_, _, dave) = open_tea("bob", "carol", "dave")
    ann.send(f"KICK {rooms} bob,nobody,carol :bye")
    assert dave.lines() == [f"{ANN} KICK #tea bob :bye", f"{ANN} KICK #tea carol :bye"]


def test_kick_from_several_channels() -> None:
    chat = IrcChat()
    ann = chat.irc_client("ann", joined="#a,#b")
    bob = chat.irc_client("bob", joined="#a,#b")
    ann.lines()
    assert ann.send("KICK #a,#b bob,bob") == [f"{ANN} KICK #a bob :ann", f"{ANN} KICK #b bob :ann"]
    assert [command(line) for line in bob.lines()] == ["KICK", "KICK"]
    assert ann.send("KICK #a,#b bob") == [f"{SERVER} 461 ann KICK :Not enough parameters"]


def test_kick_targets_are_limited() -> None:
    """'silently drop targets if the number of targets exceeds the limit': TARGMAX=KICK:4."""
    chat, ann, _ = open_tea(*(f"m{number}" for number in range(6)))
    ann.send("KICK #tea m0,m1,m2,m3,m4,m5")
    room = chat.hub.room("#tea")
    assert room is not None
    assert {member.nick for member in room.members} == {"ann", "m4", "m5"}


def test_invalid_kicks() -> None:
    """ERR_NOSUCHCHANNEL, ERR_CHANOPRIVSNEEDED, ERR_USERNOTINCHANNEL, ERR_NOTONCHANNEL."""
    chat, ann, (bob,) = open_tea("bob")
    carol = chat.irc_client("carol")
    assert ann.send("KICK #no bob") == [f"{SERVER} 403 ann #no :there is no room #no"]
    assert bob.send("KICK #tea ann") == [f"{SERVER} 482 bob #tea :you are not an operator of #tea"]
    assert carol.send("KICK #tea ann") == [f"{SERVER} 442 carol #tea :you are not in #tea"]
    for nick in ("carol", "nobody"):
        assert ann.send(f"KICK #tea {nick}") == [
            f"{SERVER} 441 ann {nick} #tea :They aren't on that channel"
        ]
    assert bob.lines() == []


def test_half_operators_kick_members_below_them() -> None:
    _, ann, (bob, carol, dave) = open_tea("bob", "carol", "dave")
    ann.send("MODE #tea +hhv bob carol dave")
    bob.lines()
    assert bob.numerics("KICK #tea ann", "KICK #tea carol", "KICK #tea dave") == [
        "482",
        "482",
        "KICK",
    ]
    assert command(dave.lines()[-1]) == "KICK"
    assert command(carol.lines()[-1]) == "KICK"


def test_kick_of_a_text_client() -> None:
    chat, ann, _ = open_tea()
    dave = chat.text_client("dave")
    dave.type("/join #tea")
    ann.send("KICK #tea dave :out")
    assert dave.screen()[0] == "* ann kicked dave out of #tea: out"


# --- INVITE ---


def test_invite() -> None:
    """'When the invite is successful, the server MUST send a RPL_INVITING numeric to the command
    issuer, and an INVITE message, with the issuer as source, to the target user. Other channel
    members SHOULD NOT be notified.'"""
    chat, ann, (carol,) = open_tea("carol")
    bob = chat.irc_client("bob")
    assert ann.send("INVITE BOB #TEA") == [f"{SERVER} 341 ann bob #tea"]
    assert bob.lines() == [f"{ANN} INVITE bob #tea"]
    assert carol.lines() == []


def test_invite_permits_a_join_of_an_invite_only_channel() -> None:
    """'If this mode is set on a channel, a user must have received an INVITE for this channel
    before being allowed to join it.'"""
    chat, ann, _ = open_tea()
    ann.send("MODE #tea +ikl sesame 1")
    bob = chat.irc_client("bob")
    assert bob.numerics("JOIN #tea") == ["473"]
    ann.send("INVITE bob #tea")
    assert bob.numerics("JOIN #tea") == ["INVITE", "JOIN", "353", "366"]
    bob.send("PART #tea")
    assert bob.numerics("JOIN #tea") == ["473"], "one join only"


def test_invite_exception() -> None:
    """Invite-exception: 'they do not need to require an INVITE in order to join the channel'."""
    chat, ann, _ = open_tea()
    ann.send("MODE #tea +iI *!~bob@*")
    assert chat.irc_client("bob").numerics("JOIN #tea") == ["JOIN", "353", "366"]
    assert chat.irc_client("carol").numerics("JOIN #tea") == ["473"]


def test_invalid_invites() -> None:
    """Modern IRC, 'INVITE message': 'the server MUST reject the command with the
    ERR_NOTONCHANNEL ... they SHOULD reject it when the channel has invite-only mode set, and the
    user is not a channel operator ... ERR_USERONCHANNEL'."""
    chat, ann, (carol,) = open_tea("carol")
    bob = chat.irc_client("bob")
    assert ann.numerics("INVITE bob nowhere") == ["403"]
    assert bob.send("INVITE ann #tea") == [f"{SERVER} 442 bob #tea :you are not in #tea"]
    assert ann.send("INVITE nobody #tea") == [f"{SERVER} 401 ann nobody :No such nick/channel"]
    assert ann.send("INVITE carol #tea") == [f"{SERVER} 443 ann carol #tea :is already on channel"]
    assert ann.send("INVITE bob") == [f"{SERVER} 461 ann INVITE :Not enough parameters"]
    assert carol.send("INVITE bob #tea") == [f"{SERVER} 341 carol bob #tea"]
    ann.send("MODE #tea +i")
    assert carol.send("INVITE bob #tea")[-1] == (
        f"{SERVER} 482 carol #tea :you are not an operator of #tea"
    )


def test_invite_to_a_nonexistent_channel_is_forwarded() -> None:
    """RFC 2812 section 3.2.7: 'There is no requirement that the channel the target user is being
    invited to must exist'; 'Only the user inviting and the user being invited will receive
    notification of the invitation.'"""
    chat, ann, (carol,) = open_tea("carol")
    bob = chat.irc_client("bob")
    assert ann.send("INVITE BOB #Later") == [f"{SERVER} 341 ann bob #Later"]
    assert bob.lines() == [f"{ANN} INVITE bob #Later"]
    assert carol.lines() == []
    assert bob.send("INVITE") == [f"{SERVER} 337 bob :End of /INVITE list"]
    dave = chat.text_client("dave")
    ann.send("INVITE dave #later")
    assert dave.screen() == ["* ann invites you: /join #later"]


def test_invite_overrides_a_ban() -> None:
    """irctest, testInviteExemptsFromBan: 'INVITE should override a +b ban', and 'INVITE gets "used
    up" after one JOIN'."""
    chat, ann, _ = open_tea()
    ann.send("MODE #tea +b bob!*@*")
    bob = chat.irc_client("bob")
    assert bob.numerics("JOIN #tea") == ["474"]
    ann.send("INVITE bob #tea")
    assert bob.numerics("JOIN #tea") == ["INVITE", "JOIN", "353", "366"]
    ann.send("KICK #tea bob")
    assert bob.numerics("JOIN #tea") == ["KICK", "474"]


def test_invite_of_an_away_user() -> None:
    """RFC 2812 section 3.2.7, 'Numeric Replies': RPL_AWAY."""
    chat, ann, _ = open_tea()
    chat.irc_client("bob")
    member = chat.person("bob")
    chat.hub.set_away(member.clients[0], "out for lunch")
    chat.settle()
    assert ann.send("INVITE bob #tea") == [
        f"{SERVER} 341 ann bob #tea",
        f"{SERVER} 301 ann bob :out for lunch",
    ]


def test_invite_without_parameters_lists_invitations() -> None:
    """RPL_INVITELIST 336 and RPL_ENDOFINVITELIST 337, for channels with an invitation."""
    chat = IrcChat()
    ann = chat.irc_client("ann", joined="#a,#b,#c")
    bob = chat.irc_client("bob")
    ann.send("INVITE bob #a", "INVITE bob #c")
    bob.lines()
    assert bob.send("INVITE") == [
        f"{SERVER} 336 bob #a",
        f"{SERVER} 336 bob #c",
        f"{SERVER} 337 bob :End of /INVITE list",
    ]
    bob.send("JOIN #a")
    assert bob.send("INVITE")[0] == f"{SERVER} 336 bob #c"


def test_invite_notify() -> None:
    """invite-notify: 'a server may choose to only send the message to clients having channel op, or
    only to clients that have the privilege to do an /INVITE on the channel themselves.'"""
    chat = IrcChat()
    ann = chat.irc_client("ann", "invite-notify", joined="#tea")
    bob = chat.irc_client("bob", "invite-notify", joined="#tea")
    carol = chat.irc_client("carol", "invite-notify", joined="#tea")
    dave = chat.irc_client("dave", joined="#tea")
    ann.send("MODE #tea +hh bob dave")
    chat.irc_client("erin")
    for client in (ann, bob, carol, dave):
        client.lines()
    assert ann.send("INVITE erin #tea") == [f"{SERVER} 341 ann erin #tea"]
    assert bob.lines() == [f"{ANN} INVITE erin #tea"]
    assert carol.lines() == dave.lines() == []


def test_invite_of_a_text_client() -> None:
    chat, ann, _ = open_tea()
    dave = chat.text_client("dave")
    ann.send("MODE #tea +i", "INVITE dave #tea")
    assert dave.screen() == ["* ann invites you: /join #tea"]
    dave.type("/join #tea")
    assert ann.lines() == [":dave!text@localhost JOIN #tea"]


def test_invite_has_the_tags_of_its_sender() -> None:
    """bot-mode: 'This tag SHOULD be added by the server to all commands sent by a bot'."""
    chat, ann, _ = open_tea()
    bob = chat.irc_client("bob", "message-tags")
    ann.send("MODE ann +B", "INVITE bob #tea")
    assert [plain(line) for line in bob.lines()] == [f"@bot {ANN} INVITE bob #tea"]


# --- RENAME: https://ircv3.net/specs/extensions/channel-rename ---


def renamed(reason: str = "") -> tuple[IrcChat, IrcTestClient, IrcTestClient, IrcTestClient]:
    """A chat with bob, who lacks the capability, and ann and carol, who have it."""
    chat = IrcChat()
    ann = chat.irc_client("ann", "draft/channel-rename", joined="#boaring")
    bob = chat.irc_client("bob", joined="#boaring")
    carol = chat.irc_client("carol", "draft/channel-rename", joined="#boaring")
    ann.send("TOPIC #boaring :Yawn")
    for client in (ann, bob, carol):
        client.lines()
    return chat, ann, bob, carol


def test_rename() -> None:
    """'The server to client command MUST always include the third parameter, an empty string MAY be
    used if no reason is provided.'"""
    _, ann, _, carol = renamed()
    assert ann.send("RENAME #boaring #boring :Typo fix") == [
        f"{ANN} RENAME #boaring #boring :Typo fix"
    ]
    assert ann.send("RENAME #boring #fun") == [f"{ANN} RENAME #boring #fun :"]
    assert [command(line) for line in carol.lines()] == ["RENAME", "RENAME"]


def test_rename_fallback() -> None:
    """'Send the client a PART message for the old channel name, with part message matching the
    rename reason if given. Send the client a JOIN message followed by the usual messages that would
    be sent if the client had joined the new channel normally'."""
    chat, ann, bob, _ = renamed()
    erin = chat.irc_client("erin", "extended-join", "draft/no-implicit-names", joined="#boaring")
    ann.send("RENAME #boaring #boring :Typo fix")
    assert bob.lines() == [
        ":erin!~erin@localhost JOIN #boaring",
        f"{BOB} PART #boaring :Typo fix",
        f"{BOB} JOIN #boring",
        f"{SERVER} 332 bob #boring :Yawn",
        f"{SERVER} 333 bob #boring ann!~ann@localhost :1700000000",
        f"{SERVER} 353 bob = #boring :@ann bob carol erin",
        f"{SERVER} 366 bob #boring :End of /NAMES list",
    ]
    assert erin.lines()[:2] == [
        ":erin!~erin@localhost PART #boaring :Typo fix",
        ":erin!~erin@localhost JOIN #boring * :Erin",
    ]
    ann.send("RENAME #boring #fun")
    assert bob.lines()[0] == f"{BOB} PART #boring"
    assert erin.numerics("NAMES #fun")[-1] == "366"


def test_rename_by_a_client_without_the_capability() -> None:
    """'If a client sends a valid RENAME command without having negotiated the capability, the
    server SHOULD rename the channel, but use the fallback mechanism'."""
    _, ann, (bob,) = open_tea("bob")
    assert ann.numerics("RENAME #tea #coffee") == ["PART", "JOIN", "353", "366"]
    assert [command(line) for line in bob.lines()] == ["PART", "JOIN", "353", "366"]


@on_the_local_log("it looks at what one turn of the reactor writes")
def test_rename_fallback_in_a_large_channel_takes_several_turns() -> None:
    """The fallback of a thousand members takes seconds: each turn sends a part of it."""
    chat, ann, (bob,) = open_tea("bob")
    for number in range(600):
        chat.irc_client(f"somebody-with-a-long-name-{number}", joined="#tea")
    for client in (ann, bob):
        client.lines()

    ann.protocol.dataReceived(b"RENAME #tea #coffee\r\n")
    chat.hub.fanout.queue.flush()
    received = bob.transport.value().decode().split("\r\n")
    assert [command(line) for line in received[:2]] == ["PART", "JOIN"]
    assert received[2:] == [""]
    names = [line.partition(" :")[2].split() for line in bob.lines() if command(line) == "353"]
    assert sum(map(len, names)) == 602


def test_rename_in_case_only() -> None:
    """'Implementations MUST allow channels to be renamed while only changing the casing'; 'This
    fallback SHOULD NOT be used if the rename only changes the case of the channel name, as defined
    by the casemapping in use on the server.' ISUPPORT says that this is ascii."""
    chat, ann, bob, carol = renamed()
    assert ann.send("RENAME #boaring #Boaring") == [f"{ANN} RENAME #boaring #Boaring :"]
    assert command(carol.lines()[0]) == "RENAME"
    assert bob.lines() == []
    room = chat.hub.room("#boaring")
    assert room is not None
    assert room.name == "#Boaring"
    ann.send("JOIN #чай")
    bob.send("JOIN #чай")
    ann.lines()
    ann.send("RENAME #чай #Чай")
    assert bob.lines()[-4:-2] == [f"{BOB} PART #чай", f"{BOB} JOIN #Чай"]


def test_invalid_renames() -> None:
    """'FAIL RENAME CHANNEL_NAME_IN_USE <old-channel> <new-channel>', 'CANNOT_RENAME'; 'If existing
    error numerics (such as ERR_CHANOPRIVSNEEDED, ERR_NOTONCHANNEL, ERR_NEEDMOREPARAMS) are more
    appropriate, they SHOULD be used instead.'"""
    chat, ann, bob, _ = renamed()
    assert ann.send("RENAME #boaring #LOBBY") == [
        f"{SERVER} FAIL RENAME CHANNEL_NAME_IN_USE #boaring #LOBBY :there is a room #LOBBY already"
    ]
    (line,) = ann.send("RENAME #boaring %local")
    assert line.startswith(f"{SERVER} FAIL RENAME CANNOT_RENAME #boaring %local :")
    (line,) = ann.send("RENAME #boaring ::")
    assert line.startswith(f"{SERVER} FAIL RENAME CANNOT_RENAME #boaring * :")
    assert ann.numerics("RENAME #lobby #x") == ["442"]
    assert ann.numerics("RENAME #no #x") == ["403"]
    assert bob.numerics("RENAME #boaring #x") == ["482"]
    ann.send("JOIN #lobby")
    assert ann.numerics("RENAME #lobby #x") == ["FAIL"]
    bob.send("JOIN #mine")
    assert bob.send("RENAME #mine #lobby")[-1] == (
        f"{SERVER} NOTICE bob :RENAME: there is a room #lobby already"
    ), "a NOTICE without standard-replies"
    assert chat.hub.room("#boaring") is not None


def test_renames_are_rate_limited() -> None:
    """'limit ... to prevent abuse. For example flooding large channels with the fallback burst.'"""
    chat = IrcChat(nick_rate=Rate(0.1, 1.0))
    ann = chat.irc_client("ann", "draft/channel-rename", joined="#a")
    assert ann.numerics("RENAME #a #b") == ["RENAME"]
    assert ann.send("RENAME #b #c") == [
        f"{SERVER} FAIL RENAME CANNOT_RENAME #b #c :You rename too often; wait a moment"
    ]


def test_rename_in_the_text_frontend() -> None:
    chat, ann, _ = open_tea()
    dave = chat.text_client("dave")
    dave.type("/join #tea")
    ann.send("RENAME #tea #coffee :better")
    assert dave.screen() == ["* ann renamed #tea to #coffee: better"]
    dave.type("hello")
    assert ann.lines()[-1] == ":dave!text@localhost PRIVMSG #coffee :hello"
