"""The real daemon, and a socket that plays systemd."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import PATIENCE, Daemon

pytestmark = pytest.mark.live

#: Seconds; signs of life are due at half of it.
WATCHDOG = 1.0

CONFIG = """
[tcpd]
drain = 20s
[service:chargen]
protocol = chargen
listen =
    127.0.0.1:0
"""


class Manager:
    """Plays the service manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(PATIENCE)

    def read(self) -> dict[str, str]:
        """The next datagram."""
        return dict(line.split("=", 1) for line in self.socket.recv(65536).decode().splitlines())

    def read_until(self, name: str, part: str = "") -> dict[str, str]:
        """The next one that has this word, with this in its value."""
        while (
            part not in (words := self.read()).get(name, "" if part else "\0") or name not in words
        ):
            pass
        return words

    def hears_nothing_for(self, seconds: float) -> bool:
        """Whether nothing comes for so long, after what came already."""
        self.socket.setblocking(False)
        try:
            while True:
                self.socket.recv(65536)
        except BlockingIOError:
            pass
        self.socket.settimeout(seconds)
        try:
            self.socket.recv(65536)
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(PATIENCE)
        return False


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    yield made
    made.socket.close()


@pytest.fixture
def daemon(tmp_path: Path, manager: Manager) -> Iterator[Daemon]:
    started = Daemon(
        tmp_path,
        CONFIG,
        variables={
            "NOTIFY_SOCKET": str(manager.path),
            "WATCHDOG_USEC": str(int(WATCHDOG * 1e6)),
        },
    )
    yield started
    started.process.send_signal(signal.SIGCONT)
    started.process.send_signal(signal.SIGTERM)
    started.stop()


def test_a_life_as_the_manager_sees_it(daemon: Daemon, manager: Manager) -> None:
    """READY after the last listen, signs of life, the status, and a stop that asks for time."""
    first = manager.read()
    assert first["READY"] == "1"
    assert first["STATUS"].startswith("serving 1 service: 0 connections now")
    assert manager.read()["WATCHDOG"] == "1"
    # who does not read what is on its way keeps a stop waiting
    with daemon.connect("chargen") as client:
        manager.read_until("STATUS", "1 connection now, 1 accepted, 0 refused")
        daemon.process.send_signal(signal.SIGTERM)
        stopping = manager.read_until("STOPPING")
        assert stopping["EXTEND_TIMEOUT_USEC"] == "20000000"
        assert "1 connection left" in stopping["STATUS"]
        assert "EXTEND_TIMEOUT_USEC" in manager.read()
        client.shutdown(socket.SHUT_RDWR)
    assert daemon.stop() == -signal.SIGTERM, "the clean end, as twistd has it"
    assert manager.hears_nothing_for(WATCHDOG)


def test_a_process_that_hangs_gives_no_sign_of_life(daemon: Daemon, manager: Manager) -> None:
    manager.read_until("WATCHDOG")
    os.kill(daemon.process.pid, signal.SIGSTOP)
    assert manager.hears_nothing_for(2 * WATCHDOG)
    os.kill(daemon.process.pid, signal.SIGCONT)
    assert manager.read()["WATCHDOG"] == "1"
