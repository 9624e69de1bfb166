"""Pipelined lines on a log that delivers late: all output, to the byte, is as with the local
log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import pytest
from amounts import examples
from chat import event_logs
from chat.event_logs import LateLog, on_the_local_log
from chat.irc_chat import IrcTestClient, cheap_password, command, threaded_chat
from chat.transports import over_tcp
from hypothesis import given, settings
from hypothesis import strategies as st

from tcpd.chat.irc import caps
from tcpd.chat.irc.credentials import OPERATORS

pytestmark = on_the_local_log("each case compares both logs itself")

#: Seeds of the late logs in each case.
SEEDS = range(5)

OPERATED = {"operators": OPERATORS.parse(f"root {cheap_password()}")}
LOCKED = {"password": cheap_password()}

LABELS = ("labeled-response", "batch", "echo-message")

#: Ann is the operator of both, and bob is in both.
ROOMS = "#tea,#pot"


class Scene:
    """Ann, who sends lines, and their recipients: bob and cid, who is away, by IRC; dan by text, in
    #tea and the lobby.

    :param kind: of the event log.
    :param wanted: capabilities of ann; ``None`` if she has sent nothing yet.
    :param irc: keys of the IRC service.
    """

    def __init__(self, kind: str, seed: int, wanted: Iterable[str] | None, **irc: Any) -> None:
        with event_logs.use_log(kind, seed):
            self.chat = threaded_chat(ping=0.0, **irc)
        self.ann = self.chat.irc_client()
        self.bob = self.chat.irc_client()
        if wanted is not None:
            _enter(self.ann, "ann", wanted)
        _enter(self.bob, "bob", caps.CAPABILITIES)
        # without the capability, the fallback of a rename would follow in later turns
        self.cid = self.chat.irc_client("cid", "draft/channel-rename", joined="#pot")
        self.cid.send("AWAY :out")
        self.dan = self.chat.text_client("dan")
        self.dan.type("/join #tea")
        self.output()

    def send(self, lines: Iterable[str]) -> tuple[bytes, ...]:
        """Send lines as ann in one packet. Return the output of each client: ann first, dan
        last."""
        self.ann.protocol.dataReceived(_packet(lines))
        return self.output()

    def send_and_close(self, lines: Iterable[str]) -> tuple[bytes, ...]:
        """Send, then close ann's sending side."""
        self.ann.protocol.dataReceived(_packet(lines))
        self.ann.protocol.readConnectionLost()
        return self.output()

    def output(self) -> tuple[bytes, ...]:
        """Run turns until no more output comes. Return the output of each client."""
        everybody = (self.ann.read, self.bob.read, self.cid.read, self.dan.raw)
        sent = [b""] * len(everybody)
        quiet = 0
        while quiet < 3:
            more = [read() for read in everybody]
            sent = [a + b for a, b in zip(sent, more, strict=True)]
            log = self.chat.service.log
            waits = isinstance(log, LateLog) and log.waiting
            quiet = 0 if any(more) or waits else quiet + 1
        return tuple(sent)


def _packet(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode()


def _enter(client: IrcTestClient, nick: str, wanted: Iterable[str]) -> None:
    client.send("CAP LS 302", f"CAP REQ :{' '.join(wanted)}", "PASS sesame")
    client.send(f"NICK {nick}", f"USER {nick} 0 * :{nick.title()}", "CAP END")
    client.send(f"JOIN {ROOMS}")


def replies(lines: Sequence[str], wanted: Iterable[str] | None = (), **irc: Any) -> list[str]:
    """Send lines as ann in one packet, on the local log and on late ones.

    :return: the commands of the lines that she is sent on each.
    """
    local = Scene("local", 0, wanted, **irc).send(lines)
    for seed in SEEDS:
        assert Scene("late", seed, wanted, **irc).send(lines) == local, f"seed {seed}"
    return [command(line) for line in local[0].decode().split("\r\n")[:-1]]


# --- labels and echoes ---


def test_labelled_join_is_answered_as_a_whole() -> None:
    """ "the server MUST include the same tag and value in any response produced from this message":
    neither an empty ACK nor a reply without the label."""
    lines = (
        *("@label=1 JOIN #new", "@label=2 JOIN #new"),
        *("@label=3 TOPIC #new :x", "@label=4 PART #new"),
    )
    batch = ["BATCH", "JOIN", "353", "366", "BATCH"]
    assert replies(lines, LABELS) == [*batch, "ACK", "TOPIC", "PART"]


def test_labels_are_in_the_order_of_lines() -> None:
    lines = ("@label=1 PRIVMSG #tea :a", "PRIVMSG #tea :b", "@label=2 PING x", "@label=3 AWAY :x")
    assert replies(lines, LABELS) == ["PRIVMSG", "PRIVMSG", "PONG", "306"]


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("PRIVMSG bob", ["412"]),
        ("PRIVMSG #none :x", ["403"]),
        ("MODE #tea", ["324", "329"]),
        ("NICK annie", ["NICK"]),
        ("PART #tea", ["PART"]),
        ("NOSUCH", ["421"]),
        ("QUIT", ["ERROR"]),
    ],
)
def test_echoes_precede_later_replies(line: str, answer: list[str]) -> None:
    """echo-message: "servers MUST echo messages back". Only messages without a label are sent ahead
    of the log, and no reply overtakes their echoes."""
    lines = ("PRIVMSG #tea :a", "PRIVMSG bob :b", "NOTICE #pot :c", line)
    echoes = ["PRIVMSG", "PRIVMSG", "NOTICE"]
    assert replies(lines, ["echo-message"]) == [*echoes, *answer]


def test_more_messages_than_may_be_sent_ahead() -> None:
    talk = [f"PRIVMSG {'#tea' if number % 3 else '#pot'} :{number}" for number in range(150)]
    received = replies(
        (*talk, "TOPIC #tea :x", "PRIVMSG #none :x", *talk, "PING x"), ["echo-message"]
    )
    assert received == [*["PRIVMSG"] * 150, "TOPIC", "403", *["PRIVMSG"] * 150, "PONG"]


def test_relayed_message_among_others() -> None:
    """The sender gets a relayed message even without echo-message."""
    lines = ("PRIVMSG #tea :a", "RELAYMSG #tea a/b :b", "PRIVMSG #tea :c", "RELAYMSG #tea a/b :d")
    assert replies(lines) == ["PRIVMSG", "PRIVMSG"]


# --- PING ---


@pytest.mark.parametrize("kind", ["local", "late"])
@pytest.mark.parametrize("line", ["PRIVMSG #tea :hi", "@label=1 PRIVMSG bob :hi", "NICK annie"])
def test_pong_follows_all_earlier_output(line: str, kind: str) -> None:
    """PONG is sent after all earlier events are applied and written to their recipients."""
    word = line.removeprefix("@label=1 ").split(" ")[0].encode()
    for seed in SEEDS:
        scene = Scene(kind, seed, LABELS)
        written: list[tuple[str, bytes]] = []
        for nick, client in (("ann", scene.ann), ("bob", scene.bob)):
            client.session.outbox.write = partial(_note, written, nick)
        scene.send((line, "PING last"))
        own = b"".join(data for nick, data in written if nick == "ann")
        assert own.index(word) < own.index(b"PONG")
        pong = next(place for place, (_, data) in enumerate(written) if b"PONG" in data)
        assert any(nick == "bob" and word in data for nick, data in written[:pong])


def _note(written: list[tuple[str, bytes]], nick: str, data: bytes) -> None:
    written.append((nick, data))


# --- what waits for a thread ---


def test_ping_does_not_overtake_oper() -> None:
    lines = ("OPER root sesame", "PING x", "MODE ann", "OPER root wrong", "PING y")
    received = replies(lines, **OPERATED)
    assert received == ["MODE", "381", "PONG", "221", "464", "PONG"]


def test_lines_wait_for_a_right_password() -> None:
    lines = ("PASS sesame", "NICK ann", "USER a 0 * :A", "JOIN #tea", "PING x")
    received = replies(lines, None, **LOCKED)
    assert received[0] == "001"
    assert received[-4:] == ["JOIN", "353", "366", "PONG"]


def test_lines_after_a_wrong_password_are_not_executed() -> None:
    lines = ("PASS wrong", "NICK ann", "USER a 0 * :A", "JOIN #tea", "PING x")
    assert replies(lines, None, **LOCKED) == ["464", "ERROR"]


def test_pipelined_registration_with_a_password() -> None:
    lines = (
        *("CAP LS 302", f"CAP REQ :{' '.join(LABELS)} draft/pre-away", "PASS sesame"),
        *("AWAY :soon", "NICK ann", "USER a 0 * :A", "CAP END", "WHOIS ann"),
        *("@label=1 JOIN #tea,#new", "TOPIC #new :hot", "PRIVMSG #tea :hi"),
        *("NICK annie", "WHOIS annie", "@label=2 PING x", "QUIT :bye"),
    )
    received = replies(lines, None, **LOCKED)
    order = [received.index(name) for name in ("001", "BATCH", "TOPIC", "PRIVMSG")]
    assert order == sorted(order)
    assert received.count("301") == 2, "both WHOIS show that she is away"
    assert received[-2:] == ["PONG", "ERROR"]


# --- commands that depend on earlier ones ---


def test_join_then_topic() -> None:
    """The fault: with a late log, 403 came before the JOIN."""
    received = replies(("JOIN #new", "TOPIC #new :hot", "TOPIC #new", "MODE #new", "NAMES #new"))
    assert received == ["JOIN", "353", "366", "TOPIC", "332", "333", "324", "329", "353", "366"]


def test_nick_then_whois() -> None:
    """The fault: with a late log, WHOIS found the old nickname."""
    received = replies(("NICK annie", "WHOIS annie", "WHOIS ann"))
    assert received[:2] == ["NICK", "311"]
    assert received[-2:] == ["401", "318"]


def test_commands_about_others() -> None:
    """A kicked member can be invited, and does not receive the message in between."""
    lines = (
        *("MODE #tea +im", "KICK #tea bob", "PRIVMSG #tea :a"),
        *("INVITE bob #tea", "MODE #tea +b x"),
    )
    assert replies(lines, ["echo-message"]) == ["MODE", "KICK", "PRIVMSG", "341", "MODE"]


def test_several_targets() -> None:
    """Targets are processed one after the other, so that refusals keep their place."""
    lines = ("JOIN #a,tea,#b", "KICK #tea bob,eve,dan", "PRIVMSG cid,eve,bob :x")
    received = replies(lines, ["echo-message"])
    joins = ["JOIN", "353", "366", "476", "JOIN", "353", "366"]
    assert received == [*joins, "KICK", "441", "KICK", "PRIVMSG", "301", "401", "PRIVMSG"]


# --- the text frontend ---


def type_lines(kind: str, seed: int, lines: Sequence[str]) -> tuple[bytes, ...]:
    """Send lines as dan in one packet. Return the output of each client: dan last."""
    scene = Scene(kind, seed, ("extended-join", "setname"))
    scene.dan.send(_packet(lines))
    return scene.output()


def screen(lines: Sequence[str]) -> list[str]:
    """Send lines as dan in one packet, on the local log and on late ones.

    :return: the lines that he is sent on each.
    """
    local = type_lines("local", 0, lines)
    for seed in SEEDS:
        assert type_lines("late", seed, lines) == local, f"seed {seed}"
    return local[-1].decode().split("\r\n")[:-1]


def test_nick_then_who_of_a_text_client() -> None:
    assert screen(("/nick daniel", "/who")) == [
        "* dan is now daniel",
        "  In #tea (3): @ann, bob, daniel",
    ]


def test_nick_then_join_of_a_text_client() -> None:
    """The members see the new nickname, which is the real name too."""
    lines = ("/nick daniel", "/join #pot")
    assert b" JOIN #pot * :daniel\r\n" in type_lines("local", 0, lines)[0]
    screen(lines)


def test_join_then_say_of_a_text_client() -> None:
    lines = ("/join #new", "hello", "/me waves", "/topic", "/history 5", "/part", "and here")
    shown = screen(lines)
    assert shown[0] == "* dan opened #new"
    assert any(line.endswith("<dan> hello") for line in shown), "the history has it"


# --- any lines ---


_HISTORY = st.sampled_from(
    [
        "LATEST #pot *",
        "AFTER #tea msgid=node-boot-7 3",
        "BETWEEN #tea msgid=node-boot-9 timestamp=2020-01-01T00:00:00.000Z 3",
        "TARGETS timestamp=2020-01-01T00:00:00.000Z timestamp=2030-01-01T00:00:00.000Z 5",
    ]
)


def _line(*parts: str | st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    strategies = [st.just(part) if isinstance(part, str) else part for part in parts]
    return st.tuples(*strategies).map(" ".join)


def _labelled(pair: tuple[str, str]) -> list[str]:
    label, line = pair
    return [f"@label={label};{line[1:]}" if line.startswith("@") else f"@label={label} {line}"]


_NICK = st.sampled_from(["ann", "annie", "bob", "cid", "dan", "eve", "*", "9"])
_ROOM = st.sampled_from(["#tea", "#TEA", "#pot", "#new", "#lobby", "tea"])
_TEXT = st.sampled_from(["hi", "", "x y", "\x01ACTION waves\x01"])
_LAST = _TEXT.map(":{}".format)
_TARGET = st.one_of(
    _NICK, _ROOM, st.sampled_from(["#tea,bob", "@#tea", "cid,#pot,eve,bob", "eve,#no,dan,#tea"])
)
_MODES = st.sampled_from(
    [
        *("", "+i", "-i", "+m-i", "+k x", "-k x", "+l 2", "+b bob", "-b bob", "b", "+o bob"),
        *("-o ann", "+v bob", "+tns", "+Q x"),
    ]
)
_MESSAGE_ID = st.integers(1, 40).map("node-boot-{}".format)
_COMMAND = st.one_of(
    _line("NICK", _NICK),
    _line("JOIN", _ROOM),
    _line("JOIN", st.sampled_from(["#new,#pot,#a", "tea,#a,*,#b", "#k x", "0"])),
    _line("PART", _ROOM, _LAST),
    _line("TOPIC", _ROOM),
    _line("TOPIC", _ROOM, _LAST),
    _line(st.sampled_from(["PRIVMSG", "NOTICE"]), _TARGET, _LAST),
    _line("PRIVMSG", _ROOM, _LAST),
    _line("@+x=1 TAGMSG", _TARGET),
    _line("PING", st.sampled_from(["x", "y"])),
    _line("WHOIS", _NICK),
    _line("WHOWAS", _NICK),
    _line("WHO", _ROOM),
    _line("NAMES", _ROOM),
    _line("MODE", _ROOM, _MODES),
    _line("MODE", _NICK, st.sampled_from(["", "+i", "-i", "+B", "+o"])),
    _line("KICK", _ROOM, _NICK, _LAST),
    _line("KICK", _ROOM, st.sampled_from(["eve,bob,ann", "bob,eve,dan"])),
    _line("INVITE", _NICK, _ROOM),
    _line("AWAY", st.sampled_from([":gone", "", ":"])),
    _line("SETNAME", _LAST),
    _line("RENAME", _ROOM, _ROOM),
    _line("REDACT", _ROOM, _MESSAGE_ID),
    _line("RELAYMSG", _ROOM, "a/b", _LAST),
    _line("CHATHISTORY LATEST", _ROOM, "* 5"),
    _line("CHATHISTORY", _HISTORY),
    _line("MONITOR +", _NICK),
    _line("USERHOST", _NICK),
    _line("OPER root", st.sampled_from(["sesame", "wrong"])),
    _line("KILL", _NICK, _LAST),
    _line("CAP REQ", st.sampled_from([":echo-message", ":-echo-message", ":-batch", ":setname"])),
    st.sampled_from(["LIST", "INVITE", "QUIT :bye"]),
)
_SEVERAL = st.sampled_from(
    [
        [
            "BATCH +1 draft/multiline #tea",
            "@batch=1 PRIVMSG #tea a",
            "@batch=1 PRIVMSG #tea b",
            "BATCH -1",
        ],
        ["PRIVMSG #tea :1", "PRIVMSG #pot :2", "PRIVMSG bob :3", "PING x"],
        ["NICK annie", "WHOIS annie", "NICK ann"],
    ]
)
_LINES = st.lists(
    st.one_of(
        _COMMAND.map(lambda line: [line]),
        st.tuples(st.sampled_from("ab"), _COMMAND).map(_labelled),
        _SEVERAL,
    ),
    min_size=1,
    max_size=14,
).map(lambda several: [line for lines in several for line in lines])
_WANTED = st.one_of(
    st.just(frozenset(caps.CAPABILITIES)), st.frozensets(st.sampled_from(sorted(caps.CAPABILITIES)))
)


@pytest.mark.long
@settings(max_examples=examples(400), deadline=None)
@given(_LINES, _WANTED, st.integers(0, 1000))
def test_any_lines_of_an_irc_client(lines: list[str], wanted: frozenset[str], seed: int) -> None:
    """Message ids and times agree, too."""
    names = sorted(wanted)
    local = Scene("local", 0, names, **OPERATED).send(lines)
    assert Scene("late", seed, names, **OPERATED).send(lines) == local


@over_tcp("WebSocket has no half-close")
@pytest.mark.long
@settings(max_examples=examples(100), deadline=None)
@given(_LINES, _WANTED, st.integers(0, 1000))
def test_any_lines_before_a_half_close(lines: list[str], wanted: frozenset[str], seed: int) -> None:
    """docs/reference/chat.rst, On the wire: lines before a half-close are executed and answered."""
    names = sorted(wanted)
    local = Scene("local", 0, names, **OPERATED).send_and_close(lines)
    assert Scene("late", seed, names, **OPERATED).send_and_close(lines) == local


_REGISTERING = st.sampled_from(
    [
        *("CAP LS 302", "CAP REQ :batch labeled-response echo-message", "CAP REQ draft/pre-away"),
        *("CAP END", "CAP END", "PASS sesame", "PASS sesame", "PASS wrong", "NICK bob", "NICK ann"),
        *("NICK ann", "NICK eve", "USER a 0 * :A", "USER a 0 * :A", "AWAY :soon", "AWAY"),
        *("PING x", "JOIN #tea", "WHOIS ann", "MONITOR + ann", "@label=1 NICK ann", "QUIT"),
    ]
)


@pytest.mark.long
@settings(max_examples=examples(200), deadline=None)
@given(
    st.lists(_REGISTERING, max_size=8),
    st.permutations(["PASS sesame", "NICK ann", "USER a 0 * :A"]),
    _LINES,
    st.integers(0, 1000),
)
def test_any_lines_of_a_client_that_registers(
    first: list[str], then: list[str], last: list[str], seed: int
) -> None:
    """The client registers with a server password that a thread checks."""
    lines = (*first, *then, "CAP END", *last)
    local = Scene("local", 0, None, **OPERATED, **LOCKED).send(lines)
    assert Scene("late", seed, None, **OPERATED, **LOCKED).send(lines) == local


_TYPED = st.one_of(
    _line("/nick", _NICK),
    _line("/join", _ROOM),
    _line("/part", _ROOM),
    _line("/topic", _TEXT),
    _line("/who", _ROOM),
    _line("/msg", _NICK, _TEXT),
    _line("/me", _TEXT),
    _line("/op", _NICK),
    _line("/kick", _NICK),
    _line("/ban", _NICK),
    _line("/unban", _NICK),
    st.sampled_from(["hello", "two words", "/history 5", "/rooms", "/who", "/part", "/quit"]),
)


@pytest.mark.long
@settings(max_examples=examples(200), deadline=None)
@given(st.lists(_TYPED, min_size=1, max_size=14), st.integers(0, 1000))
def test_any_lines_of_a_text_client(lines: list[str], seed: int) -> None:
    assert type_lines("late", seed, lines) == type_lines("local", 0, lines)
