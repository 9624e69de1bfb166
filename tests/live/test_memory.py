"""The daemon out of memory: by injected failures, and by RLIMIT_AS."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import select
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import certificates
import pytest
from running import PATIENCE, REACTOR, Daemon, receive_until

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc"),
]

CONFIG = """
[tcpd]
drain = 2s
[policy:default]
per_address = 10000
connections = 10000
unsent = 1MiB
[tls:main]
certificate = localhost.pem
key = localhost-key.pem
""" + "".join(
    f"[service:{kind}]\nprotocol = {kind}\nlisten =\n  127.0.0.1:0\n  127.0.0.1:0 tls=main\n"
    for kind in ("echo", "line", "chat", "irc", "chargen")
)

#: Code that the daemon runs first: reads fail while one file exists, and the allocation of the
#: reserve while another does.
FAILURES = """
import os
import mmap as mmap_module
from tcpd.net import transport
from tcpd.ops import memory

begun = transport.SocketConnection.__init__

def begin(self, *arguments):
    begun(self, *arguments)
    receive = self._receive
    def fail(size):
        if os.path.exists("no-memory"):
            raise MemoryError("none left")
        return receive(size)
    self._receive = fail

class FailingMmap:
    MAP_PRIVATE, MAP_ANONYMOUS = mmap_module.MAP_PRIVATE, mmap_module.MAP_ANONYMOUS
    @staticmethod
    def mmap(*arguments):
        if os.path.exists("no-reserve"):
            raise OSError(12, "Cannot allocate memory")
        return mmap_module.mmap(*arguments)

transport.SocketConnection.__init__ = begin
memory.mmap = FailingMmap
memory.PATIENCE = 0.5
memory.RETRY = 0.1
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    certificates.make(tmp_path, "localhost")
    (tmp_path / "sitecustomize.py").write_text(FAILURES)
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    made = Daemon(tmp_path, CONFIG, variables={"PYTHONPATH": path})
    try:
        yield made
    finally:
        made.process.kill()
        made.process.wait(PATIENCE)
        made.reader.join(PATIENCE)
        assert made.process.stdout is not None
        made.process.stdout.close()


def is_ended(client: socket.socket) -> bool:
    """Whether the server closes or resets a connection."""
    try:
        return client.recv(100) == b""
    except ConnectionResetError:
        return True


def echoes(client: socket.socket) -> bool:
    client.sendall(b"still here\n")
    return receive_until(client, b"still here\n") == b"still here\n"


def cpu(daemon: Daemon) -> float:
    """CPU time of a daemon in seconds."""
    stat = Path(f"/proc/{daemon.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def test_failed_allocation_closes_only_that_connection(daemon: Daemon) -> None:
    """docs/explanation/attacks.rst: "only the connection that fails is closed" """
    no_memory = daemon.directory / "no-memory"
    with daemon.connect("echo") as bystander:
        assert echoes(bystander)
        no_memory.touch()
        for _ in range(100):
            with daemon.connect("echo") as client:
                client.sendall(b"hi")
                assert is_ended(client)
        no_memory.unlink()
        assert echoes(bystander)
        with daemon.connect("echo") as client:
            assert echoes(client)
    (line,) = daemon.wait_for(lambda line: "memory is available again" in line)
    failures = re.search(r"after (\d+) failures", line)
    assert failures
    log = "\n".join(daemon.log)
    assert log.count("memory is available again") == 1
    # at most one line in 10 seconds
    assert log.count("out of memory: ") == log.count("Traceback") < int(failures[1])
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.process.wait(PATIENCE) == -signal.SIGTERM


def test_process_ends_when_allocations_continue_to_fail(daemon: Daemon) -> None:
    """docs/explanation/attacks.rst: "the process ends with a message and status 1" """
    (daemon.directory / "no-memory").touch()
    (daemon.directory / "no-reserve").touch()
    deadline = time.monotonic() + PATIENCE
    while daemon.process.poll() is None:
        assert time.monotonic() < deadline
        # the process may end before the client connects, or after
        with contextlib.suppress(ConnectionError), daemon.connect("echo") as client:
            client.sendall(b"hi")
            assert is_ended(client)
    assert daemon.process.wait(PATIENCE) == 1
    daemon.wait_for(lambda line: "the process exits with status 1" in line)
    daemon.wait_for(lambda line: line.startswith("tcpd: out of memory: "))


@pytest.mark.parametrize("room", [2, 6, 12])
@pytest.mark.parametrize("reactor", [REACTOR, ["--reactor=epoll"]], ids=["", "epoll"])
def test_daemon_at_its_memory_limit_serves_or_exits(
    tmp_path: Path, reactor: list[str], room: int
) -> None:
    """RLIMIT_AS is a few megabytes above the daemon's use, and clients need more. It handles
    signals. A crash in a C library is an exit, too."""
    certificates.make(tmp_path, "localhost")
    daemon = Daemon(tmp_path, CONFIG, reactor=reactor)
    process = daemon.process
    clients: list[socket.socket] = []
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
        size = re.search(r"^VmSize:\s+(\d+) kB", status, re.M)
        assert size
        limit = (int(size[1]) << 10) + (room << 20)
        resource.prlimit(process.pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
        ports = list(daemon.ports.values())
        for number in range(400):
            if process.poll() is not None:
                break
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", ports[number % len(ports)]))
            clients.append(client)
            _, ready, _ = select.select([], clients[-50:], [], 0.001)
            for each in ready:
                with contextlib.suppress(OSError):
                    each.send(b"NICK n%d\r\nUSER a 0 * :a\r\nJOIN #x\r\n" % number + bytes(60_000))
        for client in clients:
            client.close()
        assert served_or_gone(daemon)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) != 0
    finally:
        process.kill()
        process.wait(PATIENCE)
        daemon.reader.join(PATIENCE)
        assert process.stdout is not None
        process.stdout.close()


def served_or_gone(daemon: Daemon) -> bool:
    """Whether a daemon serves a client, or has ended, before a timeout."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and daemon.process.poll() is None:
        try:
            with daemon.connect("echo") as client:
                client.settimeout(5)
                if echoes(client):
                    return True
        except (OSError, AssertionError):
            pass
    return daemon.process.poll() is not None
