"""Live daemon while the wall clock is set."""

from __future__ import annotations

import mmap
import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import PATIENCE, Daemon, receive_until
from service_manager import ServiceManager

pytestmark = pytest.mark.live

#: sitecustomize: replaces ``time.time`` before Twisted is imported; adds the seconds in a file.
CLOCK = """
import mmap, os, struct, time
_file = os.open(os.environ["TEST_CLOCK"], os.O_RDONLY)
_step = mmap.mmap(_file, 8, prot=mmap.PROT_READ)
_real = time.time
time.time = lambda: _real() + struct.unpack("d", _step)[0]
"""

#: Seconds; the daemon sends WATCHDOG=1 at half of it.
WATCHDOG = 0.2

CONFIG = """
[policy:default]
session = 1h
idle = 30min
access_log = yes
[service:echo]
protocol = echo
listen =
    127.0.0.1:0
[service:line]
protocol = line
listen =
    127.0.0.1:0
[service:irc]
protocol = irc
ping = 1h
listen =
    127.0.0.1:0
"""


class WallClock:
    """The daemon's wall clock.

    :param directory: for ``sitecustomize.py`` and for the file with the offset.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / "clock"
        self.path.write_bytes(struct.pack("d", 0.0))
        (directory / "sitecustomize.py").write_text(CLOCK)
        with self.path.open("r+b") as file:
            self._step = mmap.mmap(file.fileno(), 8)

    def set(self, step: float) -> None:
        """Set the clock ahead by the given seconds."""
        self._step[:] = struct.pack("d", step)

    def close(self) -> None:
        self._step.close()


@pytest.fixture
def wall(tmp_path: Path) -> Iterator[WallClock]:
    made = WallClock(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("step", [-3600.0, 7200.0], ids=["back", "forward"])
@pytest.mark.parametrize(
    "reactor",
    [
        "tcpd",
        "epoll",
        *[pytest.param(name, marks=pytest.mark.long) for name in ("select", "asyncio")],
    ],
)
def test_step_of_the_wall_clock_affects_no_timer(
    tmp_path: Path, wall: WallClock, manager: ServiceManager, reactor: str, step: float
) -> None:
    """ "Every duration, timer, rate and watchdog runs on a monotonic clock; wall time only where
    people read it." """
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    daemon = Daemon(
        tmp_path,
        CONFIG,
        variables={
            "NOTIFY_SOCKET": str(manager.path),
            "WATCHDOG_USEC": f"{WATCHDOG * 1e6:.0f}",
            "PYTHONPATH": path,
            "TEST_CLOCK": str(wall.path),
        },
        reactor=[f"--reactor={reactor}"],
    )
    try:
        manager.read_until("READY")
        with daemon.connect("echo") as echo, daemon.connect("irc") as irc:
            irc.sendall(b"NICK ann\r\nUSER ann 0 * :Ann\r\n")
            while b" 005 " not in irc.recv(65536):
                pass
            before = time_of_day(daemon)
            wall.set(step)
            assert (time_of_day(daemon) - before - step) % 86400 < PATIENCE
            for _ in range(10):  # after a step back, timers by wall time would stop for an hour
                manager.read_until("WATCHDOG")
            echo.sendall(b"still here")
            receive_until(echo, b"still here")
            irc.sendall(b"WHOIS ann ann\r\nSTATS u\r\nPING last\r\n")
            replies = receive_until(irc, b"last\r\n").decode()
            idle = re.search(r" 317 ann ann (\d+) ", replies)
            assert idle is not None
            assert int(idle[1]) < PATIENCE
            assert "Server Up 0 days 0:00:" in replies
        (line,) = daemon.wait_for(lambda line: "service echo" in line and "ended" in line)
        seconds = re.search(r"after (-?[0-9.]+) s", line)
        assert seconds is not None, line
        assert 0 <= float(seconds[1]) < PATIENCE
    finally:
        wall.set(0.0)
        daemon.stop()
    (took,) = re.findall(r"stopped after (-?[0-9.]+) s$", "\n".join(daemon.log), re.M)
    assert 0 <= float(took) < PATIENCE


def time_of_day(daemon: Daemon) -> int:
    """Return the daemon's time of day in seconds, by its line service."""
    with daemon.connect("line") as client:
        receive_until(client, b"\r\n")
        client.sendall(b"UPTIME\r\nTIME\r\n")
        uptime = receive_until(client, b"\r\n").decode()
        while uptime.count("\n") < 2:
            uptime += receive_until(client, b"\r\n").decode()
    found = re.search(r"T(\d+):(\d+):(\d+)Z", uptime)
    seconds = re.search(r"250 (-?\d+) seconds", uptime)
    assert found, uptime
    assert seconds, uptime
    assert 0 <= int(seconds[1]) < PATIENCE
    hours, minutes, rest = map(int, found.groups())
    return hours * 3600 + minutes * 60 + rest
