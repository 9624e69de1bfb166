"""A forward service with both sides in memory."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from tcpd.line.testing import MemoryContext
from tcpd.relay.forward import ForwardFactory, kind
from tcpd.relay.forward_settings import ForwardSettings
from tcpd.relay.target import parse_target

CLIENT = IPv4Address("TCP", "192.0.2.1", 4711)
SERVICE = IPv4Address("TCP", "192.0.2.2", 25)


class PeerTransport(StringTransport):
    """One side's transport; its peer reads nothing until :meth:`read`."""

    #: Buffered bytes at which the producer is paused.
    ROOM = 65536

    def __init__(self) -> None:
        super().__init__(hostAddress=SERVICE, peerAddress=CLIENT)
        self.aborting = False
        self.half_closing = False
        self.half_closed = False
        self.gone = False
        self.full = False
        self.read_ended = False
        self.holds = False  # keep written bytes in the buffer until the next turn
        self.send_error: OSError | None = None
        self.error = 0  # SO_ERROR

    def setTcpNoDelay(self, enabled: bool) -> None:
        """See the method of a real transport."""

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """See the method of a real transport."""

    def write(self, data: bytes) -> None:
        if self.disconnecting or self.half_closing or self.gone:
            return
        super().write(data)
        self.holds = True
        if self.producer is None or not self.streaming:
            return
        if not self.full and len(self.value()) > self.ROOM:
            self.full = True
            self.producer.pauseProducing()

    def loseWriteConnection(self) -> None:
        assert self.producer is None, "a transport that has a producer would wait for it"
        self.half_closing = True

    def loseConnection(self) -> None:
        assert self.producer is None, "a transport that has a producer would wait for it"
        self.disconnecting = True

    def getHandle(self) -> PeerTransport:
        """This object is its own socket."""
        return self

    def send(self, data: bytes) -> int:
        """Like ``socket.send``: accepts what fits."""
        assert self.producer is None or self.streaming, "what the transport holds comes first"
        assert not self.holds, "what the transport holds comes first"
        if self.send_error is not None:
            raise self.send_error
        room = self.ROOM - len(self.value())
        if room <= 0:
            raise BlockingIOError
        super().write(data[:room])
        return min(room, len(data))

    def getsockopt(self, level: int, name: int) -> int:
        """The socket's SO_ERROR."""
        return self.error

    def resetConnection(self) -> None:
        """Like a listener's connection: here all data is delivered at once."""
        self.abortConnection()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        super().registerProducer(producer, streaming)
        if not streaming:
            self.holds = False
            producer.resumeProducing()

    def abortConnection(self) -> None:
        self.aborting = self.disconnecting = True
        self.producer = None

    def unregisterProducer(self) -> None:
        self.producer = None  # as real transports, without an error if there was none

    def resumeProducing(self) -> None:
        assert not self.read_ended, "a transport would report the end again"
        super().resumeProducing()

    @property
    def reading(self) -> bool:
        return self.producerState == "producing"

    def read(self) -> bytes:
        """Let the peer read all; then producers resume and pending closes complete."""
        data = self.value()
        self.holds = False
        self.clear()
        if self.full:
            self.full = False
            if self.producer is not None:
                self.producer.resumeProducing()
        elif self.producer is not None and not self.streaming:
            self.producer.resumeProducing()
        if self.half_closing and not self.half_closed:
            self.half_closed = True
            self.protocol.writeConnectionLost()
        if self.disconnecting and not self.gone:
            self.lose(ConnectionLost() if self.aborting else ConnectionDone())
        return data

    # --- actions of the peer ---

    def say(self, data: bytes) -> None:
        assert self.reading
        self.protocol.dataReceived(data)

    def end(self) -> None:
        """Half-close."""
        assert self.reading
        self.read_ended = True
        self.protocol.readConnectionLost()

    def lose(self, error: Exception) -> None:
        assert not self.gone
        self.gone = True
        if self.producer is not None:
            self.producer.stopProducing()
            self.producer = None
        self.protocol.connectionLost(Failure(error))


class ForwardedPair:
    """A connected client and its far side.

    :param settings: keys of the service.
    """

    def __init__(self, **settings: Any) -> None:
        self.reactor = MemoryReactorClock()
        self.context = MemoryContext(service="mail", clock=self.reactor, reactor=self.reactor)
        settings.setdefault("to", "192.0.2.9:25")
        settings["to"] = parse_target(settings["to"])
        factory = kind.make_factory(ForwardSettings(**settings), self.context)
        assert isinstance(factory, ForwardFactory)
        self.factory = factory
        self.client = PeerTransport()
        self.far = PeerTransport()
        self.side = factory.buildProtocol(CLIENT)
        self.client.protocol = self.side
        self.side.makeConnection(self.client)

    def connect(self) -> ForwardedPair:
        """The far side accepts the connection."""
        (_host, _port, factory, *_) = self.reactor.tcpClients[-1]
        self.far.protocol = factory.buildProtocol(None)
        self.far.protocol.makeConnection(self.far)
        return self

    def refuse(self, error: Exception) -> None:
        """Connecting to the far side fails."""
        (_host, _port, factory, *_) = self.reactor.tcpClients[-1]
        factory.clientConnectionFailed(None, Failure(error))

    @property
    def counted(self) -> dict[str, int]:
        return dict(self.context.counters.events)

    @property
    def timers(self) -> int:
        return len(self.reactor.getDelayedCalls())
