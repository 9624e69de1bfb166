"""Detection of lost clients while reading is paused: real sockets, a test clock."""

from __future__ import annotations

import itertools
import select
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from net.doubles import MemoryReactor
from twisted.internet.protocol import Factory, Protocol

from tcpd.config.settings import PolicySettings
from tcpd.net.layer import ConnectionLayer
from tcpd.net.listener_factory import ListenerFactory
from tcpd.net.loss import error_text
from tcpd.net.turns import TurnScheduler
from tcpd.ops.counters import ServiceCounters
from tcpd.policy.admission import ConnectionCount
from tcpd.policy.reasons import End
from tcpd.relay.peer_monitor import CHECK, PeerMonitor

RESET = struct.pack("ii", 1, 0)


class MonitoredClient:
    """A client, its connection and its monitor.

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
        inner.connectionLost = lambda reason: self.errors.append(error_text(reason))
        self.monitor = PeerMonitor(self.connection, self.reactor)

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


Come = Callable[[tuple[socket.socket, socket.socket]], MonitoredClient]


@pytest.fixture
def come() -> Iterator[Come]:
    visits: list[MonitoredClient] = []

    def come(ends: tuple[socket.socket, socket.socket]) -> MonitoredClient:
        visits.append(MonitoredClient(*ends))
        return visits[-1]

    yield come
    for each in visits:
        each.monitor.stop()
        each.connection.abortConnection()
        each.reactor.end_turn()
        each.client.close()


def arrived(sock: socket.socket, event: int) -> None:
    """Wait for an event of a socket."""
    poll = select.poll()
    poll.register(sock, event)
    assert poll.poll(10_000)


def reset(visit: MonitoredClient) -> None:
    visit.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    visit.client.close()
    arrived(visit.ours, 0)


@pytest.mark.parametrize("why", ["pause", "end"])
def test_a_reset_is_detected_while_reading_is_paused(come: Come, why: str) -> None:
    """Twisted's reactors do not poll paused transports."""
    visit = come(tcp())
    getattr(visit.monitor, why)()
    reset(visit)
    visit.reactor.advance(CHECK - 1)
    assert not visit.ended
    visit.reactor.advance(1)
    assert visit.ended == {End.LOST: 1}
    visit.reactor.end_turn()
    assert visit.errors == ["Connection reset by peer"]


def test_keepalive_probes_are_enabled(come: Come) -> None:
    """RFC 1122 section 4.2.3.6. Linux sends the first after two hours by default (tcp(7))."""
    visit = come(tcp())
    before = visit.option(socket.TCP_KEEPIDLE)
    visit.monitor.pause()
    assert visit.option(socket.TCP_KEEPIDLE) == before
    visit.reactor.advance(CHECK)
    assert visit.ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert visit.option(socket.TCP_KEEPIDLE) == 15
    assert visit.option(socket.TCP_KEEPINTVL) == 15
    assert visit.option(socket.TCP_KEEPCNT) == 5


def test_a_half_closed_client_is_kept(come: Come) -> None:
    """The far side may read nothing for an hour."""
    visit = come(tcp())
    visit.client.sendall(b"question")
    visit.client.shutdown(socket.SHUT_WR)
    arrived(visit.ours, select.POLLRDHUP)
    visit.monitor.pause()
    visit.reactor.pump([CHECK] * 720)
    assert not visit.ended


def test_a_client_that_is_read_from_is_not_checked(come: Come) -> None:
    visit = come(tcp())
    visit.monitor.pause()
    visit.monitor.resume()
    visit.monitor.pause()
    visit.monitor.resume()
    visit.reactor.advance(CHECK)
    assert not visit.reactor.getDelayedCalls()
    visit.monitor.pause()
    visit.monitor.stop()
    assert not visit.reactor.getDelayedCalls()


def test_pending_data_of_a_closed_unix_socket_is_kept_15_seconds(come: Come) -> None:
    """The kernel reports the close at once: the client does not wait for a reply."""
    visit = come(socket.socketpair())
    visit.client.sendall(b"last words")
    visit.client.close()
    visit.monitor.pause()
    visit.reactor.pump([CHECK, CHECK])
    assert not visit.ended
    visit.monitor.resume()
    visit.monitor.pause()
    visit.reactor.advance(CHECK)
    assert visit.ended == {End.LOST: 1}


def test_a_closed_unix_socket_without_pending_data_is_cut_at_once(come: Come) -> None:
    visit = come(socket.socketpair())
    visit.client.close()
    visit.monitor.end()
    visit.reactor.advance(CHECK)
    assert visit.ended == {End.LOST: 1}


def test_a_transport_without_a_connection_layer_is_ignored() -> None:
    reactor = MemoryReactor()
    monitor = PeerMonitor(object(), reactor)
    monitor.pause()
    reactor.advance(CHECK)
    assert not reactor.getDelayedCalls()
