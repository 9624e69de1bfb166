"""The sans-IO session: the rules of docs/reference/line-protocol.rst, however the stream is cut."""

from __future__ import annotations

import dataclasses
import random
import tracemalloc
from collections.abc import Awaitable, Callable, Generator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tcpd.line.command import Command, CommandTable, ConnectionScope, PlainFacts, Request, command
from tcpd.line.loading import load_commands
from tcpd.line.reply import CommandError, Reply, Then, greeting, last_words
from tcpd.line.session import Session, State
from tcpd.line.testing import MemoryContext


class Later(Awaitable[Any]):
    """Something to wait for; nobody awaits it here, the tests say what became of it."""

    def __await__(self) -> Generator[Any, Any, Any]:
        raise AssertionError("the session awaits nothing itself")


@command("LATER", "[text]", help="Takes its time.")
def later(request: Request) -> Awaitable[Any]:
    return Later()


@command("BREAK", help="Fails.")
def break_(request: Request) -> str:
    raise RuntimeError("broken")


@command("REFUSE", help="Refuses.")
def refuse(request: Request) -> str:
    raise CommandError(553, "not\nyou")


@command("WRONG", help="Returns what it may not.")
def wrong(request: Request) -> Any:
    return 42


@command("BYE-LATER", help="Takes its time to close.")
def bye_later(request: Request) -> Awaitable[Any]:
    return Later()


def _shout_many(arguments: list[str]) -> list[str]:
    return [argument.upper() for argument in arguments]


@command("SHOUT", "text", help="Says it louder.", many=_shout_many)
def shout(request: Request) -> str:
    return request.argument.upper()


EXTRA = (later, break_, refuse, wrong, bye_later)


class Talk:
    """A session and what was reported of it; awaitables come to an end at once."""

    def __init__(
        self,
        *extra: Command,
        connection: PlainFacts | None = None,
        max_line: int = 4096,
        strict_crlf: bool = False,
        wait: bool = False,
        many: bool = True,
    ) -> None:
        self.context = MemoryContext()
        self.reported: list[tuple[str, BaseException]] = []
        self.counters = self.context.counters
        self.events = self.counters.events
        self.wait = wait
        facts = connection or PlainFacts("line", "192.0.2.1:4711")
        commands = load_commands((*EXTRA, *extra), points=())
        if not many:
            commands = CommandTable(dataclasses.replace(each, many=None) for each in commands)
        self.session = Session(
            ConnectionScope(facts, self.context, commands),
            self._report,
            self.counters,
            max_line=max_line,
            strict_crlf=strict_crlf,
        )

    def _report(self, name: str, error: BaseException) -> str:
        self.reported.append((name, error))
        return f"{len(self.reported):08x}"

    def say(self, *chunks: bytes) -> bytes:
        said = b""
        for chunk in chunks:
            self.session.receive(chunk)
            said += self.rest()
        return said

    def rest(self) -> bytes:
        said = b""
        while True:
            said += self.session.answer()
            if self.session.state is State.WAITING and not self.wait:
                assert self.session.pending is not None
                self.session.resolve("waited for")
            elif not (self.session.more and self.session.state is State.READY):
                return said


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(min(place, len(stream)) for place in places), len(stream)]
    return [stream[a:b] for a, b in pairwise(bounds)]


def every_way(stream: bytes, **how: Any) -> bytes:
    """What is said to a stream, checked to be the same whole and byte by byte."""
    whole = Talk(**how).say(stream)
    assert Talk(**how).say(*cut(stream, list(range(len(stream))))) == whole
    return whole


@pytest.mark.parametrize(
    ("said", "answered"),
    [
        (b"PING\r\n", b"250 PONG\r\n"),
        (b"PING a\n", b"250 PONG a\r\n"),
        (b"ping a\n", b"250 PONG a\r\n"),
        (b"pInG a\n", b"250 PONG a\r\n"),
        (b" \t PING a\n", b"250 PONG a\r\n"),
        (b"PING a\n\rPING b\n\r", b"250 PONG a\r\n250 PONG b\r\n"),
        (b"PING\ta\n", b"250 PONG a\r\n"),
        (b"PING  a \n", b"250 PONG a\r\n"),
        (b"PING a b\n", b"501 usage: PING [token]\r\n"),
        (b"ECHO  a  b \n", b"250  a  b \r\n"),
        (b"ECHO\n", b"250 \r\n"),
        (b"ECHO a\tb\x07\x1b[0m\n", b"250 a\tb\\x07\\x1b[0m\r\n"),
        (b"ECHO a\rb\n", b"250-a\r\n250 b\r\n"),
        ("ECHO Grüße \U0001f600\n".encode(), "250 Grüße \U0001f600\r\n".encode()),
        ("ECHO abc\u202etxt\n".encode(), b"250 abc\\u202etxt\r\n"),
        (b"ECHO x\nECHO \x01\nECHO y\n", b"250 x\r\n250 \\x01\r\n250 y\r\n"),
        (b"REFUSE\n", b"553-not\r\n553 you\r\n"),
    ],
)
def test_requests_and_replies(said: bytes, answered: bytes) -> None:
    """ "command words are ASCII, case does not matter"; "the argument is all that follows the one
    blank behind the command, other blanks included"."""
    assert every_way(said) == answered


@pytest.mark.parametrize("line", [b"\n", b"\r\n", b"  \n", b"\t \r\n"])
def test_an_empty_line_gets_no_reply(line: bytes) -> None:
    """ "An empty line, and one of nothing but spaces and tabs, gets no reply." """
    assert every_way(line + b"PING\n" + line) == b"250 PONG\r\n"


def test_a_line_without_end_is_no_request() -> None:
    """ "A last line that has no line end is not a request" """
    talk = Talk()
    assert talk.say(b"PING a\nPING b") == b"250 PONG a\r\n"
    talk.session.end_of_input()
    assert talk.rest() == b""
    assert talk.session.state is State.CLOSED


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        (b"PIGN x", b"PIGN is not a command, did you mean PING?"),
        (b"tcpimfo", b"tcpimfo is not a command, did you mean TCPINFO?"),
        (b"starttsl", b"starttsl is not a command, HELP lists them"),  # it would be answered 502
        (b"XYZZY", b"XYZZY is not a command, HELP lists them"),
        (b"\x1b[A", b"\\x1b[A is not a command, HELP lists them"),
        (b"x" * 1000, b"x" * 32 + b"... is not a command, HELP lists them"),
        ("PİNG".encode(), "PİNG is not a command, did you mean PING?".encode()),
    ],
)
def test_unknown_commands(line: bytes, hint: bytes) -> None:
    """ "An unknown command is answered 500 ... the reply names a similar command" """
    assert every_way(line + b"\n") == b"500 " + hint + b"\r\n"


def test_suggestions_come_to_an_end() -> None:
    """ "To each connection's first 16 of them" """
    said = Talk().say(b"PIGN\n" * 100).splitlines()
    assert len(said) == 100
    assert [b"did you mean" in line for line in said] == [True] * 16 + [False] * 84


@pytest.mark.parametrize(
    "line", [b"ECHO \xff", b"\xff", b"PING \xc3", b"echo\xff x", b"NO \xed\xa0\x80"]
)
def test_invalid_utf8(line: bytes) -> None:
    """ "A line that is not valid UTF-8 is answered with 500." """
    assert every_way(line + b"\nPING\n") == b"500 the line is not valid UTF-8\r\n250 PONG\r\n"


def test_too_long_a_line() -> None:
    """ "A longer one is answered with one 500 reply and skipped to its end ... The connection is
    kept." """
    too_long = b"500 the line is longer than 64 bytes\r\n"
    longest = b"ECHO " + b"x" * 59
    assert every_way(longest + b"\r\n", max_line=64) == b"250 " + b"x" * 59 + b"\r\n"
    said = every_way(longest + b"x\r\nPING\n", max_line=64)
    assert said == too_long + b"250 PONG\r\n"
    talk = Talk(max_line=64)
    assert talk.say(*[b"x" * 1000] * 1000) == too_long  # "as soon as it is known"
    assert talk.say(b"\nPING\n") == b"250 PONG\r\n"
    assert talk.events["line-too-long"] == 1


def test_strict_crlf() -> None:
    """ "With strict_crlf = yes a line that ends in LF alone is refused with 500 and not looked
    at." """
    refused = b"500 the line ends in LF alone, end it in CRLF\r\n"
    assert every_way(b"PING a\nPING b\r\n", strict_crlf=True) == refused + b"250 PONG b\r\n"


def test_a_failing_command() -> None:
    """ "451: The command failed ... The text ends in reference XXXXXXXX" """
    talk = Talk()
    said = talk.say(b"PING 1\nBREAK\nPING 2\n")
    assert said == b"250 PONG 1\r\n451 BREAK failed, reference 00000001\r\n250 PONG 2\r\n"
    [(name, error)] = talk.reported
    assert (name, str(error)) == ("BREAK", "broken")
    assert talk.events == {"command-failed": 1}
    assert talk.counters.commands == {"PING": 2, "BREAK": 1}


def test_commands_are_counted_by_their_own_name_and_replies_by_code() -> None:
    """A word that a client made up is in no counter: it could make up as many as it likes."""
    talk = Talk()
    talk.say(b"ping\nPiNg\n PING\nNOPE\nREFUSE\n\xff\nPING \xff\n", b"PING\nLATER\nQUIT\n")
    assert talk.counters.commands == {"PING": 4, "REFUSE": 1, "LATER": 1, "QUIT": 1}
    assert talk.counters.replies == {250: 5, 500: 3, 553: 1, 221: 1}


def test_a_command_that_returns_nonsense() -> None:
    talk = Talk()
    assert talk.say(b"WRONG\n") == b"451 WRONG failed, reference 00000001\r\n"
    assert "returned int" in str(talk.reported[0][1])


def test_replies_keep_their_order_around_a_wait() -> None:
    """ "Replies come strictly in the order of the requests" """
    talk = Talk(wait=True)
    assert talk.say(b"PING 1\nLATER\nPING 2\nLATER\nPING 3\n") == b"250 PONG 1\r\n"
    assert talk.session.state is State.WAITING
    assert talk.say(b"PING 4\n") == b""
    talk.session.resolve("first")
    assert talk.rest() == b"250 first\r\n250 PONG 2\r\n"
    talk.session.resolve(Reply(252, ("second",)))
    assert talk.rest() == b"252 second\r\n250 PONG 3\r\n250 PONG 4\r\n"
    assert talk.session.state is State.READY


@pytest.mark.parametrize(
    ("end", "answered"),
    [
        (lambda s: s.resolve("a\nb"), b"250-a\r\n250 b\r\n"),
        (lambda s: s.resolve(42), b"451 LATER failed, reference 00000001\r\n"),
        (lambda s: s.reject(OSError("gone")), b"451 LATER failed, reference 00000001\r\n"),
        (lambda s: s.reject(CommandError(450, "busy")), b"450 busy\r\n"),
        (lambda s: s.expire(30.0), b"451 LATER did not finish in time, reference 00000001\r\n"),
    ],
)
def test_ends_of_a_wait(end: Callable[[Session], None], answered: bytes) -> None:
    talk = Talk(wait=True)
    talk.say(b"LATER\nPING\n")
    end(talk.session)
    assert talk.rest() == answered + b"250 PONG\r\n"


def test_a_wait_that_ends_in_closing() -> None:
    talk = Talk(wait=True)
    talk.say(b"BYE-LATER\nPING\n")
    talk.session.resolve(Reply(221, ("bye",), Then.CLOSE))
    assert talk.rest() == b"221 bye\r\n"
    assert talk.session.state is State.CLOSED
    assert talk.say(b"PING\n") == b""


def test_settling_nothing_is_a_mistake() -> None:
    with pytest.raises(RuntimeError):
        Talk().session.resolve("what?")


def test_quit() -> None:
    """ "221, then the connection is closed. Requests that follow are not answered." """
    talk = Talk()
    assert talk.say(b"PING\nQUIT\nPING\n") == b"250 PONG\r\n221 example.net goodbye\r\n"
    assert talk.session.state is State.CLOSED
    assert talk.say(b"PING\n") == b""


CLEAR = PlainFacts("line", "192.0.2.1:4711", can_start_tls=True)


@pytest.mark.parametrize(
    "behind", [b"PING injected\r\n", b"PING inj", b"\r\n", b"x" * 5000, b"QUIT\nPING x\nhalf"]
)
@pytest.mark.parametrize("apart", [False, True])
def test_starttls_throws_away_what_follows_in_the_clear(behind: bytes, apart: bool) -> None:
    """ "what the server received in the clear behind the STARTTLS line is thrown away unseen,
    counted, and gets no reply". RFC 3207 section 4.2: "The server MUST discard any knowledge
    obtained from the client, ... which was not obtained from the TLS negotiation itself"."""
    talk = Talk(connection=CLEAR, wait=True)
    if apart:  # behind a command that takes its time, in several segments
        talk.say(b"LATER\n")
        talk.say(b"STARTTLS\r\n")
        talk.say(behind)
        talk.session.resolve("done")
        assert talk.rest() == b"250 done\r\n220 ready for TLS\r\n"
    else:
        assert talk.say(b"STARTTLS\r\n" + behind) == b"220 ready for TLS\r\n"
    assert talk.session.state is State.STARTING_TLS
    assert talk.rest() == b""
    assert talk.events["starttls-discarded"] == 1
    talk.session.tls_started()
    assert talk.say(b"PING inside\r\n") == b"250 PONG inside\r\n"


def test_starttls_with_nothing_behind_it() -> None:
    talk = Talk(connection=CLEAR)
    assert talk.say(b"STARTTLS\r\n") == b"220 ready for TLS\r\n"
    assert talk.events == {"starttls": 1}


def test_long_replies_come_in_lots() -> None:
    """Short requests for long replies do not make the session render megabytes at once."""
    talk = Talk()
    talk.session.receive(b"HELP\n" * 10_000)
    first = talk.session.answer()
    assert talk.session.more
    assert len(first) < 70_000
    said = first + talk.rest()
    assert said.count(b"\r\n214 ") == 10_000
    assert not talk.session.more


def test_a_command_may_close_the_session() -> None:
    """A command that ends its own connection is the last one that is called."""
    called = []

    @command("HANG-UP", help="Ends the connection under the session.")
    def hang_up(request: Request) -> str:
        called.append(request.argument)
        talk.session.close()
        return "never sent"

    talk = Talk(hang_up)
    assert talk.say(b"PING\nHANG-UP 1\nHANG-UP 2\n", b"PING\n") == b""
    assert called == ["1"]
    assert talk.session.state is State.CLOSED


def test_what_is_refused_fills_a_lot_too() -> None:
    """ "A client that sends and does not read is not read from any more": what it has sent by then
    does not become twenty times as much output at once."""
    talk = Talk()
    talk.session.receive(b"x\n" * 100_000)
    assert len(talk.session.answer()) < 100_000
    assert talk.session.more
    assert talk.rest().count(b"\r\n") > 90_000


def test_what_waits_takes_about_the_memory_that_it_was_sent_in() -> None:
    talk = Talk()
    flood = b"ab\n" * 87_000
    tracemalloc.start()
    try:
        talk.session.receive(flood)
        talk.session.answer()
        assert talk.session.more
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 4 * len(flood)
    assert talk.rest().count(b"\r\n") + 2_000 > 87_000


def test_help_guesses_as_often_as_a_refusal() -> None:
    """ "To each connection's first 16 of them the reply names a similar command": a guess is slow,
    and HELP makes them too."""
    talk = Talk()
    for _ in range(8):
        assert talk.say(b"PIGN\n").endswith(b"did you mean PING?\r\n")
        assert talk.say(b"HELP PIGN\n").endswith(b"did you mean PING?\r\n")
    assert talk.say(b"PIGN\n") == b"500 PIGN is not a command, HELP lists them\r\n"
    assert talk.say(b"HELP PIGN\n") == b"501 PIGN is not a command, HELP lists the commands\r\n"


def test_a_kept_request_does_not_change() -> None:
    """Each request has an object of its own, whoever holds on to the one before."""
    kept: list[Request] = []
    later_looks: list[Callable[[], str]] = []

    @command("KEEP", help="Keeps its requests.")
    def keep(request: Request) -> str:
        kept.append(request)
        return request.argument

    @command("CLOSE-OVER", help="Keeps its requests, in a closure.")
    def close_over(request: Request) -> str:
        later_looks.append(lambda: request.argument)
        return request.argument

    Talk(keep, close_over).say(b"KEEP a\nKEEP b\nCLOSE-OVER c\nPING d\nCLOSE-OVER e\nPING f\n")
    assert [request.argument for request in kept] == ["a", "b"]
    assert [look() for look in later_looks] == ["c", "e"]


LINES = st.sampled_from(
    [
        b"PING",
        b"PING a b",
        b"ECHO some  text ",
        "ECHO ü\u202e".encode(),
        b"TIME",
        b"PIGN",
        b"LATER",
        b"BREAK",
        b"REFUSE",
        b"\xff\xfe",
        b"HELP PING",
        b"",
        b"  ",
        b"x" * 70,
        b"ECHO " + b"y" * 59,
    ]
)


@given(
    stream=st.lists(st.tuples(LINES, st.sampled_from([b"\n", b"\r\n"]))).map(
        lambda lines: b"".join(line + end for line, end in lines)
    ),
    places=st.lists(st.integers(0, 400)),
    strict=st.booleans(),
)
def test_segmentation_does_not_matter(stream: bytes, places: list[int], strict: bool) -> None:
    """How the stream was cut does not change one byte of the replies."""
    whole = Talk(max_line=64, strict_crlf=strict).say(stream)
    assert Talk(max_line=64, strict_crlf=strict).say(*cut(stream, places)) == whole


ALIKE = st.sampled_from(
    [
        b"x",
        b"",
        b" ",
        b"a b",
        b"a\tb",
        b"a\rb",
        b"PING x",
        b"\x07",
        b"\xff",
        b"o" * 70,
        "ü".encode(),
    ]
)


@given(
    word=st.sampled_from([b"PING ", b"ping ", b"ECHO ", b"SHOUT ", b"PING", b"TIME "]),
    arguments=st.lists(st.one_of(st.just(b"token"), ALIKE), min_size=1, max_size=30),
    end=st.sampled_from([b"\n", b"\r\n"]),
    before=st.sampled_from([b"", b"PI", b"z" * 70, b"ECHO 1\n"]),
    behind=st.sampled_from([b"", b"PING", b"TIME\n"]),
    strict=st.booleans(),
)
# answers without a letter were taken for none, and asked for once more
@example(b"SHOUT ", [b""] * 8, b"\n", b"", b"", False)
def test_answered_together_or_each_by_itself(
    word: bytes, arguments: list[bytes], end: bytes, before: bytes, behind: bytes, strict: bool
) -> None:
    """ "``call`` has to come to the same": in replies, and in what is counted."""
    alike = b"".join(word + argument + end for argument in arguments)
    stream = [before, alike * 4, behind + b"\n"]
    together = Talk(shout, max_line=64, strict_crlf=strict)
    each = Talk(shout, max_line=64, strict_crlf=strict, many=False)
    assert together.say(*stream) == each.say(*stream)
    for counters in (together.counters, each.counters):
        counters.commands = {name: n for name, n in counters.commands.items() if n}
    for name in ("commands", "replies", "events"):
        assert getattr(together.counters, name) == getattr(each.counters, name)


def test_many_is_called_with_what_came_together() -> None:
    asked: list[list[str]] = []

    def many(arguments: list[str]) -> list[str]:
        asked.append(list(arguments))
        return arguments

    @command("COUNT", help="Says it again.", many=many)
    def count(request: Request) -> str:
        raise AssertionError("it is not called by itself")

    requests = b"".join(b"COUNT %d\r\n" % n for n in range(10_000))
    said = Talk(count).say(requests)
    assert said == b"".join(b"250 %d\r\n" % n for n in range(10_000))
    assert [each for lot in asked for each in lot] == [str(n) for n in range(10_000)]
    assert 2 <= len(asked) <= 8


@pytest.mark.parametrize(
    ("many", "reported"),
    [
        (lambda arguments: 1 / 0, ["COUNT"]),
        (lambda arguments: arguments[1:], ["COUNT"]),
        (lambda arguments: [None for _ in arguments], ["COUNT"]),
        (lambda arguments: None, []),
    ],
    ids=["raises", "too few", "no texts", "cannot"],
)
def test_a_many_that_fails_costs_no_client_a_reply(many: Any, reported: list[str]) -> None:
    @command("COUNT", help="Says it again.", many=many)
    def count(request: Request) -> str:
        return request.argument

    talk = Talk(count)
    assert talk.say(b"COUNT a\r\n" * 10) == b"250 a\r\n" * 10
    assert [name for name, _ in talk.reported] == reported
    assert talk.counters.commands["COUNT"] == talk.counters.replies[250] == 10


def replies_in(said: bytes) -> int:
    """How many replies there are, each of them checked to be well-formed."""
    count = 0
    for line in said.decode().split("\r\n")[:-1]:
        assert line[:3].isdecimal()
        assert line[3] in " -"
        count += line[3] == " "
    return count


def requests_in(stream: bytes) -> int:
    return sum(bool(line.removesuffix(b"\r").strip(b" \t")) for line in stream.split(b"\n")[:-1])


@pytest.mark.parametrize("seed", range(5))
def test_noise_gets_one_reply_a_line(seed: int) -> None:
    """ "Every other line is a request and gets exactly one reply." 100,000 bytes of noise, and of
    noise behind the names of commands; none of it QUIT or STARTTLS."""
    dice = random.Random(seed)
    words = [b"PING ", b"echo ", b"HELP ", b"LATER ", b"TIME", b"BREAK", b"\n", b"\r\n", b" "]
    stream = bytearray()
    while len(stream) < 100_000:
        stream += dice.choice(words)
        stream += dice.randbytes(dice.randrange(40))
    stream += b"\n"
    talk = Talk(max_line=1 << 20)
    places = [dice.randrange(len(stream)) for _ in range(200)]
    said = talk.say(*cut(bytes(stream), places))
    assert replies_in(said) == requests_in(bytes(stream)) == sum(talk.counters.replies.values())
    assert talk.session.state is State.READY


@given(st.binary(max_size=300))
def test_any_bytes_at_all(stream: bytes) -> None:
    talk = Talk()
    said = talk.say(stream + b"\n")
    assert replies_in(said) == requests_in(stream + b"\n")


def test_names_are_checked() -> None:
    for name in ("", "ping", "1ST", "A B", "A_B", "Ä"):
        with pytest.raises(ValueError, match="not a command's name"):
            Command(name, "", "", lambda request: "")
    with pytest.raises(ValueError, match="two commands have the name PING"):
        CommandTable([Command("PING", "", "", lambda request: "")] * 2)


def test_first_and_last_words() -> None:
    """ "220 SERVER_NAME line service ready, HELP lists the commands"; "421 SERVER_NAME and the
    reason"."""
    assert greeting("example.net") == (
        b"220 example.net line service ready, HELP lists the commands\r\n"
    )
    assert last_words("example.net", "the server is shutting down") == (
        b"421 example.net the server is shutting down\r\n"
    )
