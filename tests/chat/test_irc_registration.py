"""Connection registration.

Sources: the Modern IRC Client Protocol, "Connection Messages"
(https://modern.ircdocs.horse/#connection-messages), and RFC 2812 section 3.1.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from chat.irc_chat import (
    IrcChat,
    cheap_password,
    command,
    pending_checks,
    plain,
    with_remote_address,
)
from chat.transports import over_tcp
from twisted.internet.interfaces import IReactorThreads
from zope.interface import alsoProvides

from tcpd.chat.irc.protocol import thread_runner
from tcpd.chat.irc.registration import MAX_LINES
from tcpd.config.values import Rate
from tcpd.policy.checks import CONCURRENT, QUEUED_PER_ADDRESS
from tcpd.policy.passwords import PasswordHash, hash_password

HASH = hash_password("sesame", b"0123456789abcdef")


def test_welcome_burst() -> None:
    """Modern IRC, "Connection Registration": 001 to 005, LUSERS, MOTD or 422."""
    client = IrcChat().irc_client()
    received = client.send("NICK ann", "USER ann 0 * :Ann")
    numbers = [command(line) for line in received]
    assert numbers[:5] == ["001", "002", "003", "004", "005"]
    assert numbers[-1] == "422"
    assert (
        received[0] == ":chat.example.net 001 ann :Welcome to the tcpd Network, ann!~ann@localhost"
    )


def test_irc_and_text_clients_share_rooms() -> None:
    chat = IrcChat()
    ann = chat.irc_client("ann", joined="#lobby")
    bob = chat.text_client("bob")
    assert ann.lines() == [":bob!text@localhost JOIN #lobby"]
    ann.send("PRIVMSG #lobby :hello from IRC")
    assert bob.screen()[-1] == "#lobby <ann> hello from IRC"
    bob.type("hello from nc")
    assert ann.lines() == [":bob!text@localhost PRIVMSG #lobby :hello from nc"]


@pytest.mark.parametrize(
    "lines", list(itertools.permutations(["PASS sesame", "NICK ann", "USER ann 0 * :Ann"]))
)
def test_order_of_lines_during_capability_negotiation(lines: tuple[str, ...]) -> None:
    client = IrcChat(password=cheap_password()).irc_client()
    assert client.numerics("CAP LS 302", *lines)[1:] == []
    assert client.numerics("CAP END")[0] == "001"


@pytest.mark.parametrize("lines", list(itertools.permutations(["NICK ann", "USER ann 0 * :Ann"])))
def test_nick_and_user_in_any_order(lines: tuple[str, ...]) -> None:
    client = IrcChat().irc_client()
    assert client.send(lines[0]) == []
    assert client.numerics(lines[1])[0] == "001"


def test_ping_is_answered_before_registration() -> None:
    """ "When receiving a PING message, clients or servers must reply to it with a PONG message
    with the same <token> value." """
    client = IrcChat().irc_client()
    assert client.send("PING :to ken") == [":chat.example.net PONG chat.example.net :to ken"]
    assert client.send("CAP LS 302", "NICK ann", "PING 17")[-1].endswith(
        " PONG chat.example.net :17"
    )


@pytest.mark.parametrize("line", ["PING", "PING :"])
def test_ping_without_a_token(line: str) -> None:
    """ "Numeric Replies: ERR_NEEDMOREPARAMS, ERR_NOORIGIN" """
    assert IrcChat().irc_client("ann").numerics(line) == ["409"]


def test_quit_before_registration() -> None:
    """ "The server acknowledges this by replying with an ERROR message and closing the connection
    to the client." """
    chat = IrcChat()
    client = chat.irc_client()
    assert client.send("NICK ann", "QUIT :bye") == ["ERROR :Closing Link: ann (Quit: bye)"]
    assert client.closed
    assert chat.irc.server.unregistered == 0


def test_quit_is_broadcast_with_a_prefix() -> None:
    """ "servers SHOULD prepend <reason> with the ASCII string "Quit: " when sending QUIT messages
    to other clients ... This applies even if <reason> is empty" """
    chat = IrcChat()
    bob = chat.irc_client("bob", joined="#c")
    ann = chat.irc_client("ann", joined="#c")
    cid = chat.irc_client("cid", joined="#c")
    bob.lines()
    ann.send("QUIT :tea")
    cid.send("QUIT")
    assert bob.lines() == [
        ":ann!~ann@localhost QUIT :Quit: tea",
        ":cid!~cid@localhost QUIT :Quit: ",
    ]


def test_nickname_taken_during_registration() -> None:
    """ "If the server receives a NICK command from a client where the desired nickname is already
    in use on the network, it should issue an ERR_NICKNAMEINUSE numeric" """
    chat = IrcChat()
    first, second = chat.irc_client(), chat.irc_client()
    assert first.send("NICK ann") == second.send("NICK Ann") == []
    assert first.numerics("USER a 0 * :A")[0] == "001"
    assert second.send("USER b 0 * :B") == [
        ":chat.example.net 433 * Ann :Nickname is already in use"
    ]
    assert second.numerics("NICK bob")[0] == "001"


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("NICK", "431 * :No nickname given"),
        ("NICK :", "431 * :No nickname given"),
        ("NICK 1st", "432 * 1st :Erroneus nickname: "),
        ("NICK :with space", "432 * with :Erroneus nickname: "),
        ("NICK ann", "433 * ann :Nickname is already in use"),
        ("USER a 0 *", "461 * USER :Not enough parameters"),
        ("USER a 0 * :", "461 * USER :Not enough parameters"),
        ("USER :", "461 * USER :Not enough parameters"),
        ("USER a!b 0 * :A", "468 * :Your username is not valid"),
        ("USER a@b 0 * :A", "468 * :Your username is not valid"),
        ("JOIN #c", "451 * :You have not registered"),
        ("NOSUCH", "451 * :You have not registered"),
        ("AWAY :gone", "451 * :You have not registered"),
        ("ISUPPORT", "451 * :You have not registered"),
        ("PASS", "461 * PASS :Not enough parameters"),
        ("CAP", "461 * CAP :Not enough parameters"),
    ],
)
def test_errors_before_registration(line: str, answer: str) -> None:
    chat = IrcChat()
    chat.irc_client("ann")
    received = chat.irc_client().send(line)
    assert len(received) == 1
    assert received[0].startswith(f":chat.example.net {answer}")


@pytest.mark.parametrize("line", ["USER ann 0 * :Ann", "PASS sesame"])
def test_second_registration_is_refused(line: str) -> None:
    """ "462: Returned when a client tries to change a detail that can only be set during
    registration" """
    received = IrcChat().irc_client("ann").send(line)
    assert received == [":chat.example.net 462 ann :You may not reregister"]


def test_notice_before_registration_gets_no_error() -> None:
    """ "they must not send any error back to the client on receipt of a NOTICE command" """
    assert IrcChat().irc_client().send("NOTICE ann :hi") == []


@pytest.mark.parametrize(
    ("typed", "user"), [("a" * 40, "~" + "a" * 11), ("дом", "~user"), ("x~$y", "~xy")]
)
def test_user_names_are_truncated_and_sanitized(typed: str, user: str) -> None:
    """ "If this length is advertised, the username MUST be silently truncated to the given length
    before being used." """
    client = IrcChat().irc_client()
    welcome = client.send("NICK ann", f"USER {typed} 0 * :Ann")[0]
    assert f"ann!{user}@localhost" in welcome


def test_registration_times_out() -> None:
    chat = IrcChat(register_timeout=60.0)
    client = chat.irc_client()
    client.send("NICK ann")
    chat.clock.advance(60)
    assert client.lines() == ["ERROR :Closing Link: ann (you did not register in time)"]
    assert client.closed


def test_lines_before_registration_are_bounded() -> None:
    client = IrcChat().irc_client()
    received = client.send(*["PING x"] * MAX_LINES)
    chat = client.chat
    for _ in range(MAX_LINES):  # a turn takes some of them
        chat.clock.advance(0)
    assert len(received) + len(client.lines()) == MAX_LINES
    assert client.send("PING x") == ["ERROR :Closing Link: * (too many lines before registration)"]


def test_invalid_utf8_is_refused() -> None:
    """UTF8ONLY: "Servers publishing this token MUST NOT relay content ... containing non-UTF-8
    data to clients." "FAIL PRIVMSG INVALID_UTF8" """
    chat = IrcChat()
    bob = chat.irc_client("bob", joined="#c")
    ann = chat.irc_client("ann", joined="#c")
    bob.lines()
    received = ann.raw(b"PRIVMSG #c :hi\xaa\r\n").decode()
    assert received.startswith(":chat.example.net FAIL PRIVMSG INVALID_UTF8 :")
    assert bob.lines() == []


@pytest.mark.parametrize(
    "line", ["PRIVMSG #c :" + "x" * 500, "@+a=" + "x" * 4100 + " PRIVMSG #c :hi"]
)
def test_too_long_lines_are_refused(line: str) -> None:
    """ "Servers MUST reply with the ERR_INPUTTOOLONG (417) error numeric" and the connection
    stays."""
    ann = IrcChat().irc_client("ann", joined="#c")
    assert ann.send(line) == [":chat.example.net 417 ann :Input line was too long"]
    assert ann.numerics("PING x") == ["PONG"]


# --- the server's password ---


@pytest.mark.parametrize("said", ["PASS wrong", "PING x"])
def test_wrong_server_password(said: str) -> None:
    """ "If the password supplied does not match the password expected by the server, then the
    server SHOULD send ERR_PASSWDMISMATCH and MAY then close the connection with ERROR." """
    chat = IrcChat(password=cheap_password())
    client = chat.irc_client()
    client.send(said)
    received = client.send("NICK ann", "USER ann 0 * :Ann")
    assert received[0] == ":chat.example.net 464 ann :Password incorrect"
    assert command(received[1]) == "ERROR"
    assert client.closed
    assert chat.hub.people_count == 0
    assert chat.irc.server.count["bad-passwords"] == 1


def test_last_password_counts() -> None:
    """ "It is possible to send multiple PASS commands before registering but only the last one
    sent is used for verification" """
    client = IrcChat(password=cheap_password()).irc_client()
    assert client.numerics("PASS a", "PASS sesame", "NICK ann", "USER a 0 * :A")[0] == "001"


def test_password_after_nick_and_user_is_too_late() -> None:
    """ "This requires that clients send a PASS command before sending the NICK / USER
    combination." """
    client = IrcChat(password=cheap_password()).irc_client()
    assert client.numerics("NICK ann", "USER a 0 * :A", "PASS sesame") == ["464", "ERROR"]


def test_unexpected_password_is_ignored() -> None:
    client = IrcChat().irc_client()
    assert client.numerics("PASS x", "NICK ann", "USER a 0 * :A")[0] == "001"


@pytest.mark.parametrize(
    ("secure", "plain_passwords", "let_in"),
    [(False, False, False), (True, False, True), (False, True, True)],
)
def test_password_on_an_insecure_connection(
    secure: bool, plain_passwords: bool, let_in: bool
) -> None:
    """docs/reference/configuration.rst, ``plain_passwords``"""
    chat = IrcChat(password=cheap_password(), plain_passwords=plain_passwords)
    client = with_remote_address(chat.irc_client(), secure)
    received = client.numerics("PASS sesame", "NICK ann", "USER a 0 * :A")
    assert received[:2] == (["001", "002"] if let_in else ["464", "ERROR"])


def test_lines_wait_for_the_password_check() -> None:
    chat = IrcChat(password=cheap_password())
    waiting: list[Any] = []
    chat.irc.server.passwords = pending_checks(chat, waiting)
    client = chat.irc_client()
    assert client.send("PASS sesame", "NICK ann", "USER a 0 * :A") == []
    assert client.numerics("PING x") == []
    assert chat.irc_client().numerics("CAP LS") == ["CAP"], "other clients do not wait"
    [(work, done)] = waiting
    done(work())
    answers = [command(line) for line in client.lines()]
    assert (answers[0], answers[-1]) == ("001", "PONG")
    chat.clock.advance(61)  # registered: no timeout
    assert not client.closed


def test_pipelined_registration_with_a_password() -> None:
    chat = IrcChat(password=cheap_password())
    waiting: list[Any] = []
    chat.irc.server.passwords = pending_checks(chat, waiting)
    client = chat.irc_client()
    lines = (
        *("CAP LS 302", "CAP REQ :echo-message labeled-response batch", "PASS sesame", "NICK ann"),
        *("USER a 0 * :A", "CAP END", "@label=1 JOIN #tea,#pot", "TOPIC #tea :hot"),
        *("PRIVMSG #tea :hi", "NICK annie", "WHOIS annie", "@label=2 PING x", "QUIT :bye"),
    )
    client.protocol.dataReceived("".join(f"{line}\r\n" for line in lines).encode())
    assert [command(line) for line in client.lines()] == ["CAP", "CAP"]
    [(work, done)] = waiting
    done(work())
    answers = [command(line) for line in client.lines()]
    joined = answers.index("BATCH")
    assert answers[0] == "001"
    assert answers[joined : joined + 12] == [
        *("BATCH", "JOIN", "353", "366", "JOIN", "353", "366", "BATCH"),
        *("TOPIC", "PRIVMSG", "NICK", "311"),
    ]
    assert answers[-3:] == ["318", "PONG", "ERROR"]
    assert chat.hub.person("annie") is None


def test_client_that_leaves_during_the_password_check() -> None:
    chat = IrcChat(password=cheap_password())
    waiting: list[Any] = []
    chat.irc.server.passwords = pending_checks(chat, waiting)
    client = chat.irc_client()
    client.send("PASS sesame", "NICK ann", "USER a 0 * :A")
    client.lose()
    waiting[0][1](True)
    chat.settle()
    assert chat.hub.people_count == 0
    assert chat.irc.server.unregistered == 0


def test_too_many_password_checks() -> None:
    chat = IrcChat(password=cheap_password())
    waiting: list[Any] = []
    chat.irc.server.passwords = pending_checks(chat, waiting)
    clients = [chat.irc_client() for _ in range(CONCURRENT + QUEUED_PER_ADDRESS + 1)]
    received = [
        client.send("PASS sesame", f"NICK ann{number}", "USER a 0 * :A")
        for number, client in enumerate(clients)
    ]
    assert received[:-1] == [[]] * (CONCURRENT + QUEUED_PER_ADDRESS)
    why = "too many passwords are being checked; try again in a moment"
    assert received[-1] == [f"ERROR :Closing Link: ann{CONCURRENT + QUEUED_PER_ADDRESS} ({why})"]
    assert clients[-1].closed
    assert chat.counters["unchecked"] == 1
    assert not any(client.closed for client in clients[:-1])


def test_passwords_are_checked_in_threads_of_the_reactor() -> None:
    class Reactor:
        done: Any = None

        def getThreadPool(self) -> Any:
            return self

        def callInThreadWithCallback(self, onResult: Any, func: Any, *args: Any, **kw: Any) -> None:
            self.done = lambda: onResult(True, func(*args, **kw))

        def callFromThread(self, call: Any, *args: Any) -> None:
            call(*args)

    reactor = Reactor()
    alsoProvides(reactor, IReactorThreads)  # type: ignore[misc]
    found: list[bool] = []
    thread_runner(reactor)(lambda: True, found.append)
    assert found == []
    reactor.done()
    assert found == [True]


def test_real_password_hash() -> None:
    client = IrcChat(password=PasswordHash.parse(HASH)).irc_client()
    assert client.numerics("PASS :sesame", "NICK ann", "USER a 0 * :A")[0] == "001"


# --- draft/pre-away ---


def test_away_before_registration() -> None:
    """ "If the capability has been negotiated, servers MUST accept the AWAY command before
    connection registration has completed." """
    chat = IrcChat()
    watcher = chat.irc_client("bob")
    client = chat.irc_client()
    client.send("CAP REQ draft/pre-away", "NICK ann")
    assert client.send("AWAY :at lunch") == [
        ":chat.example.net 306 ann :You have been marked as being away"
    ]
    client.send("USER a 0 * :A", "CAP END")
    assert watcher.send("PRIVMSG ann :hi") == [":chat.example.net 301 bob ann :at lunch"]


def test_back_before_registration() -> None:
    """ "Similarly, AWAY with no parameters indicates that the user is present." """
    chat = IrcChat()
    client = chat.irc_client()
    client.send("CAP REQ draft/pre-away", "NICK ann", "AWAY *")
    assert client.numerics("AWAY") == ["305"]
    client.send("USER a 0 * :A", "CAP END")
    ann = chat.person("ann")
    assert ann.away == ""


# --- draft/extended-isupport ---


def test_isupport_before_registration() -> None:
    """ "the server MUST accept ISUPPORT commands before connection registration completes" and
    "MUST group all RPL_ISUPPORT messages inside a draft/isupport batch" """
    client = IrcChat().irc_client()
    client.send("CAP REQ :batch draft/extended-isupport")
    first, *tokens, last = client.send("ISUPPORT")
    assert first == ":chat.example.net BATCH +b1 draft/isupport"
    assert last == ":chat.example.net BATCH -b1"
    assert tokens
    assert all(line.startswith("@batch=b1 :chat.example.net 005 * ") for line in tokens)
    client.send("NICK ann", "USER a 0 * :A")
    burst = [plain(line) for line in client.send("CAP END")]
    assert all(line.startswith("@batch=") for line in burst if command(line) == "005")


def test_isupport_after_registration() -> None:
    """ "When receiving this command, the server MUST reply with one or more RPL_ISUPPORT
    messages" """
    received = IrcChat().irc_client("ann").numerics("ISUPPORT")
    assert set(received) == {"005"}


def test_changed_tokens_are_sent_on_reload() -> None:
    """ "the server MAY send updates to the key-value entries via subsequent RPL_ISUPPORT
    messages"; Modern IRC: "-" before a token that is gone."""
    chat = IrcChat(deny_tags=("typing",))
    client = chat.irc_client()
    client.send("NICK bob")
    ann = chat.irc_client("ann")
    cid = chat.irc_client("cid", "batch", "draft/extended-isupport")
    settings = chat.irc.settings
    chat.irc.reconfigure(replace(settings, deny_tags=(), network="Other Net"))
    line = "005 {} -CLIENTTAGDENY NETWORK=Other\\x20Net :are supported by this server"
    assert ann.lines() == [f":chat.example.net {line.format('ann')}"]
    assert [command(line) for line in cid.lines()] == ["BATCH", "005", "BATCH"]
    assert client.lines() == []
    chat.irc.reconfigure(chat.irc.settings)
    assert ann.lines() == []


@over_tcp("messages have no line ends")
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\r", "\r\r\n", "\r\n\r\n\r\n", "\n\n\r"])
def test_line_ends(end: str) -> None:
    """RFC 2812 section 2.3.1: "The current solution is to designate two characters, CR and LF, as
    message separators. Empty messages are silently ignored"."""
    for whole in (True, False):
        client = IrcChat().irc_client()
        stream = f"NICK x{end}USER x 0 * :X{end}PING y{end}".encode()
        for piece in [stream] if whole else [bytes([byte]) for byte in stream]:
            client.protocol.dataReceived(piece)
        received = [command(line) for line in client.lines()]
        assert received[0] == "001"
        assert received[-1] == "PONG"


@over_tcp("messages have no line ends")
def test_mixed_line_ends() -> None:
    client = IrcChat().irc_client()
    received = client.raw(b"NICK x\n\rUSER x 0 * :X\rJOIN #a\nPART #a\r\r\n\rPING y\r").decode()
    commands = [command(line) for line in received.split("\r\n")[:-1]]
    assert commands[0] == "001"
    assert commands[-5:] == ["JOIN", "353", "366", "PART", "PONG"]


@over_tcp("messages have no line ends")
def test_empty_lines_are_not_counted() -> None:
    """Empty lines count neither as lines before registration nor against the rate, but their
    bytes do."""
    chat = IrcChat(rate=Rate(1.0, 6.0))
    client = chat.irc_client()
    client.protocol.dataReceived(b"\r\n" * 500 + b"NICK x\n\rUSER x 0 * :X\n\rPING 1\n\rPING 2\n\r")
    assert [command(line) for line in client.lines()[-2:]] == ["PONG", "PONG"]


def test_flood_of_empty_lines_is_throttled() -> None:
    chat = IrcChat(rate=Rate(1.0, 2.0))
    client = chat.irc_client("ann")
    for _ in range(4):
        client.protocol.dataReceived(b"\n" * 4096)
    assert client.transport.producerState == "paused"


@pytest.mark.parametrize("nick", [":a b", "::x", ":"])
def test_any_text_in_a_throttled_nick_is_answered(nick: str) -> None:
    """The reply has the text in the middle of a line."""
    ann = IrcChat(nick_rate=Rate(0.1, 1.0)).irc_client("ann", "standard-replies")
    ann.send("NICK bob")
    assert ann.numerics(f"NICK {nick}")[0] in ("FAIL", "431")
    assert ann.numerics("PING x") == ["PONG"]
