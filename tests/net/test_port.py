"""The stream port: accept, backlog, lack of descriptors and memory."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from net.doubles import MemoryReactor

from tcpd.config.listen import Address, UnixSocket
from tcpd.net.port import StreamPort
from tcpd.net.sockets import adopt, listen_address, listen_unix
from tcpd.net.spares import Spares
from tcpd.net.turns import TurnScheduler


class ListenerDouble:
    """A double of ListenerFactory."""

    def __init__(self) -> None:
        self.taken: list[socket.socket] = []
        self.running = 0
        self.refused: list[Any] = []
        self.room: int | None = None
        self.spares = Spares(0)
        self.memory_errors: list[BaseException] = []
        self.waiting: list[Callable[[], None]] = []

    def accept_socket(self, sock: socket.socket, address: Any, turns: TurnScheduler) -> None:
        self.taken.append(sock)

    def refuse_socket(self, sock: socket.socket, address: Any) -> None:
        self.refused.append(address)
        sock.close()

    def no_memory(self, error: BaseException) -> None:
        self.memory_errors.append(error)

    def use_spare_descriptor(self) -> bool:
        return self.spares.release()

    def must_wait(self, call: Callable[[], None]) -> bool:
        if self.room is None or len(self.taken) < self.room:
            return False
        self.waiting.append(call)
        return True

    def doStart(self) -> None:
        self.running += 1

    def doStop(self) -> None:
        self.running -= 1

    def logPrefix(self) -> str:
        return "service test:"


class PortHarness:
    """A port on a real socket, with a reactor in memory."""

    def __init__(self, sock: socket.socket, reactor: MemoryReactor | None = None) -> None:
        self.reactor = reactor or MemoryReactor()
        self.listener = ListenerDouble()
        self.closed: list[bool] = []
        listener: Any = self.listener
        self.port = StreamPort(
            sock, listener, TurnScheduler(self.reactor), lambda: self.closed.append(True)
        )
        self.port.startListening()
        self.address = sock.getsockname()
        self.opened: list[socket.socket] = []

    def connect(self) -> socket.socket:
        client = socket.create_connection(self.address, 10)
        self.opened.append(client)
        return client

    def close(self) -> None:
        self.port.stopListening()
        for sock in [*self.opened, *self.listener.taken]:
            sock.close()


@pytest.fixture
def harness() -> Iterator[PortHarness]:
    made = PortHarness(listen_address(Address("127.0.0.1", 0)))
    yield made
    made.close()


def test_all_queued_clients_are_accepted_in_one_turn(harness: PortHarness) -> None:
    for _ in range(5):
        harness.connect()
    harness.port.doRead()
    assert len(harness.listener.taken) == 5
    assert all(not sock.getblocking() for sock in harness.listener.taken)


class OtherReactor(MemoryReactor):
    """A reactor without generations, as Twisted's own."""

    forget = None  # type: ignore[assignment]

    def __getattribute__(self, name: str) -> Any:
        if name == "forget":
            raise AttributeError(name)
        return super().__getattribute__(name)


def test_clients_are_accepted_between_polls_on_other_reactors() -> None:
    """Twisted's poll and epoll reactors find descriptors by number, so sockets are accepted between
    two polls."""
    harness = PortHarness(listen_address(Address("127.0.0.1", 0)), OtherReactor())
    harness.connect()
    harness.port.doRead()
    assert harness.listener.taken == []
    harness.reactor.advance(0)
    assert len(harness.listener.taken) == 1
    harness.connect()
    harness.port.doRead()
    harness.port.stopListening()
    harness.reactor.advance(0)
    assert len(harness.listener.taken) == 1
    harness.close()


def test_drain_queue_accepts_all_queued_clients(harness: PortHarness) -> None:
    for _ in range(200):
        harness.connect()
    harness.port.drain_queue()
    assert len(harness.listener.taken) == 200


def test_accepted_sockets_inherit_nodelay_and_keepalive(harness: PortHarness) -> None:
    """tcp(7)"""
    harness.connect()
    harness.port.doRead()
    (sock,) = harness.listener.taken
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60


def test_stop_closes_at_once_and_cleans_up(harness: PortHarness) -> None:
    assert harness.listener.running == 1
    harness.port.stopListening()
    harness.port.stopListening()
    assert harness.closed == [True]
    assert harness.listener.running == 0
    assert not harness.reactor.readers
    with pytest.raises(ConnectionRefusedError):
        harness.connect()


def test_exception_in_do_stop_fails_the_deferred(harness: PortHarness) -> None:

    def broken() -> None:
        raise ValueError("in stopFactory")

    harness.listener.doStop = broken  # type: ignore[method-assign]
    failures: list[Any] = []
    harness.port.stopListening().addErrback(failures.append)
    assert [failure.type for failure in failures] == [ValueError]
    assert harness.closed == [True]
    harness.port.stopListening()


def test_repr_has_the_address(harness: PortHarness) -> None:
    host, port = harness.address
    assert repr(harness.port) == f"<StreamPort {host}:{port}>"
    harness.port.stopListening()
    assert repr(harness.port) == "<StreamPort closed>"


class FailingListener:
    """A listening socket whose ``accept`` fails as planned."""

    def __init__(self, sock: socket.socket, plan: list[int]) -> None:
        self._sock = sock
        self._plan = plan

    def accept(self) -> Any:
        if self._plan:
            raise OSError(self._plan.pop(0), "as planned")
        return self._sock.accept()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def test_reserve_descriptor_closes_a_client_when_out_of_descriptors(harness: PortHarness) -> None:
    refused, taken = harness.connect(), harness.connect()
    sock: Any = FailingListener(harness.port._socket, [errno.EMFILE])
    harness.port._socket = sock
    harness.port.doRead()
    assert refused.recv(1) == b"", "closed, not left in the backlog"
    assert len(harness.listener.taken) == 1
    assert harness.listener.refused == [refused.getsockname()], "logged and counted"
    assert harness.port._reserve >= 0, "the reserve is open again"
    del taken


def test_spare_descriptor_accepts_when_out_of_descriptors(harness: PortHarness) -> None:
    harness.listener.spares = Spares(1)
    harness.listener.spares.refill()
    listener = [harness.connect() for _ in range(2)]
    sock: Any = FailingListener(harness.port._socket, [errno.EMFILE])
    harness.port._socket = sock
    harness.port.doRead()
    assert len(harness.listener.taken) == 2
    harness.connect()
    sock._plan.append(errno.EMFILE)
    harness.port.doRead()
    assert len(harness.listener.refused) == 1
    harness.listener.spares.refill()
    harness.connect()
    sock._plan.append(errno.EMFILE)
    harness.port.doRead()
    assert len(harness.listener.taken) == 3
    harness.listener.spares.close()
    harness.listener.spares.refill()
    assert not harness.listener.spares.release()
    del listener


def test_full_pause_resumes_when_a_slot_is_free(harness: PortHarness) -> None:
    harness.listener.room = 2
    for _ in range(3):
        harness.connect()
    harness.port.doRead()
    assert len(harness.listener.taken) == 2
    assert not harness.reactor.readers, "no accept without a free slot"
    (there_is_a_place,) = harness.listener.waiting
    there_is_a_place()
    assert harness.reactor.readers == {harness.port}
    harness.port.doRead()
    assert not harness.reactor.readers, "another client took the slot"
    harness.listener.room = 3
    harness.listener.waiting.pop()()
    harness.port.doRead()
    assert len(harness.listener.taken) == 3


def test_paused_port_can_be_closed(harness: PortHarness) -> None:
    harness.listener.room = 0
    harness.connect()
    harness.port.doRead()
    harness.port.stopListening()
    harness.listener.waiting.pop()()
    assert not harness.reactor.readers


@pytest.mark.parametrize("error", [errno.ENOBUFS, errno.ENOMEM])
def test_enomem_pauses_the_port(harness: PortHarness, error: int, logged_failures: Any) -> None:
    harness.connect()
    sock: Any = FailingListener(harness.port._socket, [error])
    harness.port._socket = sock
    harness.port.doRead()
    assert harness.listener.taken == []
    assert not harness.reactor.readers
    logged_failures.expect("no connection can be accepted")
    harness.reactor.advance(1)
    assert harness.reactor.readers == {harness.port}
    harness.port.doRead()
    assert len(harness.listener.taken) == 1


def test_aborted_connection_is_skipped(harness: PortHarness) -> None:
    harness.connect()
    sock: Any = FailingListener(harness.port._socket, [errno.ECONNABORTED, errno.EPROTO])
    harness.port._socket = sock
    harness.port.doRead()
    assert len(harness.listener.taken) == 1


def test_exception_of_a_new_connection_is_logged(
    harness: PortHarness, logged_failures: Any
) -> None:
    def broken(sock: socket.socket, address: Any, turns: TurnScheduler) -> None:
        raise ValueError("not begun")

    harness.listener.accept_socket = broken  # type: ignore[method-assign]
    client = harness.connect()
    harness.port.doRead()
    assert client.recv(1) == b""
    logged_failures.expect("not begun")


# --- sockets ---


def test_wildcard_is_one_dual_stack_socket() -> None:
    with listen_address(Address("*", 0)) as sock:
        port = sock.getsockname()[1]
        socket.create_connection(("127.0.0.1", port), 10).close()
        if sock.family == socket.AF_INET6:
            socket.create_connection(("::1", port), 10).close()


def test_address_in_use_leaks_no_descriptor() -> None:
    with listen_address(Address("127.0.0.1", 0)) as sock, pytest.raises(OSError) as caught:
        listen_address(Address("127.0.0.1", sock.getsockname()[1]))
    assert caught.value.errno == errno.EADDRINUSE


def test_unix_socket_has_its_mode_and_replaces_a_stale_one(tmp_path: Path) -> None:
    place = UnixSocket(str(tmp_path / "s"), 0o640)
    listen_unix(place).close()  # the file of a killed daemon
    with listen_unix(place) as sock:
        assert os.stat(place.path).st_mode & 0o777 == 0o640
        with pytest.raises(OSError, match="another daemon is listening there"):
            listen_unix(place)
        assert not sock.getblocking()


def test_other_file_is_not_replaced_by_a_socket(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("precious")
    with pytest.raises(OSError, match="not a socket"):
        listen_unix(UnixSocket(str(tmp_path / "s"), 0o640))
    assert (tmp_path / "s").read_text() == "precious"


def test_adopted_socket_is_duplicated() -> None:
    with socket.create_server(("127.0.0.1", 0)) as theirs, adopt(theirs.fileno()) as ours:
        assert ours.getsockname() == theirs.getsockname()
        assert not ours.getblocking()
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wrong,
        pytest.raises(OSError, match="not a stream socket"),
    ):
        adopt(wrong.fileno())
