"""AWAY and SETNAME.

Sources: the Modern IRC Client Protocol, "AWAY message" (https://modern.ircdocs.horse/#away-message),
and the IRCv3 specifications away-notify and setname.
"""

from __future__ import annotations

from chat.irc_chat import SERVER, IrcChat, join_three, tags


def test_away_and_back() -> None:
    """ "RPL_NOWAWAY (306)" and "RPL_UNAWAY (305)" """
    chat = IrcChat()
    ann = chat.irc_client("ann")
    away = [f"{SERVER} 306 ann :You have been marked as being away"]
    assert ann.send("AWAY :at lunch") == away
    assert ann.send("AWAY :at lunch") == away
    assert ann.send("AWAY") == [f"{SERVER} 305 ann :You are no longer marked as being away"]
    ann.send("AWAY :x")
    assert ann.numerics("AWAY :") == ["305"]


def test_away_is_sent_to_neighbours_with_away_notify() -> None:
    """ "clients will be sent an AWAY message when a user sharing a channel with them sets, changes
    or removes their away state" """
    chat = IrcChat()
    ann, bob, _ = join_three(chat, "away-notify")
    old = chat.irc_client("old", joined="#c")
    dan = chat.text_client("dan")
    dan.type("/join #c")
    for client in (ann, bob, old):
        client.lines()
    # the client itself gets the numeric only
    assert [line.split(" ")[1] for line in ann.send("AWAY :at lunch")] == ["306"]
    ann.send("AWAY")
    assert bob.lines() == [
        ":ann!~ann@localhost AWAY :at lunch",
        ":ann!~ann@localhost AWAY",
    ]
    assert old.lines() == []
    assert dan.type("/who")[-1].startswith("  In #c")


def test_join_while_away() -> None:
    """ "as well as when a user joins and has an away message set" """
    chat = IrcChat()
    _, bob, cid = join_three(chat, "away-notify")
    old = chat.irc_client("old", joined="#c")
    eve = chat.irc_client("eve")
    eve.send("AWAY :busy", "JOIN #c")
    joined, away = bob.lines()[-2:]
    assert joined == ":eve!~eve@localhost JOIN #c"
    assert away == ":eve!~eve@localhost AWAY :busy"
    assert cid.lines()[-2:] == [joined, away]
    assert old.lines() == [joined]


def test_long_away_message_is_truncated() -> None:
    chat = IrcChat()
    chat.irc_client("ann").send("AWAY :" + "ü" * 200)
    ann = chat.person("ann")
    assert ann.away == "ü" * 100


def test_setname() -> None:
    """ "they MUST send the server-to-client version of the SETNAME message to all clients in
    common channels, as well as to the client from which it originated" and "MUST NOT be sent to
    clients which do not have the setname capability negotiated" """
    chat = IrcChat()
    ann, bob, _ = join_three(chat, "setname")
    old = chat.irc_client("old", joined="#c")
    for client in (ann, bob):
        client.lines()
    line = ":ann!~ann@localhost SETNAME :Bruce Wayne <bruce@wayne.enterprises>"
    assert ann.send("SETNAME :Bruce Wayne <bruce@wayne.enterprises>") == [line]
    assert bob.lines() == [line]
    assert old.lines() == []
    # "If a client sends a SETNAME command without having negotiated the capability, the server
    # SHOULD handle it silently"
    assert old.send("SETNAME Batman") == []
    assert bob.lines() == [":old!~old@localhost SETNAME :Batman"]


def test_invalid_real_names() -> None:
    """ "FAIL SETNAME INVALID_REALNAME :Realname is not valid" """
    ann = IrcChat().irc_client("ann", "setname")
    for name in ("", "x" * 151):
        [received] = ann.send(f"SETNAME :{name}")
        assert received.startswith(f"{SERVER} FAIL SETNAME INVALID_REALNAME :")
    assert ann.numerics("SETNAME") == ["461"]


def test_chghost() -> None:
    """chghost: ":nick!old_user@old_host.local CHGHOST new_user new_host.local" """
    chat = IrcChat()
    ann, bob, _ = join_three(chat, "chghost")
    old = chat.irc_client("old", joined="#c")
    for client in (ann, bob):
        client.lines()
    member = chat.person("ann")
    chat.hub.set_host(member.clients[0], "cloak.example")
    line = ":ann!~ann@localhost CHGHOST ~ann cloak.example"
    assert [ann.lines(), bob.lines(), old.lines()] == [[line], [line], []]
    ann.send("PRIVMSG #c :hi")
    assert bob.lines() == [":ann!~ann@cloak.example PRIVMSG #c :hi"]


def test_messages_of_a_bot_have_the_bot_tag() -> None:
    """bot-mode: "This tag SHOULD be added by the server to all commands sent by a bot"."""
    chat = IrcChat()
    ann, bob, _ = join_three(chat, "message-tags")
    member = chat.person("ann")
    member.bot = True
    member.update_identity()
    ann.send("PRIVMSG #c :hi", "@+x TAGMSG #c", "NOTICE bob :hi", "AWAY :x")
    assert ["bot" in tags(line) for line in bob.lines()] == [True, True, True]
