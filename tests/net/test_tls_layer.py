"""The TLS layer against OpenSSL's client, in memory."""

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
from net.doubles import MemoryClient, MemoryReactor, MemorySocket
from OpenSSL import SSL
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from tcpd.config.settings import PolicySettings, TLSSettings
from tcpd.handshake.client_hello import parse_client_hello
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


class RecordingEcho(Protocol):
    """Echoes and records input."""

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
class HalfCloseable(RecordingEcho):
    """A protocol with half-close, which does not echo."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[str] = []

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def readConnectionLost(self) -> None:
        self.ends.append("read")

    def writeConnectionLost(self) -> None:
        self.ends.append("write")


class TLSHarness:
    """A SocketConnection with TLS, and OpenSSL as its client."""

    def __init__(
        self,
        made: certificates.Made,
        version: int = SSL.TLS1_3_VERSION,
        starttls: bool = False,
        protocol: type[RecordingEcho] = RecordingEcho,
        shows_handshakes: bool = False,
    ) -> None:
        self._protocol = protocol
        self.reactor = MemoryReactor()
        self.counters = ServiceCounters()
        self.made: list[RecordingEcho] = []
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
            shows_handshakes=shows_handshakes,
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
        self.client_socket = MemoryClient(self.reactor, sock)
        self.client_socket.connection = self.connection
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_max_proto_version(version)
        self.client = SSL.Connection(context)
        self.client.set_connect_state()

    def _build(self, addr: object) -> RecordingEcho:
        self.made.append(self._protocol())
        return self.made[-1]

    def to_server(self, data: bytes) -> None:
        self.sock.incoming.append(data)
        self.connection.doRead()  # type: ignore[attr-defined]

    def close_socket(self) -> None:
        """Half-close the client's socket."""
        self.to_server(b"")
        self.reactor.end_turn()

    def outgoing(self) -> bytes:
        """Return the client's output."""
        try:
            return self.client.bio_read(1 << 20)
        except SSL.WantReadError:
            return b""

    def do_handshake_and_read(self) -> None:
        self.exchange_handshake()
        self.answer = self.read()

    def exchange_handshake(self) -> None:
        """Do the handshake without reading the decrypted output of the server."""
        for _ in range(4):
            with contextlib.suppress(SSL.WantReadError):
                self.client.do_handshake()
            if data := self.outgoing():
                self.to_server(data)
            if data := self.client_socket.empty():
                self.client.bio_write(data)

    def read(self) -> bytes:
        """Return what the client can decrypt."""
        if data := self.client_socket.empty():
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
    harness = TLSHarness(localhost, version)
    harness.do_handshake_and_read()
    for _ in range(3):
        before = harness.sock.sends
        harness.client.send(b"hello")
        harness.to_server(harness.outgoing())
        assert harness.sock.sends == before + 1
        assert harness.read() == b"hello"
    assert harness.made[0].calls == 3


@BOTH
@given(data=st.data())
@settings(deadline=None, max_examples=examples(25), suppress_health_check=list(HealthCheck))
def test_any_segmentation_gives_the_same_bytes(
    localhost: certificates.Made, version: int, data: st.DataObject
) -> None:
    harness = TLSHarness(localhost, version)
    harness.do_handshake_and_read()
    sent = b""
    stream = b""
    for size in data.draw(st.lists(st.integers(1, 40_000), min_size=1, max_size=5)):
        text = bytes([size % 251]) * size
        harness.client.sendall(text)
        stream += harness.outgoing()
        sent += text
    at = 0
    received = b""
    while at < len(stream):
        size = data.draw(st.sampled_from([1, 2, 4, 5, 6, 30, 4096, 16_406, 70_000]))
        harness.to_server(stream[at : at + size])
        received += harness.read()
        at += size
    assert harness.made[0].received == sent
    assert received == sent


@BOTH
def test_handshake_byte_by_byte(localhost: certificates.Made, version: int) -> None:
    harness = TLSHarness(localhost, version)
    for _ in range(6):
        with contextlib.suppress(SSL.WantReadError):
            harness.client.do_handshake()
        for byte in harness.outgoing():
            harness.to_server(bytes([byte]))
        if data := harness.client_socket.empty():
            harness.client.bio_write(data)
    harness.client.send(b"hello")
    for byte in harness.outgoing():
        harness.to_server(bytes([byte]))
    assert harness.read() == b"hello"


def records(message: bytes, size: int) -> bytes:
    """Put a handshake message into records of at most ``size`` bytes (RFC 8446 section 5.1)."""
    return b"".join(
        b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece
        for piece in (message[at : at + size] for at in range(0, len(message), size))
    )


@pytest.mark.parametrize("shows", [True, False])
@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
def test_client_hello_is_kept_for_kinds_that_show_handshakes(
    localhost: certificates.Made, version: int, shows: bool
) -> None:
    """IKind: "The layer then keeps ... with TLS its ClientHello" """
    harness = TLSHarness(localhost, version, shows_handshakes=shows)
    with contextlib.suppress(SSL.WantReadError):
        harness.client.do_handshake()
    hello = harness.outgoing()
    harness.to_server(hello)
    harness.client.bio_write(harness.client_socket.empty())
    harness.do_handshake_and_read()
    assert harness.connection.client_hello == (hello if shows else b"")
    tls = harness.connection.facts().tls
    assert tls is not None
    assert tls.resumed is False
    assert (tls.hello is not None) is shows
    harness.client.send(b"hello")
    harness.to_server(harness.outgoing())
    assert harness.read() == b"hello"
    assert harness.connection.client_hello == (hello if shows else b"")


@pytest.mark.parametrize(("size", "read"), [(1 << 14, 1), (100, 1 << 14), (100, 7), (12, 60)])
def test_client_hello_in_several_records_and_reads(
    localhost: certificates.Made, size: int, read: int
) -> None:
    """RFC 8446 section 5.1: "Handshake messages MAY be ... fragmented across several records." """
    harness = TLSHarness(localhost, shows_handshakes=True)
    with contextlib.suppress(SSL.WantReadError):
        harness.client.do_handshake()
    wire = records(harness.outgoing()[5:], size)
    for at in range(0, len(wire), read):
        harness.to_server(wire[at : at + read])
    harness.client.bio_write(harness.client_socket.empty())
    # wire_size(): "at most 32 records"
    kept = wire if wire.count(b"\x16\x03\x01") <= 32 else b""
    assert harness.connection.client_hello == kept
    if kept:
        assert parse_client_hello(kept) is not None


def test_long_client_hello_is_not_kept(localhost: certificates.Made) -> None:
    """ "longer than 16 KiB": a padding extension makes it so (RFC 7685)."""
    harness = TLSHarness(localhost, shows_handshakes=True)
    with contextlib.suppress(SSL.WantReadError):
        harness.client.do_handshake()
    message = harness.outgoing()[5:]
    before, extensions = split_extensions(message)
    extensions += (21).to_bytes(2, "big") + (20_000).to_bytes(2, "big") + bytes(20_000)
    body = before[4:] + len(extensions).to_bytes(2, "big") + extensions
    wire = records(b"\x01" + len(body).to_bytes(3, "big") + body, 1 << 14)
    harness.to_server(wire[:17_000])
    harness.to_server(wire[17_000:])
    assert harness.connection.client_hello == b""
    assert not harness.sock.closed


def split_extensions(message: bytes) -> tuple[bytes, bytes]:
    """Return a ClientHello up to its extensions without their length, and the extensions."""
    at = 4 + 2 + 32
    at += 1 + message[at]
    at += 2 + int.from_bytes(message[at : at + 2], "big")
    at += 1 + message[at]
    return message[:at], message[at + 2 :]


def test_large_writes_use_full_records(localhost: certificates.Made) -> None:
    """RFC 8446 section 5.1: "The length MUST NOT exceed 2^14 bytes." """
    harness = TLSHarness(localhost)
    harness.do_handshake_and_read()
    harness.made[0].transport.write(b"x" * 300_000)
    wire = harness.client_socket.value()
    at = count = 0
    while at < len(wire):
        at += 5 + int.from_bytes(wire[at + 3 : at + 5], "big")
        count += 1
    assert count == -(-300_000 // 16384)
    assert harness.read() == b"x" * 300_000


@BOTH
def test_close_waits_for_the_clients_close_notify(
    localhost: certificates.Made, version: int
) -> None:
    """RFC 8446 section 6.1: close_notify from both sides."""
    harness = TLSHarness(localhost, version)
    harness.do_handshake_and_read()
    transport = harness.made[0].transport
    transport.write(b"bye")
    transport.loseConnection()
    transport.write(b"too late")
    assert harness.read() == b"bye"
    assert not harness.sock.closed
    harness.client.shutdown()
    harness.to_server(harness.outgoing())
    harness.reactor.end_turn()
    assert harness.sock.closed
    assert harness.counters.ended == {End.SERVER: 1}


@BOTH
def test_clients_close_notify_is_answered(localhost: certificates.Made, version: int) -> None:
    harness = TLSHarness(localhost, version)
    harness.do_handshake_and_read()
    harness.client.send(b"last words")
    harness.client.shutdown()
    harness.to_server(harness.outgoing())
    harness.reactor.end_turn()
    assert harness.made[0].received == b"last words"
    assert harness.sock.closed
    harness.client.bio_write(harness.sock.taken)
    assert harness.client.recv(100) == b"last words"
    with pytest.raises(SSL.ZeroReturnError):
        harness.client.recv(1)


def test_ended_connection_has_no_reference_cycle(
    localhost: certificates.Made,
) -> None:
    harness = TLSHarness(localhost)
    harness.do_handshake_and_read()
    handle = weakref.ref(harness.made.pop().transport.getHandle())
    assert handle() is not None
    harness.client.shutdown()
    gc.disable()
    try:
        harness.to_server(harness.outgoing())
        harness.reactor.end_turn()
        assert harness.sock.closed
        assert handle() is None
    finally:
        gc.enable()


def test_corrupt_record_closes_the_connection(localhost: certificates.Made) -> None:
    harness = TLSHarness(localhost)
    harness.do_handshake_and_read()
    harness.client.send(b"hello")
    broken = bytearray(harness.outgoing())
    broken[-1] ^= 1
    harness.to_server(bytes(broken))
    harness.reactor.end_turn()
    assert harness.sock.closed
    assert harness.made[0].received == b""
    assert harness.made[0].lost is not None
    assert harness.made[0].lost.check(SSL.Error)


def test_writes_before_the_starttls_handshake_are_buffered(
    localhost: certificates.Made,
) -> None:
    harness = TLSHarness(localhost, starttls=True)
    (protocol,) = harness.made
    IConnection(protocol.transport).start_tls()
    assert isinstance(protocol.transport, TLSLayer)
    protocol.transport.write(b"welcome")
    assert harness.client_socket.value() == b""
    harness.exchange_handshake()
    assert harness.client.recv(100) == b"welcome"
    assert IConnection(protocol.transport) is harness.connection


def test_close_before_the_starttls_handshake_follows_the_writes(
    localhost: certificates.Made,
) -> None:
    harness = TLSHarness(localhost, starttls=True)
    (protocol,) = harness.made
    IConnection(protocol.transport).start_tls()
    protocol.transport.write(b"welcome, ")
    protocol.transport.write(b"and goodbye")
    protocol.transport.loseConnection()
    protocol.transport.write(b"too late")
    harness.do_handshake_and_read()
    assert harness.answer == b"welcome, and goodbye"
    assert not harness.sock.closed
    assert harness.client.get_shutdown() & SSL.RECEIVED_SHUTDOWN
    harness.client.shutdown()
    harness.to_server(harness.outgoing())
    harness.reactor.end_turn()
    assert harness.sock.closed


@BOTH
def test_close_in_connection_made_waits_for_close_notify(
    localhost: certificates.Made, version: int
) -> None:
    """RFC 8446 section 6.1; daytime and time do this."""

    class Brief(RecordingEcho):
        def connectionMade(self) -> None:
            self.transport.write(b"noon")
            self.transport.loseConnection()

    harness = TLSHarness(localhost, version)
    factory: Any = harness.connection.layer.factory
    factory.buildProtocol = lambda addr: Brief()
    harness.do_handshake_and_read()
    assert harness.answer == b"noon"
    harness.reactor.end_turn()
    assert not harness.sock.closed
    harness.client.shutdown()
    harness.to_server(harness.outgoing())
    harness.reactor.end_turn()
    assert harness.sock.closed
    assert harness.counters.ended == {End.SERVER: 1}


def test_close_before_the_handshake_aborts(localhost: certificates.Made) -> None:
    harness = TLSHarness(localhost, starttls=True)
    (protocol,) = harness.made
    IConnection(protocol.transport).start_tls()
    protocol.transport.loseConnection()
    harness.reactor.end_turn()
    assert harness.sock.reset


# --- half-close ---


def half_closing(
    made: certificates.Made, version: int = SSL.TLS1_3_VERSION
) -> tuple[TLSHarness, HalfCloseable]:
    """Connect to a protocol with half-close."""
    harness = TLSHarness(made, version, protocol=HalfCloseable)
    harness.do_handshake_and_read()
    (protocol,) = harness.made
    assert isinstance(protocol, HalfCloseable)
    return harness, protocol


def send_with_close_notify(harness: TLSHarness, text: bytes) -> None:
    """Send text and close_notify as client."""
    harness.client.send(text)
    harness.client.shutdown()
    harness.to_server(harness.outgoing())


@BOTH
@pytest.mark.parametrize("fin", [False, True], ids=["close_notify", "and FIN"])
def test_client_can_read_after_its_close_notify(
    localhost: certificates.Made, version: int, fin: bool
) -> None:
    """RFC 8446 section 6.1: closing one direction "does not have any effect on its read side"."""
    harness, protocol = half_closing(localhost, version)
    send_with_close_notify(harness, b"question")
    if fin:
        harness.close_socket()
    assert (protocol.received, protocol.ends) == (b"question", ["read"])
    assert not harness.sock.closed
    protocol.transport.write(b"ans")
    assert harness.read() == b"ans"
    protocol.transport.write(b"wer")
    protocol.transport.loseConnection()
    harness.reactor.end_turn()
    assert harness.sock.closed
    assert not harness.sock.reset
    assert harness.read() == b"wer"
    assert harness.client.get_shutdown() & SSL.RECEIVED_SHUTDOWN
    assert harness.counters.ended == {End.CLIENT: 1}
    assert protocol.lost is not None
    assert protocol.lost.check(ConnectionLost) is None


@BOTH
def test_data_after_close_notify_is_ignored(localhost: certificates.Made, version: int) -> None:
    """RFC 8446 section 6.1: "Any data received after a closure alert has been received MUST be
    ignored." """
    harness, protocol = half_closing(localhost, version)
    send_with_close_notify(harness, b"all")
    harness.to_server(b"anything")
    assert (protocol.received, protocol.ends) == (b"all", ["read"])
    assert not harness.sock.closed
    protocol.transport.write(b"answer")
    assert harness.read() == b"answer"


@BOTH
def test_our_close_notify_ends_our_direction_only(
    localhost: certificates.Made, version: int
) -> None:
    """RFC 8446 section 6.1: "Each party MUST send a "close_notify" alert before closing its write
    side of the connection"."""
    harness, protocol = half_closing(localhost, version)
    protocol.transport.write(b"last")
    protocol.transport.loseWriteConnection()
    protocol.transport.write(b"too late")
    assert harness.read() == b"last"
    assert harness.client.get_shutdown() & SSL.RECEIVED_SHUTDOWN
    assert protocol.ends == ["write"]
    assert not harness.sock.closed
    harness.client.send(b"still here")
    harness.to_server(harness.outgoing())
    assert protocol.received == b"still here"
    harness.client.shutdown()
    harness.to_server(harness.outgoing())
    assert protocol.ends == ["write", "read"]
    protocol.transport.loseConnection()
    harness.reactor.end_turn()
    assert harness.sock.closed
    assert not harness.reactor.getDelayedCalls(), "no timer is left"


def test_half_close_before_the_starttls_handshake_follows_the_writes(
    localhost: certificates.Made,
) -> None:
    harness = TLSHarness(localhost, starttls=True, protocol=HalfCloseable)
    (protocol,) = harness.made
    IConnection(protocol.transport).start_tls()
    protocol.transport.write(b"welcome")
    protocol.transport.loseWriteConnection()
    harness.do_handshake_and_read()
    assert harness.answer == b"welcome"
    assert harness.client.get_shutdown() & SSL.RECEIVED_SHUTDOWN
    assert not harness.sock.closed


@BOTH
@pytest.mark.parametrize("protocol", [RecordingEcho, HalfCloseable])
@pytest.mark.parametrize("cut", [0, 1, 4, 20], ids=lambda cut: f"{cut} bytes short")
def test_end_without_close_notify_is_truncation(
    localhost: certificates.Made, version: int, protocol: type[RecordingEcho], cut: int
) -> None:
    """RFC 8446 section 6.1: close_notify is there "to avoid truncation attacks"."""
    harness = TLSHarness(localhost, version, protocol=protocol)
    harness.do_handshake_and_read()
    harness.client.send(b"pay ann 100")
    harness.to_server(harness.outgoing())
    harness.client.send(b" euros, or rather 10")
    wire = harness.outgoing()
    if cut:
        harness.to_server(wire[:-cut])
    harness.close_socket()
    (made,) = harness.made
    assert made.received == b"pay ann 100"
    assert getattr(made, "ends", []) == []
    assert made.lost is not None
    assert made.lost.check(ConnectionLost)
    assert harness.counters.ended == {End.TRUNCATED: 1}


def test_close_without_close_notify_after_ours_is_orderly(
    localhost: certificates.Made,
) -> None:
    """RFC 8446 section 6.1"""
    harness = TLSHarness(localhost)
    harness.do_handshake_and_read()
    (made,) = harness.made
    made.transport.loseConnection()
    harness.close_socket()
    assert harness.sock.closed
    assert made.lost is not None
    assert made.lost.check(ConnectionLost) is None
    assert End.TRUNCATED not in harness.counters.ended


@pytest.mark.parametrize("says_goodbye", [True, False])
def test_reset_after_our_close_notify_is_orderly(
    localhost: certificates.Made, says_goodbye: bool
) -> None:
    """RFC 9293 section 3.10.4: a client that closes with our close_notify unread sends a reset."""
    harness, protocol = half_closing(localhost)
    protocol.transport.write(b"all of it")
    protocol.transport.loseWriteConnection()
    harness.reactor.end_turn()
    if says_goodbye:
        harness.client.shutdown()
        harness.to_server(harness.outgoing())
    harness.sock.incoming.append(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))
    harness.connection.doRead()
    assert harness.sock.closed
    assert protocol.lost is not None
    assert protocol.lost.check(ConnectionLost)
    assert harness.counters.ended == {End.CLIENT: 1}


@BOTH
def test_reset_connection_sends_all_data_without_close_notify(
    localhost: certificates.Made, version: int
) -> None:
    """docs/decisions/0003"""
    harness, protocol = half_closing(localhost, version)
    harness.sock.room = 1000
    protocol.transport.write(b"x" * 5000)
    protocol.transport.resetConnection()
    protocol.transport.write(b"too late")
    harness.reactor.end_turn()
    assert not harness.sock.closed
    received = b""
    while not harness.sock.closed:
        received += harness.read()
    received += harness.read()
    assert received == b"x" * 5000
    assert harness.sock.reset
    assert not harness.client.get_shutdown() & SSL.RECEIVED_SHUTDOWN


def test_reset_in_data_received_sends_all_data(
    localhost: certificates.Made,
) -> None:
    class Curt(HalfCloseable):
        def dataReceived(self, data: bytes) -> None:
            self.transport.write(data)
            self.transport.resetConnection()

    harness = TLSHarness(localhost, protocol=Curt)
    harness.do_handshake_and_read()
    harness.client.send(b"hello")
    harness.to_server(harness.outgoing())
    harness.reactor.end_turn()
    assert harness.read() == b"hello"
    assert harness.sock.reset


class LongWork:
    """A client whose work exceeds the time of a turn."""

    share = "busy"

    def __init__(self, reactor: MemoryReactor) -> None:
        self._reactor = reactor

    def work(self, deadline: float) -> bool:
        self._reactor.rightNow += 1.0
        return False


def test_handshake_goes_through_the_work_queue(localhost: certificates.Made) -> None:
    harness = TLSHarness(localhost)
    harness.work.run(LongWork(harness.reactor))
    with contextlib.suppress(SSL.WantReadError):
        harness.client.do_handshake()
    harness.to_server(harness.outgoing())
    assert harness.connection not in harness.reactor.readers
    assert harness.sock.taken == b""
    harness.reactor.end_turn()
    assert harness.connection in harness.reactor.readers
    harness.client.bio_write(harness.client_socket.empty())
    harness.do_handshake_and_read()
    harness.client.send(b"hello")
    harness.to_server(harness.outgoing())
    assert harness.read() == b"hello"


def test_client_handshake_goes_through_the_work_queue(localhost: certificates.Made) -> None:
    harness = TLSHarness(localhost)
    harness.work.run(LongWork(harness.reactor))
    below: Any = StringTransport()
    owner: Any = None

    def make() -> SSL.Connection:
        made = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD))
        made.set_connect_state()
        return made

    layer = TLSLayer(below, make, owner, harness.work)
    layer.begin()
    assert below.value() == b""
    harness.reactor.end_turn()
    handshake = b"\x16"  # RFC 8446 section 5.1: the type of the record
    assert below.value()[:1] == handshake


def test_large_input_and_its_end_go_through_the_work_queue(
    localhost: certificates.Made,
) -> None:
    harness = TLSHarness(localhost, protocol=HalfCloseable)
    harness.do_handshake_and_read()
    harness.client.sendall(b"x" * 200_000)
    harness.client.shutdown()
    harness.work.run(LongWork(harness.reactor))
    harness.to_server(harness.outgoing())
    (protocol,) = harness.made
    assert protocol.received == b""
    assert harness.connection not in harness.reactor.readers
    protocol.transport.pauseProducing()
    protocol.transport.resumeProducing()
    assert harness.connection not in harness.reactor.readers
    harness.to_server(b"")
    assert isinstance(protocol, HalfCloseable)
    harness.reactor.end_turn()
    assert protocol.received == b"x" * 200_000
    assert protocol.ends == ["read"]


def test_paused_protocol_stays_paused_after_queued_work(
    localhost: certificates.Made,
) -> None:
    harness = TLSHarness(localhost)
    harness.do_handshake_and_read()
    harness.client.sendall(b"x" * 200_000)
    harness.work.run(LongWork(harness.reactor))
    harness.to_server(harness.outgoing())
    harness.made[0].transport.pauseProducing()
    harness.reactor.end_turn()
    assert harness.made[0].received == b"x" * 200_000
    assert harness.connection not in harness.reactor.readers
    harness.made[0].transport.resumeProducing()
    assert harness.connection in harness.reactor.readers


def test_lost_connection_leaves_the_work_queue(localhost: certificates.Made) -> None:
    harness = TLSHarness(localhost)
    harness.work.run(LongWork(harness.reactor))
    with contextlib.suppress(SSL.WantReadError):
        harness.client.do_handshake()
    harness.to_server(harness.outgoing())
    assert len(harness.work) == 1
    harness.sock.incoming.append(ConnectionResetError())
    harness.connection.connectionLost(Failure(ConnectionLost()))  # type: ignore[attr-defined]
    assert len(harness.work) == 0


def test_exception_in_queued_work_aborts_that_connection_only(
    localhost: certificates.Made, logged_failures: Any
) -> None:
    class Failing(RecordingEcho):
        def dataReceived(self, data: bytes) -> None:
            raise ZeroDivisionError("a bug")

    harness = TLSHarness(localhost, protocol=Failing)
    harness.do_handshake_and_read()
    harness.client.sendall(b"x" * 200_000)
    harness.work.run(LongWork(harness.reactor))
    harness.to_server(harness.outgoing())
    harness.reactor.end_turn()
    [event] = logged_failures.expect("a bug")
    assert event["event_id"] == "connection.failed"
    assert harness.sock.closed
