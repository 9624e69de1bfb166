"""What is particular to the lean transport: few system calls, and errors at every one of them."""

from __future__ import annotations

import errno
import itertools
import os
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from net.doubles import Client, MemoryReactor, MemorySocket
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    IPushProducer,
    IReadDescriptor,
    ITCPTransport,
    IWriteDescriptor,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from zope.interface import implementer
from zope.interface.verify import verifyClass

from tcpd.config.settings import PolicySettings
from tcpd.interfaces import IConnection
from tcpd.net.layer import ConnectionLayer
from tcpd.net.listener_factory import ListenerFactory
from tcpd.net.loss import error_text
from tcpd.net.transport import SocketConnection
from tcpd.net.turns import TurnScheduler
from tcpd.ops.counters import ServiceCounters
from tcpd.policy.admission import ConnectionCount
from tcpd.policy.reasons import End


@implementer(IHalfCloseableProtocol)
class Recorder(Protocol):
    """Writes down what happens to it, and answers by ``self.react``."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def connectionMade(self) -> None:
        self.events.append("made")

    def dataReceived(self, data: bytes) -> None:
        self.events.append(data)
        self.react(data)

    def react(self, data: bytes) -> None:
        """Replaced by tests."""

    def readConnectionLost(self) -> None:
        self.events.append("half-closed")

    def writeConnectionLost(self) -> None:
        self.events.append("write-closed")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.events.append(reason.type)


class House:
    """One lean connection in memory."""

    def __init__(self, **policy: Any) -> None:
        self.reactor = MemoryReactor()
        self.counters = ServiceCounters()
        factory = Factory.forProtocol(Recorder)
        self.layer = ConnectionLayer(
            service="test",
            factory=factory,
            policy=PolicySettings(**policy),
            idle=0,
            connection_count=ConnectionCount(9),
            counters=self.counters,
            clock=self.reactor,
            ids=itertools.count(1),
        )
        self.sock = MemorySocket()
        sock: Any = self.sock
        ListenerFactory(self.layer).accept_socket(
            sock, ("192.0.2.1", 1), TurnScheduler(self.reactor)
        )
        (connection,) = self.layer.connections
        assert isinstance(connection, SocketConnection)
        self.connection = connection
        self.protocol: Any = connection.inner
        self.client = Client(self.reactor, self.sock)
        self.client.connection = connection

    def receive(self, item: bytes | OSError) -> None:
        self.sock.incoming.append(item)
        self.connection.doRead()


def test_connection_provides_its_interfaces() -> None:
    for interface in (
        ITCPTransport,
        IConsumer,
        IPushProducer,
        IReadDescriptor,
        IWriteDescriptor,
        IConnection,
    ):
        assert verifyClass(interface, SocketConnection, tentative=True)


def test_writes_in_data_received_are_one_send() -> None:
    house = House()

    def react(data: bytes) -> None:
        for _ in range(10):
            house.protocol.transport.write(data)
        assert house.sock.sends == 0

    house.protocol.react = react
    house.receive(b"x")
    assert (house.sock.taken, house.sock.sends) == (b"x" * 10, 1)
    assert not house.reactor.writers
    assert not house.reactor.written


def test_writes_by_others_are_one_send_at_the_end_of_the_turn() -> None:
    house = House()
    for _ in range(10):
        house.connection.write(b"y")
    assert house.sock.sends == 0
    house.reactor.end_turn()
    assert (house.sock.taken, house.sock.sends) == (b"y" * 10, 1)


def test_send_now_sends_at_once() -> None:
    house = House()
    house.connection.send_now(b"one")
    assert (house.sock.taken, house.sock.sends) == (b"one", 1)
    assert not house.reactor.written
    assert house.connection.bytes_out == house.counters.bytes_out == 3


def test_send_now_keeps_the_order() -> None:
    house = House()
    house.connection.write(b"one ")
    house.connection.send_now(b"two ")
    assert house.sock.sends == 0
    house.reactor.end_turn()
    assert (house.sock.taken, house.sock.sends) == (b"one two ", 1)
    house.protocol.react = house.connection.send_now
    house.receive(b"three")
    assert house.sock.taken == b"one two three"
    house.connection.loseConnection()
    house.connection.send_now(b"four")
    house.reactor.end_turn()
    house.connection.send_now(b"five")
    assert house.sock.taken == b"one two three"
    assert house.connection.bytes_out == 13


def test_unsent_bytes_wait_for_the_socket() -> None:
    house = House()
    house.connection.send_now(b"x" * 60_000)
    house.connection.send_now(b"y" * 60_000)
    assert house.reactor.writers == {house.connection}
    house.connection.send_now(b"z" * 60_000)
    assert b"".join(house.client.empty() for _ in range(3)) == b"".join(
        letter * 60_000 for letter in (b"x", b"y", b"z")
    )
    assert not house.reactor.writers


def test_send_now_is_bounded_too() -> None:
    house = House(unsent=100_000)
    for _ in range(10):
        house.connection.send_now(b"x" * 60_000)
    house.reactor.end_turn()
    assert house.sock.closed
    assert house.counters.ended == {End.SLOW_READER: 1}


def test_send_now_error_is_reported_in_a_later_turn() -> None:
    house = House()

    def broken(data: bytes) -> int:
        raise BrokenPipeError

    house.sock.send = broken  # type: ignore[method-assign]
    house.connection.send_now(b"x")
    assert house.protocol.events == ["made"], "not from within the write"
    house.reactor.end_turn()
    assert len(house.protocol.events) == 2
    assert house.counters.ended == {End.LOST: 1}


def test_writer_is_registered_only_after_a_full_buffer() -> None:
    house = House()
    house.connection.write(b"x" * 60_000)
    house.reactor.end_turn()
    assert not house.reactor.writers
    house.connection.write(b"y" * 60_000)
    house.reactor.end_turn()
    assert house.reactor.writers == {house.connection}
    assert house.client.empty() + house.client.empty() == b"x" * 60_000 + b"y" * 60_000
    assert not house.reactor.writers


@given(
    st.lists(st.binary(min_size=1, max_size=70), max_size=30),
    st.lists(st.integers(min_value=1, max_value=50), min_size=1, max_size=30),
)
def test_partial_sends_keep_the_order(pieces: list[bytes], rooms: list[int]) -> None:
    house = House()
    taken = b""
    room = itertools.cycle(rooms)
    for piece in pieces:
        house.sock.room = next(room)
        house.connection.write(piece)
        taken += house.client.empty()
    for _ in range(5000):
        if len(taken) == sum(map(len, pieces)):
            break
        house.sock.room = next(room)
        taken += house.client.empty()
    assert taken == b"".join(pieces)
    assert house.connection._pending == 0


def test_mutable_buffer_is_copied() -> None:
    house = House()
    data: Any = bytearray(b"before")
    house.connection.write(data)
    data[:] = b"after!"
    assert house.client.value() == b"before"


@pytest.mark.parametrize("error", [errno.ECONNRESET, errno.ETIMEDOUT, errno.EHOSTUNREACH])
def test_recv_error_closes_the_connection(error: int) -> None:
    house = House()
    house.receive(OSError(error, "gone"))
    assert house.protocol.events == ["made", ConnectionLost]
    assert house.sock.closed
    assert house.counters.ended == {End.LOST: 1}
    assert not house.reactor.readers


def test_spurious_read_event_is_ignored() -> None:
    house = House()
    house.connection.doRead()
    assert house.protocol.events == ["made"]


def test_send_error_is_reported_in_a_later_turn() -> None:
    house = House()

    def broken(data: bytes) -> int:
        raise BrokenPipeError

    house.sock.send = broken  # type: ignore[method-assign]
    house.connection.write(b"x" * 100_000)
    assert house.protocol.events == ["made"], "not from within write"
    house.reactor.end_turn()
    assert len(house.protocol.events) == 2
    assert house.sock.closed
    assert house.counters.ended == {End.LOST: 1}


def test_half_close_is_reported_and_output_is_sent() -> None:
    house = House()
    house.receive(b"")
    assert house.protocol.events == ["made", "half-closed"]
    assert not house.reactor.readers
    house.protocol.transport.resumeProducing()
    assert not house.reactor.readers, "there is nothing more to read"
    house.protocol.transport.write(b"rest")
    house.protocol.transport.loseConnection()
    house.reactor.end_turn()
    assert house.sock.taken == b"rest"
    assert house.protocol.events[2:] == [ConnectionDone]


def test_lose_write_connection_follows_the_writes() -> None:
    house = House()
    house.connection.write(b"x" * 100_000)
    house.connection.loseWriteConnection()
    house.connection.write(b"too late")
    house.reactor.end_turn()
    assert not house.sock.shut
    assert house.client.empty() + house.client.empty() == b"x" * 100_000
    assert house.sock.shut
    house.receive(b"still read")
    assert house.protocol.events == ["made", "write-closed", b"still read"]


def test_lose_write_connection_in_data_received() -> None:
    """IHalfCloseableProtocol.writeConnectionLost"""
    house = House()

    def react(data: bytes) -> None:
        house.protocol.transport.loseWriteConnection()
        assert not house.sock.shut

    house.protocol.react = react
    house.receive(b"last")
    house.reactor.end_turn()
    assert house.sock.shut
    assert house.protocol.events == ["made", b"last", "write-closed"]
    house.connection.loseConnection()
    house.reactor.end_turn()
    assert house.protocol.events[3:] == [ConnectionDone]


def test_pull_producer_is_resumed_at_once_and_each_turn() -> None:
    house = House()
    asked: list[int] = []

    class Pulled:
        def resumeProducing(self) -> None:
            asked.append(house.sock.sends)
            if len(asked) > 1:
                house.connection.write(b"piece")

    house.protocol.react = lambda data: house.connection.registerProducer(Pulled(), False)
    house.receive(b"x")
    assert len(asked) == 1
    for _ in range(3):
        for connection in house.reactor.written[:]:
            house.reactor.written.remove(connection)
            connection.flush()
    assert asked == [0, 0, 1, 2]
    house.connection.unregisterProducer()
    house.reactor.end_turn()
    assert asked == [0, 0, 1, 2]


@pytest.mark.parametrize("data", ["text", 5, None, ["x"]])
def test_write_of_other_than_bytes_raises_type_error(data: Any) -> None:
    """ITransport.write"""
    house = House()
    with pytest.raises(TypeError):
        house.connection.write(data)
    with pytest.raises(TypeError):
        house.connection.writeSequence([data])
    house.connection.write(bytearray(b"like bytes"))
    house.reactor.end_turn()
    assert house.sock.taken == b"like bytes"


def test_unix_socket_ignores_tcp_nodelay() -> None:
    house = House()
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        house.connection._socket = ours
        house.connection.setTcpNoDelay(True)
        assert house.connection.getTcpNoDelay() is False
        house.connection.setTcpKeepAlive(True)
        assert house.connection.getTcpKeepAlive() is True


def test_repr_and_log_prefix_name_the_service() -> None:
    assert repr(House().connection) == "<SocketConnection 1 of service test with 192.0.2.1:1>"


def test_close_in_data_received_is_reported_after_it() -> None:
    house = House()
    depth: list[str] = []

    def react(data: bytes) -> None:
        house.protocol.transport.write(b"bye")
        house.protocol.transport.loseConnection()
        depth.append("left")
        assert ConnectionDone not in house.protocol.events

    house.protocol.react = react
    house.receive(b"QUIT")
    assert house.protocol.events == ["made", b"QUIT", ConnectionDone]
    assert house.sock.taken == b"bye"
    assert depth == ["left"]


def test_no_input_is_delivered_after_a_close() -> None:
    house = House()
    house.connection.loseConnection()
    house.receive(b"late")
    house.reactor.end_turn()
    assert house.protocol.events == ["made", ConnectionDone]


def test_protocol_exception_is_logged_and_closes(logged_failures: Any) -> None:
    house = House()

    def react(data: bytes) -> None:
        raise ValueError("in dataReceived")

    house.protocol.react = react
    house.receive(b"x")
    assert house.sock.closed
    assert house.protocol.events == ["made", b"x", ValueError]
    logged_failures.expect("in dataReceived")


def test_abort_resets_and_discards_output() -> None:
    house = House()
    house.connection.write(b"x" * 100_000)
    house.connection.abortConnection()
    assert house.protocol.events == ["made"]
    house.reactor.end_turn()
    assert house.sock.reset
    assert house.sock.closed
    assert not house.reactor.writers


def test_connection_lost_while_paused_is_closed() -> None:
    house = House()
    house.connection.pauseProducing()
    house.connection.gone()
    assert house.protocol.events == ["made", ConnectionLost]


@pytest.mark.parametrize("number", [errno.ECONNRESET, errno.ETIMEDOUT, errno.EHOSTUNREACH])
@pytest.mark.parametrize("how", ["gone", "connectionLost"])
def test_system_error_is_the_cause_of_connection_lost(how: str, number: int) -> None:
    """SO_ERROR in socket(7): "Get and clear the pending socket error." """
    house = House(access_log=True)
    reasons: list[Failure] = []
    house.protocol.connectionLost = reasons.append  # type: ignore[method-assign]
    house.connection.pauseProducing()
    house.sock.error = number
    with capturedLogs() as events:
        if how == "gone":
            house.connection.gone()
        else:
            house.connection.connectionLost(Failure(ConnectionLost()))
    (reason,) = reasons
    assert isinstance(reason.value, ConnectionLost)
    assert error_text(reason) == os.strerror(number)
    (line,) = [formatEvent(event) for event in events]
    assert ": lost, 0 bytes in, 0 bytes out, " in line
    assert line.endswith(f", error: {os.strerror(number)}")


def test_pause_and_resume_reading() -> None:
    house = House()
    house.connection.pauseProducing()
    house.connection.pauseProducing()
    assert not house.reactor.readers
    house.connection.resumeProducing()
    assert house.reactor.readers == {house.connection}
    house.connection.loseConnection()
    house.reactor.end_turn()
    house.connection.resumeProducing()
    assert not house.reactor.readers


def test_other_reactors_flush_by_a_timer() -> None:
    house = House()
    turns = TurnScheduler(house.reactor)
    assert turns.schedule == house.reactor.written.append

    class Other:
        callLater = house.reactor.callLater

    class Flushable:
        flushed = 0

        def flush(self) -> None:
            self.flushed += 1

    one: Any = Flushable()
    two: Any = Flushable()
    other = TurnScheduler(Other())
    other.schedule(one)
    other.schedule(two)
    assert len(house.reactor.getDelayedCalls()) == 1
    house.reactor.advance(0)
    assert (one.flushed, two.flushed) == (1, 1)


# --- the ends that are no clean ends ---


@pytest.mark.parametrize("send", ["write", "send_now"])
def test_send_error_is_the_cause_of_connection_lost(send: str) -> None:
    """The kernel reports the error only once; later calls fail with EPIPE."""
    house = House()
    asked: list[bytes] = []
    reasons: list[Failure] = []

    def broken(data: bytes) -> int:
        asked.append(data)
        raise ConnectionResetError(errno.ECONNRESET, "reset")

    house.sock.send = broken  # type: ignore[method-assign]
    house.protocol.connectionLost = reasons.append
    getattr(house.connection, send)(b"x")
    house.reactor.end_turn()
    (reason,) = reasons
    assert len(asked) == 1
    assert reason.check(ConnectionLost)
    assert isinstance(reason.value.__cause__, ConnectionResetError)
    assert house.sock.reset


def test_reset_connection_follows_the_writes() -> None:
    """docs/decisions/0003"""
    house = House()
    house.sock.room = 1000
    house.connection.write(b"x" * 3000)
    house.connection.resetConnection()
    house.connection.write(b"too late")
    house.reactor.end_turn()
    assert house.connection not in house.reactor.readers
    taken = b""
    while not house.sock.closed:
        assert not house.sock.reset
        taken += house.client.empty()
    taken += house.sock.taken
    assert taken == b"x" * 3000
    assert house.sock.reset


def test_reset_connection_is_bounded_by_linger() -> None:
    house = House(linger=5.0)
    house.sock.room = 1000
    house.connection.write(b"x" * 3000)
    house.connection.resetConnection()
    house.reactor.advance(4.9)
    assert not house.sock.closed
    house.reactor.advance(0.2)
    assert house.sock.reset
    assert house.counters.ended == {End.LINGER: 1}


def test_unread_input_does_not_turn_a_close_into_a_reset() -> None:
    """RFC 9293 section 3.10.4; RFC 1122 section 4.2.2.13"""
    house = House()
    house.protocol.react = lambda data: house.connection.loseConnection()
    house.sock.incoming.append(b"and more")
    house.receive(b"x")
    assert house.sock.closed
    assert house.sock.incoming == []
