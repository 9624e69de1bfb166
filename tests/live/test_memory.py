"""The real daemon where memory is out: by injection, and by a limit of the kernel's."""

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

#: There is no memory to read into while one file is there, and none to hold in reserve while
#: another is.
POOR = """
import os
import mmap as mmap_module
from tcpd.net import transport
from tcpd.ops import memory

begun = transport.SocketConnection.__init__

def begin(self, *arguments):
    begun(self, *arguments)
    receive = self._receive
    def poor(size):
        if os.path.exists("poor"):
            raise MemoryError("none left")
        return receive(size)
    self._receive = poor

class Poor:
    MAP_PRIVATE, MAP_ANONYMOUS = mmap_module.MAP_PRIVATE, mmap_module.MAP_ANONYMOUS
    @staticmethod
    def mmap(*arguments):
        if os.path.exists("very-poor"):
            raise OSError(12, "Cannot allocate memory")
        return mmap_module.mmap(*arguments)

transport.SocketConnection.__init__ = begin
memory.mmap = Poor
memory.PATIENCE = 0.5
memory.RETRY = 0.1
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    certificates.make(tmp_path, "localhost")
    (tmp_path / "sitecustomize.py").write_text(POOR)
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


def reset(client: socket.socket) -> bool:
    """Whether a connection ends, one way or the other."""
    try:
        return client.recv(100) == b""
    except ConnectionResetError:
        return True


def says_it_back(client: socket.socket) -> bool:
    client.sendall(b"still here\n")
    return receive_until(client, b"still here\n") == b"still here\n"


def cpu(daemon: Daemon) -> float:
    """Seconds of processor time that a daemon has used."""
    stat = Path(f"/proc/{daemon.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def test_who_there_is_no_memory_for_is_closed_and_nobody_else(daemon: Daemon) -> None:
    """ "One connection's failure costs that connection": it is not tried again and again."""
    poor = daemon.directory / "poor"
    with daemon.connect("echo") as bystander:
        assert says_it_back(bystander)
        poor.touch()
        for _ in range(100):
            with daemon.connect("echo") as client:
                client.sendall(b"hi")
                assert reset(client)
        poor.unlink()
        assert says_it_back(bystander)
        with daemon.connect("echo") as client:
            assert says_it_back(client)
    (line,) = daemon.wait_for(lambda line: "memory is available again" in line)
    failures = re.search(r"after (\d+) failures", line)
    assert failures
    log = "\n".join(daemon.log)
    assert log.count("memory is available again") == 1
    # a line each 10 seconds at most
    assert log.count("out of memory: ") == log.count("Traceback") < int(failures[1])
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.process.wait(PATIENCE) == -signal.SIGTERM


def test_memory_that_is_really_out_ends_the_process(daemon: Daemon) -> None:
    """ "The process ends with a sentence and a status, so that its supervisor restarts it." """
    (daemon.directory / "poor").touch()
    (daemon.directory / "very-poor").touch()
    deadline = time.monotonic() + PATIENCE
    while daemon.process.poll() is None:
        assert time.monotonic() < deadline
        # it may end while a client connects, and when the client has
        with contextlib.suppress(ConnectionError), daemon.connect("echo") as client:
            client.sendall(b"hi")
            assert reset(client)
    assert daemon.process.wait(PATIENCE) == 1
    daemon.wait_for(lambda line: "the process exits with status 1" in line)
    daemon.wait_for(lambda line: line.startswith("tcpd: out of memory: "))


@pytest.mark.parametrize("room", [2, 6, 12])
@pytest.mark.parametrize("reactor", [REACTOR, ["--reactor=epoll"]], ids=["", "epoll"])
def test_a_limit_of_memory_wedges_nothing(tmp_path: Path, reactor: list[str], room: int) -> None:
    """RLIMIT_AS a few megabytes above the daemon's use, and clients that need more: it serves those
    that it has memory for, or it exits; signals are handled. (C libraries may
    crash, which is an exit, too.)"""
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
    """Whether a daemon serves somebody, or has ended, within the time that it has for that."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and daemon.process.poll() is None:
        try:
            with daemon.connect("echo") as client:
                client.settimeout(5)
                if says_it_back(client):
                    return True
        except (OSError, AssertionError):
            pass
    return daemon.process.poll() is not None
