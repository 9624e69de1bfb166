"""The text door's edge: flow control, ends, and streams cut anywhere."""

from __future__ import annotations

import itertools
import re
import tracemalloc
from typing import Any

import pytest
from amounts import examples
from chat.doubles import Busy
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
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tcpd.chat.text.client import SLOW_READER
from tcpd.config.values import Rate
from tcpd.handshake.facts import Absence, Facts, Transport
from tcpd.interfaces import IConnection, IFarewell, IRefusing
from tcpd.lines.single import LINES_A_TURN
from tcpd.policy.reasons import End, Refusal


@over_tcp("it is about the transport")
def test_interfaces() -> None:
    chat = TextChat()
    client = chat.text_client()
    assert verifyObject(IFarewell, client.protocol)
    assert verifyObject(IHalfCloseableProtocol, client.protocol)
    assert verifyObject(IPushProducer, client.protocol)
    assert verifyObject(IRefusing, chat.factory)
    assert client.transport.producer is client.protocol
    assert client.transport.streaming


@over_tcp("it is about the transport")
@on_the_local_log("it looks at what one turn of the reactor writes")
def test_one_write_a_turn() -> None:
    """'One transport write per member and reactor turn.'"""
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


def test_on_our_reactor_that_write_needs_no_timer() -> None:
    """What a turn brings leaves at its end: ``written`` of the reactor is asked, not callLater."""

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


def test_a_command_sees_what_was_typed_before_it() -> None:
    """Lines typed in one go are taken as if they came one by one."""
    chat = TextChat()
    ann = chat.text_client("ann")
    assert "<ann> first" in "\n".join(ann.type("first\r\n/history"))


def test_answers_queue_behind_events() -> None:
    """'Client's own replies queue in the same outbox behind its events (order!).'"""
    chat = TextChat()
    ann, bob = chat.text_client("ann"), chat.text_client("bob")
    bob.screen()
    ann.send(b"hello\n")
    chat.deliver()
    bob.send(b"/who\n")
    ann.send(b"again\n")
    assert bob.screen() == ["#lobby <ann> hello", "  In #lobby (2): ann, bob", "#lobby <ann> again"]


# --- flood ---


def test_a_flood_is_slowed_and_nothing_lost() -> None:
    """'Over it reading pauses until a token is there (throttle, lose nothing), lines already
    received wait in order.'"""
    chat = TextChat(rate=Rate(0.05, 20.0))
    ann, bob = chat.text_client("ann"), chat.text_client("bob")
    bob.screen()
    ann.send(b"".join(b"%d\n" % number for number in range(40)))
    chat.clock.advance(0)  # the rest of the burst, in the next turn
    said = [line.rpartition(" ")[2] for line in bob.screen()]
    assert said == [str(number) for number in range(19)], "the nickname took a token too"
    assert ann.paused
    chat.clock.advance(10)
    assert bob.screen() == []
    for _ in range(100):
        chat.clock.advance(5)
        said += [line.rpartition(" ")[2] for line in bob.screen()]
    assert said == [str(number) for number in range(40)]
    assert not ann.paused
    assert chat.counted["throttled"] > 0
    ann.type("after")
    assert bob.screen() == ["#lobby <ann> after"]


def test_a_flood_that_waits_takes_about_the_memory_that_it_was_sent_in() -> None:
    """'Faster ones are not lost: they wait'; for hours, if they are many."""
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


@over_tcp("nobody speaks TELNET by WebSocket")
@pytest.mark.parametrize("noise", [b"\xff\xfd\x01", b"\xff\xfb\x18"])
def test_a_flood_without_lines_leaves_others_their_turns(noise: bytes) -> None:
    chat = TextChat()
    ann = chat.text_client("ann")
    ann.send(noise * 80_000)
    assert ann.transport.producerState == "paused", "the rest is for the next turn"
    chat.clock.advance(0)
    assert ann.transport.producerState == "producing"
    ann.transport.clear()  # the refusals of what was asked for
    ann.send(b"\n/who\n")
    assert ann.screen()[-1] == "  In #lobby (1): ann"


def test_who_waits_to_come_in_is_read_no_further_and_nothing_is_lost() -> None:
    """ "Nothing that was received is lost": what stands behind a line that waits."""
    chat = TextChat()
    bob, ann = chat.text_client("bob"), chat.text_client()

    assert chat.context.work.run(Busy(chat.clock))
    ann.send(b"ann\r\nhello\r\n")
    assert ann.paused
    assert len(chat.hub.lobby.members) == 1
    chat.settle()
    assert not ann.paused
    assert bob.screen()[-2:] == ["* ann joined #lobby", "#lobby <ann> hello"]


def test_no_rate_no_limit() -> None:
    chat = TextChat(rate=None)
    ann, bob = chat.text_client("ann"), chat.text_client("bob")
    bob.screen()
    ann.send(b"x\n" * 1000)
    for _ in range(1000 // LINES_A_TURN + 1):
        chat.clock.advance(0)
    assert len(bob.screen()) == 1000
    assert not ann.paused


def test_neither_pause_resumes_the_other() -> None:
    """'Pausing has several causes (flood, full output): neither may resume what the other
    paused.'"""
    chat = TextChat(rate=Rate(1.0, 2.0))
    ann = chat.text_client("ann")
    ann.send(b"1\n2\n3\n")
    assert ann.paused, "flood"
    ann.protocol.pauseProducing()
    ann.protocol.resumeProducing()
    assert ann.paused, "the output may go on, but lines still wait for a token"
    ann.protocol.pauseProducing()
    chat.clock.advance(10)
    assert ann.paused, "tokens are there, but the output is full"
    assert [said.text for said in chat.kept("#lobby")] == ["1"]
    ann.protocol.resumeProducing()
    for _ in range(10):
        chat.clock.advance(1)
    assert not ann.paused
    assert [said.text for said in chat.kept("#lobby")] == ["1", "2", "3"]


def test_many_questions_do_not_drop_who_asks_them() -> None:
    """Lines wait for an outbox that has to be written first: answers are no slow reading."""
    chat = TextChat(bounds={"outbox": 16384})
    ann = chat.text_client("ann")
    ann.type(*["x" * 100] * 100)
    ann.send(b"/history 100\n" * 200)
    answers = 0
    for _ in range(1000):
        answers += sum("Said before" in line for line in ann.screen())
        assert ann.protocol._outbox.size <= 16384
    assert answers == 200
    assert not ann.paused


# --- slow readers ---


def test_a_slow_reader_is_dropped_while_others_get_every_line() -> None:
    chat = TextChat(bounds={"outbox": 16384})
    ann, slow, bob = chat.text_client("ann"), chat.text_client("slow"), chat.text_client("bob")
    bob.screen()
    slow.protocol.pauseProducing()
    slow.raw()
    got: list[str] = []
    sent = 0
    while not slow.transport.disconnected:
        ann.send(b"%d\n" % sent)
        sent += 1
        assert slow.raw() == b"", "nothing is written while the transport is paused"
        got += bob.screen()
    got += bob.screen()
    assert f"* slow left the chat: {SLOW_READER}" in got
    assert [line for line in got if "<ann>" in line] == [
        f"#lobby <ann> {number}" for number in range(sent)
    ]
    assert chat.counted["dropped"] == 1
    slow.protocol.connectionLost(Failure(ConnectionLost()))
    slow.send(b"am I still here?\n")
    assert bob.screen() == []
    chat.text_client("slow")


@implementer(IConnection)
class LayeredTransport(StringTransport):
    """A transport that has a connection layer."""

    address = None
    tls = None
    peer = "192.0.2.1:4711"

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[End] = []

    def end(self, reason: End) -> None:
        self.ends.append(reason)

    def facts(self) -> Facts:
        return Facts(transport=Transport.UNIX, no_saved_syn=Absence.UNIX)


def test_handshake_tells_of_the_connection_that_asks() -> None:
    """ "/handshake: your connection's TCP handshake" """
    transport = LayeredTransport()
    chat = TextChat()
    protocol = chat.factory.buildProtocol(None)
    protocol.makeConnection(transport)  # type: ignore[arg-type]
    protocol.dataReceived(b"ann\n/handshake\n/handshake layers\n/handshake tea\n")
    chat.settle()
    said = transport.value().decode()
    assert "No drawing" in said
    assert "Layer 4, transport" in said
    # issue: "character encoding, line ending in use"
    assert re.search("character encoding +UTF-8\r?\n", said)
    assert re.search("line ending in use +LF\r?\n", said)
    assert "write it like this: /handshake [layers]" in said


def test_a_slow_reader_is_dropped_by_the_connection_layer() -> None:
    chat = TextChat(bounds={"outbox": 16384})
    ann = chat.text_client("ann")
    transport = LayeredTransport()
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


def test_a_paused_member_catches_up() -> None:
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


# --- ends ---


def test_a_client_that_closes_its_side_is_served_to_the_end() -> None:
    """'A client that closes its sending side leaves the chat politely after its pending lines were
    handled, everything flushed.'"""
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
def test_a_last_line_without_its_end_counts() -> None:
    chat = TextChat()
    bob = chat.text_client("bob")
    ann = chat.text_client("ann")
    ann.send(b"hello")
    ann.protocol.readConnectionLost()
    assert bob.screen()[-2:] == ["#lobby <ann> hello", "* ann left the chat: Connection closed"]


def test_half_close_in_a_flood() -> None:
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


def test_half_close_without_a_nickname() -> None:
    chat = TextChat()
    ann = chat.text_client()
    ann.screen()
    ann.protocol.readConnectionLost()
    assert ann.screen() == ["Goodbye."]
    assert ann.transport.disconnecting


def test_a_lost_connection() -> None:
    chat = TextChat()
    ann, bob = chat.text_client("ann"), chat.text_client("bob")
    ann.screen()
    bob.protocol.connectionLost(Failure(ConnectionLost()))
    assert ann.screen() == ["* bob left the chat: Read error: connection lost"]
    again = chat.text_client("bob")
    ann.screen()
    again.lose()
    assert ann.screen() == ["* bob left the chat: Connection closed"]


def test_the_farewell() -> None:
    """'IFarewell: a last line such as "* the server is shutting down"', behind what waits."""
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


def test_the_refusal() -> None:
    chat = TextChat()
    assert chat.factory.refusal(Refusal.SERVICE_FULL) == (
        b"! this service is full, try again later\r\n"
    )


@pytest.mark.parametrize("after", [b"more\n", b"/nick zoe\n", b"\xff\xfd\x06"])
def test_nothing_is_heard_behind_quit(after: bytes) -> None:
    chat = TextChat()
    ann, bob = chat.text_client("ann"), chat.text_client("bob")
    bob.screen()
    ann.send(b"/quit\n" + after)
    ann.send(after)
    assert bob.screen() == ["* ann left the chat"]
    assert ann.raw().endswith(b"Goodbye.\r\n")


def test_no_timer_is_left() -> None:
    """An ended conversation leaves no delayed call behind."""
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


# --- streams cut anywhere, and noise ---


def spoken(pieces: list[bytes]) -> tuple[bytes, bytes]:
    """What somebody who says so, and somebody who listens, see."""
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
    # telnet is answered when it asks, and so the answer may stand before or behind other lines
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


@over_tcp("nobody speaks TELNET by WebSocket")
def test_a_script_byte_by_byte() -> None:
    whole = spoken([SCRIPT])
    assert spoken([SCRIPT[i : i + 1] for i in range(len(SCRIPT))]) == whole
    assert b"<ann> hi" in whole[1]
    assert whole[1].endswith(b"* zoe left the chat: bye\r\n")


@over_tcp("nobody speaks TELNET by WebSocket")
@settings(max_examples=examples(30), deadline=None)
@given(st.lists(st.integers(0, len(SCRIPT)), max_size=8))
def test_a_script_cut_anywhere(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(SCRIPT)]
    pieces = [SCRIPT[a:b] for a, b in itertools.pairwise(edges)]
    assert spoken(pieces) == spoken([SCRIPT])


NOISE = st.one_of(
    st.binary(max_size=60),
    st.sampled_from([b"/", b"#", b"\r", b"\n", b"\0", b"\xff", b"\xff\xfa", b"ann\n", b"/quit\n"]),
    st.sampled_from(
        [f"/{word} ".encode() for word in ("join", "msg", "ban", "kick", "nick", "op")]
    ),
)


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(NOISE, max_size=40), st.booleans())
def test_random_bytes_at_the_door(pieces: list[bytes], introduced: bool) -> None:
    """Nothing a client sends raises, or puts a control character on another's screen."""
    chat = TextChat()
    bob = chat.text_client("bob")
    ann: TextTestClient = chat.text_client("ann" if introduced else None)
    for piece in pieces:
        ann.send(piece)
        chat.clock.advance(0)
    for client in (ann, bob):
        shown = client.raw().replace(b"\r\n", b"")
        # telnet's answers apart, which go to nobody but who asked
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
