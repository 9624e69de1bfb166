"""tcpd's transport: same calls as Twisted's, resets, peers that do not read."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from running import PATIENCE, Daemon, descriptors, receive_until, resident
from streams import reset

pytestmark = [pytest.mark.live, pytest.mark.reactor]

TRACING = Path(__file__).parent.parent / "tracing.py"


def traced(path: str, reactor: str) -> list[list[str]]:
    done = subprocess.run(
        [sys.executable, str(TRACING), path, reactor],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    trace: list[list[str]] = json.loads(done.stdout)
    return trace


@pytest.mark.parametrize("reactor", ["tcpd", "epoll", "select", "poll", "asyncio"])
def test_protocol_gets_the_same_calls_as_on_an_endpoint(
    reactor: str,
) -> None:
    endpoint = traced("endpoint", "epoll")
    assert len(endpoint) == 7
    assert traced("own", reactor) == endpoint


needs_proc = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")

ECHO = (
    "[tcpd]\ncontrol = none\n[policy:default]\nper_address = 1000\n"
    "[service:echo]\nprotocol = echo\nlisten =\n  127.0.0.1:0\n"
)


@needs_proc
def test_ten_thousand_resets_leak_nothing(start: Callable[[str], Daemon]) -> None:
    daemon = start(ECHO)

    def connect_and_reset() -> None:
        client = daemon.connect("echo")
        client.sendall(b"hi")
        reset(client)

    def echo() -> None:
        with daemon.connect("echo") as client:
            client.sendall(b"done")
            receive_until(client, b"done")

    for _ in range(1000):
        connect_and_reset()
    echo()
    before = descriptors(daemon), resident(daemon)
    for _ in range(9000):
        connect_and_reset()
    deadline = time.monotonic() + PATIENCE
    echo()
    while descriptors(daemon) > before[0] + 1:  # the last resets are still being read
        assert time.monotonic() < deadline, f"{descriptors(daemon)} open, {before[0]} before"
        echo()
    assert resident(daemon) - before[1] < 2 << 20


@needs_proc
def test_peer_that_does_not_read_uses_at_most_1_mib(
    start: Callable[[str], Daemon],
) -> None:
    daemon = start(ECHO)
    with daemon.connect("echo") as client:
        client.sendall(b"warm")
        receive_until(client, b"warm")
    before = resident(daemon)
    clients = [daemon.connect("echo") for _ in range(20)]
    for client in clients:
        client.settimeout(0.2)
        try:
            while True:
                client.sendall(b"x" * 1_000_000)
        except TimeoutError:
            pass
    assert resident(daemon) - before < 20 << 20
    for client in clients:
        client.close()
