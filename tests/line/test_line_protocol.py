"""The line protocol on a transport in memory."""

from __future__ import annotations

from collections.abc import Awaitable
from types import SimpleNamespace
from typing import Any

import pytest
from flow_control import TurnClock
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.task import deferLater
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tcpd.config.fields import options_of
from tcpd.interfaces import IBusy, IConnection, IFarewell, IKind, IRefusing
from tcpd.line.command import Request, command
from tcpd.line.factory import LineFactory
from tcpd.line.kind import kind
from tcpd.line.loading import load_commands
from tcpd.line.protocol import LineProtocol
from tcpd.line.reply import CommandError, Reply
from tcpd.line.settings import LineSettings
from tcpd.line.testing import MemoryContext
from tcpd.net.tls import TLSFacts
from tcpd.net.turns import work_queue
from tcpd.policy.reasons import End, Refusal
from tcpd.policy.workqueue import SECONDS_A_TURN

GREETING = b"220 example.net line service ready, HELP lists the commands\r\n"


class Commands:
    """Commands with Deferreds that the tests fire."""

    def __init__(self) -> None:
        self.pending: list[Deferred[Any]] = []
        self.cancelled: list[Deferred[Any]] = []

        @command("WAIT", help="Waits for the test.")
        def wait(request: Request) -> Awaitable[Any]:
            deferred: Deferred[Any] = Deferred(self.cancelled.append)
            self.pending.append(deferred)
            return deferred

        @command("NAP", help="A coroutine.")
        async def nap(request: Request) -> str:
            await deferLater(request.context.clock, float(request.argument))
            return "slept"

        @command("NOW", help="Has its result already.")
        def now(request: Request) -> Awaitable[str]:
            return succeed(f"now {request.argument}")

        @command("FAIL", help="Fails, as a coroutine.")
        async def fail_(request: Request) -> str:
            raise ZeroDivisionError("nothing to share")

        @command("FAILED", help="Has failed already.")
        def failed(request: Request) -> Awaitable[Any]:
            return fail(ValueError("\x1b[31mred"))

        @command("BUSY", help="Refuses, as a coroutine.")
        async def busy(request: Request) -> str:
            raise CommandError(450, "busy")

        @command("STUBBORN", help="Does not let itself be cancelled.")
        async def stubborn(request: Request) -> Reply:
            try:
                await deferLater(request.context.clock, 1000)
            except CancelledError:
                await deferLater(request.context.clock, 1000)
            raise OSError("far too late")

        self.all = (wait, nap, now, fail_, failed, busy, stubborn)


class LineHarness:
    """A protocol on a transport."""

    def __init__(
        self, transport: Any = None, context: MemoryContext | None = None, **settings: Any
    ) -> None:
        self.context = context or MemoryContext()
        self.commands = Commands()
        self.factory = LineFactory(
            LineSettings(**settings), self.context, load_commands(self.commands.all, points=())
        )
        self.transport: Any = transport if transport is not None else StringTransport()
        self.protocol: Any = self.factory.buildProtocol(None)
        self.protocol.makeConnection(self.transport)
        assert self.read() == GREETING

    def read(self) -> bytes:
        said: bytes = self.transport.value()
        self.transport.clear()
        return said

    def say(self, data: bytes) -> bytes:
        self.protocol.dataReceived(data)
        return self.read()

    @property
    def reads(self) -> bool:
        return bool(self.transport.producerState == "producing")

    @property
    def wait(self) -> Deferred[Any]:
        return self.commands.pending.pop(0)


def test_replies_to_a_chunk_are_one_write() -> None:
    class Counting(StringTransport):
        writes = 0

        def write(self, data: bytes) -> None:
            self.writes += 1
            super().write(data)

    line = LineHarness(Counting())
    before = line.transport.writes
    assert line.say(b"PING a\nTIME\nECHO x\x01\nPIGN\n" * 100).count(b"\r\n") == 400
    assert line.transport.writes == before + 1


def test_reading_pauses_while_a_command_is_pending() -> None:
    """ "While a command runs, the server stops reading from its client; received requests
    wait." """
    line = LineHarness()
    assert line.say(b"PING 1\nWAIT\nPING 2\nPI") == b"250 PONG 1\r\n"
    assert not line.reads
    assert line.say(b"NG 3\n") == b""  # on its way already
    line.wait.callback("at last")
    assert line.read() == b"250 at last\r\n250 PONG 2\r\n250 PONG 3\r\n"
    assert line.reads


def test_coroutine_command() -> None:
    line = LineHarness()
    assert line.say(b"NAP 5\nPING\n") == b""
    line.context.clock.advance(5)
    assert line.read() == b"250 slept\r\n250 PONG\r\n"
    assert not line.context.clock.getDelayedCalls()


def test_many_fired_deferreds_do_not_recurse() -> None:
    line = LineHarness()
    said = line.say(b"NOW x\n" * 5000 + b"PING\n")
    assert said == b"250 now x\r\n" * 5000 + b"250 PONG\r\n"
    assert line.reads
    assert not line.context.clock.getDelayedCalls()


def test_failures_are_logged_with_the_reference(logged_failures: Any) -> None:
    """ "the server's log has the same reference with the cause" """
    line = LineHarness()
    said = line.say(b"FAIL\nFAILED\nPING\n").decode().splitlines()
    assert said[2] == "250 PONG"
    [first] = logged_failures.expect("nothing to share")
    [second] = logged_failures.expect("red")
    for event, reply, name in ((first, said[0], "FAIL"), (second, said[1], "FAILED")):
        assert reply == f"451 {name} failed, reference {event['reference']}"
        assert event["command"] == name
        assert event["peer"] == "192.168.1.1:54321"
        assert len(event["reference"]) == 8
    assert "fail_" in first["log_failure"].getTraceback()


def test_command_error_is_not_logged() -> None:
    assert LineHarness().say(b"BUSY\n") == b"450 busy\r\n"


def test_command_timeout_cancels_the_command(logged_failures: Any) -> None:
    """ "A command that runs longer than ``command_timeout`` [...] is cancelled if possible"."""
    line = LineHarness(command_timeout=7.0)
    line.say(b"WAIT\nPING\n")
    deferred = line.wait
    line.context.clock.advance(6.9)
    assert line.read() == b""
    line.context.clock.advance(0.1)
    [event] = logged_failures.expect("WAIT did not finish within 7 seconds")
    reply = f"451 WAIT did not finish in time, reference {event['reference']}\r\n250 PONG\r\n"
    assert line.read() == reply.encode()
    assert line.commands.cancelled == [deferred]
    assert line.reads
    assert line.context.counters.events["command-timeout"] == 1


def test_command_timeout_without_cancellation(logged_failures: Any) -> None:
    line = LineHarness(command_timeout=7.0)
    line.say(b"STUBBORN\n")
    line.context.clock.advance(7)
    logged_failures.expect("STUBBORN did not finish")
    assert line.read().startswith(b"451 ")
    line.context.clock.advance(1000)  # its late failure is ignored
    assert line.read() == b""
    assert line.say(b"PING\n") == b"250 PONG\r\n"


def test_lost_connection_cancels_without_logging() -> None:
    line = LineHarness()
    line.say(b"WAIT\n")
    deferred = line.wait
    line.protocol.connectionLost(Failure(ConnectionDone()))
    assert line.commands.cancelled == [deferred]
    assert not line.context.clock.getDelayedCalls()

    line = LineHarness()
    line.say(b"NAP 9\n")
    line.protocol.connectionLost(Failure(ConnectionDone()))
    assert not line.context.clock.getDelayedCalls()


def test_quit_unregisters_the_producer_and_closes() -> None:
    line = LineHarness()
    assert line.say(b"QUIT\nPING\n") == b"221 example.net goodbye\r\n"
    assert line.transport.producer is None
    assert line.transport.disconnecting


def test_reading_pauses_while_the_output_is_full() -> None:
    """ "If a client does not read, the server stops reading from it." """
    line = LineHarness()
    assert line.transport.producer is line.protocol
    assert verifyObject(IPushProducer, line.protocol)
    line.protocol.pauseProducing()
    assert not line.reads
    assert line.say(b"PING 1\n") == b""  # on its way already
    line.protocol.resumeProducing()
    assert line.read() == b"250 PONG 1\r\n"
    assert line.reads


def test_both_reasons_must_end_before_reading_resumes() -> None:
    """The end of a command does not override a full output, and vice versa."""
    line = LineHarness()
    line.say(b"WAIT\nPING\n")
    line.protocol.pauseProducing()
    line.wait.callback("x")
    assert line.read() == b""
    assert not line.reads
    line.protocol.resumeProducing()
    assert line.read() == b"250 x\r\n250 PONG\r\n"
    assert line.reads

    line.say(b"WAIT\nPING\n")
    line.protocol.pauseProducing()
    line.protocol.resumeProducing()
    assert not line.reads
    line.wait.callback("y")
    assert line.read() == b"250 y\r\n250 PONG\r\n"
    assert line.reads


def test_long_replies_stop_when_the_output_is_full() -> None:
    class Full(StringTransport):
        """Pauses its producer above 64 KiB, as Twisted's transports do."""

        def write(self, data: bytes) -> None:
            super().write(data)
            if len(self.value()) > 65536 and self.producer is not None:
                self.producer.pauseProducing()

    line = LineHarness(Full())
    line.protocol.dataReceived(b"HELP\n" * 10_000)
    assert len(line.transport.value()) < 200_000
    said = b""
    while not line.reads:
        said += line.read()
        line.protocol.resumeProducing()
        line.context.clock.advance(0)
    assert (said + line.read()).count(b"\r\n214 ") == 10_000


class Ticking(TurnClock):
    """A clock that advances with each reading."""

    def seconds(self) -> float:
        self.rightNow += SECONDS_A_TURN / 10
        return float(self.rightNow)


def crowd(count: int) -> list[Any]:
    """Clients of one service, with turns of a few clock readings."""
    context = MemoryContext(clock=Ticking())
    context.work = work_queue(context.clock)
    return [LineHarness(context=context) for _ in range(count)]


@pytest.mark.parametrize(
    "request_", [b"TIME\n", b"x\n", b"PING \xff\n", b"\xff\n", b"HELP x\n", b"PING a b\n"]
)
def test_flood_does_not_delay_others(request_: bytes) -> None:
    """The time of a turn bounds the work on one chunk, and reading pauses until it is done."""
    line, other = crowd(2)
    count = 20_000
    line.protocol.dataReceived(request_ * count)
    replies = line.read().count(b"\r\n")
    assert 0 < replies < count / 5
    assert not line.reads
    assert line.protocol.busy
    assert other.say(b"PING\n") == b"250 PONG\r\n"
    assert not line.reads
    third = other.say(b"PING\n" * 1000)
    while not other.reads:
        line.context.clock.turn()
    assert third + other.read() == b"250 PONG\r\n" * 1000
    assert not line.reads
    while not line.reads:
        line.context.clock.turn()
    assert replies + line.read().count(b"\r\n") == count


def test_disconnect_during_a_flood() -> None:
    [line] = crowd(1)
    line.protocol.dataReceived(b"TIME\n" * 20_000)
    assert len(line.context.work) == 1
    line.protocol.connectionLost()
    assert len(line.context.work) == 0


def test_exception_in_a_later_turn_ends_one_connection(logged_failures: Any) -> None:
    line, other = crowd(2)
    line.protocol.dataReceived(b"TIME\n" * 20_000)
    assert other.say(b"PING\n") == b"250 PONG\r\n"

    def fail(deadline: float) -> bytes:
        raise ZeroDivisionError("a bug")

    line.protocol.session = SimpleNamespace(answer=fail)
    while not line.transport.disconnected:
        line.context.clock.turn()
    [event] = logged_failures.expect("a bug")
    assert event["event_id"] == "connection.failed"
    assert other.say(b"PING\n") == b"250 PONG\r\n"


def test_half_close_receives_all_replies() -> None:
    """ "The server sends all replies, including those of commands that still run, and closes the
    connection"."""
    line = LineHarness()
    assert verifyObject(IHalfCloseableProtocol, line.protocol)
    assert line.say(b"PING a\nPING b\n") == b"250 PONG a\r\n250 PONG b\r\n"
    line.protocol.readConnectionLost()
    assert line.transport.disconnecting
    assert line.transport.producer is None


def test_half_close_while_a_command_is_pending() -> None:
    line = LineHarness()
    line.say(b"WAIT\nPING b\nunfinished")
    line.protocol.readConnectionLost()
    assert not line.transport.disconnecting
    line.wait.callback("a")
    assert line.read() == b"250 a\r\n250 PONG b\r\n"
    assert line.transport.disconnecting


def test_half_close_with_a_full_output() -> None:
    line = LineHarness()
    line.protocol.pauseProducing()
    line.protocol.dataReceived(b"PING a\n")
    line.protocol.readConnectionLost()
    assert not line.transport.disconnecting
    line.protocol.resumeProducing()
    assert line.read() == b"250 PONG a\r\n"
    assert line.transport.disconnecting


def test_end_of_input_is_handled_once() -> None:
    """Twisted's transports report the end of input again when they are resumed."""
    line = LineHarness()
    line.say(b"WAIT\nWAIT\n")
    line.protocol.readConnectionLost()
    line.wait.callback("a")
    line.wait.callback("b")
    assert line.read() == b"250 a\r\n250 b\r\n"
    assert line.transport.producerState == "paused"


def test_farewell() -> None:
    """ "it sends ``421 SERVER_NAME`` and the reason first" """
    line = LineHarness()
    assert verifyObject(IFarewell, line.protocol)
    line.say(b"WAIT\nPING\n")
    deferred = line.wait
    words = line.protocol.farewell(End.SHUTDOWN)
    assert words == b"421 example.net the server is shutting down\r\n"
    assert line.commands.cancelled == [deferred]
    assert line.transport.producer is None
    assert line.say(b"PING\n") == b""
    line.protocol.connectionLost(Failure(ConnectionDone()))


@pytest.mark.parametrize("first", [b"", b"NAP 1\n"])
def test_command_may_close_its_connection(first: bytes) -> None:
    """The result of the command is dropped, and no further input is processed."""

    @command("LEAVE", help="Ends the connection, as a coroutine.")
    async def leave(request: Request) -> str:
        if request.argument:
            await deferLater(request.context.clock, 1)
        said.append(protocol.farewell(End.SERVER))
        return "never sent"

    @command("LEAVE-NOW", help="Ends the connection and has more to wait for.")
    def leave_now(request: Request) -> Awaitable[str]:
        said.append(protocol.farewell(End.SERVER))
        return leave.call(request)  # type: ignore[return-value]

    for request in (b"LEAVE\n", b"LEAVE later\n", b"LEAVE-NOW\n"):
        said: list[bytes] = []
        context = MemoryContext()
        commands = load_commands((leave, leave_now, *Commands().all), points=())
        protocol = LineFactory(LineSettings(), context, commands).buildProtocol(None)
        transport = StringTransport()
        protocol.makeConnection(transport)
        transport.clear()
        protocol.dataReceived(first + request + b"PING\n")
        context.clock.advance(1)
        context.clock.advance(1)
        assert said == [b"421 example.net the server closed the connection\r\n"]
        slept = first and request != b"LEAVE-NOW\n"  # drops output that is not written yet
        assert transport.value() == (b"250 slept\r\n" if slept else b"")
        assert not context.clock.getDelayedCalls()


def test_refusal() -> None:
    """ "a refused client receives ``421`` and the reason instead of the greeting" """
    factory = LineHarness().factory
    assert verifyObject(IRefusing, factory)
    assert factory.refusal(Refusal.SERVICE_FULL) == (
        b"421 example.net this service is full, try again later\r\n"
    )


@implementer(IConnection)
class LayeredTLSTransport(StringTransport):
    """A transport with a connection layer and fake TLS."""

    id = "1"
    service = "line"
    peer = "[2001:db8::1]:4711"
    address = None
    credentials = None

    def __init__(self, protocol_of: list[Any], starttls: bool = True) -> None:
        super().__init__()
        self._protocol_of = protocol_of
        self.tls: Any = None
        self.can_start_tls = starttls
        self.inside = StringTransport()
        self.ended: list[End] = []
        self.sent_when_started = b""

    def start_tls(self) -> None:
        assert self.can_start_tls
        assert self.producer is None
        self.can_start_tls = False
        self.tls = TLSFacts("TLSv1.3", "TLS_AES_128_GCM_SHA256", None)
        self.sent_when_started = self.value()
        [protocol] = self._protocol_of
        protocol.transport = self.inside

    def end(self, reason: End) -> None:
        self.ended.append(reason)


def layered(
    context: MemoryContext | None = None, **how: Any
) -> tuple[LineProtocol, LayeredTLSTransport]:
    mine: list[Any] = []
    transport = LayeredTLSTransport(mine, **how)
    factory = kind.make_factory(LineSettings(), context or MemoryContext())
    protocol = factory.buildProtocol(None)
    mine.append(protocol)
    protocol.makeConnection(transport)
    transport.clear()
    return protocol, transport


def test_facts_come_from_the_connection_layer() -> None:
    protocol, transport = layered()
    protocol.dataReceived(b"WHOAMI\n")
    assert transport.value() == b"250-address [2001:db8::1]:4711\r\n250 tls none\r\n"


@pytest.mark.parametrize("full", [False, True])
def test_starttls_injection(full: bool) -> None:
    """RFC 3207 section 5, CVE-2011-0411: what was sent in the clear behind STARTTLS is not
    answered under TLS; nothing stands between the reply and start_tls()."""
    context = MemoryContext()
    protocol, transport = layered(context)
    if full:
        protocol.pauseProducing()
        protocol.resumeProducing()
    protocol.dataReceived(b"PING clear\r\nSTARTTLS\r\nPING injected\r\nPING in")
    answered = b"250 PONG clear\r\n220 ready for TLS\r\n"
    assert transport.sent_when_started == transport.value() == answered
    assert transport.inside.value() == b""
    assert transport.inside.producer is protocol
    protocol.dataReceived(b"PING inside\r\nWHOAMI\r\nSTARTTLS\r\n")
    assert transport.inside.value() == (
        b"250 PONG inside\r\n"
        b"250-address [2001:db8::1]:4711\r\n"
        b"250-tls TLSv1.3\r\n250 cipher TLS_AES_128_GCM_SHA256\r\n"
        b"503 TLS is already active\r\n"
    )
    assert context.counters.events["starttls-discarded"] == 1


def test_starttls_with_a_full_output() -> None:
    """Reading resumes under TLS although the old transport's output was full."""
    protocol, transport = layered()
    write = transport.write

    def write_and_be_full(data: bytes) -> None:
        write(data)
        protocol.pauseProducing()

    transport.write = write_and_be_full  # type: ignore[method-assign]
    protocol.dataReceived(b"STARTTLS\r\n")
    assert transport.producerState == "producing"
    protocol.dataReceived(b"PING\r\n")
    assert transport.inside.value() == b"250 PONG\r\n"


def test_starttls_on_a_listener_without_it() -> None:
    """ "``502`` if the listener has no ``starttls=``" """
    protocol, transport = layered(starttls=False)
    protocol.dataReceived(b"STARTTLS\r\nPING\r\n")
    assert transport.value() == b"502 STARTTLS is not available here\r\n250 PONG\r\n"


def test_starttls_after_half_close() -> None:
    protocol, transport = layered()
    protocol.pauseProducing()
    protocol.dataReceived(b"STARTTLS\r\n")
    protocol.readConnectionLost()
    protocol.resumeProducing()
    assert transport.disconnecting
    assert transport.inside.value() == b""


def test_kind() -> None:
    assert verifyObject(IKind, kind)
    assert kind.name == "line"
    assert kind.words == {"starttls"}
    defaults = {
        option.name: option.type.show(option.default) for option in options_of(LineSettings)
    }
    assert defaults == {"max_line": "4KiB", "strict_crlf": "no", "command_timeout": "30s"}
    assert all(option.doc for option in options_of(LineSettings))


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize(
    ("opening", "sentence"),
    [
        (b"POST / HTTP/1.1\r\nHost: localhost:7100\r\n\r\n", b"HTTP is not spoken here"),
        (b"\r\n  get / http/1.1\r\n", b"HTTP is not spoken here"),
        (b"NOW / HTTP/1.1\r\nHost: localhost:7100\r\n\r\n", b"HTTP is not spoken here"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"HTTP is not spoken here"),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n", b"HTTP is not spoken here"),
        (b"\x16\x03\x01\x02\x00\x01\r\n", b"TLS is not spoken on this port"),
    ],
)
def test_http_request_ends_the_connection(opening: bytes, sentence: bytes, cut: bool) -> None:
    """ "A connection that starts with an HTTP request ... is closed with ``421``", and none of its
    lines is run."""
    line = LineHarness()
    stream = opening + b"NOW x\r\n"
    for piece in [bytes([byte]) for byte in stream] if cut else [stream]:
        line.protocol.dataReceived(piece)
    assert line.transport.value() == b"421 example.net " + sentence + b"\r\n"
    assert line.transport.disconnecting


def test_http_method_after_another_command_is_a_command() -> None:
    line = LineHarness()
    line.protocol.dataReceived(b"NOW x\r\nGET / HTTP/1.1\r\n")
    assert line.transport.value().startswith(b"250 now x\r\n500 GET is not a command")
    assert not line.transport.disconnecting


def test_pending_command_stops_the_idle_timeout() -> None:
    """IBusy: "whether it works for the client and does not read. The protocol bounds that time."
    Here, command_timeout does."""
    line = LineHarness()
    assert verifyObject(IBusy, line.protocol)
    assert not line.protocol.busy
    line.say(b"WAIT\n")
    assert line.protocol.busy
    line.wait.callback("done")
    assert not line.protocol.busy
