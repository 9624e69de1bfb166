"""The text frontend's protocol: flow control, closes, and streams split anywhere."""

from __future__ import annotations

import itertools
import re
import tracemalloc
from typing import Any

import pytest
from amounts import examples
from chat.doubles import Busy, ConnectionTransport
from chat.event_logs import on_the_local_log
from chat.text_chat import TextChat, TextTestClient
from chat.transports import over_tcp
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from tcpd.chat.text.client import SLOW_READER
from tcpd.config.values import Rate
from tcpd.handshake.facts import Absence, Facts, Transport
from tcpd.interfaces import IFarewell, IRefusing
from tcpd.lines.single import LINES_A_TURN
from tcpd.policy.reasons import End, Refusal


@over_tcp("it inspects the transport")
def test_interfaces() -> None:
    chat = TextChat()
    client = chat.text_client()
    assert verifyObject(IFarewell, client.protocol)
    assert verifyObject(IHalfCloseableProtocol, client.protocol)
    assert verifyObject(IPushProducer, client.protocol)
    assert verifyObject(IRefusing, chat.factory)
    assert client.transport.producer is client.protocol
    assert client.transport.streaming


@over_tcp("it inspects the transport")
@on_the_local_log("it inspects the writes of one reactor turn")
def test_one_write_per_client_and_turn() -> None:
    chat = TextChat()
    ann = chat.text_client("ann")
    writes: list[bytes] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StringTransport, "write", lambda transport, data: writes.append(data))
        bob = chat.text_client()
    bob.send(b"bob\n")
    chat.clock.advance(0)
    writes.clear()
    ann.send(b"one\ntwo\nthree\n")
    ann.send(b"four\n")
    assert writes == []
    chat.clock.advance(0)
    assert len(writes) == 1
    assert writes[0].count(b"\r\n") == 4


def test_flush_uses_the_written_hook_of_the_reactor() -> None:
    """tcpd's reactor calls ``written`` at the end of a turn, which saves a timer."""

    class Reactor(Clock):
        def __init__(self) -> None:
            super().__init__()
            self.written: list[Any] = []

    reactor = Reactor()
    chat = TextChat(nick_timeout=0.0, clock=reactor)
    client = chat.text_client()
    assert not reactor.getDelayedCalls()
    (each,) = reactor.written
    each.flush()
    assert client.transport.value().startswith(b"Welcome")


def test_command_sees_earlier_lines_of_the_same_packet() -> None:
    chat = TextChat()
    ann = chat.text_client("ann")
    assert "<ann> first" in "\n".join(ann.type("first\r\n/history"))


def test_replies_follow_earlier_events() -> None:
    chat = TextChat()
    ann, bob = chat.text_client("ann"), chat.text_client("bob")
    bob.screen()
    ann.send(b"hello\n")
    chat.deliver()
    bob.send(b"/who\n")
    ann.send(b"again\n")
    assert bob.screen() == ["#lobby <ann> hello", "  In #lobby (2): ann, bob", "#lobby <ann> again"]


# --- rate ---


def test_flood_is_throttled_without_loss() -> None:
    """docs/reference/chat.rst, Bounds, ``rate``"""
    chat = TextChat(rate=Rate(0.05, 20.0))
    ann, bob = chat.text_client("ann"), chat.text_client("bob")
    bob.screen()
    ann.send(b"".join(b"%d\n" % number for number in range(40)))
    chat.clock.advance(0)  # the rest of the burst, in the next turn
    said = [line.rpartition(" ")[2] for line in bob.screen()]
    assert said == [str(number) for number in range(19)], "the nickname took a token"
    assert ann.paused
    chat.clock.advance(10)
    assert bob.screen() == []
    for _ in range(100):
        chat.clock.advance(5)
        said += [line.rpartition(" ")[2] for line in bob.screen()]
    assert said == [str(number) for number in range(40)]
    assert not ann.paused
    assert chat.counters["throttled"] > 0
    ann.type("after")
    assert bob.screen() == ["#lobby <ann> after"]


def test_memory_of_throttled_lines() -> None:
    """Throttled lines may wait for hours."""
    chat = TextChat()
    ann = chat.text_client("ann")
    flood = b"ab\n" * 80_000
    tracemalloc.start()
    try:
        ann.send(flood)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 3 * len(flood)
    assert ann.transport.producerState == "paused"


@over_tcp("WebSocket has no telnet negotiation")
@pytest.mark.parametrize("noise", [b"\xff\xfd\x01", b"\xff\xfb\x18"])
def test_flood_of_telnet_commands_yields_to_other_clients(noise: bytes) -> None:
    chat = TextChat()
    ann = chat.text_client("ann")
    ann.send(noise * 80_000)
    assert ann.transport.producerState == "paused", "the rest waits for the next turn"
    chat.clock.advance(0)
    assert ann.transport.producerState == "producing"
    ann.transport.clear()  # the refusals of the negotiation
    ann.send(b"\n/who\n")
    assert ann.screen()[-1] == "  In #lobby (1): ann"


def test_client_that_waits_for_a_turn_loses_no_lines() -> None:
    chat = TextChat()
    bob, ann = chat.text_client("bob"), chat.text_client()

    assert chat.context.work.run(Busy(chat.clock))
    ann.send(b"ann\r\nhello\r\n")
    assert ann.paused
    assert len(chat.hub.lobby.members) == 1
    chat.settle()
    assert not ann.paused
    assert bob.screen()[-2:] == ["* ann joined #lobby", "#lobby <ann> hello"]


def test_no_rate_means_no_limit() -> None:
    chat = TextChat(rate=None)
    ann, bob = chat.text_client("ann"), chat.text_client("bob")
    bob.screen()
    ann.send(b"x\n" * 1000)
    for _ in range(1000 // LINES_A_TURN + 1):
        chat.clock.advance(0)
    assert len(bob.screen()) == 1000
    assert not ann.paused


def test_causes_of_a_pause_are_independent() -> None:
    """The rate and the full transport both pause reading; neither resumes for the other."""
    chat = TextChat(rate=Rate(1.0, 2.0))
    ann = chat.text_client("ann")
    ann.send(b"1\n2\n3\n")
    assert ann.paused, "the rate"
    ann.protocol.pauseProducing()
    ann.protocol.resumeProducing()
    assert ann.paused, "the transport is ready, but no token is free"
    ann.protocol.pauseProducing()
    chat.clock.advance(10)
    assert ann.paused, "tokens are free, but the transport is full"
    assert [said.text for said in chat.kept_messages("#lobby")] == ["1"]
    ann.protocol.resumeProducing()
    for _ in range(10):
        chat.clock.advance(1)
    assert not ann.paused
    assert [said.text for said in chat.kept_messages("#lobby")] == ["1", "2", "3"]


def test_many_queries_do_not_overflow_the_outbox() -> None:
    """Lines wait until the replies to earlier ones are written."""
    chat = TextChat(bounds={"outbox": 16384})
    ann = chat.text_client("ann")
    ann.type(*["x" * 100] * 100)
    ann.send(b"/history 100\n" * 200)
    answers = 0
    for _ in range(1000):
        answers += sum("Said before" in line for line in ann.screen())
        assert ann.session.outbox.size <= 16384
    assert answers == 200
    assert not ann.paused


# --- slow readers ---


def test_slow_reader_is_dropped_without_effect_on_others() -> None:
    chat = TextChat(bounds={"outbox": 16384})
    ann, slow, bob = chat.text_client("ann"), chat.text_client("slow"), chat.text_client("bob")
    bob.screen()
    slow.protocol.pauseProducing()
    slow.raw()
    received: list[str] = []
    sent = 0
    while not slow.transport.disconnected:
        ann.send(b"%d\n" % sent)
        sent += 1
        assert slow.raw() == b"", "nothing is written to a paused transport"
        received += bob.screen()
    received += bob.screen()
    assert f"* slow left the chat: {SLOW_READER}" in received
    assert [line for line in received if "<ann>" in line] == [
        f"#lobby <ann> {number}" for number in range(sent)
    ]
    assert chat.counters["dropped"] == 1
    slow.protocol.connectionLost(Failure(ConnectionLost()))
    slow.send(b"am I still here?\n")
    assert bob.screen() == []
    chat.text_client("slow")


def test_handshake_command() -> None:
    """docs/reference/chat.rst, Commands: the connection's handshake, or the connection by
    layers."""
    transport = ConnectionTransport(
        facts=Facts(transport=Transport.UNIX, no_saved_syn=Absence.UNIX)
    )
    chat = TextChat()
    protocol = chat.factory.buildProtocol(None)
    protocol.makeConnection(transport)  # type: ignore[arg-type]
    protocol.dataReceived(b"ann\n/handshake\n/handshake layers\n/handshake tea\n")
    chat.settle()
    said = transport.value().decode()
    assert "No drawing" in said
    assert "Layer 4, transport" in said
    assert re.search("character encoding +UTF-8\r?\n", said)
    assert re.search("line ending in use +LF\r?\n", said)
    assert "write it like this: /handshake [layers]" in said


def test_slow_reader_is_ended_by_the_connection_layer() -> None:
    chat = TextChat(bounds={"outbox": 16384})
    ann = chat.text_client("ann")
    transport = ConnectionTransport()
    slow = chat.factory.buildProtocol(None)
    slow.makeConnection(transport)  # type: ignore[arg-type]
    slow.dataReceived(b"slow\n")
    chat.clock.advance(0)
    slow.pauseProducing()
    for _ in range(1000):
        ann.send(b"x" * 100 + b"\n")
        chat.settle()
    assert transport.ends == [End.SLOW_READER]
    assert chat.hub.person("slow") is None


def test_paused_client_catches_up() -> None:
    chat = TextChat()
    ann, bob = chat.text_client("ann"), chat.text_client("bob")
    bob.screen()
    bob.protocol.pauseProducing()
    ann.type("one", "two")
    assert bob.screen() == []
    assert bob.paused
    bob.protocol.resumeProducing()
    assert bob.screen() == ["#lobby <ann> one", "#lobby <ann> two"]
    assert not bob.paused


# --- close ---


def test_half_closed_client_is_served_to_the_end() -> None:
    """docs/reference/chat.rst, On the wire: lines before a half-close are executed and answered."""
    chat = TextChat()
    bob = chat.text_client("bob")
    ann = chat.text_client()
    ann.send(b"ann\nhello\n/who\n")
    ann.protocol.readConnectionLost()
    screen = ann.screen()
    assert screen[-2:] == ["  In #lobby (2): bob, ann", "Goodbye."]
    assert ann.transport.disconnecting
    assert bob.screen() == [
        "* ann joined #lobby",
        "#lobby <ann> hello",
        "* ann left the chat: Connection closed",
    ]


@over_tcp("half a line cannot be sent")
def test_last_line_without_a_line_end() -> None:
    chat = TextChat()
    bob = chat.text_client("bob")
    ann = chat.text_client("ann")
    ann.send(b"hello")
    ann.protocol.readConnectionLost()
    assert bob.screen()[-2:] == ["#lobby <ann> hello", "* ann left the chat: Connection closed"]


def test_half_close_of_a_throttled_client() -> None:
    chat = TextChat(rate=Rate(1.0, 1.0))
    bob, ann = chat.text_client("bob"), chat.text_client()
    ann.send(b"ann\none\ntwo\n")
    ann.protocol.readConnectionLost()
    assert not ann.transport.disconnecting
    for _ in range(5):
        chat.clock.advance(1.1)
    assert ann.transport.disconnecting
    assert bob.screen()[-3:] == [
        "#lobby <ann> one",
        "#lobby <ann> two",
        "* ann left the chat: Connection closed",
    ]


def test_half_close_at_the_nickname_prompt() -> None:
    chat = TextChat()
    ann = chat.text_client()
    ann.screen()
    ann.protocol.readConnectionLost()
    assert ann.screen() == ["Goodbye."]
    assert ann.transport.disconnecting


def test_quit_reason_of_a_lost_connection() -> None:
    chat = TextChat()
    ann, bob = chat.text_client("ann"), chat.text_client("bob")
    ann.screen()
    bob.protocol.connectionLost(Failure(ConnectionLost()))
    assert ann.screen() == ["* bob left the chat: Read error: connection lost"]
    again = chat.text_client("bob")
    ann.screen()
    again.lose()
    assert ann.screen() == ["* bob left the chat: Connection closed"]


def test_farewell() -> None:
    """:class:`tcpd.interfaces.IFarewell`: the last line follows pending output."""
    chat = TextChat()
    ann, bob = chat.text_client("ann"), chat.text_client("bob")
    bob.screen()
    bob.protocol.pauseProducing()
    ann.send(b"hello\n")
    chat.deliver()
    words = bob.protocol.farewell(End.SHUTDOWN)
    assert words == b"#lobby <ann> hello\r\n* the server is shutting down\r\n"
    assert bob.screen() == []
    assert ann.screen()[-1] == "* bob left the chat: the server is shutting down"
    bob.lose()
    assert ann.screen() == []


def test_refusal() -> None:
    chat = TextChat()
    assert chat.factory.refusal(Refusal.SERVICE_FULL) == (
        b"! this service is full, try again later\r\n"
    )


@pytest.mark.parametrize("after", [b"more\n", b"/nick zoe\n", b"\xff\xfd\x06"])
def test_input_after_quit_is_ignored(after: bytes) -> None:
    chat = TextChat()
    ann, bob = chat.text_client("ann"), chat.text_client("bob")
    bob.screen()
    ann.send(b"/quit\n" + after)
    ann.send(after)
    assert bob.screen() == ["* ann left the chat"]
    assert ann.raw().endswith(b"Goodbye.\r\n")


def test_no_timer_remains() -> None:
    chat = TextChat(rate=Rate(1.0, 1.0))
    ends: list[Any] = [
        lambda client: client.lose(),
        lambda client: client.send(b"/quit\n"),
        lambda client: client.protocol.farewell(End.SHUTDOWN),
    ]
    for end in ends:
        for client in (chat.text_client(), chat.text_client("ann")):
            client.send(b"a b\na b\na b\n")
            end(client)
            client.lose()
    chat.clock.advance(0)
    assert chat.clock.getDelayedCalls() == []


# --- streams split anywhere, and random input ---


def outputs(pieces: list[bytes]) -> tuple[bytes, bytes]:
    """Send pieces as ann. Return the output of ann and of bob."""
    chat = TextChat()
    bob = chat.text_client("bob")
    ann = chat.text_client()
    for piece in pieces:
        ann.send(piece)
        for _ in range(5):
            chat.clock.advance(0)
    ann.protocol.readConnectionLost()
    for _ in range(50):
        chat.clock.advance(0)
    # the refusal of telnet is sent at once, so its place among other lines varies
    shown = ann.raw()
    assert shown.count(WONT_TIMING_MARK) == 1
    return shown.replace(WONT_TIMING_MARK, b""), bob.raw()


WONT_TIMING_MARK = b"\xff\xfc\x06"
SCRIPT = (
    b"ann\r\nhello\r\n/me waves\n/join #t\xc3\xa9\r\n\xff\xfd\x06caf\xe9\r\n/who\r\n"
    b"\xe2\x82\xac\r\0/msg bob hi\n"
    + b"y" * 5000
    + b"\r\n/part\n//x\n/nick zoe\r\n/quit bye\r\nno\n"
)


@over_tcp("WebSocket has no telnet negotiation")
def test_script_byte_by_byte() -> None:
    whole = outputs([SCRIPT])
    assert outputs([SCRIPT[i : i + 1] for i in range(len(SCRIPT))]) == whole
    assert b"<ann> hi" in whole[1]
    assert whole[1].endswith(b"* zoe left the chat: bye\r\n")


@over_tcp("WebSocket has no telnet negotiation")
@settings(max_examples=examples(30), deadline=None)
@given(st.lists(st.integers(0, len(SCRIPT)), max_size=8))
def test_script_split_anywhere(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(SCRIPT)]
    pieces = [SCRIPT[a:b] for a, b in itertools.pairwise(edges)]
    assert outputs(pieces) == outputs([SCRIPT])


NOISE = st.one_of(
    st.binary(max_size=60),
    st.sampled_from([b"/", b"#", b"\r", b"\n", b"\0", b"\xff", b"\xff\xfa", b"ann\n", b"/quit\n"]),
    st.sampled_from(
        [f"/{word} ".encode() for word in ("join", "msg", "ban", "kick", "nick", "op")]
    ),
)


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(NOISE, max_size=40), st.booleans())
def test_random_input_sends_no_control_character_to_others(
    pieces: list[bytes], introduced: bool
) -> None:
    chat = TextChat()
    bob = chat.text_client("bob")
    ann: TextTestClient = chat.text_client("ann" if introduced else None)
    for piece in pieces:
        ann.send(piece)
        chat.clock.advance(0)
    for client in (ann, bob):
        shown = client.raw().replace(b"\r\n", b"")
        # telnet's replies go to their client only
        if client is bob:
            text = shown.decode()
            assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in text)
    assert bob.type("still here") == []
    ann.lose()
    chat.settle()
    assert list(chat.hub.lobby.members) == [chat.hub.person("bob")]


def test_a_thousand_clients() -> None:
    chat = TextChat()
    clients = [chat.text_client(f"m{number}") for number in range(1000)]
    assert clients[-1].type("/who")[-1].endswith("and 900 more")
    clients[0].screen()
    clients[-1].type("hello")
    assert clients[0].screen()[-1] == "#lobby <m999> hello"
    for client in clients[1:]:
        client.lose()
    chat.settle()
    assert chat.hub.people_count == 1
