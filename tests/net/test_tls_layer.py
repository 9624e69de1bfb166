"""The TLS layer, against OpenSSL's client in memory, however the stream is cut."""

from __future__ import annotations

import contextlib
import errno
import gc
import itertools
import weakref
from typing import Any

import certificates
import pytest
from amounts import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from net.doubles import Client, MemoryReactor, MemorySocket
from OpenSSL import SSL
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from tcpd.config.settings import PolicySettings, TLSSettings
from tcpd.interfaces import IConnection
from tcpd.net.layer import ConnectionLayer
from tcpd.net.listener_factory import ListenerFactory
from tcpd.net.listener_options import ListenerOptions
from tcpd.net.tls import Certificates
from tcpd.net.tls_layer import TLSLayer
from tcpd.net.turns import TurnScheduler, work_queue
from tcpd.ops.counters import ServiceCounters
from tcpd.policy.admission import ConnectionCount
from tcpd.policy.reasons import End


class Echo(Protocol):
    """Echoes, and remembers."""

    transport: Any

    def __init__(self) -> None:
        self.received = b""
        self.calls = 0
        self.lost: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        self.calls += 1
        self.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason


@implementer(IHalfCloseableProtocol)
class HalfCloseable(Echo):
    """Knows that each direction ends by itself; answers when it is asked to."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[str] = []

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def readConnectionLost(self) -> None:
        self.ends.append("read")

    def writeConnectionLost(self) -> None:
        self.ends.append("write")


class House:
    """A lean connection with TLS, and OpenSSL as its client."""

    def __init__(
        self,
        made: certificates.Made,
        version: int = SSL.TLS1_3_VERSION,
        starttls: bool = False,
        protocol: type[Echo] = Echo,
    ) -> None:
        self._protocol = protocol
        self.reactor = MemoryReactor()
        self.counters = ServiceCounters()
        self.made: list[Echo] = []
        factory = Factory()
        factory.buildProtocol = self._build  # type: ignore[method-assign,assignment]
        layer = ConnectionLayer(
            service="test",
            factory=factory,
            policy=PolicySettings(),
            idle=0,
            connection_count=ConnectionCount(9),
            counters=self.counters,
            clock=self.reactor,
            ids=itertools.count(1),
            work=work_queue(self.reactor),
        )
        self.work = layer.work
        loaded = Certificates(
            TLSSettings(certificate=(str(made.certificate_file),), key=(str(made.key_file),))
        )
        sock: Any = MemorySocket()
        sock.room = 1 << 24
        options = ListenerOptions(starttls=loaded) if starttls else ListenerOptions(tls=loaded)
        listener = ListenerFactory(layer, options)
        listener.accept_socket(sock, ("192.0.2.1", 1), TurnScheduler(self.reactor))
        (self.connection,) = layer.connections
        self.sock = sock
        self.side = Client(self.reactor, sock)
        self.side.connection = self.connection
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_max_proto_version(version)
        self.client = SSL.Connection(context)
        self.client.set_connect_state()

    def _build(self, addr: object) -> Echo:
        self.made.append(self._protocol())
        return self.made[-1]

    def to_server(self, data: bytes) -> None:
        self.sock.incoming.append(data)
        self.connection.doRead()  # type: ignore[attr-defined]

    def end_of_wire(self) -> None:
        """The client closes the sending side of its socket."""
        self.to_server(b"")
        self.reactor.end_turn()

    def outgoing(self) -> bytes:
        """What the client has for the server."""
        try:
            return self.client.bio_read(1 << 20)
        except SSL.WantReadError:
            return b""

    def shake_hands(self) -> None:
        self.pass_on_handshake()
        self.heard = self.read()

    def pass_on_handshake(self) -> None:
        """Shake hands, and leave what the server says for the test to read."""
        for _ in range(4):
            with contextlib.suppress(SSL.WantReadError):
                self.client.do_handshake()
            if data := self.outgoing():
                self.to_server(data)
            if data := self.side.empty():
                self.client.bio_write(data)

    def read(self) -> bytes:
        """What the client can read by now."""
        if data := self.side.empty():
            self.client.bio_write(data)
        pieces = []
        try:
            while True:
                pieces.append(self.client.recv(1 << 16))
        except (SSL.WantReadError, SSL.ZeroReturnError):
            return b"".join(pieces)


BOTH = pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])


@BOTH
def test_message_is_one_record_and_one_send(localhost: certificates.Made, version: int) -> None:
    house = House(localhost, version)
    house.shake_hands()
    for _ in range(3):
        before = house.sock.sends
        house.client.send(b"hello")
        house.to_server(house.outgoing())
        assert house.sock.sends == before + 1
        assert house.read() == b"hello"
    assert house.made[0].calls == 3


@BOTH
@given(data=st.data())
@settings(deadline=None, max_examples=examples(25), suppress_health_check=list(HealthCheck))
def test_any_segmentation_gives_the_same_bytes(
    localhost: certificates.Made, version: int, data: st.DataObject
) -> None:
    house = House(localhost, version)
    house.shake_hands()
    sent = b""
    stream = b""
    for size in data.draw(st.lists(st.integers(1, 40_000), min_size=1, max_size=5)):
        text = bytes([size % 251]) * size
        house.client.sendall(text)
        stream += house.outgoing()
        sent += text
    at = 0
    received = b""
    while at < len(stream):
        size = data.draw(st.sampled_from([1, 2, 4, 5, 6, 30, 4096, 16_406, 70_000]))
        house.to_server(stream[at : at + size])
        received += house.read()
        at += size
    assert house.made[0].received == sent
    assert received == sent


@BOTH
def test_handshake_byte_by_byte(localhost: certificates.Made, version: int) -> None:
    house = House(localhost, version)
    for _ in range(6):
        with contextlib.suppress(SSL.WantReadError):
            house.client.do_handshake()
        for byte in house.outgoing():
            house.to_server(bytes([byte]))
        if data := house.side.empty():
            house.client.bio_write(data)
    house.client.send(b"hello")
    for byte in house.outgoing():
        house.to_server(bytes([byte]))
    assert house.read() == b"hello"


def test_large_writes_use_full_records(localhost: certificates.Made) -> None:
    """RFC 8446 section 5.1: "The length MUST NOT exceed 2^14 bytes." """
    house = House(localhost)
    house.shake_hands()
    house.made[0].transport.write(b"x" * 300_000)
    wire = house.side.value()
    at = count = 0
    while at < len(wire):
        at += 5 + int.from_bytes(wire[at + 3 : at + 5], "big")
        count += 1
    assert count == -(-300_000 // 16384)
    assert house.read() == b"x" * 300_000


@BOTH
def test_close_waits_for_the_clients_close_notify(
    localhost: certificates.Made, version: int
) -> None:
    """RFC 8446 section 6.1: close_notify from both sides."""
    house = House(localhost, version)
    house.shake_hands()
    transport = house.made[0].transport
    transport.write(b"bye")
    transport.loseConnection()
    transport.write(b"too late")
    assert house.read() == b"bye"
    assert not house.sock.closed
    house.client.shutdown()
    house.to_server(house.outgoing())
    house.reactor.end_turn()
    assert house.sock.closed
    assert house.counters.ended == {End.SERVER: 1}


@BOTH
def test_clients_close_notify_is_answered(localhost: certificates.Made, version: int) -> None:
    house = House(localhost, version)
    house.shake_hands()
    house.client.send(b"last words")
    house.client.shutdown()
    house.to_server(house.outgoing())
    house.reactor.end_turn()
    assert house.made[0].received == b"last words"
    assert house.sock.closed
    house.client.bio_write(house.sock.taken)
    assert house.client.recv(100) == b"last words"
    with pytest.raises(SSL.ZeroReturnError):
        house.client.recv(1)


def test_ended_connection_has_no_reference_cycle(
    localhost: certificates.Made,
) -> None:
    house = House(localhost)
    house.shake_hands()
    handle = weakref.ref(house.made.pop().transport.getHandle())
    assert handle() is not None
    house.client.shutdown()
    gc.disable()
    try:
        house.to_server(house.outgoing())
        house.reactor.end_turn()
        assert house.sock.closed
        assert handle() is None
    finally:
        gc.enable()


def test_corrupt_record_closes_the_connection(localhost: certificates.Made) -> None:
    house = House(localhost)
    house.shake_hands()
    house.client.send(b"hello")
    broken = bytearray(house.outgoing())
    broken[-1] ^= 1
    house.to_server(bytes(broken))
    house.reactor.end_turn()
    assert house.sock.closed
    assert house.made[0].received == b""
    assert house.made[0].lost is not None
    assert house.made[0].lost.check(SSL.Error)


def test_writes_before_the_starttls_handshake_are_buffered(
    localhost: certificates.Made,
) -> None:
    house = House(localhost, starttls=True)
    (protocol,) = house.made
    IConnection(protocol.transport).start_tls()
    assert isinstance(protocol.transport, TLSLayer)
    protocol.transport.write(b"welcome")
    assert house.side.value() == b""
    house.pass_on_handshake()
    assert house.client.recv(100) == b"welcome"
    assert IConnection(protocol.transport) is house.connection


def test_close_before_the_starttls_handshake_follows_the_writes(
    localhost: certificates.Made,
) -> None:
    house = House(localhost, starttls=True)
    (protocol,) = house.made
    IConnection(protocol.transport).start_tls()
    protocol.transport.write(b"welcome, ")
    protocol.transport.write(b"and goodbye")
    protocol.transport.loseConnection()
    protocol.transport.write(b"too late")
    house.shake_hands()
    assert house.heard == b"welcome, and goodbye"
    assert not house.sock.closed
    assert house.client.get_shutdown() & SSL.RECEIVED_SHUTDOWN
    house.client.shutdown()
    house.to_server(house.outgoing())
    house.reactor.end_turn()
    assert house.sock.closed


@BOTH
def test_close_in_connection_made_waits_for_close_notify(
    localhost: certificates.Made, version: int
) -> None:
    """RFC 8446 section 6.1; daytime and time do this."""

    class Brief(Echo):
        def connectionMade(self) -> None:
            self.transport.write(b"noon")
            self.transport.loseConnection()

    house = House(localhost, version)
    factory: Any = house.connection.layer.factory
    factory.buildProtocol = lambda addr: Brief()
    house.shake_hands()
    assert house.heard == b"noon"
    house.reactor.end_turn()
    assert not house.sock.closed
    house.client.shutdown()
    house.to_server(house.outgoing())
    house.reactor.end_turn()
    assert house.sock.closed
    assert house.counters.ended == {End.SERVER: 1}


def test_close_before_the_handshake_aborts(localhost: certificates.Made) -> None:
    house = House(localhost, starttls=True)
    (protocol,) = house.made
    IConnection(protocol.transport).start_tls()
    protocol.transport.loseConnection()
    house.reactor.end_turn()
    assert house.sock.reset


# --- each direction ends by itself ---


def half_closing(
    made: certificates.Made, version: int = SSL.TLS1_3_VERSION
) -> tuple[House, HalfCloseable]:
    """A conversation whose protocol knows of half-close."""
    house = House(made, version, protocol=HalfCloseable)
    house.shake_hands()
    (protocol,) = house.made
    assert isinstance(protocol, HalfCloseable)
    return house, protocol


def say_and_end(house: House, text: bytes) -> None:
    """The client says it, and close_notify behind it."""
    house.client.send(text)
    house.client.shutdown()
    house.to_server(house.outgoing())


@BOTH
@pytest.mark.parametrize("fin", [False, True], ids=["close_notify", "and FIN"])
def test_client_can_read_after_its_close_notify(
    localhost: certificates.Made, version: int, fin: bool
) -> None:
    """RFC 8446 section 6.1: closing one direction "does not have any effect on its read side"."""
    house, protocol = half_closing(localhost, version)
    say_and_end(house, b"question")
    if fin:
        house.end_of_wire()
    assert (protocol.received, protocol.ends) == (b"question", ["read"])
    assert not house.sock.closed
    protocol.transport.write(b"ans")
    assert house.read() == b"ans"
    protocol.transport.write(b"wer")
    protocol.transport.loseConnection()
    house.reactor.end_turn()
    assert house.sock.closed
    assert not house.sock.reset
    assert house.read() == b"wer"
    assert house.client.get_shutdown() & SSL.RECEIVED_SHUTDOWN
    assert house.counters.ended == {End.CLIENT: 1}
    assert protocol.lost is not None
    assert protocol.lost.check(ConnectionLost) is None


@BOTH
def test_data_after_close_notify_is_ignored(localhost: certificates.Made, version: int) -> None:
    """RFC 8446 section 6.1: "Any data received after a closure alert has been received MUST be
    ignored." """
    house, protocol = half_closing(localhost, version)
    say_and_end(house, b"all")
    house.to_server(b"anything")
    assert (protocol.received, protocol.ends) == (b"all", ["read"])
    assert not house.sock.closed
    protocol.transport.write(b"answer")
    assert house.read() == b"answer"


@BOTH
def test_our_close_notify_ends_our_direction_only(
    localhost: certificates.Made, version: int
) -> None:
    """RFC 8446 section 6.1: "Each party MUST send a "close_notify" alert before closing its write
    side of the connection"."""
    house, protocol = half_closing(localhost, version)
    protocol.transport.write(b"last")
    protocol.transport.loseWriteConnection()
    protocol.transport.write(b"too late")
    assert house.read() == b"last"
    assert house.client.get_shutdown() & SSL.RECEIVED_SHUTDOWN
    assert protocol.ends == ["write"]
    assert not house.sock.closed
    house.client.send(b"still here")
    house.to_server(house.outgoing())
    assert protocol.received == b"still here"
    house.client.shutdown()
    house.to_server(house.outgoing())
    assert protocol.ends == ["write", "read"]
    protocol.transport.loseConnection()
    house.reactor.end_turn()
    assert house.sock.closed
    assert not house.reactor.getDelayedCalls(), "nothing of it stays behind"


def test_half_close_before_the_starttls_handshake_follows_the_writes(
    localhost: certificates.Made,
) -> None:
    house = House(localhost, starttls=True, protocol=HalfCloseable)
    (protocol,) = house.made
    IConnection(protocol.transport).start_tls()
    protocol.transport.write(b"welcome")
    protocol.transport.loseWriteConnection()
    house.shake_hands()
    assert house.heard == b"welcome"
    assert house.client.get_shutdown() & SSL.RECEIVED_SHUTDOWN
    assert not house.sock.closed


@BOTH
@pytest.mark.parametrize("protocol", [Echo, HalfCloseable])
@pytest.mark.parametrize("cut", [0, 1, 4, 20], ids=lambda cut: f"{cut} bytes short")
def test_end_without_close_notify_is_truncation(
    localhost: certificates.Made, version: int, protocol: type[Echo], cut: int
) -> None:
    """RFC 8446 section 6.1: close_notify is there "to avoid truncation attacks"."""
    house = House(localhost, version, protocol=protocol)
    house.shake_hands()
    house.client.send(b"pay ann 100")
    house.to_server(house.outgoing())
    house.client.send(b" euros, or rather 10")
    wire = house.outgoing()
    if cut:
        house.to_server(wire[:-cut])
    house.end_of_wire()
    (made,) = house.made
    assert made.received == b"pay ann 100"
    assert getattr(made, "ends", []) == []
    assert made.lost is not None
    assert made.lost.check(ConnectionLost)
    assert house.counters.ended == {End.TRUNCATED: 1}


def test_close_without_close_notify_after_ours_is_orderly(
    localhost: certificates.Made,
) -> None:
    """RFC 8446 section 6.1"""
    house = House(localhost)
    house.shake_hands()
    (made,) = house.made
    made.transport.loseConnection()
    house.end_of_wire()
    assert house.sock.closed
    assert made.lost is not None
    assert made.lost.check(ConnectionLost) is None
    assert End.TRUNCATED not in house.counters.ended


@pytest.mark.parametrize("says_goodbye", [True, False])
def test_reset_after_our_close_notify_is_orderly(
    localhost: certificates.Made, says_goodbye: bool
) -> None:
    """RFC 9293 section 3.10.4: a client that closes with our close_notify unread sends a reset."""
    house, protocol = half_closing(localhost)
    protocol.transport.write(b"all of it")
    protocol.transport.loseWriteConnection()
    house.reactor.end_turn()
    if says_goodbye:
        house.client.shutdown()
        house.to_server(house.outgoing())
    house.sock.incoming.append(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))
    house.connection.doRead()
    assert house.sock.closed
    assert protocol.lost is not None
    assert protocol.lost.check(ConnectionLost)
    assert house.counters.ended == {End.CLIENT: 1}


@BOTH
def test_reset_connection_sends_all_data_without_close_notify(
    localhost: certificates.Made, version: int
) -> None:
    """docs/decisions/0003"""
    house, protocol = half_closing(localhost, version)
    house.sock.room = 1000
    protocol.transport.write(b"x" * 5000)
    protocol.transport.resetConnection()
    protocol.transport.write(b"too late")
    house.reactor.end_turn()
    assert not house.sock.closed
    received = b""
    while not house.sock.closed:
        received += house.read()
    received += house.read()
    assert received == b"x" * 5000
    assert house.sock.reset
    assert not house.client.get_shutdown() & SSL.RECEIVED_SHUTDOWN


def test_reset_in_data_received_sends_all_data(
    localhost: certificates.Made,
) -> None:
    class Curt(HalfCloseable):
        def dataReceived(self, data: bytes) -> None:
            self.transport.write(data)
            self.transport.resetConnection()

    house = House(localhost, protocol=Curt)
    house.shake_hands()
    house.client.send(b"hello")
    house.to_server(house.outgoing())
    house.reactor.end_turn()
    assert house.read() == b"hello"
    assert house.sock.reset


class Busy:
    """A client whose work takes longer than a turn has time for."""

    share = "busy"

    def __init__(self, reactor: MemoryReactor) -> None:
        self._reactor = reactor

    def work(self, deadline: float) -> bool:
        self._reactor.rightNow += 1.0
        return False


def test_handshake_goes_through_the_work_queue(localhost: certificates.Made) -> None:
    house = House(localhost)
    house.work.run(Busy(house.reactor))
    with contextlib.suppress(SSL.WantReadError):
        house.client.do_handshake()
    house.to_server(house.outgoing())
    assert house.connection not in house.reactor.readers
    assert house.sock.taken == b""
    house.reactor.end_turn()
    assert house.connection in house.reactor.readers
    house.client.bio_write(house.side.empty())
    house.shake_hands()
    house.client.send(b"hello")
    house.to_server(house.outgoing())
    assert house.read() == b"hello"


def test_client_handshake_goes_through_the_work_queue(localhost: certificates.Made) -> None:
    house = House(localhost)
    house.work.run(Busy(house.reactor))
    below: Any = StringTransport()
    owner: Any = None

    def make() -> SSL.Connection:
        made = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD))
        made.set_connect_state()
        return made

    layer = TLSLayer(below, make, owner, house.work)
    layer.begin()
    assert below.value() == b""
    house.reactor.end_turn()
    handshake = b"\x16"  # the type of the record: RFC 8446 section 5.1
    assert below.value()[:1] == handshake


def test_large_input_and_its_end_go_through_the_work_queue(
    localhost: certificates.Made,
) -> None:
    house = House(localhost, protocol=HalfCloseable)
    house.shake_hands()
    house.client.sendall(b"x" * 200_000)
    house.client.shutdown()
    house.work.run(Busy(house.reactor))
    house.to_server(house.outgoing())
    (protocol,) = house.made
    assert protocol.received == b""
    assert house.connection not in house.reactor.readers
    protocol.transport.pauseProducing()
    protocol.transport.resumeProducing()
    assert house.connection not in house.reactor.readers
    house.to_server(b"")
    assert isinstance(protocol, HalfCloseable)
    house.reactor.end_turn()
    assert protocol.received == b"x" * 200_000
    assert protocol.ends == ["read"]


def test_paused_protocol_stays_paused_after_queued_work(
    localhost: certificates.Made,
) -> None:
    house = House(localhost)
    house.shake_hands()
    house.client.sendall(b"x" * 200_000)
    house.work.run(Busy(house.reactor))
    house.to_server(house.outgoing())
    house.made[0].transport.pauseProducing()
    house.reactor.end_turn()
    assert house.made[0].received == b"x" * 200_000
    assert house.connection not in house.reactor.readers
    house.made[0].transport.resumeProducing()
    assert house.connection in house.reactor.readers


def test_lost_connection_leaves_the_work_queue(localhost: certificates.Made) -> None:
    house = House(localhost)
    house.work.run(Busy(house.reactor))
    with contextlib.suppress(SSL.WantReadError):
        house.client.do_handshake()
    house.to_server(house.outgoing())
    assert len(house.work) == 1
    house.sock.incoming.append(ConnectionResetError())
    house.connection.connectionLost(Failure(ConnectionLost()))  # type: ignore[attr-defined]
    assert len(house.work) == 0


def test_exception_in_queued_work_aborts_that_connection_only(
    localhost: certificates.Made, logged_failures: Any
) -> None:
    class Failing(Echo):
        def dataReceived(self, data: bytes) -> None:
            raise ZeroDivisionError("a bug")

    house = House(localhost, protocol=Failing)
    house.shake_hands()
    house.client.sendall(b"x" * 200_000)
    house.work.run(Busy(house.reactor))
    house.to_server(house.outgoing())
    house.reactor.end_turn()
    [event] = logged_failures.expect("a bug")
    assert event["event_id"] == "connection.failed"
    assert house.sock.closed
