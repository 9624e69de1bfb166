"""PRIVMSG, NOTICE, TAGMSG, REDACT and RELAYMSG, with text clients as well.

Sources: the Modern IRC Client Protocol, "Sending Messages"
(https://modern.ircdocs.horse/#sending-messages), and the IRCv3 specifications message-tags,
echo-message, message-redaction and relaymsg.
"""

from __future__ import annotations

from typing import Any

import pytest
from chat.doubles import change_modes
from chat.irc_chat import SERVER, IrcChat, IrcTestClient, command, join_three, plain, tags

from tcpd.chat.irc.commands.messages import Target
from tcpd.chat.people import Person
from tcpd.chat.split import ALWAYS_FITS, room_for
from tcpd.events.chat import Change, Kind, Mode

# --- targets ---


def test_several_targets() -> None:
    """ "PRIVMSG <target>{,<target>} <text to be sent>" """
    chat = IrcChat()
    ann, bob, cid = join_three(chat)
    dan = chat.text_client("dan")
    dan.screen()
    assert ann.send("PRIVMSG bob,#c,,dan :hi all") == []
    assert bob.lines() == [
        ":ann!~ann@localhost PRIVMSG bob :hi all",
        ":ann!~ann@localhost PRIVMSG #c :hi all",
    ]
    assert cid.lines() == [":ann!~ann@localhost PRIVMSG #c :hi all"]
    assert dan.screen() == ["[private] <ann> hi all"]


@pytest.mark.parametrize("verb", ["PRIVMSG", "TAGMSG"])
def test_targets_are_limited(verb: str) -> None:
    """TARGMAX, and RFC 2812: ERR_TOOMANYTARGETS "<target> :<error code> recipients. <abort
    message>" """
    ann, bob, _ = join_three(IrcChat(), "message-tags")
    received = ann.send(f"{verb} #c,bob,cid,ann,bob :hi")
    assert received == [f"{SERVER} 407 ann bob :At most 4 targets. Your message was not delivered"]
    assert bob.lines() == []
    assert ann.send("NOTICE #c,bob,cid,ann,bob :hi") == []
    assert bob.lines() == []


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("PRIVMSG", "411 ann :No recipient given (PRIVMSG)"),
        ("PRIVMSG , :hi", "411 ann :No recipient given (PRIVMSG)"),
        ("PRIVMSG bob", "412 ann :No text to send"),
        ("PRIVMSG bob :", "412 ann :No text to send"),
        ("PRIVMSG eve :hi", "401 ann eve :there is no nickname eve"),
        ("PRIVMSG #nowhere :hi", "403 ann #nowhere :there is no room #nowhere"),
        ("PRIVMSG #other :hi", "404 ann #other :you are not in #other"),
        ("PRIVMSG @bob :hi", "401 ann @bob :there is no nickname @bob"),
        ("TAGMSG", "411 ann :No recipient given (TAGMSG)"),
        ("TAGMSG eve", "401 ann eve :there is no nickname eve"),
        ("TAGMSG #other", "404 ann #other :you are not in #other"),
    ],
)
def test_errors_of_messages(line: str, answer: str) -> None:
    chat = IrcChat()
    chat.irc_client("bob", joined="#other")
    ann = chat.irc_client("ann", "message-tags")
    [received] = ann.send(line)
    assert received.startswith(f"{SERVER} {answer}")


@pytest.mark.parametrize(
    "rest", ["", " ,", " bob", " bob :", " eve :hi", " #nowhere :hi", " #other :hi"]
)
def test_notice_gets_no_error(rest: str) -> None:
    """ "they must not send any error back to the client on receipt of a NOTICE command" """
    chat = IrcChat()
    chat.irc_client("bob", joined="#other")
    assert chat.irc_client("ann").send(f"NOTICE{rest}") == []


def test_message_to_a_moderated_channel() -> None:
    """ "If a message cannot be delivered to a channel, the server SHOULD respond with an
    ERR_CANNOTSENDTOCHAN" """
    chat = IrcChat()
    ann, bob, _ = join_three(chat)
    change_modes_of_c(chat, Change(True, Mode.MODERATED))
    bob.lines()
    [received] = bob.send("PRIVMSG #c :hi")
    assert received.startswith(f"{SERVER} 404 bob #c :")
    assert bob.send("NOTICE #c :hi") == []
    assert [line for line in ann.lines() if "PRIVMSG" in line] == []


def change_modes_of_c(chat: IrcChat, *changes: Change) -> None:
    """Change modes of #c as Ann."""
    ann = chat.person("ann")
    assert change_modes(chat.hub, ann.clients[0], "#c", changes) == []
    chat.settle()


@pytest.mark.parametrize("bad", [b"PRIVMSG #c :\xff", b"PRIVMSG #c :" + b"x" * 510, b"NOSUCH"])
def test_parse_error_follows_earlier_echoes(bad: bytes) -> None:
    ann, _, _ = join_three(IrcChat(), "echo-message")
    received = ann.raw(b"PRIVMSG #c :one\r\nPRIVMSG #c :two\r\n" + bad + b"\r\n").decode()
    assert [command(line) for line in received.split("\r\n")[:2]] == ["PRIVMSG", "PRIVMSG"]


def test_errors_and_echoes_keep_their_order() -> None:
    ann, _, _ = join_three(IrcChat(), "echo-message")
    received = ann.raw(
        b"PRIVMSG #c :one\r\nPRIVMSG #x :two\r\nPRIVMSG #c :\xff\r\nPRIVMSG #c :four\r\n"
    )
    assert [command(line) for line in received.decode().split("\r\n")[:-1]] == [
        "PRIVMSG",
        "403",
        "FAIL",
        "PRIVMSG",
    ]


# --- STATUSMSG ---


@pytest.mark.parametrize(
    ("prefix", "shown", "recipients"),
    [
        ("@", "@", {"ann"}),
        ("%", "%", {"ann", "bob"}),
        ("+", "+", {"ann", "bob", "cid"}),
        ("@%", "%", {"ann", "bob"}),
        ("+@", "+", {"ann", "bob", "cid"}),
    ],
)
def test_statusmsg(prefix: str, shown: str, recipients: set[str]) -> None:
    """ "the message will be delivered only to the members of that channel with the given or higher
    status in the channel"; "PRIVMSG @%#bunny ... is functionally identical" to %#bunny."""
    chat = IrcChat()
    ann, bob, cid = join_three(chat)
    dan = chat.irc_client("dan", joined="#c")
    eve = chat.irc_client("eve", joined="#c")
    change_modes_of_c(
        chat,
        Change(True, Mode.HALF_OPERATOR, argument="bob"),
        Change(True, Mode.VOICE, argument="cid"),
    )
    clients = {"ann": ann, "bob": bob, "cid": cid, "dan": dan, "eve": eve}
    for client in clients.values():
        client.lines()
    assert eve.send(f"PRIVMSG {prefix}#c :psst") == []
    delivered = {nick: client.lines() for nick, client in clients.items()}
    assert {nick for nick, lines in delivered.items() if lines} == recipients
    assert delivered["ann"] == [f":eve!~eve@localhost PRIVMSG {shown}#c :psst"]


def test_statusmsg_to_a_text_client() -> None:
    chat = IrcChat()
    dan = chat.text_client("dan")
    dan.type("/join #c")
    bob = chat.irc_client("bob", joined="#c")
    dan.screen()
    bob.send("PRIVMSG @#c :psst")
    assert dan.screen() == ["@#c <bob> psst"]


@pytest.mark.parametrize("word", ["#c", "@#c", "@+#c", "nick", "@nick", "", "@", "+%@#c"])
def test_target_parsing(word: str) -> None:
    target = Target.of(word)
    assert target.is_room == ("#" in word)
    assert target.name == (word.lstrip("@%+") if target.is_room else word)


# --- CTCP ---


def test_action_in_both_frontends() -> None:
    """CTCP ACTION is /me of the text frontend."""
    chat = IrcChat()
    ann, bob, _ = join_three(chat)
    dan = chat.text_client("dan")
    dan.type("/join #c")
    bob.lines()
    ann.send("PRIVMSG #c :\x01ACTION pours tea\x01", "PRIVMSG #c :\x01ACTION sips")
    assert dan.screen() == ["#c * ann pours tea", "#c * ann sips"]
    assert bob.lines() == [
        ":ann!~ann@localhost PRIVMSG #c :\x01ACTION pours tea\x01",
        ":ann!~ann@localhost PRIVMSG #c :\x01ACTION sips\x01",
    ]
    dan.type("/me waves")
    assert bob.lines() == [":dan!text@localhost PRIVMSG #c :\x01ACTION waves\x01"]


@pytest.mark.parametrize("text", ["\x01VERSION\x01", "\x01ACTION\x01", "\x01ACTION \x01"])
def test_other_ctcp_is_relayed_unchanged(text: str) -> None:
    ann, bob, _ = join_three(IrcChat())
    ann.send(f"PRIVMSG bob :{text}", f"NOTICE bob :{text}")
    assert bob.lines() == [
        f":ann!~ann@localhost PRIVMSG bob :{text}",
        f":ann!~ann@localhost NOTICE bob :{text}",
    ]


# --- RPL_AWAY ---


def test_message_to_an_away_user() -> None:
    """ "If <target> is a user and that user has been set as away, the server may reply with an
    RPL_AWAY (301) numeric and the command will continue." """
    chat = IrcChat()
    ann, bob, _ = join_three(chat, "message-tags")
    dan = chat.text_client("dan")
    bob.send("AWAY :at lunch")
    assert ann.send("PRIVMSG bob :hi") == [f"{SERVER} 301 ann bob :at lunch"]
    assert ann.send("NOTICE bob :hi", "@+typing=done TAGMSG bob", "PRIVMSG #c :hi") == []
    assert len(bob.lines()) == 4
    dan.screen()
    assert dan.type("/msg bob hi") == ["[private to bob] <dan> hi", "  bob is away: at lunch"]


# --- length ---


LONG_NICK, LONG_HOST = "a" * 30, "h" * 63


def people_with_long_names(chat: IrcChat, *caps: str) -> tuple[IrcTestClient, IrcTestClient, Any]:
    """Ann, an operator who sends; Bob, an operator by IRC; Dan, by text: all in #c."""
    bob = chat.irc_client("bob", *caps, joined="#c")
    ann = chat.irc_client(LONG_NICK, *caps, joined="#c")
    bob.send(f"MODE #c +o {LONG_NICK}")
    dan = chat.text_client("dan")
    dan.type("/join #c")
    for each in list(chat.hub.people):
        chat.hub.set_host(each.clients[0], LONG_HOST)
    for client in (ann, bob):
        client.lines()
    dan.screen()
    return ann, bob, dan


@pytest.mark.parametrize(
    ("prefix", "relayed", "wrapped"),
    [
        ("PRIVMSG #C :", "PRIVMSG #c :", "{}"),
        ("NOTICE #c :", "NOTICE #c :", "{}"),
        ("PRIVMSG @#c :", "PRIVMSG @#c :", "{}"),
        ("NOTICE +#c :", "NOTICE +#c :", "{}"),
        ("PRIVMSG bob :", "PRIVMSG bob :", "{}"),
        ("@+x=y PRIVMSG #c :", "PRIVMSG #c :", "{}"),
        ("PRIVMSG #c :", "PRIVMSG #c :", "\x01ACTION {}\x01"),
        ("PRIVMSG bob :", "PRIVMSG bob :", "\x01ACTION {}\x01"),
        ("PRIVMSG bob :", "PRIVMSG bob :", "\x01PING {}\x01"),
        ("NOTICE bob :", "NOTICE bob :", "\x01ACTION {}\x01"),
    ],
)
@pytest.mark.parametrize("letter", ["x", "ü", "茶", "😀"])
def test_longest_message_is_relayed_whole(
    prefix: str, relayed: str, wrapped: str, letter: str
) -> None:
    """RFC 2812 section 2.3: "IRC messages ... SHALL NOT exceed 512 characters in length, counting
    all characters including the trailing CR-LF". One byte more is refused: Modern IRC,
    ERR_INPUTTOOLONG, "Indicates a given line does not follow the specified size limits"."""
    chat = IrcChat()
    ann, bob, dan = people_with_long_names(chat, "message-tags")
    head = f":{LONG_NICK}!~{'a' * 11}@{LONG_HOST} {relayed}"
    room = 510 - len((head + wrapped.format("")).encode())
    text = letter * (room // len(letter.encode()))
    text += "." * (room - len(text.encode()))
    assert ann.send(prefix + wrapped.format(text)) == []
    (line,) = bob.lines()
    assert plain(line).rpartition("@+x=y ")[2] == head + wrapped.format(text)
    delivered = dan.screen()
    assert len(delivered) == (relayed.split()[1] == "#c")
    quiet = relayed.startswith("NOTICE")
    assert ann.numerics(prefix + wrapped.format(text + ".")) == ([] if quiet else ["417"])
    assert bob.lines() == []
    assert dan.screen() == []


def test_message_too_long_for_one_target_is_sent_to_none() -> None:
    """Otherwise the sender could not know which targets received it."""
    chat = IrcChat()
    ann, bob, _ = people_with_long_names(chat)
    cid = chat.irc_client("c" * 30)
    room = room_for(chat.person(LONG_NICK), "bob")
    assert ann.numerics(f"PRIVMSG bob,{'c' * 30} :{'x' * room}") == ["417"]
    assert bob.lines() == cid.lines() == []
    assert ann.numerics(f"PRIVMSG bob,nobody :{'x' * room}") == ["401"]
    assert len(bob.lines()) == 1


def test_too_long_message_is_answered_with_its_label() -> None:
    chat = IrcChat()
    ann, bob, _ = people_with_long_names(chat, "batch", "labeled-response")
    assert plain(*ann.send(f"@label=x PRIVMSG #c :{'x' * 450}")).startswith(
        f"@label=x {SERVER} 417 {LONG_NICK} :Input line was too long"
    )
    assert bob.lines() == []


def test_length_of_an_action_includes_its_end() -> None:
    """The server completes CTCP ACTION with the final 0x01."""
    chat = IrcChat()
    ann, bob, _ = people_with_long_names(chat)
    room = room_for(chat.person(LONG_NICK), "bob", Kind.ACTION)
    assert ann.numerics(f"PRIVMSG bob :\x01ACTION {'x' * (room + 1)}") == ["417"]
    assert ann.send(f"PRIVMSG bob :\x01ACTION {'x' * room}") == []
    (line,) = bob.lines()
    assert line.endswith(" :\x01ACTION " + "x" * room + "\x01")
    assert len(line.encode()) == 510


@pytest.mark.parametrize("letter", ["x", "é", "茶", "e\u0301"])
@pytest.mark.parametrize("command", ["", "/me ", "/msg bob ", "/msg #c "])
def test_long_text_is_split_by_the_text_frontend(command: str, letter: str) -> None:
    """docs/reference/chat.rst, On the wire. Each piece of an action is a CTCP ACTION."""
    chat = IrcChat()
    _, bob, dan = people_with_long_names(chat)
    text = letter * 700
    dan.type(command + text)
    pieces = [line.partition(" :")[2] for line in bob.lines()]
    assert len(pieces) > 1
    if command == "/me ":
        assert all(piece.startswith("\x01ACTION ") and piece[-1] == "\x01" for piece in pieces)
        pieces = [piece[8:-1] for piece in pieces]
    else:
        assert not any("\x01" in piece for piece in pieces)
    assert "".join(pieces) == text


def test_nick_and_host_changes_affect_the_length() -> None:
    """CHGHOST and NICK change the source of later messages."""
    chat = IrcChat()
    ann = chat.irc_client("ann", joined="#c")
    bob = chat.irc_client("bob", joined="#c")
    ann.lines()
    text = "x" * (510 - len(":ann!~ann@localhost PRIVMSG #c :"))
    assert ann.send(f"PRIVMSG #c :{text}") == []
    chat.hub.set_host(chat.person("ann").clients[0], "localhost.")
    chat.settle()
    assert ann.numerics(f"PRIVMSG #c :{text}") == ["417"]
    chat.hub.set_host(chat.person("ann").clients[0], "localhos")
    chat.settle()
    assert ann.send(f"PRIVMSG #c :{text}.") == []
    ann.send("NICK annie")
    assert ann.numerics(f"PRIVMSG #c :{text}") == ["417"]
    assert [len(line) for line in bob.lines() if " PRIVMSG " in line] == [510, 510]


def test_longest_names_leave_room_for_text() -> None:
    """RFC 1459 section 2.3: 512 bytes, with source and target."""
    chat = IrcChat()
    chat.irc_client("ann")
    member = chat.hub.person("ann")
    assert isinstance(member, Person)
    assert room_for(member, "#c") == 512 - len(":ann!~ann@localhost PRIVMSG #c :\r\n")
    member.nick = "ü" * 32
    member.user = "u" * 12
    member.host = "h" * 63
    member.update_identity()
    for kind in Kind:
        assert room_for(member, "@#" + "r" * 100, kind, "ü" * 32) >= ALWAYS_FITS


# --- tags ---


def test_client_only_tags_are_relayed() -> None:
    """ "Client-only tags are client-initiated tags that servers MUST attach as-is to any relevant
    message relayed to other clients"; "Tags without the client-only prefix MUST be removed" """
    chat = IrcChat()
    ann = chat.irc_client("ann", "message-tags", joined="#c")
    bob = chat.irc_client("bob", "message-tags", "server-time", joined="#c")
    cid = chat.irc_client("cid", joined="#c")
    bob.lines()
    ann.lines()
    ann.send("@+draft/reply=1;own=2;+x=a\\sb PRIVMSG #c :hi", "@+x NOTICE bob :ho")
    first, second = bob.lines()
    # "Any server-initiated tags attached to messages MUST be included before client-only tags"
    assert list(tags(first)) == ["time", "msgid", "+draft/reply", "+x"]
    assert tags(first)["+x"] == "a\\sb"
    assert list(tags(second)) == ["time", "msgid", "+x"]
    assert cid.lines() == [":ann!~ann@localhost PRIVMSG #c :hi"]


def test_tagmsg() -> None:
    """ "This message MUST be delivered to targets in the same way as PRIVMSG and NOTICE messages";
    "Servers MUST NOT deliver TAGMSG to clients that haven't negotiated the message tags
    capability." """
    chat = IrcChat()
    ann = chat.irc_client("ann", "message-tags", "echo-message", joined="#c")
    bob = chat.irc_client("bob", "message-tags", joined="#c")
    cid = chat.irc_client("cid", joined="#c")
    dan = chat.text_client("dan")
    dan.type("/join #c")
    for client in (ann, bob, cid):
        client.lines()
    echo = ann.send("@+typing=active TAGMSG #c")
    received = bob.lines()
    assert echo == received
    assert plain(received[0]) == "@+typing=active :ann!~ann@localhost TAGMSG #c"
    assert cid.lines() == []
    assert dan.screen() == []
    assert cid.send("TAGMSG #c") == [f"{SERVER} 421 cid TAGMSG :Unknown command"]
    # "The server removes the tag before relaying the message"
    ann.send("@unknown-tag TAGMSG @#c")
    assert bob.lines() == []
    ann.send("@unknown-tag TAGMSG bob")
    assert [plain(line) for line in bob.lines()] == [":ann!~ann@localhost TAGMSG bob"]


@pytest.mark.parametrize(
    ("denied", "passed"), [(("typing",), "+draft/react"), (("*", "-typing"), "+typing")]
)
def test_denied_tags_are_not_relayed(denied: tuple[str, ...], passed: str) -> None:
    """CLIENTTAGDENY"""
    chat = IrcChat(deny_tags=denied)
    ann, bob, _ = join_three(chat, "message-tags", "labeled-response", "batch")
    assert any(f"CLIENTTAGDENY={','.join(denied)}" in line for line in ann.send("ISUPPORT"))
    ann.send("@+typing=active;+draft/react=1 TAGMSG #c")
    [line] = bob.lines()
    assert set(tags(line)) == {"msgid", passed}
    other = {"+typing", "+draft/react"} - {passed}
    assert ann.send(f"@label=x;{other.pop()} TAGMSG #c") == [f"@label=x {SERVER} ACK"]
    assert bob.lines() == []


def test_invalid_tag_names_are_not_relayed() -> None:
    """message-tags, "Rules for naming message tags"; the message itself is relayed."""
    chat = IrcChat()
    ann, bob, _ = join_three(chat, "message-tags", "labeled-response", "batch")
    ann.send("@+ok=1;+\x1b[31m=2;+a_b=3;+ex*/a PRIVMSG #c :hi")
    [line] = bob.lines()
    assert line.endswith(" PRIVMSG #c :hi")
    assert {name: value for name, value in tags(line).items() if name[0] == "+"} == {"+ok": "1"}
    assert ann.send("@label=x;+a_b=3 TAGMSG #c") == [f"@label=x {SERVER} ACK"]
    assert bob.lines() == []


@pytest.mark.parametrize("size", [4095, 8192, 16000])
@pytest.mark.parametrize("line", ["PRIVMSG #c :hi", "TAGMSG #c", "NOTICE #c :hi", "PING x"])
def test_too_long_tags_are_refused(line: str, size: int) -> None:
    """message-tags: 'Servers MUST reply with the ERR_INPUTTOOLONG (417) error numeric if a client
    sends a message with more tag data than the allowed limit.' The connection stays."""
    ann, bob, _ = join_three(IrcChat(), "message-tags")
    data = f"+a={'x' * (size - 3)}"
    assert ann.send(f"@{data} {line}") == [f"{SERVER} 417 ann :Input line was too long"]
    assert bob.lines() == []
    most = f"+a={'x' * 4091}"
    ann.send(f"@{most} PRIVMSG #c :hi")
    [received] = bob.lines()
    assert f"+a={'x' * 4091}" in received
    assert len(received.partition(" ")[0]) + 1 <= 8191


# --- echo-message ---


def test_messages_are_echoed() -> None:
    """ "servers MUST send PRIVMSG and NOTICE messages back to the client that sent them" """
    chat = IrcChat()
    ann, bob, _ = join_three(chat, "echo-message", "message-tags", "server-time")
    for line in (
        "PRIVMSG #c :hi",
        "NOTICE #c :hi",
        "@+x=1 PRIVMSG #c :hi",
        "@+x TAGMSG #c",
        "PRIVMSG bob :hi",
        "NOTICE bob :hi",
        "@+x TAGMSG bob",
        "PRIVMSG +#c :hi",
    ):
        echo = ann.send(line)
        assert len(echo) == 1
        if "+#c" not in line:
            # the same time and msgid for all
            assert echo == bob.lines()
        assert {"time", "msgid"} <= set(tags(echo[0]))


def test_message_to_oneself_is_echoed_and_delivered() -> None:
    """ "When a client sends a private message to its own nick, echo-message will result in
    duplicate messages being sent by the server" """
    chat = IrcChat()
    ann = chat.irc_client("ann", "echo-message")
    assert ann.send("PRIVMSG ann :hi") == [":ann!~ann@localhost PRIVMSG ann :hi"] * 2
    bob = chat.irc_client("bob")
    assert bob.send("PRIVMSG bob :hi") == [":bob!~bob@localhost PRIVMSG bob :hi"]


def test_message_from_outside_is_echoed_once() -> None:
    chat = IrcChat()
    chat.irc_client("ann", joined="#c")
    change_modes_of_c(chat, Change(False, Mode.NO_OUTSIDERS))
    out = chat.irc_client("out", "echo-message")
    assert out.send("PRIVMSG #c :hi") == [":out!~out@localhost PRIVMSG #c :hi"]


# --- msgid ---


def test_msgid_is_the_same_for_all() -> None:
    chat = IrcChat()
    ann, bob, cid = join_three(chat, "echo-message", "message-tags")
    echo = ann.send("PRIVMSG #c,bob :hi")
    first, second = bob.lines()
    assert [tags(line)["msgid"] for line in echo] == [
        tags(line)["msgid"] for line in (first, second)
    ]
    assert tags(first)["msgid"] == tags(cid.lines()[0])["msgid"] != tags(second)["msgid"]


# --- draft/message-redaction ---

REDACTING = ("message-tags", "echo-message", "draft/message-redaction")


def msgid(client: IrcTestClient, line: str) -> str:
    return tags(client.send(line)[-1])["msgid"]


def test_redaction_by_the_sender() -> None:
    """ "SHOULD forward this REDACT, with an appropriate prefix, to the target recipients that have
    negotiated the draft/message-redaction capability ... MUST not forward this REDACT to target
    recipients that have not" """
    chat = IrcChat()
    ann, bob, cid = join_three(chat, *REDACTING)
    old = chat.irc_client("old", joined="#c")
    dan = chat.text_client("dan")
    dan.type("/join #c")
    id = msgid(bob, "PRIVMSG #c :oops")
    for client in (ann, bob, cid, old):
        client.lines()
    dan.screen()
    received = bob.send(f"REDACT #c {id} :wrong room")
    assert [plain(line) for line in received] == [f":bob!~bob@localhost REDACT #c {id} :wrong room"]
    assert ann.lines() == cid.lines() == received
    assert old.lines() == []
    assert dan.screen() == ["* bob deleted a message in #c: wrong room"]
    assert not chat.kept_messages("#c")


def test_redaction_by_an_operator() -> None:
    chat = IrcChat()
    ann, bob, _ = join_three(chat, *REDACTING)
    id = msgid(bob, "PRIVMSG #c :spam")
    ann.lines()
    received = ann.send(f"REDACT #c {id}")
    assert [plain(line) for line in received] == [f":ann!~ann@localhost REDACT #c {id}"]


def test_refused_redactions() -> None:
    """FAIL REDACT INVALID_TARGET, REDACT_FORBIDDEN, UNKNOWN_MSGID"""
    chat = IrcChat()
    ann, bob, _ = join_three(chat, *REDACTING)
    chat.irc_client("dan", joined="#d")
    id = msgid(ann, "PRIVMSG #c :hi")
    private = msgid(bob, "PRIVMSG ann :hi")
    bob.lines()
    for line, answer in (
        (f"REDACT #c {id}", f"REDACT_FORBIDDEN #c {id}"),
        ("REDACT #c nosuch", "UNKNOWN_MSGID #c nosuch"),
        ("REDACT #c :no such :x", "UNKNOWN_MSGID #c no"),
        (f"REDACT #d {id}", "INVALID_TARGET #d"),
        (f"REDACT #nowhere {id}", "INVALID_TARGET #nowhere"),
        # private messages are not kept: their senders are unknown
        (f"REDACT ann {private}", "INVALID_TARGET ann"),
    ):
        [received] = bob.send(line)
        assert received.startswith(f"{SERVER} FAIL REDACT {answer} :")
    assert bob.numerics("REDACT #c") == ["461"]


# --- draft/relaymsg ---


def test_relaymsg() -> None:
    """ "the IRCd will translate the message to a PRIVMSG: @relaymsg=<botnick>
    :spoofednick!<ident>@<host> PRIVMSG <channel> :<message>" """
    chat = IrcChat()
    ann = chat.irc_client("ann", "draft/relaymsg", "echo-message", joined="#c")
    bob = chat.irc_client("bob", "draft/relaymsg", joined="#c")
    cid = chat.irc_client("cid", joined="#c")
    dan = chat.text_client("dan")
    dan.type("/join #c")
    for client in (ann, bob, cid):
        client.lines()
    received = ann.send("RELAYMSG #c smt/discord :hi there")
    line = ":smt/discord!~ann@localhost PRIVMSG #c :hi there"
    assert received == bob.lines() == [f"@draft/relaymsg=ann {line}"]
    assert cid.lines() == [line]
    assert dan.screen() == ["#c <smt/discord> hi there"]


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("RELAYMSG #c regular :hi", "FAIL RELAYMSG INVALID_NICK :"),
        ("RELAYMSG #c in!valid/x :hi", "FAIL RELAYMSG INVALID_NICK :"),
        ("RELAYMSG #c in\u00a0valid/x :hi", "FAIL RELAYMSG INVALID_NICK :"),
        ("RELAYMSG #c in\x02valid/x :hi", "FAIL RELAYMSG INVALID_NICK :"),
        (f"RELAYMSG #c {'x' * 30}/ :hi", "FAIL RELAYMSG INVALID_NICK :"),
        ("RELAYMSG #c a/b :", "412 bob :No text to send"),
        ("RELAYMSG #c a/b :hi", "FAIL RELAYMSG PRIVS_NEEDED :"),
        ("RELAYMSG #lobby a/b :hi", "442 bob #lobby :"),
        ("RELAYMSG #nowhere a/b :hi", "403 bob #nowhere :"),
        ("RELAYMSG #c a/b", "461 bob RELAYMSG :"),
    ],
)
def test_refused_relaymsg(line: str, answer: str) -> None:
    """ "Servers MUST also sanitize or reject nicks that contain reserved IRC characters" and
    "should take steps to verify that the caller is authorized" """
    ann, bob, _ = join_three(IrcChat(), "draft/relaymsg")
    [received] = bob.send(line)
    assert received.startswith(f"{SERVER} {answer}")
    assert ann.lines() == []


def test_longest_relaymsg_is_relayed_whole() -> None:
    """The length depends on the relayed nickname. A longer one gets 417."""
    chat = IrcChat()
    ann, bob, _ = join_three(chat)
    speaker = "ü" * 20 + "/x"
    room = 510 - len(f":{speaker}!~ann@localhost PRIVMSG #c :".encode())
    assert ann.numerics(f"RELAYMSG #c {speaker} :{'y' * (room + 1)}") == ["417"]
    assert bob.lines() == []
    ann.send(f"RELAYMSG #c {speaker} :{'y' * room}")
    (line,) = bob.lines()
    assert line.endswith(f" :{'y' * room}")


# --- server-time ---


def test_every_line_has_a_time_tag() -> None:
    """server-time: "Servers MAY include the timestamp in messages when they see fit"."""
    chat = IrcChat()
    ann = chat.irc_client()
    ann.send("CAP LS 302", "CAP REQ :server-time batch draft/extended-isupport labeled-response")
    received = ann.send("FOO", "PING x", "NICK ann", "USER a 0 * :A", "CAP END", "JOIN #c")
    received += ann.send(
        "PRIVMSG #x :hi", "@label=x ISUPPORT", "@label=y PONG x", "PRIVMSG ann :hi"
    )
    received += ann.raw(b"\xff\r\nQUIT\r\n").decode().split("\r\n")[:-1]
    assert [line for line in received if "time" not in tags(line)] == []
    assert command(received[-1]) == "ERROR"
