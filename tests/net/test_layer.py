"""The connection layer with both kinds of connections, in memory."""

from __future__ import annotations

import errno
from typing import Any

import certificates
import pytest
from net.doubles import (
    CLIENT,
    FULL,
    BufferedTransport,
    HalfCloseableRecorder,
    LayerHarness,
    Make,
    MemorySocket,
    RecordingProducer,
    RecordingProtocol,
    SocketLayerHarness,
    flush,
    join,
    read_all,
    server_tls,
    tls_client,
)
from twisted.internet.address import IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    INegotiated,
    IOpenSSLServerConnectionCreator,
    ISSLTransport,
    ITCPTransport,
)
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer
from zope.interface.verify import verifyClass

from tcpd.interfaces import IConnection
from tcpd.net.tls_layer import TLSLayer
from tcpd.net.transport import SocketConnection
from tcpd.net.turns import TurnScheduler
from tcpd.net.wrapped_connection import WrappedConnection
from tcpd.policy.reasons import End, Refusal

# --- bytes ---


def test_bytes_pass_both_ways_and_are_counted(make: Make) -> None:
    harness = make()
    connection, transport = harness.connect()
    harness.feed(connection, b"hello")
    (protocol,) = harness.application.made
    assert protocol.received == b"hello"
    protocol.transport.write(b"you")
    protocol.transport.writeSequence([b" ", b"too"])
    assert transport.value() == b"you too"
    assert (harness.counters.bytes_in, harness.counters.bytes_out) == (5, 7)
    assert (harness.counters.accepted, harness.counters.open) == (1, 1)
    harness.lose(connection)
    assert protocol.lost is not None
    assert harness.counters.open == 0
    assert harness.counters.ended == {End.CLIENT: 1}
    assert harness.connection_count.count == 0
    assert not harness.clock.getDelayedCalls(), "no timer is left"


def test_connections_provide_the_transport_interfaces() -> None:
    assert verifyClass(ITCPTransport, SocketConnection, tentative=True)
    assert verifyClass(ITCPTransport, WrappedConnection, tentative=True)
    assert verifyClass(ISSLTransport, TLSLayer, tentative=True)
    assert verifyClass(INegotiated, TLSLayer, tentative=True)


@implementer(ITCPTransport)
class TCP(BufferedTransport):
    """A transport that provides ITCPTransport."""

    delay = alive = half_closed = False

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.delay = enabled

    def getTcpNoDelay(self) -> bool:
        return self.delay

    def setTcpKeepAlive(self, enabled: bool) -> None:
        self.alive = enabled

    def getTcpKeepAlive(self) -> bool:
        return self.alive

    def loseWriteConnection(self) -> None:
        self.half_closed = True


def test_wrapped_connection_delegates_tcp_options() -> None:
    harness = LayerHarness(HalfCloseableRecorder)
    transport = TCP()
    connection: Any = harness.factory.buildProtocol(CLIENT)
    connection.makeConnection(transport)
    for name in ("NoDelay", "KeepAlive"):
        getattr(connection, f"setTcp{name}")(True)
        assert getattr(connection, f"getTcp{name}")() is True
    connection.write(b"x" * FULL)
    connection.write(b"held")
    connection.loseWriteConnection()
    assert transport.half_closed
    assert transport.value().endswith(b"xheld"), "held data is sent first"
    connection.writeConnectionLost()
    assert harness.application.made[0].write_closed == 1


def test_tcp_options_are_ignored_on_other_transports() -> None:
    """twisted.web's channel sets TCP_NODELAY if the transport provides ITCPTransport."""
    connection, transport = LayerHarness().connect()
    connection.setTcpNoDelay(True)
    connection.setTcpKeepAlive(True)
    assert connection.getTcpNoDelay() is connection.getTcpKeepAlive() is False
    connection.loseWriteConnection()
    assert transport.disconnecting


def test_transport_adapts_to_iconnection(make: Make) -> None:
    harness = make()
    harness.connect()
    connection = IConnection(harness.application.made[0].transport)
    assert (connection.service, connection.id, connection.peer) == ("test", "1", "192.0.2.1:4711")
    assert str(connection.address) == "192.0.2.1"
    assert connection.tls is None
    assert not connection.can_start_tls
    with pytest.raises(RuntimeError):
        connection.start_tls()


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        (IPv6Address("TCP", "2001:db8::1", 5), "[2001:db8::1]:5"),
        (IPv6Address("TCP", "::ffff:192.0.2.9", 5), "192.0.2.9:5"),
        (UNIXAddress(None), "unix"),
    ],
)
def test_peer_is_formatted(make: Make, address: Any, peer: str) -> None:
    harness = make()
    connection, _ = harness.connect(address)
    assert connection.peer == peer


def test_end_is_counted_by_reason(make: Make) -> None:
    harness = make()
    lost, _ = harness.connect()
    harness.lose(lost, ConnectionLost())
    closed, transport = harness.connect()
    closed.loseConnection()
    assert transport.disconnecting
    harness.lose(closed)
    assert harness.counters.ended == {End.LOST: 1, End.SERVER: 1}


# --- admission ---


def test_refused_client_gets_the_protocols_refusal_and_is_closed(make: Make) -> None:
    harness = make(per_address=1)
    harness.connect()
    refused, transport = harness.connect()
    assert transport.value() == b"no: address-full"
    assert transport.disconnecting
    assert harness.counters.refused == {Refusal.ADDRESS_FULL: 1}
    if refused is not None:  # on a socket the refusal is sent once, without waiting
        harness.clock.advance(2)
        assert transport.aborted, "no wait for a client that does not read its refusal"
        refused.connectionLost(Failure(ConnectionDone()))
    assert not harness.clock.getDelayedCalls()


def test_refused_client_of_a_tls_listener_gets_no_plaintext(
    make: Make,
    localhost: certificates.Made,
) -> None:
    harness = make(per_address=1, tls=server_tls(localhost, Clock()))
    harness.connect()
    assert harness.connect()[0] is None


def test_factory_returning_none_closes_the_connection(make: Make) -> None:
    harness = make()
    harness.application.buildProtocol = lambda addr: None  # type: ignore[method-assign,assignment,return-value]
    _, transport = harness.connect()
    assert transport.disconnecting


def test_exception_in_connection_made_is_logged_and_aborts(
    make: Make, logged_failures: Any
) -> None:
    class Broken(RecordingProtocol):
        def connectionMade(self) -> None:
            raise ValueError("broken at once")

    harness = make(Broken)
    connection, transport = harness.connect()
    assert transport.aborted
    harness.lose(connection)
    assert harness.counters.open == 0
    logged_failures.expect("broken at once")


def test_exception_starting_tls_frees_the_slot(make: Make, logged_failures: Any) -> None:

    @implementer(IOpenSSLServerConnectionCreator)
    class Broken:
        def serverConnectionForTLS(self, protocol: Any) -> Any:
            raise ValueError("no memory for TLS")

    harness = make(tls=Broken())
    connection, _ = harness.connect()
    if make is SocketLayerHarness:
        harness.feed(connection, b"\x16\x03\x01\x00\x01x")
        logged_failures.expect("no memory for TLS")
    else:  # logged by Twisted's transport
        with pytest.raises(ValueError, match="no memory"):
            harness.feed(connection, b"\x16\x03\x01\x00\x01x")
        harness.lose(connection)
    assert harness.counters.open == 0
    assert harness.connection_count.count == 0
    assert not harness.layer.connections
    assert not harness.clock.getDelayedCalls()


def test_add_reader_failure_affects_that_client_only(
    logged_failures: Any,
) -> None:
    harness = SocketLayerHarness()

    def full(reader: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    harness.reactor.addReader = full  # type: ignore[method-assign]
    _, client = harness.connect()
    assert client.sock.closed
    assert harness.counters.open == 0
    assert harness.connection_count.count == 0
    logged_failures.expect("No space left on device")


def test_refused_client_that_sent_first_is_not_reset() -> None:
    """RFC 1122 section 4.2.2.13: a close with unread input resets the connection, and the client
    may lose data."""
    harness = SocketLayerHarness(per_address=1)
    harness.connect()
    sock: Any = MemorySocket()
    sock.incoming.append(b"PING\r\n")
    harness.factory.accept_socket(sock, (CLIENT.host, CLIENT.port), TurnScheduler(harness.reactor))
    assert sock.taken == b"no: address-full"
    assert sock.incoming == []
    assert sock.closed
    assert not sock.reset


# --- output ---


def test_client_that_does_not_read_is_aborted_at_the_limit(make: Make) -> None:
    harness = make(unsent=100_000)
    connection, transport = harness.connect()
    (protocol,) = harness.application.made
    for _ in range(100):
        protocol.transport.write(b"x" * 10_000)
    assert transport.aborted
    assert len(transport.value()) <= 65536 + 10_000
    harness.lose(connection)
    assert harness.counters.ended == {End.SLOW_READER: 1}


def test_slow_reader_gets_all_data_in_order(make: Make) -> None:
    harness = make(unsent=100_000)
    connection, transport = harness.connect()
    (protocol,) = harness.application.made
    sent = [bytes([number]) * 9_000 for number in range(16)]
    for piece in sent:
        protocol.transport.write(piece)
    taken = b""
    while len(taken) < 16 * 9_000:
        taken += transport.empty()
    assert taken == b"".join(sent)
    assert not transport.aborted
    harness.lose(connection)


def test_producer_is_paused_while_the_buffer_is_full(make: Make) -> None:
    harness = make()
    connection, transport = harness.connect()
    (protocol,) = harness.application.made
    producer = RecordingProducer()
    protocol.transport.registerProducer(producer, True)
    protocol.transport.write(b"x" * FULL)
    protocol.transport.write(b"y")
    assert producer.asked == ["pause"]
    assert read_all(transport) == b"x" * FULL + b"y"
    assert producer.asked == ["pause", "resume"]
    with pytest.raises(RuntimeError):
        protocol.transport.registerProducer(RecordingProducer(), True)
    harness.lose(connection)


def test_producer_registered_after_the_close_is_stopped(make: Make) -> None:
    harness = make()
    connection, _ = harness.connect()
    (protocol,) = harness.application.made
    protocol.transport.write(b"x" * FULL)
    producer = RecordingProducer()
    protocol.transport.registerProducer(producer, True)
    assert producer.asked == ["pause"]
    connection.loseConnection()
    late = RecordingProducer()
    protocol.transport.registerProducer(late, True)
    assert late.asked == ["stop"]


def test_pull_producer_is_resumed_by_the_transport(make: Make) -> None:
    harness = make()
    _connection, transport = harness.connect()
    (protocol,) = harness.application.made

    class Pulled(RecordingProducer):
        left = 3

        def resumeProducing(self) -> None:
            self.left -= 1
            protocol.transport.write(b"piece")
            if not self.left:
                protocol.transport.unregisterProducer()

    protocol.transport.registerProducer(Pulled(), False)
    taken = b"".join(transport.empty() for _ in range(5))
    assert taken == b"piece" * 3
    if isinstance(transport, BufferedTransport):
        assert transport.producer is not None, "the layer's own producer is registered again"


@pytest.mark.parametrize("streaming", [True, False], ids=["push", "pull"])
@pytest.mark.parametrize("how", ["lost", "aborted", "closed"])
def test_producer_is_stopped_once_at_the_end(make: Make, how: str, streaming: bool) -> None:
    """IProducer.stopProducing: "This tells a producer that its consumer has died, so it must stop
    producing data for good"."""
    harness = make()
    connection, transport = harness.connect()
    producer = RecordingProducer()
    connection.registerProducer(producer, streaming)
    if how == "aborted":
        connection.abortConnection()
    if how == "closed":
        connection.loseConnection()
    if isinstance(transport, BufferedTransport) and transport.producer is not None:
        transport.producer.stopProducing()  # as Twisted's transports do when they are lost
    # not lose(), which ends the turn: a pull producer would be resumed without end
    connection.connectionLost(Failure(ConnectionDone()))
    assert producer.asked.count("stop") == 1
    assert producer.asked[-1] == "stop"
    assert harness.application.made[0].lost is not None
    assert not harness.clock.getDelayedCalls()


def test_exception_in_stop_producing_is_logged(make: Make, logged_failures: Any) -> None:
    class Broken(RecordingProducer):
        def stopProducing(self) -> None:
            raise ValueError("will not stop")

    harness = make()
    connection, _ = harness.connect()
    connection.registerProducer(Broken(), True)
    harness.lose(connection)
    assert harness.application.made[0].lost is not None
    assert harness.counters.open == 0
    logged_failures.expect("will not stop")


# --- close ---


def test_farewell_is_sent_before_the_close(make: Make) -> None:
    harness = make()
    connection, transport = harness.connect()
    connection.end(End.SHUTDOWN)
    assert transport.value() == b"bye: shutdown"
    assert transport.disconnecting
    connection.end(End.IDLE)
    assert transport.value() == b"bye: shutdown", "once"
    harness.lose(connection)
    assert harness.counters.ended == {End.SHUTDOWN: 1}


def test_buffered_data_is_sent_before_the_close(make: Make) -> None:
    harness = make()
    _connection, transport = harness.connect()
    (protocol,) = harness.application.made
    producer = RecordingProducer()
    protocol.transport.registerProducer(producer, True)
    protocol.transport.write(b"a" * FULL)
    protocol.transport.write(b"b")
    protocol.transport.loseConnection()
    protocol.transport.write(b"too late")
    assert transport.disconnecting
    assert read_all(transport) == b"a" * FULL + b"b"


def test_close_is_aborted_after_linger(make: Make) -> None:
    harness = make(linger=5.0)
    connection, transport = harness.connect()
    harness.application.made[0].transport.write(b"x" * FULL)
    harness.application.made[0].transport.loseConnection()
    harness.clock.advance(4.9)
    assert not transport.aborted
    harness.clock.advance(0.1)
    assert transport.aborted
    harness.lose(connection)
    assert harness.counters.ended == {End.LINGER: 1}


def test_half_close_gets_pending_output_without_half_close_support(
    make: Make,
) -> None:
    harness = make()
    connection, transport = harness.connect()
    harness.application.made[0].transport.write(b"rest")
    harness.half_close(connection)
    assert transport.value() == b"rest"
    assert transport.disconnecting
    harness.lose(connection)
    assert harness.counters.ended == {End.CLIENT: 1}


def test_half_closeable_protocol_is_called(make: Make) -> None:
    harness = make(HalfCloseableRecorder)
    connection, transport = harness.connect()
    harness.half_close(connection)
    assert harness.application.made[0].half_closed == 1
    assert not transport.disconnecting


def test_end_is_attributed_to_the_first_to_close(make: Make) -> None:
    harness = make(HalfCloseableRecorder)
    connection, _ = harness.connect()
    harness.half_close(connection)
    harness.application.made[0].transport.loseConnection()
    harness.lose(connection)
    assert harness.counters.ended == {End.CLIENT: 1}


# --- idle ---


def test_only_idle_connection_is_closed(make: Make) -> None:
    harness = make(idle=80.0)
    harness.layer.start()
    silent, silent_transport = harness.connect()
    speaking, speaking_transport = harness.connect()
    reading, reading_transport = harness.connect()
    for _ in range(9):
        harness.clock.advance(10)
        harness.feed(speaking, b".")
        reading.write(b".")
    assert silent_transport.value() == b"bye: idle"
    assert not speaking_transport.disconnecting
    assert not reading_transport.disconnecting
    for connection in (silent, speaking, reading):
        harness.lose(connection)
    assert harness.counters.ended[End.IDLE] == 1


def test_idle_0_disables_the_timeout(make: Make) -> None:
    harness = make(idle=0)
    harness.layer.start()
    _, transport = harness.connect()
    harness.clock.advance(10**6)
    assert not transport.disconnecting


# --- drain ---


def test_drain_completes_when_the_last_client_disconnects(make: Make) -> None:
    harness = make(idle=10)
    harness.layer.start()
    connections = [harness.connect()[0] for _ in range(3)]
    for connection in connections:
        connection.write(b"x" * FULL)
    fired: list[None] = []
    harness.layer.drain(End.SHUTDOWN, 5.0).addCallback(fired.append)
    for connection in connections:
        assert not fired
        harness.lose(connection)
    assert fired == [None]
    assert not harness.clock.getDelayedCalls()


def test_drain_aborts_remaining_clients(make: Make) -> None:
    harness = make()
    connection, transport = harness.connect()
    connection.write(b"x" * FULL)
    drained: Deferred[None] = harness.layer.drain(End.SHUTDOWN, 5.0)
    harness.clock.advance(5)
    assert transport.aborted
    harness.lose(connection)
    assert drained.called


def test_drain_without_connections_completes_at_once(make: Make) -> None:
    assert make().layer.drain(End.SHUTDOWN, 5.0).called


# --- TLS ---


def test_protocol_is_made_after_the_tls_handshake(
    localhost: certificates.Made,
) -> None:
    clock = Clock()
    harness = LayerHarness(tls=server_tls(localhost, clock), clock=clock)
    recorder, client = tls_client(clock, [b"h2"])
    connection, pump = join(harness, client)
    flush(pump, clock)
    (protocol,) = harness.application.made
    recorder.transport.write(b"hello")  # type: ignore[union-attr]
    flush(pump, clock)
    assert protocol.received == b"hello"
    connection = IConnection(protocol.transport)
    assert connection is connection or connection.id == connection.id
    assert connection.tls.version == "TLSv1.3"
    protocol.transport.write(b"welcome")
    flush(pump, clock)
    assert recorder.received == b"welcome"
    connection.end(End.SHUTDOWN)
    flush(pump, clock)
    assert recorder.received == b"welcomebye: shutdown"
    assert protocol.lost is not None
    assert harness.counters.ended == {End.SHUTDOWN: 1}
    assert not [call for call in clock.getDelayedCalls() if call.active()]


def test_tls_handshake_timeout_aborts_without_protocol(
    localhost: certificates.Made,
) -> None:
    harness = LayerHarness(tls=server_tls(localhost, Clock()), handshake=10.0)
    connection, transport = harness.connect()
    harness.clock.advance(9.9)
    assert not transport.aborted
    harness.clock.advance(0.1)
    assert transport.aborted
    harness.lose(connection)
    assert harness.counters.ended == {End.TLS_TIMEOUT: 1}
    assert harness.application.made == []


def test_invalid_tls_handshake_is_closed_and_counted(
    localhost: certificates.Made,
) -> None:
    harness = LayerHarness(tls=server_tls(localhost, Clock()))
    connection, transport = harness.connect()
    connection.dataReceived(b"GET / HTTP/1.1\r\n\r\n")
    assert transport.disconnecting
    harness.lose(connection)
    assert harness.counters.ended == {End.TLS_FAILED: 1}


def test_unanswered_close_notify_is_aborted_after_linger(localhost: certificates.Made) -> None:
    clock = Clock()
    harness = LayerHarness(tls=server_tls(localhost, clock), clock=clock, linger=5.0)
    _, client = tls_client(clock)
    connection, pump = join(harness, client)
    flush(pump, clock)
    harness.application.made[0].transport.loseConnection()
    aborted: list[bool] = []
    connection.transport.abortConnection = lambda: aborted.append(True)
    clock.advance(5.0)
    assert aborted


def test_starttls_moves_protocol_and_producer_onto_tls(
    localhost: certificates.Made,
) -> None:
    clock = Clock()
    harness = LayerHarness(starttls=server_tls(localhost, clock), clock=clock)
    plain = RecordingProtocol()
    connection, pump = join(harness, plain)
    (protocol,) = harness.application.made
    producer = RecordingProducer()
    protocol.transport.registerProducer(producer, True)
    connection = IConnection(protocol.transport)
    assert connection.can_start_tls
    protocol.transport.write(b"go ahead")
    connection.start_tls()
    assert not connection.can_start_tls
    pump.flush()
    assert plain.received == b"go ahead"
    recorder, client = tls_client(clock)
    transport: Any = plain.transport
    transport.protocol = client
    client.makeConnection(transport)
    flush(pump, clock)
    assert len(harness.application.made) == 1, "the same protocol"
    recorder.transport.write(b"inside")  # type: ignore[union-attr]
    protocol.transport.write(b"welcome")
    flush(pump, clock)
    assert protocol.received == b"inside"
    assert recorder.received == b"welcome"
    assert connection.tls is not None
    # iosim never pauses a producer
    connection.output_full()
    protocol.transport.write(b" back")
    assert producer.asked == ["pause"]
    assert not recorder.received.endswith(b"back")
    connection.output_empty()
    flush(pump, clock)
    assert producer.asked == ["pause", "resume"]
    assert recorder.received == b"welcome back"


def test_connection_lost_in_starttls_handshake_reaches_the_protocol(
    localhost: certificates.Made,
) -> None:
    harness = LayerHarness(starttls=server_tls(localhost, Clock()))
    connection, _ = harness.connect()
    (protocol,) = harness.application.made
    connection.start_tls()
    harness.lose(connection, ConnectionLost())
    assert protocol.lost is not None
    assert harness.counters.ended == {End.TLS_FAILED: 1}
