"""The sans-IO session, against docs/reference/line-protocol.rst."""

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
    """An awaitable; the tests resolve, reject or expire it."""

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


class SessionHarness:
    """A session and its reports; awaitables resolve immediately."""

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
        output = b""
        for chunk in chunks:
            self.session.receive(chunk)
            output += self.rest()
        return output

    def rest(self) -> bytes:
        output = b""
        while True:
            output += self.session.answer()
            if self.session.state is State.WAITING and not self.wait:
                assert self.session.pending is not None
                self.session.resolve("waited for")
            elif not (self.session.more and self.session.state is State.READY):
                return output


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(min(place, len(stream)) for place in places), len(stream)]
    return [stream[a:b] for a, b in pairwise(bounds)]


def every_way(stream: bytes, **how: Any) -> bytes:
    """Return the replies to a stream, equal at once and byte by byte."""
    whole = SessionHarness(**how).say(stream)
    assert SessionHarness(**how).say(*cut(stream, list(range(len(stream))))) == whole
    return whole


@pytest.mark.parametrize(
    ("stream", "replies"),
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
def test_requests_and_replies(stream: bytes, replies: bytes) -> None:
    """Commands are "case-insensitive". "The argument is everything after the first blank behind the
    command, including other blanks"."""
    assert every_way(stream) == replies


@pytest.mark.parametrize("line", [b"\n", b"\r\n", b"  \n", b"\t \r\n"])
def test_empty_line_gets_no_reply(line: bytes) -> None:
    """ "An empty line, or one of only spaces and tabs, gets no reply." """
    assert every_way(line + b"PING\n" + line) == b"250 PONG\r\n"


def test_line_without_end_is_not_a_request() -> None:
    """ "A last line without a line end is not a request; it is discarded." """
    conversation = SessionHarness()
    assert conversation.say(b"PING a\nPING b") == b"250 PONG a\r\n"
    conversation.session.end_of_input()
    assert conversation.rest() == b""
    assert conversation.session.state is State.CLOSED


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
    """ "The reply to an unknown command is ``500``." """
    assert every_way(line + b"\n") == b"500 " + hint + b"\r\n"


def test_suggestions_are_limited() -> None:
    """ "The first 16 of a connection [...] suggest a similar command"."""
    output = SessionHarness().say(b"PIGN\n" * 100).splitlines()
    assert len(output) == 100
    assert [b"did you mean" in line for line in output] == [True] * 16 + [False] * 84


@pytest.mark.parametrize(
    "line", [b"ECHO \xff", b"\xff", b"PING \xc3", b"echo\xff x", b"NO \xed\xa0\x80"]
)
def test_invalid_utf8(line: bytes) -> None:
    """ "A line that is not valid UTF-8 is answered with ``500``." """
    assert every_way(line + b"\nPING\n") == b"500 the line is not valid UTF-8\r\n250 PONG\r\n"


def test_line_too_long() -> None:
    """ "The server answers a longer one with one ``500`` reply as soon as it exceeds the limit, and
    skips the rest of it. The connection stays open." """
    too_long = b"500 the line is longer than 64 bytes\r\n"
    longest = b"ECHO " + b"x" * 59
    assert every_way(longest + b"\r\n", max_line=64) == b"250 " + b"x" * 59 + b"\r\n"
    output = every_way(longest + b"x\r\nPING\n", max_line=64)
    assert output == too_long + b"250 PONG\r\n"
    conversation = SessionHarness(max_line=64)
    assert conversation.say(*[b"x" * 1000] * 1000) == too_long  # "as soon as it is known"
    assert conversation.say(b"\nPING\n") == b"250 PONG\r\n"
    assert conversation.events["line-too-long"] == 1


def test_strict_crlf() -> None:
    """ "With ``strict_crlf = yes`` a line that ends in LF alone is refused with ``500``." """
    refused = b"500 the line ends in LF alone, end it in CRLF\r\n"
    assert every_way(b"PING a\nPING b\r\n", strict_crlf=True) == refused + b"250 PONG b\r\n"


def test_command_that_raises() -> None:
    """Code 451: "The text ends in ``reference XXXXXXXX``"."""
    conversation = SessionHarness()
    output = conversation.say(b"PING 1\nBREAK\nPING 2\n")
    assert output == b"250 PONG 1\r\n451 BREAK failed, reference 00000001\r\n250 PONG 2\r\n"
    [(name, error)] = conversation.reported
    assert (name, str(error)) == ("BREAK", "broken")
    assert conversation.events == {"command-failed": 1}
    assert conversation.counters.commands == {"PING": 2, "BREAK": 1}


def test_counters_of_commands_and_replies() -> None:
    """Unknown words are not counted, as a client may send any number of them."""
    conversation = SessionHarness()
    conversation.say(b"ping\nPiNg\n PING\nNOPE\nREFUSE\n\xff\nPING \xff\n", b"PING\nLATER\nQUIT\n")
    assert conversation.counters.commands == {"PING": 4, "REFUSE": 1, "LATER": 1, "QUIT": 1}
    assert conversation.counters.replies == {250: 5, 500: 3, 553: 1, 221: 1}


def test_command_that_returns_a_wrong_type() -> None:
    conversation = SessionHarness()
    assert conversation.say(b"WRONG\n") == b"451 WRONG failed, reference 00000001\r\n"
    assert "returned int" in str(conversation.reported[0][1])


def test_replies_keep_their_order_around_a_wait() -> None:
    """ "Replies are in the order of the requests"."""
    conversation = SessionHarness(wait=True)
    assert conversation.say(b"PING 1\nLATER\nPING 2\nLATER\nPING 3\n") == b"250 PONG 1\r\n"
    assert conversation.session.state is State.WAITING
    assert conversation.say(b"PING 4\n") == b""
    conversation.session.resolve("first")
    assert conversation.rest() == b"250 first\r\n250 PONG 2\r\n"
    conversation.session.resolve(Reply(252, ("second",)))
    assert conversation.rest() == b"252 second\r\n250 PONG 3\r\n250 PONG 4\r\n"
    assert conversation.session.state is State.READY


@pytest.mark.parametrize(
    ("end", "replies"),
    [
        (lambda s: s.resolve("a\nb"), b"250-a\r\n250 b\r\n"),
        (lambda s: s.resolve(42), b"451 LATER failed, reference 00000001\r\n"),
        (lambda s: s.reject(OSError("gone")), b"451 LATER failed, reference 00000001\r\n"),
        (lambda s: s.reject(CommandError(450, "busy")), b"450 busy\r\n"),
        (lambda s: s.expire(30.0), b"451 LATER did not finish in time, reference 00000001\r\n"),
    ],
)
def test_pending_command_resolves_rejects_or_expires(
    end: Callable[[Session], None], replies: bytes
) -> None:
    conversation = SessionHarness(wait=True)
    conversation.say(b"LATER\nPING\n")
    end(conversation.session)
    assert conversation.rest() == replies + b"250 PONG\r\n"


def test_pending_command_may_close() -> None:
    conversation = SessionHarness(wait=True)
    conversation.say(b"BYE-LATER\nPING\n")
    conversation.session.resolve(Reply(221, ("bye",), Then.CLOSE))
    assert conversation.rest() == b"221 bye\r\n"
    assert conversation.session.state is State.CLOSED
    assert conversation.say(b"PING\n") == b""


def test_resolve_without_a_pending_command_raises() -> None:
    with pytest.raises(RuntimeError):
        SessionHarness().session.resolve("what?")


def test_quit() -> None:
    """ "``221``, then the server closes the connection. Further requests are not answered." """
    conversation = SessionHarness()
    assert conversation.say(b"PING\nQUIT\nPING\n") == b"250 PONG\r\n221 example.net goodbye\r\n"
    assert conversation.session.state is State.CLOSED
    assert conversation.say(b"PING\n") == b""


CLEAR = PlainFacts("line", "192.0.2.1:4711", can_start_tls=True)


@pytest.mark.parametrize(
    "behind", [b"PING injected\r\n", b"PING inj", b"\r\n", b"x" * 5000, b"QUIT\nPING x\nhalf"]
)
@pytest.mark.parametrize("apart", [False, True])
def test_starttls_discards_cleartext_input(behind: bytes, apart: bool) -> None:
    """ "The server discards, counts and does not answer data that it received in the clear
    after the STARTTLS line". RFC 3207 section 4.2: "The server MUST discard any knowledge obtained
    from the client, ... which was not obtained from the TLS negotiation itself"."""
    conversation = SessionHarness(connection=CLEAR, wait=True)
    if apart:  # behind a command that takes its time, in several segments
        conversation.say(b"LATER\n")
        conversation.say(b"STARTTLS\r\n")
        conversation.say(behind)
        conversation.session.resolve("done")
        assert conversation.rest() == b"250 done\r\n220 ready for TLS\r\n"
    else:
        assert conversation.say(b"STARTTLS\r\n" + behind) == b"220 ready for TLS\r\n"
    assert conversation.session.state is State.STARTING_TLS
    assert conversation.rest() == b""
    assert conversation.events["starttls-discarded"] == 1
    conversation.session.tls_started()
    assert conversation.say(b"PING inside\r\n") == b"250 PONG inside\r\n"


def test_starttls_without_further_input() -> None:
    conversation = SessionHarness(connection=CLEAR)
    assert conversation.say(b"STARTTLS\r\n") == b"220 ready for TLS\r\n"
    assert conversation.events == {"starttls": 1}


def test_long_replies_are_returned_in_batches() -> None:
    """Short requests for long replies are not rendered in megabytes at once."""
    conversation = SessionHarness()
    conversation.session.receive(b"HELP\n" * 10_000)
    first = conversation.session.answer()
    assert conversation.session.more
    assert len(first) < 70_000
    output = first + conversation.rest()
    assert output.count(b"\r\n214 ") == 10_000
    assert not conversation.session.more


def test_command_may_close_the_session() -> None:
    """No further command is called."""
    called = []

    @command("HANG-UP", help="Ends the connection under the session.")
    def hang_up(request: Request) -> str:
        called.append(request.argument)
        conversation.session.close()
        return "never sent"

    conversation = SessionHarness(hang_up)
    assert conversation.say(b"PING\nHANG-UP 1\nHANG-UP 2\n", b"PING\n") == b""
    assert called == ["1"]
    assert conversation.session.state is State.CLOSED


def test_error_replies_count_in_the_batch() -> None:
    """Invalid lines do not make the session render twenty times their size at once."""
    conversation = SessionHarness()
    conversation.session.receive(b"x\n" * 100_000)
    assert len(conversation.session.answer()) < 100_000
    assert conversation.session.more
    assert conversation.rest().count(b"\r\n") > 90_000


def test_waiting_input_is_not_split_in_memory() -> None:
    conversation = SessionHarness()
    flood = b"ab\n" * 87_000
    tracemalloc.start()
    try:
        conversation.session.receive(flood)
        conversation.session.answer()
        assert conversation.session.more
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 4 * len(flood)
    assert conversation.rest().count(b"\r\n") + 2_000 > 87_000


def test_help_shares_the_limit_of_suggestions() -> None:
    """ "The first 16 of a connection, including those of HELP, suggest a similar command"."""
    conversation = SessionHarness()
    for _ in range(8):
        assert conversation.say(b"PIGN\n").endswith(b"did you mean PING?\r\n")
        assert conversation.say(b"HELP PIGN\n").endswith(b"did you mean PING?\r\n")
    assert conversation.say(b"PIGN\n") == b"500 PIGN is not a command, HELP lists them\r\n"
    assert (
        conversation.say(b"HELP PIGN\n")
        == b"501 PIGN is not a command, HELP lists the commands\r\n"
    )


def test_request_is_not_reused() -> None:
    """Each request is a new object."""
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

    SessionHarness(keep, close_over).say(
        b"KEEP a\nKEEP b\nCLOSE-OVER c\nPING d\nCLOSE-OVER e\nPING f\n"
    )
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
    """The replies are equal."""
    whole = SessionHarness(max_line=64, strict_crlf=strict).say(stream)
    assert SessionHarness(max_line=64, strict_crlf=strict).say(*cut(stream, places)) == whole


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
# empty replies were mistaken for none, and requested again
@example(b"SHOUT ", [b""] * 8, b"\n", b"", b"", False)
def test_many_equals_call(
    word: bytes, arguments: list[bytes], end: bytes, before: bytes, behind: bytes, strict: bool
) -> None:
    """ "Its results must equal those of ``call``", and so must the counters."""
    alike = b"".join(word + argument + end for argument in arguments)
    stream = [before, alike * 4, behind + b"\n"]
    together = SessionHarness(shout, max_line=64, strict_crlf=strict)
    each = SessionHarness(shout, max_line=64, strict_crlf=strict, many=False)
    assert together.say(*stream) == each.say(*stream)
    for counters in (together.counters, each.counters):
        counters.commands = {name: n for name, n in counters.commands.items() if n}
    for name in ("commands", "replies", "events"):
        assert getattr(together.counters, name) == getattr(each.counters, name)


def test_many_gets_pipelined_requests() -> None:
    asked: list[list[str]] = []

    def many(arguments: list[str]) -> list[str]:
        asked.append(list(arguments))
        return arguments

    @command("COUNT", help="Says it again.", many=many)
    def count(request: Request) -> str:
        raise AssertionError("it is not called by itself")

    requests = b"".join(b"COUNT %d\r\n" % n for n in range(10_000))
    output = SessionHarness(count).say(requests)
    assert output == b"".join(b"250 %d\r\n" % n for n in range(10_000))
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
def test_many_that_raises_falls_back_to_call(many: Any, reported: list[str]) -> None:
    @command("COUNT", help="Says it again.", many=many)
    def count(request: Request) -> str:
        return request.argument

    conversation = SessionHarness(count)
    assert conversation.say(b"COUNT a\r\n" * 10) == b"250 a\r\n" * 10
    assert [name for name, _ in conversation.reported] == reported
    assert conversation.counters.commands["COUNT"] == conversation.counters.replies[250] == 10


def replies_in(output: bytes) -> int:
    """Return the number of replies; check that each is well-formed."""
    count = 0
    for line in output.decode().split("\r\n")[:-1]:
        assert line[:3].isdecimal()
        assert line[3] in " -"
        count += line[3] == " "
    return count


def requests_in(stream: bytes) -> int:
    return sum(bool(line.removesuffix(b"\r").strip(b" \t")) for line in stream.split(b"\n")[:-1])


@pytest.mark.parametrize("seed", range(5))
def test_noise_gets_one_reply_per_line(seed: int) -> None:
    """ "Every other line is a request and gets exactly one reply." 100,000 bytes of noise, and of
    noise behind the names of commands; none of it QUIT or STARTTLS."""
    dice = random.Random(seed)
    words = [b"PING ", b"echo ", b"HELP ", b"LATER ", b"TIME", b"BREAK", b"\n", b"\r\n", b" "]
    stream = bytearray()
    while len(stream) < 100_000:
        stream += dice.choice(words)
        stream += dice.randbytes(dice.randrange(40))
    stream += b"\n"
    conversation = SessionHarness(max_line=1 << 20)
    places = [dice.randrange(len(stream)) for _ in range(200)]
    output = conversation.say(*cut(bytes(stream), places))
    assert (
        replies_in(output)
        == requests_in(bytes(stream))
        == sum(conversation.counters.replies.values())
    )
    assert conversation.session.state is State.READY


@given(st.binary(max_size=300))
def test_arbitrary_bytes(stream: bytes) -> None:
    conversation = SessionHarness()
    output = conversation.say(stream + b"\n")
    assert replies_in(output) == requests_in(stream + b"\n")


def test_command_names_are_checked() -> None:
    for name in ("", "ping", "1ST", "A B", "A_B", "Ä"):
        with pytest.raises(ValueError, match="not a command's name"):
            Command(name, "", "", lambda request: "")
    with pytest.raises(ValueError, match="two commands have the name PING"):
        CommandTable([Command("PING", "", "", lambda request: "")] * 2)


def test_greeting_and_last_words() -> None:
    """ "``220 SERVER_NAME line service ready, HELP lists the commands``"; "``421 SERVER_NAME``
    and the reason"."""
    assert greeting("example.net") == (
        b"220 example.net line service ready, HELP lists the commands\r\n"
    )
    assert last_words("example.net", "the server is shutting down") == (
        b"421 example.net the server is shutting down\r\n"
    )
