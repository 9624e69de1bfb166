"""Five thousand slow connections at once beside a client that is served all the while."""

from __future__ import annotations

import resource
import selectors
import socket
import time
from collections.abc import Callable, Iterator

import pytest
from running import PATIENCE, Daemon, receive_until

pytestmark = [pytest.mark.live, pytest.mark.long, pytest.mark.serial]

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


def echo(client: socket.socket, count: int) -> None:
    """Send so many messages and wait for each to come back; a time-out of the socket's fails."""
    for _ in range(count):
        client.sendall(b"hello")
        receive_until(client, b"hello")


@pytest.mark.usefixtures("files")
def test_five_thousand_slow_connections_leave_a_bystander_served_and_all_are_ended(
    start: Callable[[str], Daemon],
) -> None:
    """5,000 connections that say nothing, or a byte now and then, are each ended with the reason;
    another service answers all the while."""
    daemon = start(CONFIG)
    with daemon.connect("echo") as bystander:
        slow = [daemon.connect("line") for _ in range(COUNT)]
        silent, trickling = slow[: COUNT // 2], slow[COUNT // 2 :]
        for _ in range(3):
            for client in trickling:
                client.send(b"P")
            echo(bystander, 1000)
        farewells = _ends(slow, daemon)
        assert {farewells[client] for client in silent} == {b"you did not say anything in time"}
        assert {farewells[client] for client in trickling} == {
            b"connections may not last longer than this"
        }
        echo(bystander, 10)


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
