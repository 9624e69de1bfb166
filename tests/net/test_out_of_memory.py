"""A lack of memory, or an exception, affects only its own connection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from conftest import LoggedFailures
from net.doubles import Make, MemoryReactor, MemorySocket
from net.test_port import PortHarness
from net.test_sweeper import make, wait  # noqa: F401
from net.test_transport import SocketHarness
from OpenSSL import SSL

from tcpd.chat.outbox import FlushQueue, Outbox
from tcpd.config.listen import Address
from tcpd.net.handshake_capture import NOT_CAPTURED
from tcpd.net.listener_options import ListenerOptions
from tcpd.net.sockets import listen_address
from tcpd.net.tls import new_connection
from tcpd.net.tls_faults import handshake_fault, is_no_memory
from tcpd.net.turns import TurnScheduler
from tcpd.policy.reasons import End


def no_memory(*_: object, **__: object) -> Any:
    raise MemoryError("none left")


def memory_reports(harness: Any) -> list[BaseException]:
    """Collect what a layer reports as a lack of memory."""
    reported: list[BaseException] = []
    harness.layer.no_memory = reported.append
    return reported


class FailingMethod:
    """A wrapper that makes one method fail."""

    def __init__(self, whole: Any, method: str) -> None:
        self._whole = whole
        self._method = method

    def __getattr__(self, name: str) -> Any:
        return no_memory if name == self._method else getattr(self._whole, name)

    def __enter__(self) -> Any:
        return self._whole.__enter__()

    def __exit__(self, *problem: object) -> Any:
        return self._whole.__exit__(*problem)


def test_memory_error_in_recv_closes_the_connection() -> None:
    harness = SocketHarness()
    reported = memory_reports(harness)
    harness.connection._receive = no_memory
    harness.connection.doRead()
    assert harness.sock.closed
    assert not harness.layer.connections
    assert harness.protocol.events[-1] is MemoryError
    assert harness.counters.ended == {End.NO_MEMORY: 1}
    assert len(reported) == 1


class MallocFailure(SSL.Error):
    """The error that pyOpenSSL raises."""

    def __init__(self, reason: str) -> None:
        super().__init__([("common libcrypto routines", "", reason)])


@pytest.mark.parametrize(
    ("error", "failing"),
    [
        (MemoryError(), True),
        (MallocFailure("malloc failure"), True),
        (MallocFailure("wrong version number"), False),
        (SSL.Error(), False),
        (ValueError("malloc failure"), False),
        (None, False),
    ],
)
def test_openssl_malloc_failure_is_a_lack_of_memory(
    error: BaseException | None, failing: bool
) -> None:
    """ERR_R_MALLOC_FAILURE is no misbehaviour of the client."""
    assert is_no_memory(error) is failing
    if isinstance(error, SSL.Error):
        tls = SSL.Connection(SSL.Context(SSL.TLS_METHOD))
        assert (handshake_fault(error, tls).end is End.NO_MEMORY) is failing


def test_null_ssl_connection_is_a_memory_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """pyOpenSSL does not check the result of SSL_new(3)."""
    context = SSL.Context(SSL.TLS_METHOD)
    assert new_connection(context).get_state_string() == b"before SSL initialization"
    monkeypatch.setattr(SSL.Connection, "get_state_string", lambda _: b"error")
    with pytest.raises(MemoryError):
        new_connection(context)


@pytest.mark.parametrize("method", ["flush", "doWrite"])
def test_memory_error_in_send_resets_the_connection(method: str) -> None:
    """docs/decisions/0003"""
    harness = SocketHarness()
    reported = memory_reports(harness)
    harness.sock.room = 3
    harness.connection.write(b"hello")
    harness.reactor.end_turn()
    harness.connection._socket = FailingMethod(harness.sock, "send")
    harness.connection._blocked = method == "doWrite"
    getattr(harness.connection, method)()
    harness.reactor.end_turn()
    assert (harness.sock.closed, harness.sock.reset) == (True, True)
    assert harness.counters.ended == {End.NO_MEMORY: 1}
    assert len(reported) == 1


def test_connection_is_closed_if_logging_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    harness = SocketHarness()
    harness.connection._receive = no_memory
    with monkeypatch.context() as patched:
        patched.setattr(type(harness.connection), "log_failure", no_memory)
        with pytest.raises(MemoryError):
            harness.connection.doRead()
    assert harness.sock.closed
    assert not harness.layer.connections


@pytest.mark.parametrize("what", ["stop_timer", "stop_producer", "_determine_end"])
def test_slot_is_freed_if_the_end_raises(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    harness = SocketHarness()
    reported = memory_reports(harness)
    monkeypatch.setattr(type(harness.connection), what, no_memory)
    harness.connection.gone()
    assert not harness.layer.connections
    assert harness.layer.admission.count == 0
    assert len(harness.protocol.events) == 2
    assert len(reported) == 1


def test_drain_completes_if_the_last_end_is_not_logged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    harness = SocketHarness()
    reported = memory_reports(harness)
    ends: list[object] = []
    monkeypatch.setattr(harness.layer.log, "ended", no_memory)
    harness.layer.drain(End.SHUTDOWN, 5.0).addCallback(ends.append)
    harness.reactor.end_turn()
    assert ends == [None]
    assert len(reported) == 1


@pytest.mark.parametrize("what", ["read_handshake", "_add"])
def test_slot_is_freed_if_the_start_raises(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    harness = SocketHarness()
    harness.connection.gone()
    monkeypatch.setattr(harness.layer, what, no_memory)
    sock: Any = MemorySocket()
    capture: Any = object() if what == "read_handshake" else NOT_CAPTURED
    with pytest.raises(MemoryError):
        harness.layer.accept_socket(
            sock, ("192.0.2.1", 1), ListenerOptions(capture=capture), TurnScheduler(harness.reactor)
        )
    assert harness.layer.admission.count == 0
    assert not harness.layer.connections
    assert harness.counters.open == 0


@pytest.fixture
def port() -> Iterator[PortHarness]:
    made = PortHarness(listen_address(Address("127.0.0.1", 0)))
    yield made
    made.close()


@pytest.mark.parametrize("where", ["accept", "must_wait"])
def test_memory_error_in_accept_pauses_the_port(
    port: PortHarness, logged_failures: LoggedFailures, where: str
) -> None:
    client = port.connect()
    sock, must_wait = port.port._socket, port.listener.must_wait
    if where == "accept":
        port.port._socket = FailingMethod(sock, "accept")  # type: ignore[assignment]
    else:
        port.listener.must_wait = no_memory  # type: ignore[method-assign]
    port.port.doRead()
    assert not port.reactor.readers
    assert len(port.listener.memory_errors) == 1
    port.port._socket, port.listener.must_wait = sock, must_wait  # type: ignore[method-assign]
    port.reactor.advance(1)
    assert port.reactor.readers == {port.port}
    port.port.doRead()
    assert port.listener.taken[0].getpeername() == client.getsockname()
    logged_failures.expect("no connection can be accepted")


def test_memory_error_of_a_new_connection_is_not_a_failure(port: PortHarness) -> None:
    client = port.connect()
    port.listener.accept_socket = no_memory  # type: ignore[method-assign]
    port.port.doRead()
    assert client.recv(1) == b""
    assert len(port.listener.memory_errors) == 1


class ScheduledFlush:
    """An object scheduled for the end of a turn."""

    def __init__(self) -> None:
        self.count = 0

    def flush(self) -> None:
        self.count += 1


def test_flush_exception_does_not_affect_other_flushes(
    logged_failures: LoggedFailures,
) -> None:
    reactor: Any = MemoryReactor()
    reactor.written = None
    turns = TurnScheduler(reactor)
    failing: Any = FailingMethod(None, "flush")
    first, second = ScheduledFlush(), ScheduledFlush()
    for each in (first, failing, second):
        turns.schedule(each)
    reactor.pump([0])
    assert (first.count, second.count) == (1, 1)
    logged_failures.expect("none left")


@pytest.mark.parametrize("answered", [True, False], ids=["answered", "sent"])
def test_member_without_memory_does_not_affect_other_members(answered: bool) -> None:
    due: list[FlushQueue] = []
    queue = FlushQueue(due.append)
    written: list[bytes] = []
    boxes = [Outbox(100, queue, no_memory if name == "b" else written.append) for name in "abc"]
    for box in boxes:
        if answered:
            box.put(b"hello")
        else:
            box.chunks.append(b"hello")
            queue.add(box)
    with pytest.raises(MemoryError):
        due.pop().flush()
    assert written == [b"hello"] * 2
    assert [box.put(b".") for box in boxes] == [True, False, True]


def test_sweep_continues_after_an_exception(
    make: Make,  # noqa: F811
    logged_failures: LoggedFailures,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    harness = make(first_byte=8.0)
    connections = [harness.connect() for _ in range(2)]
    with monkeypatch.context() as patched:
        patched.setattr(harness.layer._sweeper, "_check", no_memory)
        wait(harness, 1)
    with monkeypatch.context() as patched:
        patched.setattr(type(harness.layer._sweeper), "sweep", no_memory)
        wait(harness, 1)
    wait(harness, 8)
    assert all(transport.disconnecting for _, transport in connections)
    logged_failures.expect("none left", 3)
