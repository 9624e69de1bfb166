"""WebSocket on both kinds of connections, against wsproto's client."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import certificates
import pytest
from conftest import LoggedFailures
from net.doubles import (
    BOTH_KINDS,
    CLIENT,
    FULL,
    HalfCloseableRecorder,
    LayerHarness,
    Make,
    RecordingProducer,
    RecordingProtocol,
    SocketLayerHarness,
    flush,
    join,
    server_tls,
    tls_client,
)
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from wsproto import ConnectionType, WSConnection
from wsproto.connection import Connection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from zope.interface.verify import verifyClass

from tcpd.config.listen import TrustedProxies
from tcpd.config.values import NETWORKS
from tcpd.interfaces import IConnection
from tcpd.net.listener_factory import ListenerFactory
from tcpd.net.listener_options import ListenerOptions
from tcpd.net.proxy import Proxies
from tcpd.net.websocket import WebSocketLayer
from tcpd.net.websocket_pings import CHECKS
from tcpd.net.websocket_settings import IRCV3, WebSocketOptions
from tcpd.policy.reasons import End

OPTIONS = WebSocketOptions(longest=50, subprotocols=IRCV3, ping=0)


@pytest.fixture(**BOTH_KINDS)
def make(request: pytest.FixtureRequest) -> Make:
    """Make a connection layer with a WebSocket listener, with each kind of connections in turn."""

    def made(
        protocol: type[Protocol] = RecordingProtocol,
        options: WebSocketOptions = OPTIONS,
        proxies: Proxies | None = None,
        **more: Any,
    ) -> LayerHarness:
        harness: LayerHarness = request.param(protocol, **more)
        harness.application.websocket = options  # type: ignore[attr-defined]
        harness.factory = ListenerFactory(
            harness.layer, ListenerOptions(tls=more.get("tls"), proxies=proxies, websocket=True)
        )
        return harness

    return made


class Browser:
    """A WebSocket client in memory.

    :param subprotocols: that it offers.
    :param first: bytes sent in one segment with the request."""

    def __init__(
        self,
        harness: Any,
        subprotocols: Iterable[str] = (),
        origin: str | None = None,
        first: bytes = b"",
        before: bytes = b"",
    ) -> None:
        self.harness = harness
        self.ws = WSConnection(ConnectionType.CLIENT)
        self.connection, self.transport = harness.connect()
        headers = [] if origin is None else [(b"Origin", origin.encode())]
        request = Request(
            host="chat.example",
            target="/",
            subprotocols=list(subprotocols),
            extra_headers=headers,
        )
        self.feed(before + self.ws.send(request) + first)

    def feed(self, data: bytes) -> None:
        self.harness.feed(self.connection, data)

    def send(self, *events: Event) -> None:
        self.feed(b"".join(self.ws.send(event) for event in events))

    def say(self, *lines: str) -> None:
        self.send(*(TextMessage(line) for line in lines))

    def read(self) -> list[Event]:
        """Return the events received since the last call."""
        while data := self.transport.empty():
            self.ws.receive_data(data)
        return list(self.ws.events())

    def shake(self) -> Browser:
        (answer,) = self.read()
        assert isinstance(answer, AcceptConnection)
        return self

    @property
    def protocol(self) -> Any:
        return self.harness.application.made[-1]


def frames(*events: Event) -> bytes:
    """Return the bytes of events from a client after the handshake."""
    client = Connection(ConnectionType.CLIENT)
    return b"".join(bytes(client.send(event)) for event in events)


def assert_nothing_left(harness: Any) -> None:
    """Assert that no slot and no timer is left."""
    assert harness.connection_count.count == harness.counters.open == 0
    assert not [call for call in harness.clock.getDelayedCalls() if call.active()]


def test_layer_provides_its_interfaces() -> None:
    assert verifyClass(ITCPTransport, WebSocketLayer, tentative=True)


def test_lines_pass_both_ways(make: Make) -> None:
    harness = make()
    client = Browser(harness, ["text.ircv3.net"]).shake()
    client.say("NICK joe", "USER joe 0 * :Joe")
    protocol = client.protocol
    assert protocol.received == b"NICK joe\r\nUSER joe 0 * :Joe\r\n"
    protocol.transport.write(b":a 001 joe :hello\r\n:a 002 joe :you\r\n")
    protocol.transport.writeSequence([b":a 003 joe", b" :too\r\n"])
    assert client.read() == [
        TextMessage(":a 001 joe :hello"),
        TextMessage(":a 002 joe :you"),
        TextMessage(":a 003 joe :too"),
    ]
    connection = IConnection(protocol.transport, None)
    assert connection is client.connection
    assert protocol.transport.getPeer() == CLIENT
    assert harness.counters.events == {"websocket": 1}


def test_binary_subprotocol(make: Make) -> None:
    client = Browser(make(), ["binary.ircv3.net", "text.ircv3.net"]).shake()
    client.send(BytesMessage(b"caf\xe9"))
    assert client.protocol.received == b"caf\xe9\r\n"
    client.protocol.transport.write(b"caf\xe9\r\n")
    assert client.read() == [BytesMessage(b"caf\xe9")]


def test_frames_received_with_the_request_are_processed(make: Make) -> None:
    harness = make()
    client = Browser(harness, first=frames(TextMessage("NICK joe"), Ping(b"?")))
    assert client.protocol.received == b"NICK joe\r\n"
    assert [type(event) for event in client.read()] == [AcceptConnection, Pong]


def test_input_byte_by_byte(make: Make) -> None:
    harness = make()
    connection, transport = harness.connect()
    ws = WSConnection(ConnectionType.CLIENT)
    data = ws.send(Request(host="chat.example", target="/"))
    for byte in data + frames(TextMessage("NICK joe"), CloseConnection(1000)):
        harness.feed(connection, bytes([byte]))
    assert harness.application.made[0].received == b"NICK joe\r\n"
    ws.receive_data(transport.empty())
    assert [type(event) for event in ws.events()] == [AcceptConnection, CloseConnection]
    assert transport.disconnecting


# --- refusals ---


def test_plain_http_request_is_answered_without_protocol(make: Make) -> None:
    harness = make(linger=2.0)
    connection, transport = harness.connect()
    harness.feed(connection, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
    assert transport.empty().startswith(b"HTTP/1.1 426 Upgrade Required\r\n")
    if isinstance(harness, SocketLayerHarness):
        # closing with unread input would reset the connection, and the response might be lost
        assert transport.sock.shut
        assert not transport.sock.closed
        harness.feed(connection, b"x" * 1000)
        harness.half_close(connection)
    else:
        harness.lose(connection)
    assert transport.disconnecting
    assert not harness.application.made
    assert harness.counters.ended == {End.WEBSOCKET_FAILED: 1}
    assert harness.counters.events == {"websocket-plain-http": 1}
    assert_nothing_left(harness)


def test_client_that_stays_after_a_refusal_is_aborted(make: Make) -> None:
    harness = make(linger=2.0)
    connection, transport = harness.connect()
    harness.feed(connection, b"NICK joe\r\n")
    assert transport.empty().startswith(b"HTTP/1.1 400 Bad Request\r\n")
    harness.clock.advance(1.9)
    assert not transport.aborted
    harness.clock.advance(0.2)
    assert transport.aborted
    harness.lose(None if isinstance(harness, SocketLayerHarness) else connection)
    assert harness.counters.ended == {End.WEBSOCKET_FAILED: 1}
    assert_nothing_left(harness)


@pytest.mark.parametrize("data", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_incomplete_request_times_out(make: Make, data: bytes) -> None:
    """Further bytes do not reset the timer."""
    harness = make(handshake=3.0)
    connection, transport = harness.connect()
    harness.clock.advance(2.9)
    harness.feed(connection, data) if data else None
    assert not transport.aborted
    harness.clock.advance(0.2)
    assert transport.aborted
    harness.lose(None if isinstance(harness, SocketLayerHarness) else connection)
    assert harness.counters.ended == {End.WEBSOCKET_TIMEOUT: 1}
    assert not harness.application.made


def test_other_origin_is_refused_by_the_current_options(make: Make) -> None:
    harness = make()
    client = Browser(harness, origin="https://evil.example")
    answer, *_ = client.read()
    assert isinstance(answer, RejectConnection)
    assert answer.status_code == 403
    assert harness.counters.events == {"websocket-origin": 1}
    harness.application.websocket = replace(OPTIONS, origins=("any",))
    Browser(harness, origin="https://evil.example").shake()
    assert isinstance(Browser(harness, origin="null").read()[0], AcceptConnection)


def test_policy_refusal_is_an_http_response(make: Make) -> None:
    harness = make(per_address=1)
    harness.connect()
    _, transport = harness.connect()
    ws = WSConnection(ConnectionType.CLIENT)
    ws.send(Request(host="chat.example", target="/"))
    ws.receive_data(transport.value())
    answer, body, *_ = ws.events()
    assert isinstance(answer, RejectConnection)
    assert answer.status_code == 503
    assert isinstance(body, RejectData)
    assert body.data == b"Too many connections from your address.\n"


def test_factory_without_options_aborts_the_connection(
    make: Make, logged_failures: LoggedFailures
) -> None:
    harness = make()
    del harness.application.websocket
    connection, transport = harness.connect()
    assert transport.aborted
    logged_failures.expect("websocket")
    harness.lose(None if isinstance(harness, SocketLayerHarness) else connection)


def test_factory_returning_none_closes(make: Make) -> None:
    harness = make()
    harness.application.buildProtocol = lambda address: None
    client = Browser(harness, first=frames(TextMessage("hello")))
    assert [type(event) for event in client.read()] == [AcceptConnection, CloseConnection]


def test_reload_can_enable_and_disable_websocket(make: Make) -> None:
    harness = make()
    client = Browser(harness).shake()
    harness.factory.switch_to(ListenerFactory(harness.layer))
    connection, _ = harness.connect()
    harness.feed(connection, b"plain")
    assert harness.application.made[-1].received == b"plain"
    client.say("who was there stays")
    assert harness.application.made[0].received == b"who was there stays\r\n"
    harness.factory.switch_to(ListenerFactory(harness.layer, ListenerOptions(websocket=True)))
    Browser(harness).shake()


class FailsAtOnce(RecordingProtocol):
    """Fails in ``connectionMade``."""

    def connectionMade(self) -> None:
        raise RuntimeError("broken on purpose")


def test_protocol_that_fails_to_start_gets_no_input(
    make: Make, logged_failures: LoggedFailures
) -> None:
    harness = make(FailsAtOnce)
    client = Browser(harness, first=frames(TextMessage("hello")))
    assert client.transport.aborted
    assert client.protocol.received == b""
    logged_failures.expect("broken on purpose")
    harness.lose(None if isinstance(harness, SocketLayerHarness) else client.connection)


# --- close ---


def test_client_close_is_answered(make: Make) -> None:
    """RFC 6455 section 5.5.1: "the endpoint MUST send a Close frame in response"."""
    harness = make()
    client = Browser(harness).shake()
    client.send(TextMessage("QUIT"), CloseConnection(1001, "away"))
    assert client.protocol.received == b"QUIT\r\n"
    (close,) = client.read()
    assert isinstance(close, CloseConnection)
    assert close.code == 1001
    assert client.transport.disconnecting
    client.protocol.transport.write(b"too late\r\n")
    client.protocol.transport.loseConnection()
    if not isinstance(harness, SocketLayerHarness):
        harness.lose(client.connection)
    assert client.protocol.lost is not None
    assert harness.counters.ended == {End.CLIENT: 1}
    assert_nothing_left(harness)


def test_server_close_waits_for_the_clients_close(make: Make) -> None:
    """RFC 6455 section 7.1.1: closed when both have sent a Close frame, by the server first."""
    harness = make()
    client = Browser(harness).shake()
    transport = client.protocol.transport
    transport.write(b"bye\r\nand no line end")
    transport.loseConnection()
    transport.loseConnection()
    transport.write(b"too late\r\n")
    late = RecordingProducer()
    transport.registerProducer(late, False)
    assert late.asked == ["stop"]
    size = client.read()
    assert size[:2] == [TextMessage("bye"), TextMessage("and no line end")]
    (close,) = size[2:]
    assert isinstance(close, CloseConnection)
    assert close.code == 1000
    assert not client.transport.disconnecting
    client.feed(frames(TextMessage("crossed the close"), close.response()))
    assert client.protocol.received == b""
    assert client.transport.disconnecting
    if not isinstance(harness, SocketLayerHarness):
        harness.lose(client.connection)
    assert harness.counters.ended == {End.SERVER: 1}
    assert_nothing_left(harness)


@pytest.mark.parametrize("lines", [(), ("one", "two")])
def test_client_close_is_found_while_the_protocol_is_paused(
    make: Make, lines: tuple[str, ...]
) -> None:
    harness = make()
    client = Browser(harness).shake()
    client.protocol.transport.pauseProducing()
    if lines:
        client.say(*lines)
    client.protocol.transport.loseConnection()
    (close,) = client.read()
    assert isinstance(close, CloseConnection)
    client.feed(frames(close.response()))
    harness.clock.advance(0)
    assert client.protocol.received == b""
    assert client.transport.disconnecting
    if not isinstance(harness, SocketLayerHarness):
        harness.lose(client.connection)
    assert harness.counters.ended == {End.SERVER: 1}
    assert_nothing_left(harness)


def test_unanswered_close_is_aborted_after_linger(make: Make) -> None:
    harness = make(linger=2.0)
    client = Browser(harness).shake()
    client.protocol.transport.pauseProducing()
    client.protocol.transport.loseWriteConnection()
    harness.clock.advance(1.9)
    client.say("still here")
    assert not client.transport.aborted
    harness.clock.advance(0.2)
    assert client.transport.aborted
    harness.lose(None if isinstance(harness, SocketLayerHarness) else client.connection)
    assert harness.counters.ended == {End.LINGER: 1}
    assert_nothing_left(harness)


class Quits(RecordingProtocol):
    """Closes when it receives ``quit``."""

    transport: Any

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(b"ERROR :bye\r\n")
        self.transport.loseConnection()


def test_simultaneous_close(make: Make) -> None:
    harness = make(Quits)
    client = Browser(harness).shake()
    client.send(TextMessage("QUIT"), CloseConnection(1000))
    message, close = client.read()
    assert message == TextMessage("ERROR :bye")
    assert isinstance(close, CloseConnection)
    assert client.transport.disconnecting
    if not isinstance(harness, SocketLayerHarness):
        harness.lose(client.connection)
    assert_nothing_left(harness)


@pytest.mark.parametrize(
    ("data", "code", "word"),
    [
        (frames(TextMessage("x" * 51)), 1009, "too-long"),
        (frames(TextMessage("a\nb")), 1008, "not-a-line"),
        (frames(BytesMessage(b"x")), 1003, "wrong-type"),
        (b"\x81\x81\0\0\0\0\xff", 1007, "not-utf8"),
        (b"\x81\x01x", 1002, "protocol"),
    ],
    ids=["too-long", "not-a-line", "wrong-type", "not-utf8", "protocol"],
)
def test_protocol_error_is_sent_counted_and_closes(
    make: Make, data: bytes, code: int, word: str
) -> None:
    harness = make(linger=2.0)
    client = Browser(harness, ["text.ircv3.net"]).shake()
    client.feed(frames(TextMessage("before")) + data + frames(TextMessage("after")))
    assert client.protocol.received == b"before\r\n"
    (close,) = client.read()
    assert isinstance(close, CloseConnection)
    assert (close.code, bool(close.reason)) == (code, True)
    client.feed(b"whatever")
    client.protocol.transport.write(b"too late\r\n")
    harness.clock.advance(2.1)
    assert client.transport.aborted
    harness.lose(None if isinstance(harness, SocketLayerHarness) else client.connection)
    assert client.protocol.lost is not None
    assert harness.counters.ended == {End.WEBSOCKET_FAILED: 1}
    assert harness.counters.events[f"websocket-{word}"] == 1
    assert_nothing_left(harness)


@pytest.mark.parametrize(
    ("reason", "code"), [(End.SHUTDOWN, 1001), (End.KICKED, 1008), (End.IDLE, 1008)]
)
def test_shutdown_sends_farewell_and_code_1001(make: Make, reason: End, code: int) -> None:
    """RFC 6455 section 7.4.1: 1001 "such as a server going down"."""
    harness = make()
    client = Browser(harness).shake()
    client.connection.end(reason)
    client.connection.end(End.SESSION)
    farewell, close = client.read()
    assert farewell == TextMessage(f"bye: {reason}")
    assert isinstance(close, CloseConnection)
    assert (close.code, close.reason) == (code, reason.sentence)
    client.feed(frames(close.response()))
    if not isinstance(harness, SocketLayerHarness):
        harness.lose(client.connection)
    assert harness.counters.ended == {reason: 1}
    assert_nothing_left(harness)


def test_half_close_closes(make: Make) -> None:
    harness = make(HalfCloseableRecorder)
    client = Browser(harness).shake()
    client.protocol.transport.write(b"on its way\r\n")
    harness.half_close(client.connection)
    assert client.read() == [TextMessage("on its way")]
    assert client.transport.disconnecting
    harness.lose(None if isinstance(harness, SocketLayerHarness) else client.connection)
    assert client.protocol.half_closed == client.protocol.write_closed == 0
    assert client.protocol.lost is not None
    assert harness.counters.ended == {End.CLIENT: 1}


def test_reset_follows_the_writes_without_close_frame(make: Make) -> None:
    """RFC 6455 section 7.1.5: an end without a Close frame is 1006."""
    harness = make()
    client = Browser(harness).shake()
    client.protocol.transport.write(b"half an ans\r\n")
    client.protocol.transport.resetConnection()
    client.protocol.transport.write(b"too late\r\n")
    assert client.read() == [TextMessage("half an ans")]
    assert client.transport.aborted
    harness.lose(None if isinstance(harness, SocketLayerHarness) else client.connection)
    assert_nothing_left(harness)


def test_abort_resets_at_once(make: Make) -> None:
    harness = make()
    client = Browser(harness).shake()
    client.protocol.transport.abortConnection()
    assert client.transport.aborted


def test_lost_connection_leaves_no_timers(make: Make) -> None:
    harness = make(options=replace(OPTIONS, ping=30.0))
    client = Browser(harness).shake()
    client.feed(frames(*(TextMessage(str(n)) for n in range(150))))
    there = weakref.ref(client.protocol)
    gc.collect()
    gc.disable()
    try:
        harness.lose(client.connection, ConnectionResetError())
        assert_nothing_left(harness)
        harness.application.made.clear()
        del client
        assert there() is None, "reference cycle"
    finally:
        gc.enable()


# --- ping and timeouts ---


def test_idle_client_is_pinged_and_kept_if_it_answers(make: Make) -> None:
    harness = make(options=replace(OPTIONS, ping=30.0))
    client = Browser(harness).shake()
    harness.clock.advance(20)
    client.say("hello")
    for _ in range(2):  # 20 s and 30 s after the start
        harness.clock.advance(10)
        assert client.read() == []
    harness.clock.advance(20)
    (ping,) = client.read()
    assert isinstance(ping, Ping)
    harness.clock.advance(29)
    client.feed(frames(ping.response()))
    for _ in range(2):
        harness.clock.advance(15)
    (ping,) = client.read()
    assert isinstance(ping, Ping)
    assert not client.transport.disconnecting


def test_client_without_pong_is_disconnected(make: Make) -> None:
    harness = make(options=replace(OPTIONS, ping=30.0), linger=2.0)
    client = Browser(harness).shake()
    harness.clock.advance(30)
    harness.clock.advance(29)
    assert [type(event) for event in client.read()] == [Ping]
    harness.clock.advance(30 / CHECKS)
    farewell, close = client.read()
    assert farewell == TextMessage("bye: ping-timeout")
    assert isinstance(close, CloseConnection)
    harness.clock.advance(2)
    assert client.transport.aborted, "aborted, not closed"
    harness.lose(None if isinstance(harness, SocketLayerHarness) else client.connection)
    assert harness.counters.ended == {End.PING_TIMEOUT: 1}
    assert_nothing_left(harness)


def test_unread_pong_is_not_a_ping_timeout(make: Make) -> None:
    harness = make(options=replace(OPTIONS, ping=30.0))
    client = Browser(harness).shake()
    client.protocol.transport.pauseProducing()
    for _ in range(9):
        harness.clock.advance(30)
    assert client.read() == []
    client.protocol.transport.resumeProducing()
    harness.clock.advance(30)
    harness.clock.advance(30)
    assert not client.transport.disconnecting


def test_ping_time_restarts_when_reading_resumes(make: Make) -> None:
    """The pong may be in the kernel when the timer fires."""
    harness = make(options=replace(OPTIONS, ping=30.0))
    client = Browser(harness).shake()
    harness.clock.advance(30)
    (ping,) = client.read()
    client.protocol.transport.pauseProducing()
    harness.clock.advance(29)
    client.protocol.transport.resumeProducing()
    harness.clock.advance(1)
    assert not client.transport.disconnecting
    client.feed(frames(ping.response()))
    harness.clock.advance(29)
    assert not client.transport.disconnecting


def test_first_byte_counts_from_the_opening_handshake(make: Make) -> None:
    harness = make(first_byte=10.0, handshake=60.0)
    harness.layer.start()
    connection, transport = harness.connect()
    harness.clock.advance(9)
    ws = WSConnection(ConnectionType.CLIENT)
    harness.feed(connection, ws.send(Request(host="chat.example", target="/")))
    for _ in range(9):
        harness.clock.advance(1)
    ws.receive_data(transport.empty())
    assert [type(event) for event in ws.events()] == [AcceptConnection]
    for _ in range(3):
        harness.clock.advance(1)
    ws.receive_data(transport.empty())
    assert [type(event) for event in ws.events()] == [TextMessage, CloseConnection]
    harness.lose(connection)
    assert harness.counters.ended == {End.FIRST_BYTE: 1}
    harness.layer.drain(End.SHUTDOWN, 0)


# --- flow control ---


def test_output_to_a_client_that_does_not_read_is_bounded(make: Make) -> None:
    harness = make(unsent=100_000)
    client = Browser(harness).shake()
    producer = RecordingProducer()
    transport = client.protocol.transport
    transport.registerProducer(producer, True)
    held = 0
    for _ in range(1000):
        transport.write(b"x" * 1000 + b"\r\n")
        held = max(held, client.connection.pending)
    assert producer.asked[0] == "pause"
    assert held < FULL
    assert client.transport.aborted
    harness.lose(None if isinstance(harness, SocketLayerHarness) else client.connection)
    assert harness.counters.ended == {End.SLOW_READER: 1}


class Throttled(RecordingProtocol):
    """Registers its transport as its own producer, as echo does, and echoes."""

    transport: Any

    def connectionMade(self) -> None:
        self.transport.registerProducer(self.transport, True)

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        self.transport.write(data)


def test_client_with_unread_output_is_not_read(make: Make) -> None:
    harness = make(Throttled, options=replace(OPTIONS, longest=60_000))
    client = Browser(harness).shake()
    for _ in range(9):
        if (
            isinstance(harness, SocketLayerHarness)
            and client.connection not in harness.reactor.readers
        ):
            break
        if (
            not isinstance(harness, SocketLayerHarness)
            and client.transport.producerState == "paused"
        ):
            break
        client.say("x" * 50_000)
    else:
        pytest.fail("the client is still read")
    size = len(client.protocol.received)
    received = client.read()
    assert sum(len(event.data) + 2 for event in received if isinstance(event, TextMessage)) == size
    client.say("more")
    assert client.read() == [TextMessage("more")]
    client.protocol.transport.loseConnection()
    assert isinstance(client.read()[-1], CloseConnection)


class TakesAFew(RecordingProtocol):
    """Pauses after each piece of input."""

    transport: Any

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        self.transport.pauseProducing()


def test_lines_wait_while_the_protocol_is_paused(make: Make) -> None:
    harness = make(TakesAFew)
    client = Browser(harness).shake()
    client.say("one")
    client.say("two")  # as the rest of a TLS record
    assert client.protocol.received == b"one\r\n"
    client.protocol.transport.resumeProducing()
    assert client.protocol.received == b"one\r\n", "not within the call"
    harness.clock.advance(0)
    assert client.protocol.received == b"one\r\ntwo\r\n"


class Counts(RecordingProtocol):
    """Records the number of lines in each call."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[int] = []

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        self.pieces.append(data.count(b"\n"))


def test_flood_of_small_frames_is_divided_into_turns(
    make: Make,
) -> None:
    harness = make(Counts)
    client = Browser(harness).shake()
    lines = [str(n) for n in range(450)]
    client.feed(frames(*map(TextMessage, lines)))
    assert client.protocol.received.count(b"\n") == 100
    if isinstance(harness, SocketLayerHarness):
        assert client.connection not in harness.reactor.readers
    else:
        assert client.transport.producerState == "paused"
    harness.clock.advance(0)  # Clock also runs calls that are added meanwhile, unlike a reactor
    assert client.protocol.pieces == [100, 100, 100, 100, 50]
    assert client.protocol.received == "".join(f"{line}\r\n" for line in lines).encode()
    if isinstance(harness, SocketLayerHarness):
        assert client.connection in harness.reactor.readers
    else:
        assert client.transport.producerState == "producing"


class Breaks(RecordingProtocol):
    """Raises an exception on request."""

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        if b"break" in data:
            raise RuntimeError("broken on purpose")


def test_exception_in_a_later_turn_aborts_that_connection_only(
    make: Make, logged_failures: LoggedFailures
) -> None:
    harness = make(Breaks)
    client, other = Browser(harness).shake(), Browser(harness).shake()
    client.feed(frames(*[TextMessage("")] * 100, TextMessage("break")))
    harness.clock.advance(0)
    assert client.transport.aborted
    assert not other.transport.aborted
    logged_failures.expect("broken on purpose")
    harness.lose(None if isinstance(harness, SocketLayerHarness) else client.connection)


def test_pings_are_answered(make: Make) -> None:
    client = Browser(make()).shake()
    client.send(Ping(b"1"), TextMessage("x"), Ping(b"2"), Pong(b"unasked"))
    assert client.read() == [Pong(b"1"), Pong(b"2")]


def test_send_now_sends_frames_at_once() -> None:
    harness: Any = SocketLayerHarness()
    harness.application.websocket = OPTIONS
    harness.factory = ListenerFactory(harness.layer, ListenerOptions(websocket=True))
    client = Browser(harness).shake()
    before = client.transport.sock.sends
    client.protocol.transport.send_now(b"one\r\ntwo\r\n")
    client.protocol.transport.send_now(b"no end")
    assert client.transport.sock.sends == before + 1
    assert client.read() == [TextMessage("one"), TextMessage("two")]
    client.protocol.transport.loseConnection()
    client.protocol.transport.send_now(b"too late\r\n")
    assert [type(event) for event in client.read()] == [TextMessage, CloseConnection]


# --- TLS and proxies ---


@pytest.mark.parametrize("alpn", [None, [b"h2", b"http/1.1"]])
def test_websocket_over_tls(localhost: certificates.Made, alpn: list[bytes] | None) -> None:
    """RFC 7301 section 3.2, RFC 9113 section 3.3: without a common ALPN protocol, HTTP/1.1 is
    used."""
    clock = Clock()
    harness: Any = LayerHarness(tls=(tls := server_tls(localhost, clock)), clock=clock, linger=2.0)
    harness.application.websocket = replace(OPTIONS, ping=30.0)
    harness.factory = ListenerFactory(harness.layer, ListenerOptions(tls=tls, websocket=True))
    recorder, client = tls_client(clock, alpn)
    connection, pump = join(harness, client)
    flush(pump, clock)
    assert not harness.application.made, "no protocol after the TLS handshake only"
    ws = WSConnection(ConnectionType.CLIENT)
    transport: Any = recorder.transport
    transport.write(ws.send(Request(host="chat.example", target="/")))
    flush(pump, clock)
    (protocol,) = harness.application.made
    assert IConnection(protocol.transport, None) is connection
    assert connection.tls.version == "TLSv1.3"
    transport.write(frames(TextMessage("hello")))
    protocol.transport.write(b"welcome\r\n")
    protocol.transport.send_now(b"at once\r\n")
    flush(pump, clock)
    assert protocol.received == b"hello\r\n"
    protocol.transport.loseConnection()
    flush(pump, clock)
    ws.receive_data(recorder.received)
    accepted, *messages, close = ws.events()
    assert isinstance(accepted, AcceptConnection)
    assert messages == [TextMessage("welcome"), TextMessage("at once")]
    assert isinstance(close, CloseConnection)
    transport.write(frames(close.response()))
    flush(pump, clock)
    assert protocol.lost is not None
    assert recorder.lost is not None
    assert harness.counters.ended == {End.SERVER: 1}
    assert_nothing_left(harness)


def test_plain_http_request_over_tls(localhost: certificates.Made) -> None:
    clock = Clock()
    harness: Any = LayerHarness(tls=(tls := server_tls(localhost, clock)), clock=clock)
    harness.application.websocket = OPTIONS
    harness.factory = ListenerFactory(harness.layer, ListenerOptions(tls=tls, websocket=True))
    recorder, client = tls_client(clock)
    _, pump = join(harness, client)
    flush(pump, clock)
    transport: Any = recorder.transport
    transport.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    flush(pump, clock)
    assert recorder.received.startswith(b"HTTP/1.1 426 ")
    assert recorder.lost is not None
    assert harness.counters.ended == {End.WEBSOCKET_FAILED: 1}
    assert_nothing_left(harness)


def test_websocket_behind_a_proxy(make: Make) -> None:
    proxies = Proxies(TrustedProxies(NETWORKS.parse("192.0.2.0/24"), False))
    harness = make(proxies=proxies)
    client = Browser(
        harness,
        before=b"PROXY TCP4 198.51.100.1 198.51.100.7 4711 443\r\n",
        first=frames(TextMessage("hello")),
    ).shake()
    assert client.protocol.received == b"hello\r\n"
    assert client.protocol.transport.getPeer() == IPv4Address("TCP", "198.51.100.1", 4711)


def test_refused_client_of_a_proxy_gets_an_http_response(make: Make) -> None:
    proxies = Proxies(TrustedProxies(NETWORKS.parse("192.0.2.0/24"), False))
    harness = make(proxies=proxies, deny=NETWORKS.parse("198.51.100.0/24"))
    connection, transport = harness.connect()
    harness.feed(connection, b"PROXY TCP4 198.51.100.1 198.51.100.7 4711 443\r\n")
    assert transport.empty().startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
