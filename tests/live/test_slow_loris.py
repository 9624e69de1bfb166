"""Five thousand slow connections at once, and what somebody else notices of them."""

from __future__ import annotations

import resource
import selectors
import socket
import statistics
import time
from collections.abc import Callable, Iterator

import pytest
from running import PATIENCE, Daemon, receive_until

pytestmark = [pytest.mark.live, pytest.mark.long]

COUNT = 5000

CONFIG = """
[tcpd]
control = none
[policy:default]
per_address = 10000
connections = 10000
first_byte = 20s
session = 30s
[policy:bystander]
[service:line]
protocol = line
listen =
    127.0.0.1:0
[service:echo]
protocol = echo
policy = bystander
listen =
    127.0.0.1:0
"""


@pytest.fixture
def files() -> Iterator[None]:
    """Let this process have so many sockets, and the daemon that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < COUNT + 500:
        pytest.fail(f"this test takes {COUNT + 500} open files: ulimit -Hn")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, COUNT + 500), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def latencies(client: socket.socket, count: int) -> list[float]:
    """Seconds that an echo took, the longest last."""
    found = []
    for _ in range(count):
        began = time.perf_counter()
        client.sendall(b"hello")
        receive_until(client, b"hello")
        found.append(time.perf_counter() - began)
    return sorted(found)


@pytest.mark.usefixtures("files")
def test_five_thousand_slow_connections_cost_a_bystander_nothing_and_all_are_ended(
    start: Callable[[str], Daemon],
) -> None:
    """Issue: "A slow-loris of 5,000 connections costs no other client anything measurable".

    One half says nothing at all, the other a byte of a command now and then.
    """
    daemon = start(CONFIG)
    with daemon.connect("echo") as bystander:
        alone = latencies(bystander, 3000)
        slow = [daemon.connect("line") for _ in range(COUNT)]
        began = time.monotonic()
        silent, trickling = slow[: COUNT // 2], slow[COUNT // 2 :]
        among = []
        for _ in range(3):
            for client in trickling:
                client.send(b"P")
            among += latencies(bystander, 1000)
        among.sort()
        assert statistics.median(among) < statistics.median(alone) * 1.5 + 50e-6
        # one that meets a sweep, or a piece from each of the others, waits for those
        assert among[-30] < alone[-30] * 2 + 10e-3
        farewells = _ends(slow, daemon)
        took = time.monotonic() - began
        assert {farewells[client] for client in silent} == {b"you did not say anything in time"}
        assert {farewells[client] for client in trickling} == {
            b"connections may not last longer than this"
        }
        assert took < 45, f"the last was ended after {took:.0f} s"
        latencies(bystander, 10)


def _ends(clients: list[socket.socket], daemon: Daemon) -> dict[socket.socket, bytes]:
    """The last words that each was ended with."""
    selector = selectors.DefaultSelector()
    heard = dict.fromkeys(clients, b"")
    for client in clients:
        client.setblocking(False)
        selector.register(client, selectors.EVENT_READ)
    late = time.monotonic() + 2 * PATIENCE
    while selector.get_map():
        assert time.monotonic() < late, f"{len(selector.get_map())} are still there"
        for key, _ in selector.select(1.0):
            client = key.fileobj
            assert isinstance(client, socket.socket)
            try:
                piece = client.recv(4096)
            except ConnectionResetError:
                piece = b""
            heard[client] += piece
            if not piece:
                selector.unregister(client)
                client.close()
    selector.close()
    return {
        client: words.rstrip().rpartition(b"\r\n")[2].partition(b" ")[2].partition(b" ")[2]
        for client, words in heard.items()
    }
