"""The transport on a socket: number of system calls, and their errors."""

from __future__ import annotations

import errno
import itertools
import os
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from net.doubles import MemoryClient, MemoryReactor, MemorySocket
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
    """Records its calls and calls ``self.react`` with input."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def connectionMade(self) -> None:
        self.events.append("made")

    def dataReceived(self, data: bytes) -> None:
        self.events.append(data)
        self.react(data)

    def react(self, data: bytes) -> None:
        """Tests replace this."""

    def readConnectionLost(self) -> None:
        self.events.append("half-closed")

    def writeConnectionLost(self) -> None:
        self.events.append("write-closed")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.events.append(reason.type)


class SocketHarness:
    """A SocketConnection in memory."""

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
        self.client = MemoryClient(self.reactor, self.sock)
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
    harness = SocketHarness()

    def react(data: bytes) -> None:
        for _ in range(10):
            harness.protocol.transport.write(data)
        assert harness.sock.sends == 0

    harness.protocol.react = react
    harness.receive(b"x")
    assert (harness.sock.taken, harness.sock.sends) == (b"x" * 10, 1)
    assert not harness.reactor.writers
    assert not harness.reactor.written


def test_writes_by_others_are_one_send_at_the_end_of_the_turn() -> None:
    harness = SocketHarness()
    for _ in range(10):
        harness.connection.write(b"y")
    assert harness.sock.sends == 0
    harness.reactor.end_turn()
    assert (harness.sock.taken, harness.sock.sends) == (b"y" * 10, 1)


def test_send_now_sends_at_once() -> None:
    harness = SocketHarness()
    harness.connection.send_now(b"one")
    assert (harness.sock.taken, harness.sock.sends) == (b"one", 1)
    assert not harness.reactor.written
    assert harness.connection.bytes_out == harness.counters.bytes_out == 3


def test_send_now_keeps_the_order() -> None:
    harness = SocketHarness()
    harness.connection.write(b"one ")
    harness.connection.send_now(b"two ")
    assert harness.sock.sends == 0
    harness.reactor.end_turn()
    assert (harness.sock.taken, harness.sock.sends) == (b"one two ", 1)
    harness.protocol.react = harness.connection.send_now
    harness.receive(b"three")
    assert harness.sock.taken == b"one two three"
    harness.connection.loseConnection()
    harness.connection.send_now(b"four")
    harness.reactor.end_turn()
    harness.connection.send_now(b"five")
    assert harness.sock.taken == b"one two three"
    assert harness.connection.bytes_out == 13


def test_unsent_bytes_wait_for_the_socket() -> None:
    harness = SocketHarness()
    harness.connection.send_now(b"x" * 60_000)
    harness.connection.send_now(b"y" * 60_000)
    assert harness.reactor.writers == {harness.connection}
    harness.connection.send_now(b"z" * 60_000)
    assert b"".join(harness.client.empty() for _ in range(3)) == b"".join(
        letter * 60_000 for letter in (b"x", b"y", b"z")
    )
    assert not harness.reactor.writers


def test_send_now_is_bounded_too() -> None:
    harness = SocketHarness(unsent=100_000)
    for _ in range(10):
        harness.connection.send_now(b"x" * 60_000)
    harness.reactor.end_turn()
    assert harness.sock.closed
    assert harness.counters.ended == {End.SLOW_READER: 1}


def test_send_now_error_is_reported_in_a_later_turn() -> None:
    harness = SocketHarness()

    def broken(data: bytes) -> int:
        raise BrokenPipeError

    harness.sock.send = broken  # type: ignore[method-assign]
    harness.connection.send_now(b"x")
    assert harness.protocol.events == ["made"], "not within write"
    harness.reactor.end_turn()
    assert len(harness.protocol.events) == 2
    assert harness.counters.ended == {End.LOST: 1}


def test_writer_is_registered_only_after_a_full_buffer() -> None:
    harness = SocketHarness()
    harness.connection.write(b"x" * 60_000)
    harness.reactor.end_turn()
    assert not harness.reactor.writers
    harness.connection.write(b"y" * 60_000)
    harness.reactor.end_turn()
    assert harness.reactor.writers == {harness.connection}
    assert harness.client.empty() + harness.client.empty() == b"x" * 60_000 + b"y" * 60_000
    assert not harness.reactor.writers


@given(
    st.lists(st.binary(min_size=1, max_size=70), max_size=30),
    st.lists(st.integers(min_value=1, max_value=50), min_size=1, max_size=30),
)
def test_partial_sends_keep_the_order(pieces: list[bytes], rooms: list[int]) -> None:
    harness = SocketHarness()
    taken = b""
    room = itertools.cycle(rooms)
    for piece in pieces:
        harness.sock.room = next(room)
        harness.connection.write(piece)
        taken += harness.client.empty()
    for _ in range(5000):
        if len(taken) == sum(map(len, pieces)):
            break
        harness.sock.room = next(room)
        taken += harness.client.empty()
    assert taken == b"".join(pieces)
    assert harness.connection.pending == 0


def test_mutable_buffer_is_copied() -> None:
    harness = SocketHarness()
    data: Any = bytearray(b"before")
    harness.connection.write(data)
    data[:] = b"after!"
    assert harness.client.value() == b"before"


@pytest.mark.parametrize("error", [errno.ECONNRESET, errno.ETIMEDOUT, errno.EHOSTUNREACH])
def test_recv_error_closes_the_connection(error: int) -> None:
    harness = SocketHarness()
    harness.receive(OSError(error, "gone"))
    assert harness.protocol.events == ["made", ConnectionLost]
    assert harness.sock.closed
    assert harness.counters.ended == {End.LOST: 1}
    assert not harness.reactor.readers


def test_spurious_read_event_is_ignored() -> None:
    harness = SocketHarness()
    harness.connection.doRead()
    assert harness.protocol.events == ["made"]


def test_send_error_is_reported_in_a_later_turn() -> None:
    harness = SocketHarness()

    def broken(data: bytes) -> int:
        raise BrokenPipeError

    harness.sock.send = broken  # type: ignore[method-assign]
    harness.connection.write(b"x" * 100_000)
    assert harness.protocol.events == ["made"], "not within write"
    harness.reactor.end_turn()
    assert len(harness.protocol.events) == 2
    assert harness.sock.closed
    assert harness.counters.ended == {End.LOST: 1}


def test_half_close_is_reported_and_output_is_sent() -> None:
    harness = SocketHarness()
    harness.receive(b"")
    assert harness.protocol.events == ["made", "half-closed"]
    assert not harness.reactor.readers
    harness.protocol.transport.resumeProducing()
    assert not harness.reactor.readers, "end of file"
    harness.protocol.transport.write(b"rest")
    harness.protocol.transport.loseConnection()
    harness.reactor.end_turn()
    assert harness.sock.taken == b"rest"
    assert harness.protocol.events[2:] == [ConnectionDone]


def test_lose_write_connection_follows_the_writes() -> None:
    harness = SocketHarness()
    harness.connection.write(b"x" * 100_000)
    harness.connection.loseWriteConnection()
    harness.connection.write(b"too late")
    harness.reactor.end_turn()
    assert not harness.sock.shut
    assert harness.client.empty() + harness.client.empty() == b"x" * 100_000
    assert harness.sock.shut
    harness.receive(b"still read")
    assert harness.protocol.events == ["made", "write-closed", b"still read"]


def test_lose_write_connection_in_data_received() -> None:
    """IHalfCloseableProtocol.writeConnectionLost"""
    harness = SocketHarness()

    def react(data: bytes) -> None:
        harness.protocol.transport.loseWriteConnection()
        assert not harness.sock.shut

    harness.protocol.react = react
    harness.receive(b"last")
    harness.reactor.end_turn()
    assert harness.sock.shut
    assert harness.protocol.events == ["made", b"last", "write-closed"]
    harness.connection.loseConnection()
    harness.reactor.end_turn()
    assert harness.protocol.events[3:] == [ConnectionDone]


def test_pull_producer_is_resumed_at_once_and_each_turn() -> None:
    harness = SocketHarness()
    sends: list[int] = []

    class Pulled:
        def resumeProducing(self) -> None:
            sends.append(harness.sock.sends)
            if len(sends) > 1:
                harness.connection.write(b"piece")

    harness.protocol.react = lambda data: harness.connection.registerProducer(Pulled(), False)
    harness.receive(b"x")
    assert len(sends) == 1
    for _ in range(3):
        for connection in harness.reactor.written[:]:
            harness.reactor.written.remove(connection)
            connection.flush()
    assert sends == [0, 0, 1, 2]
    harness.connection.unregisterProducer()
    harness.reactor.end_turn()
    assert sends == [0, 0, 1, 2]


@pytest.mark.parametrize("data", ["text", 5, None, ["x"]])
def test_write_of_other_than_bytes_raises_type_error(data: Any) -> None:
    """ITransport.write"""
    harness = SocketHarness()
    with pytest.raises(TypeError):
        harness.connection.write(data)
    with pytest.raises(TypeError):
        harness.connection.writeSequence([data])
    harness.connection.write(bytearray(b"like bytes"))
    harness.reactor.end_turn()
    assert harness.sock.taken == b"like bytes"


def test_unix_socket_ignores_tcp_nodelay() -> None:
    harness = SocketHarness()
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        harness.connection._socket = ours
        harness.connection.setTcpNoDelay(True)
        assert harness.connection.getTcpNoDelay() is False
        harness.connection.setTcpKeepAlive(True)
        assert harness.connection.getTcpKeepAlive() is True


def test_repr_and_log_prefix_name_the_service() -> None:
    assert (
        repr(SocketHarness().connection) == "<SocketConnection 1 of service test with 192.0.2.1:1>"
    )


def test_close_in_data_received_is_reported_after_it() -> None:
    harness = SocketHarness()
    depth: list[str] = []

    def react(data: bytes) -> None:
        harness.protocol.transport.write(b"bye")
        harness.protocol.transport.loseConnection()
        depth.append("left")
        assert ConnectionDone not in harness.protocol.events

    harness.protocol.react = react
    harness.receive(b"QUIT")
    assert harness.protocol.events == ["made", b"QUIT", ConnectionDone]
    assert harness.sock.taken == b"bye"
    assert depth == ["left"]


def test_no_input_is_delivered_after_a_close() -> None:
    harness = SocketHarness()
    harness.connection.loseConnection()
    harness.receive(b"late")
    harness.reactor.end_turn()
    assert harness.protocol.events == ["made", ConnectionDone]


def test_protocol_exception_is_logged_and_closes(logged_failures: Any) -> None:
    harness = SocketHarness()

    def react(data: bytes) -> None:
        raise ValueError("in dataReceived")

    harness.protocol.react = react
    harness.receive(b"x")
    assert harness.sock.closed
    assert harness.protocol.events == ["made", b"x", ValueError]
    logged_failures.expect("in dataReceived")


def test_abort_resets_and_discards_output() -> None:
    harness = SocketHarness()
    harness.connection.write(b"x" * 100_000)
    harness.connection.abortConnection()
    assert harness.protocol.events == ["made"]
    harness.reactor.end_turn()
    assert harness.sock.reset
    assert harness.sock.closed
    assert not harness.reactor.writers


def test_connection_lost_while_paused_is_closed() -> None:
    harness = SocketHarness()
    harness.connection.pauseProducing()
    harness.connection.gone()
    assert harness.protocol.events == ["made", ConnectionLost]


@pytest.mark.parametrize("number", [errno.ECONNRESET, errno.ETIMEDOUT, errno.EHOSTUNREACH])
@pytest.mark.parametrize("how", ["gone", "connectionLost"])
def test_system_error_is_the_cause_of_connection_lost(how: str, number: int) -> None:
    """SO_ERROR in socket(7): "Get and clear the pending socket error." """
    harness = SocketHarness(access_log=True)
    reasons: list[Failure] = []
    harness.protocol.connectionLost = reasons.append  # type: ignore[method-assign]
    harness.connection.pauseProducing()
    harness.sock.error = number
    with capturedLogs() as events:
        if how == "gone":
            harness.connection.gone()
        else:
            harness.connection.connectionLost(Failure(ConnectionLost()))
    (reason,) = reasons
    assert isinstance(reason.value, ConnectionLost)
    assert error_text(reason) == os.strerror(number)
    (line,) = [formatEvent(event) for event in events]
    assert ": lost, 0 bytes in, 0 bytes out, " in line
    assert line.endswith(f", error: {os.strerror(number)}")


def test_pause_and_resume_reading() -> None:
    harness = SocketHarness()
    harness.connection.pauseProducing()
    harness.connection.pauseProducing()
    assert not harness.reactor.readers
    harness.connection.resumeProducing()
    assert harness.reactor.readers == {harness.connection}
    harness.connection.loseConnection()
    harness.reactor.end_turn()
    harness.connection.resumeProducing()
    assert not harness.reactor.readers


def test_other_reactors_flush_by_a_timer() -> None:
    harness = SocketHarness()
    turns = TurnScheduler(harness.reactor)
    assert turns.schedule == harness.reactor.written.append

    class Other:
        callLater = harness.reactor.callLater

    class Flushable:
        flushed = 0

        def flush(self) -> None:
            self.flushed += 1

    one: Any = Flushable()
    two: Any = Flushable()
    other = TurnScheduler(Other())
    other.schedule(one)
    other.schedule(two)
    assert len(harness.reactor.getDelayedCalls()) == 1
    harness.reactor.advance(0)
    assert (one.flushed, two.flushed) == (1, 1)


# --- errors and resets ---


@pytest.mark.parametrize("send", ["write", "send_now"])
def test_send_error_is_the_cause_of_connection_lost(send: str) -> None:
    """The kernel reports the error only once; later calls fail with EPIPE."""
    harness = SocketHarness()
    sends: list[bytes] = []
    reasons: list[Failure] = []

    def broken(data: bytes) -> int:
        sends.append(data)
        raise ConnectionResetError(errno.ECONNRESET, "reset")

    harness.sock.send = broken  # type: ignore[method-assign]
    harness.protocol.connectionLost = reasons.append
    getattr(harness.connection, send)(b"x")
    harness.reactor.end_turn()
    (reason,) = reasons
    assert len(sends) == 1
    assert reason.check(ConnectionLost)
    assert isinstance(reason.value.__cause__, ConnectionResetError)
    assert harness.sock.reset


def test_reset_connection_follows_the_writes() -> None:
    """docs/decisions/0003"""
    harness = SocketHarness()
    harness.sock.room = 1000
    harness.connection.write(b"x" * 3000)
    harness.connection.resetConnection()
    harness.connection.write(b"too late")
    harness.reactor.end_turn()
    assert harness.connection not in harness.reactor.readers
    taken = b""
    while not harness.sock.closed:
        assert not harness.sock.reset
        taken += harness.client.empty()
    taken += harness.sock.taken
    assert taken == b"x" * 3000
    assert harness.sock.reset


def test_reset_connection_is_bounded_by_linger() -> None:
    harness = SocketHarness(linger=5.0)
    harness.sock.room = 1000
    harness.connection.write(b"x" * 3000)
    harness.connection.resetConnection()
    harness.reactor.advance(4.9)
    assert not harness.sock.closed
    harness.reactor.advance(0.2)
    assert harness.sock.reset
    assert harness.counters.ended == {End.LINGER: 1}


def test_unread_input_does_not_turn_a_close_into_a_reset() -> None:
    """RFC 9293 section 3.10.4; RFC 1122 section 4.2.2.13"""
    harness = SocketHarness()
    harness.protocol.react = lambda data: harness.connection.loseConnection()
    harness.sock.incoming.append(b"and more")
    harness.receive(b"x")
    assert harness.sock.closed
    assert harness.sock.incoming == []
