"""Slow loris: 5,000 slow connections, and a client of another service."""

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
    """Raise the limit of open files for this process and its daemon."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < COUNT + 500:
        pytest.fail(f"this test requires {COUNT + 500} open files: ulimit -Hn")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, COUNT + 500), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def echo(client: socket.socket, count: int) -> None:
    """Send ``count`` messages, and wait for the echo of each."""
    for _ in range(count):
        client.sendall(b"hello")
        receive_until(client, b"hello")


@pytest.mark.usefixtures("files")
def test_5000_slow_connections_are_closed_and_others_served(
    start: Callable[[str], Daemon],
) -> None:
    """``first_byte`` closes silent connections, ``session`` those that send a byte now and then."""
    daemon = start(CONFIG)
    with daemon.connect("echo") as bystander:
        slow = [daemon.connect("line") for _ in range(COUNT)]
        silent, trickling = slow[: COUNT // 2], slow[COUNT // 2 :]
        for _ in range(3):
            for client in trickling:
                client.send(b"P")
            echo(bystander, 1000)
        farewells = _farewells(slow, daemon)
        assert {farewells[client] for client in silent} == {b"you did not say anything in time"}
        assert {farewells[client] for client in trickling} == {
            b"connections may not last longer than this"
        }
        echo(bystander, 10)


def _farewells(clients: list[socket.socket], daemon: Daemon) -> dict[socket.socket, bytes]:
    """Read until all connections are closed; return the reason in the last line of each."""
    selector = selectors.DefaultSelector()
    received = dict.fromkeys(clients, b"")
    for client in clients:
        client.setblocking(False)
        selector.register(client, selectors.EVENT_READ)
    late = time.monotonic() + 2 * PATIENCE
    while selector.get_map():
        assert time.monotonic() < late, f"{len(selector.get_map())} are still open"
        for key, _ in selector.select(1.0):
            client = key.fileobj
            assert isinstance(client, socket.socket)
            try:
                piece = client.recv(4096)
            except ConnectionResetError:
                piece = b""
            received[client] += piece
            if not piece:
                selector.unregister(client)
                client.close()
    selector.close()
    return {
        client: words.rstrip().rpartition(b"\r\n")[2].partition(b" ")[2].partition(b" ")[2]
        for client, words in received.items()
    }
