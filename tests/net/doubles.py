"""Test doubles for tcpd.net: sockets, transports and reactors in memory, recording protocols, and
connection layers with their clients."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable
from typing import Any

import certificates
from OpenSSL import SSL
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IOpenSSLClientConnectionCreator
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.test import iosim
from zope.interface import implementer

from tcpd.config.settings import PolicySettings, TLSSettings
from tcpd.interfaces import IFarewell, IRefusing
from tcpd.net.layer import ConnectionLayer
from tcpd.net.listener_factory import ListenerFactory
from tcpd.net.listener_options import ListenerOptions
from tcpd.net.tls import Certificates
from tcpd.net.turns import TurnScheduler
from tcpd.ops.counters import ServiceCounters
from tcpd.policy.admission import ConnectionCount
from tcpd.policy.reasons import End, Refusal

#: Bytes; more than the kernel and a transport in memory buffer for a client that does not read.
FULL = 200_000

CLIENT = IPv4Address("TCP", "192.0.2.1", 4711)

#: Numbers above all real descriptors.
_NUMBERS = itertools.count(1 << 30)


class MemorySocket:
    """A connected socket with a send buffer of ``room`` bytes."""

    def __init__(self) -> None:
        self.room = 65536
        self.taken = b""
        self.incoming: list[bytes | OSError] = []
        self.closed = False
        self.reset = False
        self.shut = False
        self.sends = 0
        self.error = 0  # SO_ERROR
        self._number = next(_NUMBERS)

    def fileno(self) -> int:
        return -1 if self.closed else self._number

    def recv(self, size: int) -> bytes:
        if not self.incoming:
            raise BlockingIOError
        item = self.incoming.pop(0)
        if isinstance(item, OSError):
            raise item
        return item

    def send(self, data: bytes) -> int:
        if self.closed:
            raise OSError(9, "Bad file descriptor")
        space = self.room - len(self.taken)
        if space <= 0:
            raise BlockingIOError
        self.sends += 1
        self.taken += bytes(data[:space])
        return min(space, len(data))

    def setsockopt(self, level: int, name: int, value: object) -> None:
        if name == socket.SO_LINGER:
            self.reset = True

    def getsockopt(self, level: int, name: int, size: int = 0) -> int:
        if (level, name) != (socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(92, "Protocol not available")
        return self.error

    def shutdown(self, how: int) -> None:
        assert how == socket.SHUT_WR
        self.shut = True

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> MemorySocket:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class MemoryReactor(Clock):
    """Records the registered descriptors; a turn ends when :meth:`end_turn` is called."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: set[Any] = set()
        self.writers: set[Any] = set()
        self.written: list[Any] = []

    def addReader(self, reader: Any) -> None:
        self.readers.add(reader)

    def removeReader(self, reader: Any) -> None:
        self.readers.discard(reader)

    def addWriter(self, writer: Any) -> None:
        self.writers.add(writer)

    def removeWriter(self, writer: Any) -> None:
        self.writers.discard(writer)

    def forget(self, descriptor: Any) -> None:
        self.readers.discard(descriptor)
        self.writers.discard(descriptor)

    def end_turn(self) -> None:
        while self.written:
            self.written.pop(0).flush()

    def advance(self, amount: float) -> None:
        super().advance(amount)
        self.end_turn()


class MemoryClient:
    """The client's side of a SocketConnection; each method first ends the turn."""

    def __init__(self, reactor: MemoryReactor, sock: MemorySocket) -> None:
        self._reactor = reactor
        self.sock = sock
        self.connection: Any = None

    def value(self) -> bytes:
        """Return what the server sent and the client has not read."""
        self._reactor.end_turn()
        return self.sock.taken

    def clear(self) -> None:
        self._reactor.end_turn()
        self.sock.taken = b""

    def empty(self) -> bytes:
        """Read everything, which makes the socket writable again."""
        taken = self.value()
        self.sock.taken = b""
        if self.connection in self._reactor.writers:
            self.connection.doWrite()
        self._reactor.end_turn()
        return taken

    @property
    def disconnecting(self) -> bool:
        self._reactor.end_turn()
        return self.sock.closed or self.connection.disconnecting

    @property
    def aborted(self) -> bool:
        self._reactor.end_turn()
        return self.sock.reset


class BufferedTransport(StringTransport):
    """A transport whose buffer is full above ``room`` bytes until :meth:`empty` is called."""

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
class RecordingProtocol(Protocol):
    """Records input and the end of the connection; has a farewell."""

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
class HalfCloseableRecorder(RecordingProtocol):
    half_closed = write_closed = 0

    def readConnectionLost(self) -> None:
        self.half_closed += 1

    def writeConnectionLost(self) -> None:
        self.write_closed += 1


class RecordingProducer:
    """Records the calls of its consumer."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def pauseProducing(self) -> None:
        self.asked.append("pause")

    def resumeProducing(self) -> None:
        self.asked.append("resume")

    def stopProducing(self) -> None:
        self.asked.append("stop")


@implementer(IRefusing)
class RecordingFactory(Factory):
    def __init__(self, protocol: type[Protocol] = RecordingProtocol) -> None:
        self.made: list[Any] = []
        self._protocol = protocol

    def buildProtocol(self, addr: Any) -> Protocol:
        made = self._protocol()
        made.factory = self
        self.made.append(made)
        return made

    def refusal(self, reason: Refusal) -> bytes:
        return f"no: {reason}".encode()


class LayerHarness:
    """A connection layer whose clients have Twisted transports."""

    def __init__(
        self,
        protocol: type[Protocol] = RecordingProtocol,
        idle: float = 0.0,
        tls: Certificates | None = None,
        starttls: Certificates | None = None,
        clock: Clock | None = None,
        **policy: Any,
    ) -> None:
        self.clock = clock or Clock()
        self.connection_count = ConnectionCount(1000)
        self.counters = ServiceCounters()
        self.application = RecordingFactory(protocol)
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

    def connect(self, address: Any = CLIENT) -> tuple[Any, BufferedTransport]:
        """Connect a client. Returns its connection (``None`` if refused) and its transport."""
        transport = BufferedTransport(address)
        connection = self.factory.buildProtocol(address)
        if connection is not None:
            connection.makeConnection(transport)
        return connection, transport

    def feed(self, connection: Any, data: bytes) -> None:
        """Receive input from the client."""
        connection.dataReceived(data)

    def half_close(self, connection: Any) -> None:
        """Receive a half-close from the client."""
        connection.readConnectionLost()

    def lose(self, connection: Any, reason: Exception | None = None) -> None:
        """Lose the connection."""
        connection.connectionLost(Failure(reason or ConnectionDone()))


class SocketLayerHarness(LayerHarness):
    """A connection layer whose clients have sockets."""

    def __init__(self, *args: Any, **more: Any) -> None:
        self.reactor = MemoryReactor()
        super().__init__(*args, clock=self.reactor, **more)

    def connect(self, address: Any = CLIENT) -> tuple[Any, Any]:
        sock: Any = MemorySocket()
        client = MemoryClient(self.reactor, sock)
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
        if connection is not None:  # None if it was lost at once
            connection.connectionLost(Failure(reason or ConnectionDone()))


def read_all(transport: Any) -> bytes:
    """Read until nothing is left."""
    pieces = []
    while piece := transport.empty():
        pieces.append(piece)
    return b"".join(pieces)


def server_tls(made: certificates.Made, clock: Clock, **settings: Any) -> Certificates:
    return Certificates(
        TLSSettings(
            certificate=(str(made.certificate_file),), key=(str(made.key_file),), **settings
        )
    )


@implementer(IOpenSSLClientConnectionCreator)
class UnverifiedTLS:
    """Makes TLS clients that do not verify certificates."""

    def __init__(self, alpn: list[bytes] | None = None) -> None:
        self.context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        if alpn:
            self.context.set_alpn_protos(alpn)

    def clientConnectionForTLS(self, protocol: object) -> SSL.Connection:
        return SSL.Connection(self.context)


def tls_client(clock: Clock, alpn: list[bytes] | None = None) -> tuple[RecordingProtocol, Any]:
    """Make a client's protocol and the TLS protocol around it."""
    creator = UnverifiedTLS(alpn)
    factory = RecordingFactory()
    wrapped = TLSMemoryBIOFactory(creator, True, factory, clock=clock).buildProtocol(CLIENT)
    return factory.made[0], wrapped


def join(harness: LayerHarness, client: Any) -> tuple[Any, iosim.IOPump]:
    connection = harness.factory.buildProtocol(CLIENT)
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


Make = Callable[..., "LayerHarness"]

#: For fixtures: a connection layer with both kinds of connections.
BOTH_KINDS: dict[str, Any] = {
    "params": [LayerHarness, SocketLayerHarness],
    "ids": ["wrapped", "socket"],
}
