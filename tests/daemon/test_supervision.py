"""What the service manager is told, on a clock that a test turns."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from tcpd.daemon.supervision import EXTENSION, INTERVAL, Load, Supervision


class House:
    """A manager's socket, and who tells it things."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.load = Load(services=2, connections=0, accepted=0, refused=0)
        self.clock = Clock()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.setblocking(False)

    def supervision(self, **environ: str) -> Supervision:
        return Supervision(
            {"NOTIFY_SOCKET": str(self.path), **environ}, self.clock, lambda: self.load
        )

    def read(self) -> dict[str, str]:
        """What came with the next datagram; empty where none came."""
        try:
            text = self.socket.recv(65536).decode()
        except BlockingIOError:
            return {}
        return dict(line.split("=", 1) for line in text.splitlines())


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "notify")
    yield made
    made.socket.close()


def test_readiness_comes_with_a_status(house: House) -> None:
    house.supervision().ready()
    assert house.read() == {
        "READY": "1",
        "STATUS": "serving 2 services: 0 connections now, 0 accepted, 0 refused",
    }


def test_the_status_is_told_when_it_has_changed(house: House) -> None:
    house.supervision().ready()
    house.read()
    house.clock.advance(INTERVAL)
    assert house.read() == {}
    house.load = Load(services=1, connections=1, accepted=7, refused=3)
    assert house.read() == {}, "not at once"
    house.clock.advance(INTERVAL)
    assert house.read() == {"STATUS": "serving 1 service: 1 connection now, 7 accepted, 3 refused"}
    house.clock.advance(INTERVAL)
    assert house.read() == {}


def test_signs_of_life_come_at_half_the_time_of_the_watchdog(house: House) -> None:
    house.supervision(WATCHDOG_USEC="3000000", WATCHDOG_PID=str(os.getpid())).ready()
    assert house.read()["WATCHDOG"] == "1"
    for _ in range(5):
        house.clock.advance(1.4)
        assert house.read() == {}
        house.clock.advance(0.1)
        assert house.read() == {"WATCHDOG": "1"}


def test_a_reactor_that_is_stuck_gives_none(house: House) -> None:
    """Its clock goes on, but nothing that it should call is called."""
    house.supervision(WATCHDOG_USEC="3000000").ready()
    house.read()
    house.clock.rightNow += 3600.0
    assert house.read() == {}


def test_a_watchdog_of_another_process_is_left_alone(house: House) -> None:
    house.supervision(WATCHDOG_USEC="3000000", WATCHDOG_PID="1").ready()
    assert "WATCHDOG" not in house.read()
    house.clock.advance(INTERVAL)
    assert house.read() == {}


def test_a_stop_asks_for_time_as_long_as_it_drains(house: House) -> None:
    supervision = house.supervision(WATCHDOG_USEC="60000000")
    house.load = replace(house.load, connections=2)
    supervision.ready()
    house.read()
    house.clock.advance(1.0)
    supervision.stopping(600.0)
    extension = str(int(EXTENSION * 1e6))
    assert house.read() == {
        "STOPPING": "1",
        "WATCHDOG": "1",
        "EXTEND_TIMEOUT_USEC": extension,
        "STATUS": "stopping: 2 connections left, for 600 s at most",
    }
    house.load = replace(house.load, connections=1)
    house.clock.advance(INTERVAL)
    assert house.read() == {
        "WATCHDOG": "1",
        "EXTEND_TIMEOUT_USEC": extension,
        "STATUS": "stopping: 1 connection left, for 595 s at most",
    }
    supervision.stop()
    house.clock.advance(INTERVAL)
    assert house.read() == {}
    assert house.clock.getDelayedCalls() == []


def test_a_manager_that_was_away_is_told_the_status_later(house: House) -> None:
    supervision = house.supervision()
    supervision.ready()
    house.read()
    house.socket.close()
    house.path.unlink()
    house.load = replace(house.load, accepted=1)
    house.clock.advance(INTERVAL)
    house.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    house.socket.bind(str(house.path))
    house.socket.setblocking(False)
    house.clock.advance(INTERVAL)
    assert "1 accepted" in house.read()["STATUS"]


def test_without_a_manager_there_is_no_timer() -> None:
    clock = Clock()
    supervision = Supervision({}, clock, lambda: Load(0, 0, 0, 0))
    supervision.ready()
    supervision.stopping(1.0)
    supervision.stop()
    assert clock.getDelayedCalls() == []
