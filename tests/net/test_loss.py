"""The reactor reports a lost connection to a descriptor that does not read."""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Iterator

import pytest

if not hasattr(select, "epoll"):
    pytest.skip("our reactor needs epoll", allow_module_level=True)

from tcpd.net.reactor import TcpdReactor

RESET = struct.pack("ii", 1, 0)


class Descriptor:
    """An IDirect descriptor that records its calls."""

    direct = True
    wants_loss = True

    def __init__(self, reactor: TcpdReactor, sock: socket.socket) -> None:
        self.reactor = reactor
        self.sock = sock
        self.received: list[bytes] = []
        self.losses = 0

    def fileno(self) -> int:
        return self.sock.fileno()

    def doRead(self) -> None:
        self.received.append(self.sock.recv(1000))

    def doWrite(self) -> None:
        raise AssertionError("unexpected call")

    def flush(self) -> None:
        raise AssertionError("nor for this")

    def gone(self) -> None:
        self.losses += 1
        self.close()

    def close(self) -> None:
        self.reactor.forget(self)
        self.sock.close()


@pytest.fixture
def reactor() -> Iterator[TcpdReactor]:
    made = TcpdReactor()
    own = made.getReaders()
    yield made
    for each in own:
        made.removeReader(each)
        each.connectionLost(None)


@pytest.fixture
def pair(reactor: TcpdReactor) -> Iterator[tuple[Descriptor, socket.socket]]:
    """The two ends of a connection."""
    with socket.create_server(("127.0.0.1", 0)) as port:
        client = socket.create_connection(port.getsockname())
        ours, _ = port.accept()
    descriptor = Descriptor(reactor, ours)
    with client:
        yield descriptor, client
    if ours.fileno() >= 0:
        descriptor.close()


def test_reset_is_reported_to_a_paused_descriptor(
    reactor: TcpdReactor, pair: tuple[Descriptor, socket.socket]
) -> None:
    descriptor, client = pair
    reactor.addReader(descriptor)
    reactor.removeReader(descriptor)
    assert descriptor not in reactor.getReaders()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    client.close()
    reactor.doIteration(5)
    assert (descriptor.losses, descriptor.received) == (1, [])


def test_input_before_a_close_is_kept_for_a_paused_descriptor(
    reactor: TcpdReactor, pair: tuple[Descriptor, socket.socket]
) -> None:
    """epoll reports EPOLLHUP when both directions are closed."""
    descriptor, client = pair
    reactor.addReader(descriptor)
    reactor.removeReader(descriptor)
    client.sendall(b"last words")
    client.shutdown(socket.SHUT_WR)
    descriptor.sock.shutdown(socket.SHUT_WR)
    with select.epoll() as poll:  # until the kernel reports it
        poll.register(descriptor.sock, 0)
        assert poll.poll(5)[0][1] == select.EPOLLHUP
    reactor.doIteration(5)
    assert descriptor.losses == 0
    reactor.addReader(descriptor)
    reactor.doIteration(5)
    assert (descriptor.losses, descriptor.received) == (0, [b"last words"])


def test_paused_descriptor_resumes_reading(
    reactor: TcpdReactor, pair: tuple[Descriptor, socket.socket]
) -> None:
    descriptor, client = pair
    for word in (b"one", b"two"):
        reactor.addReader(descriptor)
        client.sendall(word)
        reactor.doIteration(5)
        reactor.removeReader(descriptor)
    assert descriptor.received == [b"one", b"two"]
