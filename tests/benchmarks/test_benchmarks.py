"""The benchmarks run, compare correctly, and detect faults. No test measures speed."""

from __future__ import annotations

import inspect
import json
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import threading
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from net.doubles import MemoryReactor, MemorySocket
from running import PATIENCE, Daemon

from benchmarks.crowd import addresses, ended
from benchmarks.ground import Ground
from benchmarks.report import Table, spread
from tcpd.net.transport import SocketConnection
from tcpd.net.turns import TurnScheduler
from tcpd.small.echo import EchoFactory

ROOT = Path(__file__).resolve().parents[2]

needs_epoll = pytest.mark.skipif(not hasattr(select, "epoll"), reason="no epoll on this system")
needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler is installed")


def test_ratio_compares_results_of_the_same_round() -> None:
    table = Table("echo-64", "echo", "message", "stock")
    for round_, (unit, other) in enumerate([(2.0, 1.0), (8.0, 2.0), (3.0, 1.0)]):
        table.add("stock", round_, {"cpu": unit, "operations": 1.0, "seconds": 1.0})
        table.add("other", round_, {"cpu": other, "operations": 1.0, "seconds": 1.0})
    assert table.ratios("other") == [2.0, 4.0, 3.0]
    assert "3.00 (2.00-4.00)" in table.text()


def test_no_ratio_without_the_unit() -> None:
    table = Table("echo-64", "echo", "message", "stock")
    table.add("other", 0, {"cpu": 1.0, "operations": 2.0, "seconds": 1.0})
    assert table.ratios("other") == []
    assert spread([]) == "-"


def test_table_has_the_reason_for_a_skipped_server() -> None:
    table = Table("echo-64", "echo", "message", "stock")
    table.skipped["xinetd"] = "it is not installed"
    assert "xinetd: skipped, it is not installed" in table.text()


#: Lines of the connection layer in methods of the transport.
POLICY_LINES = {
    "doRead": [
        "size = len(data)",
        "self.bytes_in += size",
        "self._counters.bytes_in += size",
        "self.idle_sweeps = 0",
    ],
    "write": [
        "self.bytes_out += size",
        "self._counters.bytes_out += size",
        "self.idle_sweeps = 0",
        "if self._blocked and self._pending > self.layer.policy.unsent:",
        "self.end(End.SLOW_READER)",
        "return",
    ],
}


def code_of(method: object) -> list[str]:
    lines = [line.strip() for line in inspect.getsource(method).splitlines()]
    return [line for line in lines if not line.startswith("#")]


@needs_epoll
@pytest.mark.parametrize("name", POLICY_LINES)
def test_lean_peer_has_the_methods_of_the_transport(name: str) -> None:
    """The benchmark is "the same protocol without it" only if nothing else is omitted."""
    from benchmarks.peers.lean import Bare

    with_policy = code_of(getattr(SocketConnection, name))
    policy = POLICY_LINES[name]
    starts = (at for at, line in enumerate(with_policy) if line == policy[0])
    at = next(at for at in starts if with_policy[at : at + len(policy)] == policy)
    del with_policy[at : at + len(policy)]
    assert code_of(getattr(Bare, name)) == with_policy


@needs_epoll
def test_lean_peer_is_initialized_as_the_transport() -> None:
    from benchmarks.peers.lean import Bare

    ours = code_of(SocketConnection.__init__)
    transport = ours[ours.index("self._socket = sock") :]
    assert len(transport) > 10
    assert code_of(Bare.__init__)[-len(transport) :] == transport


@needs_epoll
def test_lean_peer_echoes_and_closes() -> None:
    from benchmarks.peers.lean import BareListener

    reactor, sock = MemoryReactor(), MemorySocket()
    accepted: Any = sock
    sock.incoming = [b"hello", b""]
    BareListener(EchoFactory()).accept_socket(accepted, ("192.0.2.1", 4711), TurnScheduler(reactor))
    (connection,) = reactor.readers
    connection.doRead()
    assert sock.taken == b"hello"
    connection.doRead()
    reactor.end_turn()
    assert sock.closed


@pytest.mark.live
@pytest.mark.long
@needs_compiler
def test_benchmark_of_the_daemon_and_a_peer(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    command = [sys.executable, "-m", "benchmarks", "--rounds", "1", "--seconds", "0.1"]
    command += ["--json", str(results)]
    for server in ("stock Twisted", "lean, no policy", "tcpd", "tcpd, all policy"):
        command += ["--server", server]
    for case in ("echo-64", "bulk", "connect", "line-16", "chat-100-window4"):
        command += ["--case", case]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    cases = json.loads(results.read_text())["cases"]
    assert len(cases) == 5
    for case in cases:
        assert not case["skipped"], case
        for server in ("tcpd", "tcpd, all policy"):
            (result,) = case["results"][server]
            assert result["operations"] > 0


@pytest.mark.live
@needs_compiler
def test_load_detects_a_wrong_byte(tmp_path: Path) -> None:
    program = Ground(tmp_path).build("load.c")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(PATIENCE)

        def echo_wrongly() -> None:
            client, _ = listening.accept()
            with client:
                client.settimeout(PATIENCE)
                data = bytearray(client.recv(65536))
                data[-1] ^= 1
                client.sendall(data)
                client.recv(1)

        thread = threading.Thread(target=echo_wrongly)
        thread.start()
        port = listening.getsockname()[1]
        done = subprocess.run(
            [program, "case=echo", "conns=1", f"port={port}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        thread.join()
    assert done.returncode == 1
    assert "the reply differs" in done.stderr


@pytest.mark.live
def test_crowd_connects_from_many_addresses(tmp_path: Path) -> None:
    """20 connections from 10 addresses, with ``per_address = 2``."""
    daemon = Daemon(
        tmp_path,
        "[policy:default]\nper_address = 2\n"
        "[service:line]\nprotocol = line\nlisten =\n    127.0.0.1:0\n",
    )

    def crowd(connections: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                *(sys.executable, "-m", "benchmarks.crowd", "127.0.0.1"),
                *(str(daemon.ports["line", ""]), "--connections", str(connections)),
                *("--addresses", "10", "--hold", "0", "--pid", str(daemon.process.pid)),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    try:
        held = crowd(20)
        assert (held.returncode, held.stderr) == (0, "")
        assert re.match(r"20 connections answered in [\d.]+ s, 0 not\n", held.stdout)
        assert "20 open, 0 closed" in held.stdout
        assert re.search(r"the server: \d+ MiB before", held.stdout)
    finally:
        daemon.stop()


def test_crowd_counts_connections_closed_by_the_server() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.sendall(b"unread")
        assert ended([ours]) == 0
        theirs.close()
        assert ended([ours]) == 1


def test_addresses_of_a_crowd_are_distinct() -> None:
    found = list(addresses(70_000))
    assert len({*found}) == 70_000
    assert all(ip_address(each).is_loopback for each in found)
