"""OPER, KILL, WALLOPS and REHASH, and password checks in threads."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from chat.irc_chat import SERVER, IrcChat, IrcTestClient, threaded_chat
from chat.transports import over_tcp

from tcpd.chat.irc.credentials import GATEWAYS, OPERATORS
from tcpd.policy.checks import CONCURRENT, QUEUED_PER_ADDRESS, Checks
from tcpd.policy.passwords import PasswordHash, hash_password

SECRET = "correct horse"
HASH = hash_password(SECRET)
OPERATED = {"operators": OPERATORS.parse(f"root {HASH}\nann {hash_password('other')}")}


def oper(client: IrcTestClient, name: str = "root", password: str = SECRET) -> list[str]:
    return client.send(f"OPER {name} :{password}") + client.lines() + client.lines()


def operator_client(chat: IrcChat, nick: str, *caps: str) -> IrcTestClient:
    """A client with server operator privileges."""
    client = chat.irc_client(nick, *caps)
    assert oper(client)
    client.lines()
    return client


@over_tcp("the peer's address is in the log")
def test_oper(events: Any) -> None:
    """Modern IRC, "OPER message": RPL_YOUREOPER, 'The client will also receive a MODE message'."""
    chat = threaded_chat(**OPERATED)
    ann = chat.irc_client("ann")
    assert oper(ann) == [
        ":ann!~ann@localhost MODE ann +o",
        f"{SERVER} 381 ann :You are now an IRC operator",
    ]
    assert chat.person("ann").server_operator
    assert chat.hub.state.server_operators == 1
    assert events.ids() == ["operator.command"]
    assert events.texts() == ["operator ann at unix by chat: OPER root"]
    assert oper(ann) == [f"{SERVER} 381 ann :You are now an IRC operator"]


@over_tcp("the peer's address is in the log")
@pytest.mark.parametrize(("name", "known"), [("root", "root"), ("rooot", ""), (SECRET, "")])
def test_wrong_name_and_wrong_password_get_the_same_reply(
    name: str, known: str, events: Any
) -> None:
    """ERR_PASSWDMISMATCH. The log has the configured name, never what the client sent."""
    chat = threaded_chat(**OPERATED)
    ann = chat.irc_client("ann")
    password = f"wrong {SECRET}"
    assert oper(ann, name.split()[0], password) == [f"{SERVER} 464 ann :Password incorrect"]
    assert not chat.person("ann").server_operator
    assert events.texts() == [
        f"service chat: OPER from unix as {known} was refused: wrong name or password"
    ]
    assert chat.counters["operators-refused"] == 1


def test_three_failures_close_the_connection() -> None:
    chat = threaded_chat(**OPERATED)
    ann = chat.irc_client("ann")
    oper(ann, password="x")
    oper(ann, password="x")
    assert oper(ann, password="x") == [
        f"{SERVER} 464 ann :Password incorrect",
        "ERROR :Closing Link: ann (Too many wrong passwords)",
    ]
    assert ann.closed


def test_oper_without_configured_operators() -> None:
    """ERR_NOOPERHOST: the client 'is not allowed to become an operator'; ERR_NEEDMOREPARAMS."""
    ann = IrcChat().irc_client("ann")
    assert oper(ann) == [f"{SERVER} 491 ann :No O-lines for your host"]
    assert ann.numerics("OPER root") == ["461"]


def test_oper_is_refused_on_insecure_connections() -> None:
    """docs/reference/configuration.rst, ``plain_passwords``"""
    chat = threaded_chat(**OPERATED)
    ann = chat.irc_client("ann")
    session = ann.session
    for address, secure, taken in (
        ("192.0.2.1", False, False),
        ("192.0.2.1", True, True),
        ("127.0.0.1", False, True),
        ("::1", False, True),
    ):
        session.address = ipaddress.ip_address(address)  # type: ignore[union-attr]
        session.secure = secure  # type: ignore[union-attr]
        received = oper(ann)
        assert (received[-1].split(" ")[1] == "381") is taken, received
        if not taken:
            assert received == [f"{SERVER} 491 ann :Passwords are accepted over TLS only"]


def test_labelled_oper_precedes_later_replies() -> None:
    """labeled-response; a command whose password is checked delays all later commands of its
    client."""
    chat = threaded_chat(**OPERATED)
    ann = chat.irc_client("ann", "labeled-response", "batch")
    ann.protocol.dataReceived(f"@label=x OPER root :{SECRET}\r\nPING y\r\n".encode())
    chat.clock.advance(0)
    chat.clock.advance(0)
    received = ann.lines() + ann.lines()
    assert received == [
        f"@label=x {SERVER} BATCH +b1 labeled-response",
        "@batch=b1 :ann!~ann@localhost MODE ann +o",
        f"@batch=b1 {SERVER} 381 ann :You are now an IRC operator",
        f"{SERVER} BATCH -b1",
        f"{SERVER} PONG chat.example.net :y",
    ]
    received = ann.send("@label=z OPER root x") + ann.lines()
    assert received == [f"@label=z {SERVER} 464 ann :Password incorrect"]


def test_check_of_a_client_that_has_left(events: Any) -> None:
    chat = threaded_chat(**OPERATED)
    ann = chat.irc_client("ann")
    ann.protocol.dataReceived(f"OPER root :{SECRET}\r\n".encode())
    ann.lose()
    chat.clock.advance(0)
    chat.clock.advance(0)
    assert chat.hub.state.server_operators == 0
    bob = chat.irc_client("bob")
    bob.protocol.dataReceived(b"OPER root x\r\n")
    bob.lose()
    chat.clock.advance(0)
    chat.clock.advance(0)
    # the failed attempt is logged nevertheless
    assert events.ids() == ["chat.operator-refused"]


@pytest.mark.parametrize("line", ["KILL bob :x", "KILL ann", "WALLOPS :x", "REHASH"])
def test_operator_commands_require_privileges(line: str) -> None:
    """Modern IRC, ERR_NOPRIVILEGES: '<client> :Permission Denied- You're not an IRC operator'."""
    chat = threaded_chat(**OPERATED)
    ann = chat.irc_client("ann")
    bob = chat.irc_client("bob")
    received = f"{SERVER} 481 ann :Permission Denied- You're not an IRC operator"
    assert ann.send(line) == [received]
    assert not bob.closed
    assert chat.context.reloads == []


@over_tcp("the peer's address is in the log")
def test_kill(events: Any) -> None:
    """Modern IRC, "KILL message": 'the client being killed receives the KILL message, and the
    <source> of the message SHOULD be the operator who performed the command. The user being killed
    and every user sharing a channel with them receives a QUIT message'; 'The user being killed then
    receives the ERROR message'; 'After this, their connection is closed.'"""
    chat = threaded_chat(**OPERATED)
    ann = operator_client(chat, "ann")
    bob = chat.irc_client("bob", joined="#tea")
    carl = chat.irc_client("carl", joined="#tea")
    bob.lines()
    ann.send("KILL BOB :no reason at all")
    assert bob.lines() == [
        ":ann!~ann@localhost KILL bob :no reason at all",
        ":bob!~bob@localhost QUIT :Killed (ann (no reason at all))",
        "ERROR :Closing Link: bob (Killed (ann (no reason at all)))",
    ]
    assert bob.closed
    assert carl.lines() == [":bob!~bob@localhost QUIT :Killed (ann (no reason at all))"]
    assert events.texts()[-1] == ("operator ann at unix by chat: KILL bob no reason at all")


def test_kill_of_a_text_client() -> None:
    chat = threaded_chat(**OPERATED)
    ann = operator_client(chat, "ann")
    zoe = chat.text_client("zoe")
    zoe.screen()
    ann.send("KILL zoe")
    assert zoe.screen()[-1].endswith("Killed (ann (No reason))")
    assert zoe.transport.disconnecting


def test_kill_of_oneself() -> None:
    chat = threaded_chat(**OPERATED)
    ann = operator_client(chat, "ann", "labeled-response", "batch")
    received = ann.send("@label=x KILL ann :done")
    assert received == [
        "@label=x :chat.example.net BATCH +b1 labeled-response",
        "@batch=b1 :ann!~ann@localhost KILL ann :done",
        "@batch=b1 :ann!~ann@localhost QUIT :Killed (ann (done))",
        "@batch=b1 ERROR :Closing Link: ann (Killed (ann (done)))",
        ":chat.example.net BATCH -b1",
    ]
    assert ann.closed


def test_invalid_kills() -> None:
    """ERR_NOSUCHNICK; ERR_CANTKILLSERVER for the server's name; ERR_NEEDMOREPARAMS."""
    ann = operator_client(threaded_chat(**OPERATED), "ann")
    assert ann.send("KILL bob x") == [f"{SERVER} 401 ann bob :No such nick/channel"]
    assert ann.send("KILL CHAT.example.net x") == [f"{SERVER} 483 ann :You cant kill a server!"]
    assert ann.numerics("KILL") == ["461"]


def test_wallops() -> None:
    """Modern IRC, "WALLOPS message": 'to all users who have set the w user mode'."""
    chat = threaded_chat(**OPERATED)
    ann = operator_client(chat, "ann")
    bob = chat.irc_client("bob")
    carl = chat.irc_client("carl")
    chat.set_mode(chat.person("bob"), "w")
    ann.send("WALLOPS :all is well")
    assert bob.lines()[1:] == [":ann!~ann@localhost WALLOPS :all is well"]
    assert carl.lines() == []
    assert ann.numerics("WALLOPS :") == ["461"]
    room = 510 - len(":ann!~ann@localhost WALLOPS :")
    ann.send(f"WALLOPS :{'x' * room}")
    (line,) = bob.lines()
    assert line.endswith(" :" + "x" * room)
    assert ann.numerics(f"WALLOPS :{'x' * (room + 1)}") == ["417"]
    assert bob.lines() == []


@over_tcp("the peer's address is in the log")
def test_rehash(events: Any) -> None:
    """Modern IRC, RPL_REHASHING: '<client> <config file> :Rehashing'; then what was done."""
    chat = threaded_chat(**OPERATED)
    ann = operator_client(chat, "ann")
    assert ann.send("REHASH") == [f"{SERVER} 382 ann tcpd.ini :Rehashing"]
    assert events.texts()[-1] == "operator ann at unix by chat: REHASH"
    (received,) = chat.context.reloads
    received(True, ("service echo: listening on 127.0.0.1:7", "and \x1b[31m more"))
    assert ann.lines() == [
        f"{SERVER} NOTICE ann :Reloaded: service echo: listening on 127.0.0.1:7",
        f"{SERVER} NOTICE ann :Reloaded: and \\x1b[31m more",
    ]
    received(False, ("tcpd.ini:3", "conf.d/\x07irc.ini:9"))
    refused = f"{SERVER} NOTICE ann :Refused, nothing has changed: "
    assert ann.lines() == [
        f"{refused}error at tcpd.ini:3",
        f"{refused}error at conf.d/\\x07irc.ini:9",
        f"{refused}see the log, or run tcpd-ctl check",
    ]
    received(False, [f"tcpd.ini:{number}" for number in range(1000)])
    assert [line.rpartition(": ")[2] for line in ann.lines()[-3:]] == [
        "error at tcpd.ini:19",
        "and 980 more",
        "see the log, or run tcpd-ctl check",
    ]
    received(True, [f"service s{number}: stopped" for number in range(1000)])
    assert ann.lines()[-1] == f"{SERVER} NOTICE ann :Reloaded: and 980 more"
    ann.lose()
    received(True, ("nothing has changed",))


def test_server_operators_operate_the_lobby() -> None:
    """docs/reference/irc-rooms.rst: only server operators operate the lobby, from outside too."""
    chat = threaded_chat(**OPERATED)
    ann = chat.irc_client("ann", joined="#lobby")
    zoe = chat.text_client("zoe")
    ann.lines()
    assert ann.numerics("TOPIC #lobby tea") == ["482"]
    oper(ann)
    assert ann.numerics("TOPIC #lobby tea") == ["TOPIC"]
    assert ann.numerics("KICK #lobby zoe") == ["KICK"]
    assert any("kicked" in line for line in zoe.screen())


def test_operator_outside_the_lobby_gets_the_results_of_commands() -> None:
    """Modern IRC, "KICK message": 'Servers MUST send a KICK message to the kicked user, and to all
    other users in the channel'; the operator gets it although not in the channel."""
    chat = threaded_chat(**OPERATED)
    ann = operator_client(chat, "ann", "labeled-response", "batch", "draft/message-redaction")
    bob = chat.irc_client("bob", "draft/message-redaction", "message-tags", joined="#lobby")
    bob.send("CAP REQ echo-message")
    msgid = bob.send("PRIVMSG #lobby :spam")[0].partition(" ")[0].removeprefix("@msgid=")
    lines = [
        f"REDACT #lobby {msgid} :spam",
        "MODE #lobby +m",
        "TOPIC #lobby :tea",
        "KICK #lobby bob :spam",
    ]
    source = ":ann!~ann@localhost"
    for line in lines:
        assert ann.send(f"@label=1 {line}") == [f"@label=1 {source} {line}"]
        assert bob.lines()[-1].partition(" ")[2] == f"{source} {line}"


def test_operator_outside_a_channel_cannot_relay() -> None:
    """relaymsg: "servers should take steps ... This may include ... Checking that the sender is in
    the target channel"."""
    chat = threaded_chat(**OPERATED)
    ann = operator_client(chat, "ann")
    assert ann.send("RELAYMSG #lobby cid/x :hi") == [
        f"{SERVER} 442 ann #lobby :you are not in #lobby"
    ]


# --- configuration ---


def test_operators_value() -> None:
    text = f"root {HASH}\n  ann.b-c_1\t {HASH}"
    found = OPERATORS.parse(text.replace("\t", ""))
    assert [each.name for each in found] == ["root", "ann.b-c_1"]
    assert OPERATORS.parse(OPERATORS.show(found)) == found
    assert HASH not in repr(found)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (HASH, "a line is one word; write NAME HASH"),
        (f"root {HASH} x", "a line has text after the hash"),
        ("root hunter2", "line 1 of the value is not NAME HASH: it is not a password hash"),
        ("hunter2 root", "line 1 of the value is not NAME HASH: it is not a password hash"),
        (f"my hunter2! {HASH}", "line 1 of the value does not begin with a name"),
        (f"root {HASH}\nhunter2 {HASH}\nhunter2 {HASH}", "line 3 of the value repeats a name"),
    ],
    ids=["no name", "a third word", "no hash", "the wrong way round", "odd name", "twice"],
)
def test_errors_in_operators_do_not_show_secrets(text: str, error: str) -> None:
    with pytest.raises(ValueError, match=error) as raised:
        OPERATORS.parse(text)
    assert "$scrypt" not in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_gateways_value() -> None:
    found = GATEWAYS.parse(f"192.0.2.1, 2001:db8::/32 {HASH}\n127.0.0.1 {HASH}")
    assert [len(each.networks) for each in found] == [2, 1]
    assert GATEWAYS.parse(GATEWAYS.show(found)) == found
    for wrong in (f"hunter2 {HASH}", "192.0.2.1 hunter2", f"192.0.2.1, hunter2 {HASH}"):
        with pytest.raises(ValueError, match="line 1 of the value") as raised:
            GATEWAYS.parse(wrong)
        assert "hunter2" not in str(raised.value)


# --- password checks ---


def test_checks_beyond_the_queue_are_refused() -> None:
    """RPL_TRYAGAIN: '<client> <command> :Please wait a while and try again.'"""
    chat = threaded_chat(**OPERATED)
    clients = [chat.irc_client(f"m{number}") for number in range(CONCURRENT + QUEUED_PER_ADDRESS)]
    ann = chat.irc_client("ann")
    chat.irc.server.passwords = Checks(lambda work, done: None, chat.clock.seconds)
    for client in clients:
        client.protocol.dataReceived(b"OPER root x\r\n")
    assert ann.send("OPER root x") == [f"{SERVER} 263 ann OPER :Please wait a while and try again."]


def test_failed_check_refuses_the_password(logged_failures: Any) -> None:
    chat = threaded_chat(**OPERATED)
    ann = chat.irc_client("ann")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PasswordHash, "matches", lambda self, password: 1 // 0)
        assert oper(ann) == [f"{SERVER} 464 ann :Password incorrect"]
    logged_failures.expect("ZeroDivisionError")
