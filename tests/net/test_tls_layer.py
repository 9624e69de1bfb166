"""The TLS layer, against OpenSSL's client in memory, however the stream is cut."""

from __future__ import annotations

import contextlib
import gc
import itertools
import weakref
from typing import Any

import certificates
import pytest
from amounts import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from net.lean import Client, MemoryReactor, MemorySocket
from OpenSSL import SSL
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from tcpd.config.settings import PolicySettings, TLSSettings
from tcpd.interfaces import IConnection
from tcpd.net.layer import ConnectionLayer, ListenerFactory
from tcpd.net.tls import Certificates
from tcpd.net.tls_layer import TLSLayer
from tcpd.net.turns import Turns
from tcpd.ops.counters import ServiceCounters
from tcpd.policy.admission import Tally
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


class House:
    """A lean connection with TLS, and OpenSSL as its client."""

    def __init__(
        self, made: certificates.Made, version: int = SSL.TLS1_3_VERSION, starttls: bool = False
    ) -> None:
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
            tally=Tally(9),
            counters=self.counters,
            clock=self.reactor,
            ids=itertools.count(1),
        )
        loaded = Certificates(
            TLSSettings(certificate=(str(made.certificate_file),), key=(str(made.key_file),))
        )
        sock: Any = MemorySocket()
        sock.room = 1 << 24
        listener = ListenerFactory(
            layer, None if starttls else loaded, loaded if starttls else None
        )
        listener.accept_socket(sock, ("192.0.2.1", 1), Turns(self.reactor))
        (self.connection,) = layer.connections
        self.sock = sock
        self.side = Client(self.reactor, sock)
        self.side.connection = self.connection
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_max_proto_version(version)
        self.client = SSL.Connection(context)
        self.client.set_connect_state()

    def _build(self, addr: object) -> Echo:
        self.made.append(Echo())
        return self.made[-1]

    def to_server(self, data: bytes) -> None:
        self.sock.incoming.append(data)
        self.connection.doRead()  # type: ignore[attr-defined]

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
def test_a_message_is_one_record_each_way_and_one_send(
    localhost: certificates.Made, version: int
) -> None:
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
def test_however_the_stream_is_cut_the_bytes_are_the_same(
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
def test_the_handshake_byte_by_byte(localhost: certificates.Made, version: int) -> None:
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


def test_bulk_goes_in_records_as_large_as_they_may_be(localhost: certificates.Made) -> None:
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
def test_a_close_waits_for_the_clients_answer(localhost: certificates.Made, version: int) -> None:
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
def test_a_clients_close_is_answered(localhost: certificates.Made, version: int) -> None:
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


def test_nothing_of_an_ended_connection_waits_for_the_garbage_collector(
    localhost: certificates.Made,
) -> None:
    """OpenSSL holds some 10 KB for each."""
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


def test_what_is_wrong_in_a_record_ends_the_connection(localhost: certificates.Made) -> None:
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


def test_what_is_written_before_a_late_handshake_is_complete_waits_for_it(
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


def test_a_close_behind_what_was_written_before_a_late_handshake(
    localhost: certificates.Made,
) -> None:
    """ "Close once all is written": the words come, and then the end."""
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
def test_a_protocol_that_closes_as_it_begins_is_closed_as_any_other(
    localhost: certificates.Made, version: int
) -> None:
    """RFC 8446 section 6.1 again; the daytime and time services close so."""

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


def test_a_close_before_the_handshake_cuts(localhost: certificates.Made) -> None:
    house = House(localhost, starttls=True)
    (protocol,) = house.made
    IConnection(protocol.transport).start_tls()
    protocol.transport.loseConnection()
    house.reactor.end_turn()
    assert house.sock.reset
