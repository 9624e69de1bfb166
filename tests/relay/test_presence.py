"""Clients that leave while nobody reads from them: on real sockets, with a clock turned by hand."""

from __future__ import annotations

import itertools
import select
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from net.lean import MemoryReactor
from twisted.internet.protocol import Factory, Protocol

from tcpd.config.settings import PolicySettings
from tcpd.net.layer import ConnectionLayer
from tcpd.net.listener_factory import ListenerFactory
from tcpd.net.loss import error_of
from tcpd.net.turns import TurnScheduler
from tcpd.ops.counters import ServiceCounters
from tcpd.policy.admission import ConnectionCount
from tcpd.policy.reasons import End
from tcpd.relay.presence import LOOK, Presence

RESET = struct.pack("ii", 1, 0)


class Visit:
    """A client, its connection, and what looks after it.

    :param ours: the daemon's end, connected.
    :param client: the client's.
    """

    def __init__(self, ours: socket.socket, client: socket.socket) -> None:
        self.reactor = MemoryReactor()
        self.counters = ServiceCounters()
        layer = ConnectionLayer(
            service="test",
            factory=Factory.forProtocol(Protocol),
            policy=PolicySettings(),
            idle=0,
            connection_count=ConnectionCount(9),
            counters=self.counters,
            clock=self.reactor,
            ids=itertools.count(1),
        )
        ours.setblocking(False)
        address: Any = "" if ours.family == socket.AF_UNIX else ("192.0.2.1", 4711)
        ListenerFactory(layer).accept_socket(ours, address, TurnScheduler(self.reactor))
        (self.connection,) = layer.connections
        self.ours = ours
        self.client = client
        self.errors: list[str] = []
        inner: Any = self.connection.inner
        inner.connectionLost = lambda reason: self.errors.append(error_of(reason))
        self.presence = Presence(self.connection, self.reactor)

    @property
    def ended(self) -> dict[End, int]:
        return dict(self.counters.ended)

    def option(self, name: int) -> int:
        return self.ours.getsockopt(socket.IPPROTO_TCP, name)


def tcp() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as port:
        client = socket.create_connection(port.getsockname())
        ours, _ = port.accept()
    return ours, client


Come = Callable[[tuple[socket.socket, socket.socket]], Visit]


@pytest.fixture
def come() -> Iterator[Come]:
    visits: list[Visit] = []

    def come(ends: tuple[socket.socket, socket.socket]) -> Visit:
        visits.append(Visit(*ends))
        return visits[-1]

    yield come
    for each in visits:
        each.presence.stop()
        each.connection.abortConnection()
        each.reactor.end_turn()
        each.client.close()


def arrived(sock: socket.socket, event: int) -> None:
    """Wait until the kernel has it."""
    poll = select.poll()
    poll.register(sock, event)
    assert poll.poll(10_000)


def reset(visit: Visit) -> None:
    visit.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    visit.client.close()
    arrived(visit.ours, 0)


@pytest.mark.parametrize("why", ["pause", "end"])
def test_a_reset_is_found_though_the_reactor_does_not_look(come: Come, why: str) -> None:
    """Twisted's own transports are not watched while they do not read."""
    visit = come(tcp())
    getattr(visit.presence, why)()
    reset(visit)
    visit.reactor.advance(LOOK - 1)
    assert not visit.ended
    visit.reactor.advance(1)
    assert visit.ended == {End.LOST: 1}
    visit.reactor.end_turn()
    assert visit.errors == ["Connection reset by peer"]


def test_its_kernel_is_asked_by_keepalive_probes(come: Come) -> None:
    """RFC 1122 section 4.2.3.6. By default a Linux kernel waits two hours for the first, tcp(7)."""
    visit = come(tcp())
    before = visit.option(socket.TCP_KEEPIDLE)
    visit.presence.pause()
    assert visit.option(socket.TCP_KEEPIDLE) == before
    visit.reactor.advance(LOOK)
    assert visit.ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert visit.option(socket.TCP_KEEPIDLE) == 15
    assert visit.option(socket.TCP_KEEPINTVL) == 15
    assert visit.option(socket.TCP_KEEPCNT) == 5


def test_who_waits_for_an_answer_is_let_wait(come: Come) -> None:
    """A half-close, and a far side that reads nothing for an hour."""
    visit = come(tcp())
    visit.client.sendall(b"question")
    visit.client.shutdown(socket.SHUT_WR)
    arrived(visit.ours, select.POLLRDHUP)
    visit.presence.pause()
    visit.reactor.pump([LOOK] * 720)
    assert not visit.ended


def test_who_is_read_from_is_not_looked_after(come: Come) -> None:
    visit = come(tcp())
    visit.presence.pause()
    visit.presence.resume()
    visit.presence.pause()
    visit.presence.resume()
    visit.reactor.advance(LOOK)
    assert not visit.reactor.getDelayedCalls()
    visit.presence.pause()
    visit.presence.stop()
    assert not visit.reactor.getDelayedCalls()


def test_who_has_closed_a_unix_socket_has_15_seconds_for_what_it_said(come: Come) -> None:
    """Its other end knows at once: there is nobody who could wait for an answer."""
    visit = come(socket.socketpair())
    visit.client.sendall(b"last words")
    visit.client.close()
    visit.presence.pause()
    visit.reactor.pump([LOOK, LOOK])
    assert not visit.ended
    visit.presence.resume()
    visit.presence.pause()
    visit.reactor.advance(LOOK)
    assert visit.ended == {End.LOST: 1}


def test_who_has_closed_a_unix_socket_and_said_all_waits_for_nothing(come: Come) -> None:
    visit = come(socket.socketpair())
    visit.client.close()
    visit.presence.end()
    visit.reactor.advance(LOOK)
    assert visit.ended == {End.LOST: 1}


def test_a_transport_without_a_connection_layer_is_left_alone() -> None:
    reactor = MemoryReactor()
    presence = Presence(object(), reactor)
    presence.pause()
    reactor.advance(LOOK)
    assert not reactor.getDelayedCalls()
