"""The connection layer, on transports in memory: its protocols know nothing of it."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Callable
from typing import Any

import certificates
import pytest
from net.doubles import Client, MemoryReactor, MemorySocket
from OpenSSL import SSL
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    INegotiated,
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
    ISSLTransport,
    ITCPTransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.test import iosim
from zope.interface import implementer
from zope.interface.verify import verifyClass

from tcpd.config.settings import PolicySettings, TLSSettings
from tcpd.interfaces import IConnection, IFarewell, IRefusing
from tcpd.net.layer import ConnectionLayer
from tcpd.net.listener_factory import ListenerFactory
from tcpd.net.listener_options import ListenerOptions
from tcpd.net.tls import Certificates
from tcpd.net.tls_layer import TLSLayer
from tcpd.net.transport import SocketConnection
from tcpd.net.turns import TurnScheduler
from tcpd.net.wrapped_connection import WrappedConnection
from tcpd.ops.counters import ServiceCounters
from tcpd.policy.admission import ConnectionCount
from tcpd.policy.reasons import End, Refusal

#: More than the kernel and a transport in memory take together without the client reading.
FULL = 200_000

CLIENT = IPv4Address("TCP", "192.0.2.1", 4711)


class Transport(StringTransport):
    """A transport that is full above ``room`` bytes, as a real one is, and can be emptied."""

    def __init__(self, address: Any = CLIENT) -> None:
        super().__init__(peerAddress=address)
        self.room = 65536
        self.aborted = False
        self.full = False

    def write(self, data: bytes) -> None:
        super().write(data)
        if self.producer is not None and self.streaming and len(self.value()) > self.room:
            self.full = True
            self.producer.pauseProducing()

    def empty(self) -> bytes:
        taken = self.value()
        self.clear()
        if self.producer is not None and (self.full or not self.streaming):
            self.full = False
            self.producer.resumeProducing()
        return taken

    def abortConnection(self) -> None:
        self.aborted = True


@implementer(IFarewell)
class Told(Protocol):
    """Remembers what it was told, and has last words."""

    def __init__(self) -> None:
        self.received = b""
        self.lost: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason

    def farewell(self, reason: End) -> bytes:
        return f"bye: {reason}".encode()


@implementer(IHalfCloseableProtocol)
class HalfCloseable(Told):
    half_closed = write_closed = 0

    def readConnectionLost(self) -> None:
        self.half_closed += 1

    def writeConnectionLost(self) -> None:
        self.write_closed += 1


class Producer:
    """Remembers what its consumer asked of it."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def pauseProducing(self) -> None:
        self.asked.append("pause")

    def resumeProducing(self) -> None:
        self.asked.append("resume")

    def stopProducing(self) -> None:
        self.asked.append("stop")


@implementer(IRefusing)
class ToldFactory(Factory):
    def __init__(self, protocol: type[Protocol] = Told) -> None:
        self.made: list[Any] = []
        self._protocol = protocol

    def buildProtocol(self, addr: Any) -> Protocol:
        made = self._protocol()
        made.factory = self
        self.made.append(made)
        return made

    def refusal(self, reason: Refusal) -> bytes:
        return f"no: {reason}".encode()


class House:
    """A layer with what it needs."""

    def __init__(
        self,
        protocol: type[Protocol] = Told,
        idle: float = 0.0,
        tls: Certificates | None = None,
        starttls: Certificates | None = None,
        clock: Clock | None = None,
        **policy: Any,
    ) -> None:
        self.clock = clock or Clock()
        self.connection_count = ConnectionCount(1000)
        self.counters = ServiceCounters()
        self.application = ToldFactory(protocol)
        self.layer = ConnectionLayer(
            service="test",
            factory=self.application,
            policy=PolicySettings(**policy),
            idle=idle,
            connection_count=self.connection_count,
            counters=self.counters,
            clock=self.clock,
            ids=itertools.count(1),
        )
        self.factory = ListenerFactory(self.layer, ListenerOptions(tls=tls, starttls=starttls))

    def connect(self, address: Any = CLIENT) -> tuple[Any, Transport]:
        """Let a client in: the connection (``None`` if refused without a word), its transport."""
        transport = Transport(address)
        connection = self.factory.buildProtocol(address)
        if connection is not None:
            connection.makeConnection(transport)
        return connection, transport

    def feed(self, connection: Any, data: bytes) -> None:
        """The client sends this."""
        connection.dataReceived(data)

    def half_close(self, connection: Any) -> None:
        """The client closes its sending side."""
        connection.readConnectionLost()

    def lose(self, connection: Any, reason: Exception | None = None) -> None:
        """The connection is gone."""
        connection.connectionLost(Failure(reason or ConnectionDone()))


class LeanHouse(House):
    """The same with lean connections."""

    def __init__(self, *args: Any, **more: Any) -> None:
        self.reactor = MemoryReactor()
        super().__init__(*args, clock=self.reactor, **more)

    def connect(self, address: Any = CLIENT) -> tuple[Any, Any]:
        sock: Any = MemorySocket()
        client = Client(self.reactor, sock)
        before = set(self.layer.connections)
        raw = (address.host, address.port) if isinstance(address, IPv4Address) else ""
        if isinstance(address, IPv6Address):
            raw = (address.host, address.port, 0, 0)
        self.factory.accept_socket(sock, raw, TurnScheduler(self.reactor))
        client.connection = next(iter(self.layer.connections - before), None)
        return client.connection, client

    def feed(self, connection: Any, data: bytes) -> None:
        connection._socket.incoming.append(data)
        connection.doRead()

    def half_close(self, connection: Any) -> None:
        self.feed(connection, b"")

    def lose(self, connection: Any, reason: Exception | None = None) -> None:
        self.reactor.end_turn()
        if connection is not None:  # else it was lost before anybody could ask
            connection.connectionLost(Failure(reason or ConnectionDone()))


def read_all(transport: Any) -> bytes:
    """Read until nothing more comes."""
    pieces = []
    while piece := transport.empty():
        pieces.append(piece)
    return b"".join(pieces)


Make = Callable[..., House]


@pytest.fixture(params=[House, LeanHouse], ids=["connection", "lean"])
def make(request: pytest.FixtureRequest) -> Make:
    """Makes a layer whose connections are of one kind or the other."""
    maker: Make = request.param
    return maker


# --- bytes, counted ---


def test_bytes_pass_both_ways_and_are_counted(make: Make) -> None:
    house = make()
    connection, transport = house.connect()
    house.feed(connection, b"hello")
    (protocol,) = house.application.made
    assert protocol.received == b"hello"
    protocol.transport.write(b"you")
    protocol.transport.writeSequence([b" ", b"too"])
    assert transport.value() == b"you too"
    assert (house.counters.bytes_in, house.counters.bytes_out) == (5, 7)
    assert (house.counters.accepted, house.counters.open) == (1, 1)
    house.lose(connection)
    assert protocol.lost is not None
    assert house.counters.open == 0
    assert house.counters.ended == {End.CLIENT: 1}
    assert house.connection_count.count == 0
    assert not house.clock.getDelayedCalls(), "nothing of it stays behind"


def test_connections_provide_the_transport_interfaces() -> None:
    assert verifyClass(ITCPTransport, SocketConnection, tentative=True)
    assert verifyClass(ITCPTransport, WrappedConnection, tentative=True)
    assert verifyClass(ISSLTransport, TLSLayer, tentative=True)
    assert verifyClass(INegotiated, TLSLayer, tentative=True)


@implementer(ITCPTransport)
class TCP(Transport):
    """A transport that is a TCP socket's."""

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
    house = House(HalfCloseable)
    transport = TCP()
    connection: Any = house.factory.buildProtocol(CLIENT)
    connection.makeConnection(transport)
    for name in ("NoDelay", "KeepAlive"):
        getattr(connection, f"setTcp{name}")(True)
        assert getattr(connection, f"getTcp{name}")() is True
    connection.write(b"x" * FULL)
    connection.write(b"held")
    connection.loseWriteConnection()
    assert transport.half_closed
    assert transport.value().endswith(b"xheld"), "what was held goes out first"
    connection.writeConnectionLost()
    assert house.application.made[0].write_closed == 1


def test_tcp_options_are_ignored_on_other_transports() -> None:
    """twisted.web's channel sets TCP_NODELAY if the transport provides ITCPTransport."""
    connection, transport = House().connect()
    connection.setTcpNoDelay(True)
    connection.setTcpKeepAlive(True)
    assert connection.getTcpNoDelay() is connection.getTcpKeepAlive() is False
    connection.loseWriteConnection()
    assert transport.disconnecting


def test_transport_adapts_to_iconnection(make: Make) -> None:
    house = make()
    house.connect()
    connection = IConnection(house.application.made[0].transport)
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
    house = make()
    connection, _ = house.connect(address)
    assert connection.peer == peer


def test_end_is_counted_by_reason(make: Make) -> None:
    house = make()
    lost, _ = house.connect()
    house.lose(lost, ConnectionLost())
    closed, transport = house.connect()
    closed.loseConnection()
    assert transport.disconnecting
    house.lose(closed)
    assert house.counters.ended == {End.LOST: 1, End.SERVER: 1}


# --- who is let in ---


def test_refused_client_gets_the_protocols_refusal_and_is_closed(make: Make) -> None:
    house = make(per_address=1)
    house.connect()
    refused, transport = house.connect()
    assert transport.value() == b"no: address-full"
    assert transport.disconnecting
    assert house.counters.refused == {Refusal.ADDRESS_FULL: 1}
    if refused is not None:  # a lean port sends what the kernel takes, and waits for nobody
        house.clock.advance(2)
        assert transport.aborted, "a client that does not take its refusal is not waited for"
        refused.connectionLost(Failure(ConnectionDone()))
    assert not house.clock.getDelayedCalls()


def test_refused_client_of_a_tls_listener_gets_no_plaintext(
    make: Make,
    localhost: certificates.Made,
) -> None:
    house = make(per_address=1, tls=server_tls(localhost, Clock()))
    house.connect()
    assert house.connect()[0] is None


def test_factory_returning_none_closes_the_connection(make: Make) -> None:
    house = make()
    house.application.buildProtocol = lambda addr: None  # type: ignore[method-assign,assignment,return-value]
    _, transport = house.connect()
    assert transport.disconnecting


def test_exception_in_connection_made_is_logged_and_aborts(
    make: Make, logged_failures: Any
) -> None:
    class Broken(Told):
        def connectionMade(self) -> None:
            raise ValueError("broken at once")

    house = make(Broken)
    connection, transport = house.connect()
    assert transport.aborted
    house.lose(connection)
    assert house.counters.open == 0
    logged_failures.expect("broken at once")


def test_exception_starting_tls_frees_the_slot(make: Make, logged_failures: Any) -> None:

    @implementer(IOpenSSLServerConnectionCreator)
    class Broken:
        def serverConnectionForTLS(self, protocol: Any) -> Any:
            raise ValueError("no memory for TLS")

    house = make(tls=Broken())
    connection, _ = house.connect()
    if make is LeanHouse:
        house.feed(connection, b"\x16\x03\x01\x00\x01x")
        logged_failures.expect("no memory for TLS")
    else:  # Twisted's transport logs it
        with pytest.raises(ValueError, match="no memory"):
            house.feed(connection, b"\x16\x03\x01\x00\x01x")
        house.lose(connection)
    assert house.counters.open == 0
    assert house.connection_count.count == 0
    assert not house.layer.connections
    assert not house.clock.getDelayedCalls()


def test_add_reader_failure_affects_that_client_only(
    logged_failures: Any,
) -> None:
    house = LeanHouse()

    def full(reader: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    house.reactor.addReader = full  # type: ignore[method-assign]
    _, client = house.connect()
    assert client.sock.closed
    assert house.counters.open == 0
    assert house.connection_count.count == 0
    logged_failures.expect("No space left on device")


def test_refused_client_that_sent_first_is_not_reset() -> None:
    """RFC 1122 section 4.2.2.13: a close with unread input resets the connection, and the client
    may lose data."""
    house = LeanHouse(per_address=1)
    house.connect()
    sock: Any = MemorySocket()
    sock.incoming.append(b"PING\r\n")
    house.factory.accept_socket(sock, (CLIENT.host, CLIENT.port), TurnScheduler(house.reactor))
    assert sock.taken == b"no: address-full"
    assert sock.incoming == []
    assert sock.closed
    assert not sock.reset


# --- output is bounded ---


def test_client_that_does_not_read_is_aborted_at_the_limit(make: Make) -> None:
    house = make(unsent=100_000)
    connection, transport = house.connect()
    (protocol,) = house.application.made
    for _ in range(100):
        protocol.transport.write(b"x" * 10_000)
    assert transport.aborted
    assert len(transport.value()) <= 65536 + 10_000
    house.lose(connection)
    assert house.counters.ended == {End.SLOW_READER: 1}


def test_slow_reader_gets_all_data_in_order(make: Make) -> None:
    house = make(unsent=100_000)
    connection, transport = house.connect()
    (protocol,) = house.application.made
    sent = [bytes([number]) * 9_000 for number in range(16)]
    for piece in sent:
        protocol.transport.write(piece)
    taken = b""
    while len(taken) < 16 * 9_000:
        taken += transport.empty()
    assert taken == b"".join(sent)
    assert not transport.aborted
    house.lose(connection)


def test_producer_is_paused_while_the_buffer_is_full(make: Make) -> None:
    house = make()
    connection, transport = house.connect()
    (protocol,) = house.application.made
    producer = Producer()
    protocol.transport.registerProducer(producer, True)
    protocol.transport.write(b"x" * FULL)
    protocol.transport.write(b"y")
    assert producer.asked == ["pause"]
    assert read_all(transport) == b"x" * FULL + b"y"
    assert producer.asked == ["pause", "resume"]
    with pytest.raises(RuntimeError):
        protocol.transport.registerProducer(Producer(), True)
    house.lose(connection)


def test_producer_registered_after_the_close_is_stopped(make: Make) -> None:
    house = make()
    connection, _ = house.connect()
    (protocol,) = house.application.made
    protocol.transport.write(b"x" * FULL)
    producer = Producer()
    protocol.transport.registerProducer(producer, True)
    assert producer.asked == ["pause"]
    connection.loseConnection()
    late = Producer()
    protocol.transport.registerProducer(late, True)
    assert late.asked == ["stop"]


def test_pull_producer_is_resumed_by_the_transport(make: Make) -> None:
    house = make()
    _connection, transport = house.connect()
    (protocol,) = house.application.made

    class Pulled(Producer):
        left = 3

        def resumeProducing(self) -> None:
            self.left -= 1
            protocol.transport.write(b"piece")
            if not self.left:
                protocol.transport.unregisterProducer()

    protocol.transport.registerProducer(Pulled(), False)
    taken = b"".join(transport.empty() for _ in range(5))
    assert taken == b"piece" * 3
    if isinstance(transport, Transport):
        assert transport.producer is not None, "the layer watches the output again"


@pytest.mark.parametrize("streaming", [True, False], ids=["push", "pull"])
@pytest.mark.parametrize("how", ["lost", "aborted", "closed"])
def test_producer_is_stopped_once_at_the_end(make: Make, how: str, streaming: bool) -> None:
    """IProducer.stopProducing: "This tells a producer that its consumer has died, so it must stop
    producing data for good"."""
    house = make()
    connection, transport = house.connect()
    producer = Producer()
    connection.registerProducer(producer, streaming)
    if how == "aborted":
        connection.abortConnection()
    if how == "closed":
        connection.loseConnection()
    if isinstance(transport, Transport) and transport.producer is not None:
        transport.producer.stopProducing()  # as Twisted's transports do when they are lost
    # not lose(), which waits for the end of the turn: a pull producer is asked for ever
    connection.connectionLost(Failure(ConnectionDone()))
    assert producer.asked.count("stop") == 1
    assert producer.asked[-1] == "stop"
    assert house.application.made[0].lost is not None
    assert not house.clock.getDelayedCalls()


def test_exception_in_stop_producing_is_logged(make: Make, logged_failures: Any) -> None:
    class Broken(Producer):
        def stopProducing(self) -> None:
            raise ValueError("will not stop")

    house = make()
    connection, _ = house.connect()
    connection.registerProducer(Broken(), True)
    house.lose(connection)
    assert house.application.made[0].lost is not None
    assert house.counters.open == 0
    logged_failures.expect("will not stop")


# --- the end ---


def test_farewell_is_sent_before_the_close(make: Make) -> None:
    house = make()
    connection, transport = house.connect()
    connection.end(End.SHUTDOWN)
    assert transport.value() == b"bye: shutdown"
    assert transport.disconnecting
    connection.end(End.IDLE)
    assert transport.value() == b"bye: shutdown", "once"
    house.lose(connection)
    assert house.counters.ended == {End.SHUTDOWN: 1}


def test_buffered_data_is_sent_before_the_close(make: Make) -> None:
    house = make()
    _connection, transport = house.connect()
    (protocol,) = house.application.made
    producer = Producer()
    protocol.transport.registerProducer(producer, True)
    protocol.transport.write(b"a" * FULL)
    protocol.transport.write(b"b")
    protocol.transport.loseConnection()
    protocol.transport.write(b"too late")
    assert transport.disconnecting
    assert read_all(transport) == b"a" * FULL + b"b"


def test_close_is_aborted_after_linger(make: Make) -> None:
    house = make(linger=5.0)
    connection, transport = house.connect()
    house.application.made[0].transport.write(b"x" * FULL)
    house.application.made[0].transport.loseConnection()
    house.clock.advance(4.9)
    assert not transport.aborted
    house.clock.advance(0.1)
    assert transport.aborted
    house.lose(connection)
    assert house.counters.ended == {End.LINGER: 1}


def test_half_close_gets_pending_output_without_half_close_support(
    make: Make,
) -> None:
    house = make()
    connection, transport = house.connect()
    house.application.made[0].transport.write(b"rest")
    house.half_close(connection)
    assert transport.value() == b"rest"
    assert transport.disconnecting
    house.lose(connection)
    assert house.counters.ended == {End.CLIENT: 1}


def test_half_closeable_protocol_is_called(make: Make) -> None:
    house = make(HalfCloseable)
    connection, transport = house.connect()
    house.half_close(connection)
    assert house.application.made[0].half_closed == 1
    assert not transport.disconnecting


def test_end_is_attributed_to_the_first_to_close(make: Make) -> None:
    house = make(HalfCloseable)
    connection, _ = house.connect()
    house.half_close(connection)
    house.application.made[0].transport.loseConnection()
    house.lose(connection)
    assert house.counters.ended == {End.CLIENT: 1}


# --- idle ---


def test_only_idle_connection_is_closed(make: Make) -> None:
    house = make(idle=80.0)
    house.layer.start()
    silent, silent_transport = house.connect()
    speaking, speaking_transport = house.connect()
    reading, reading_transport = house.connect()
    for _ in range(9):
        house.clock.advance(10)
        house.feed(speaking, b".")
        reading.write(b".")
    assert silent_transport.value() == b"bye: idle"
    assert not speaking_transport.disconnecting
    assert not reading_transport.disconnecting
    for connection in (silent, speaking, reading):
        house.lose(connection)
    assert house.counters.ended[End.IDLE] == 1


def test_idle_0_disables_the_timeout(make: Make) -> None:
    house = make(idle=0)
    house.layer.start()
    _, transport = house.connect()
    house.clock.advance(10**6)
    assert not transport.disconnecting


# --- draining ---


def test_drain_completes_when_the_last_client_disconnects(make: Make) -> None:
    house = make(idle=10)
    house.layer.start()
    conduits = [house.connect()[0] for _ in range(3)]
    for connection in conduits:
        connection.write(b"x" * FULL)
    fired: list[None] = []
    house.layer.drain(End.SHUTDOWN, 5.0).addCallback(fired.append)
    for connection in conduits:
        assert not fired
        house.lose(connection)
    assert fired == [None]
    assert not house.clock.getDelayedCalls()


def test_drain_aborts_remaining_clients(make: Make) -> None:
    house = make()
    connection, transport = house.connect()
    connection.write(b"x" * FULL)
    drained: Deferred[None] = house.layer.drain(End.SHUTDOWN, 5.0)
    house.clock.advance(5)
    assert transport.aborted
    house.lose(connection)
    assert drained.called


def test_drain_without_connections_completes_at_once(make: Make) -> None:
    assert make().layer.drain(End.SHUTDOWN, 5.0).called


# --- TLS, between two ends in memory ---


def server_tls(made: certificates.Made, clock: Clock, **settings: Any) -> Certificates:
    return Certificates(
        TLSSettings(
            certificate=(str(made.certificate_file),), key=(str(made.key_file),), **settings
        )
    )


@implementer(IOpenSSLClientConnectionCreator)
class ClientTLS:
    """A client that trusts everybody."""

    def __init__(self, alpn: list[bytes] | None = None) -> None:
        self.context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        if alpn:
            self.context.set_alpn_protos(alpn)

    def clientConnectionForTLS(self, protocol: object) -> SSL.Connection:
        return SSL.Connection(self.context)


def tls_client(clock: Clock, alpn: list[bytes] | None = None) -> tuple[Told, Any]:
    """A client's protocol, and the TLS protocol around it."""
    creator = ClientTLS(alpn)
    factory = ToldFactory()
    wrapped = TLSMemoryBIOFactory(creator, True, factory, clock=clock).buildProtocol(CLIENT)
    return factory.made[0], wrapped


def join(house: House, client: Any) -> tuple[Any, iosim.IOPump]:
    connection = house.factory.buildProtocol(CLIENT)
    pump = iosim.connect(
        connection,
        iosim.FakeTransport(connection, isServer=True),
        client,
        iosim.FakeTransport(client, isServer=False),
        debug=False,
    )
    return connection, pump


def flush(pump: iosim.IOPump, clock: Clock) -> None:
    for _ in range(5):
        clock.advance(0)
        pump.flush()


def test_protocol_is_made_after_the_tls_handshake(
    localhost: certificates.Made,
) -> None:
    clock = Clock()
    house = House(tls=server_tls(localhost, clock), clock=clock)
    told, client = tls_client(clock, [b"h2"])
    connection, pump = join(house, client)
    flush(pump, clock)
    (protocol,) = house.application.made
    told.transport.write(b"hello")  # type: ignore[union-attr]
    flush(pump, clock)
    assert protocol.received == b"hello"
    connection = IConnection(protocol.transport)
    assert connection is connection or connection.id == connection.id
    assert connection.tls.version == "TLSv1.3"
    protocol.transport.write(b"welcome")
    flush(pump, clock)
    assert told.received == b"welcome"
    connection.end(End.SHUTDOWN)
    flush(pump, clock)
    assert told.received == b"welcomebye: shutdown"
    assert protocol.lost is not None
    assert house.counters.ended == {End.SHUTDOWN: 1}
    assert not [call for call in clock.getDelayedCalls() if call.active()]


def test_tls_handshake_timeout_aborts_without_protocol(
    localhost: certificates.Made,
) -> None:
    house = House(tls=server_tls(localhost, Clock()), handshake=10.0)
    connection, transport = house.connect()
    house.clock.advance(9.9)
    assert not transport.aborted
    house.clock.advance(0.1)
    assert transport.aborted
    house.lose(connection)
    assert house.counters.ended == {End.TLS_TIMEOUT: 1}
    assert house.application.made == []


def test_invalid_tls_handshake_is_closed_and_counted(
    localhost: certificates.Made,
) -> None:
    house = House(tls=server_tls(localhost, Clock()))
    connection, transport = house.connect()
    connection.dataReceived(b"GET / HTTP/1.1\r\n\r\n")
    assert transport.disconnecting
    house.lose(connection)
    assert house.counters.ended == {End.TLS_FAILED: 1}


def test_unanswered_close_notify_is_aborted_after_linger(localhost: certificates.Made) -> None:
    clock = Clock()
    house = House(tls=server_tls(localhost, clock), clock=clock, linger=5.0)
    _told, client = tls_client(clock)
    connection, pump = join(house, client)
    flush(pump, clock)
    house.application.made[0].transport.loseConnection()
    cut: list[bool] = []
    connection.transport.abortConnection = lambda: cut.append(True)
    clock.advance(5.0)
    assert cut


def test_starttls_moves_protocol_and_producer_onto_tls(
    localhost: certificates.Made,
) -> None:
    clock = Clock()
    house = House(starttls=server_tls(localhost, clock), clock=clock)
    plain = Told()
    connection, pump = join(house, plain)
    (protocol,) = house.application.made
    producer = Producer()
    protocol.transport.registerProducer(producer, True)
    connection = IConnection(protocol.transport)
    assert connection.can_start_tls
    protocol.transport.write(b"go ahead")
    connection.start_tls()
    assert not connection.can_start_tls
    pump.flush()
    assert plain.received == b"go ahead"
    told, client = tls_client(clock)
    transport: Any = plain.transport
    transport.protocol = client
    client.makeConnection(transport)
    flush(pump, clock)
    assert len(house.application.made) == 1, "it is the same protocol"
    told.transport.write(b"inside")  # type: ignore[union-attr]
    protocol.transport.write(b"welcome")
    flush(pump, clock)
    assert protocol.received == b"inside"
    assert told.received == b"welcome"
    assert connection.tls is not None
    # a transport in memory is never full by itself
    connection.output_full()
    protocol.transport.write(b" back")
    assert producer.asked == ["pause"]
    assert not told.received.endswith(b"back")
    connection.output_empty()
    flush(pump, clock)
    assert producer.asked == ["pause", "resume"]
    assert told.received == b"welcome back"


def test_connection_lost_in_starttls_handshake_reaches_the_protocol(
    localhost: certificates.Made,
) -> None:
    house = House(starttls=server_tls(localhost, Clock()))
    connection, _ = house.connect()
    (protocol,) = house.application.made
    connection.start_tls()
    house.lose(connection, ConnectionLost())
    assert protocol.lost is not None
    assert house.counters.ended == {End.TLS_FAILED: 1}
