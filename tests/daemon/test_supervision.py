"""Notifications to the service manager, with a test's clock."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from tcpd.daemon.supervision import EXTENSION, INTERVAL, Load, Supervision


class SupervisionHarness:
    """A manager's socket, and the supervision that notifies it."""

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
        """Return the next datagram; empty if there is none."""
        try:
            text = self.socket.recv(65536).decode()
        except BlockingIOError:
            return {}
        return dict(line.split("=", 1) for line in text.splitlines())


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[SupervisionHarness]:
    made = SupervisionHarness(tmp_path / "notify")
    yield made
    made.socket.close()


def test_ready_notification_has_a_status(harness: SupervisionHarness) -> None:
    harness.supervision().ready()
    assert harness.read() == {
        "READY": "1",
        "STATUS": "serving 2 services: 0 connections now, 0 accepted, 0 refused",
    }


def test_changed_status_is_sent(harness: SupervisionHarness) -> None:
    harness.supervision().ready()
    harness.read()
    harness.clock.advance(INTERVAL)
    assert harness.read() == {}
    harness.load = Load(services=1, connections=1, accepted=7, refused=3)
    assert harness.read() == {}, "not at once"
    harness.clock.advance(INTERVAL)
    assert harness.read() == {
        "STATUS": "serving 1 service: 1 connection now, 7 accepted, 3 refused"
    }
    harness.clock.advance(INTERVAL)
    assert harness.read() == {}


def test_watchdog_is_notified_at_half_its_timeout(harness: SupervisionHarness) -> None:
    harness.supervision(WATCHDOG_USEC="3000000", WATCHDOG_PID=str(os.getpid())).ready()
    assert harness.read()["WATCHDOG"] == "1"
    for _ in range(5):
        harness.clock.advance(1.4)
        assert harness.read() == {}
        harness.clock.advance(0.1)
        assert harness.read() == {"WATCHDOG": "1"}


def test_stuck_reactor_does_not_notify_the_watchdog(harness: SupervisionHarness) -> None:
    """The clock of a stuck reactor advances, but it calls no timers."""
    harness.supervision(WATCHDOG_USEC="3000000").ready()
    harness.read()
    harness.clock.rightNow += 3600.0
    assert harness.read() == {}


def test_watchdog_of_another_process_is_ignored(harness: SupervisionHarness) -> None:
    harness.supervision(WATCHDOG_USEC="3000000", WATCHDOG_PID="1").ready()
    assert "WATCHDOG" not in harness.read()
    harness.clock.advance(INTERVAL)
    assert harness.read() == {}


def test_stop_extends_its_timeout_while_draining(harness: SupervisionHarness) -> None:
    supervision = harness.supervision(WATCHDOG_USEC="60000000")
    harness.load = replace(harness.load, connections=2)
    supervision.ready()
    harness.read()
    harness.clock.advance(1.0)
    supervision.stopping(600.0)
    extension = str(int(EXTENSION * 1e6))
    assert harness.read() == {
        "STOPPING": "1",
        "WATCHDOG": "1",
        "EXTEND_TIMEOUT_USEC": extension,
        "STATUS": "stopping: 2 connections left, for 600 s at most",
    }
    harness.load = replace(harness.load, connections=1)
    harness.clock.advance(INTERVAL)
    assert harness.read() == {
        "WATCHDOG": "1",
        "EXTEND_TIMEOUT_USEC": extension,
        "STATUS": "stopping: 1 connection left, for 595 s at most",
    }
    supervision.stop()
    harness.clock.advance(INTERVAL)
    assert harness.read() == {}
    assert harness.clock.getDelayedCalls() == []


def test_status_is_sent_again_after_a_failure(harness: SupervisionHarness) -> None:
    supervision = harness.supervision()
    supervision.ready()
    harness.read()
    harness.socket.close()
    harness.path.unlink()
    harness.load = replace(harness.load, accepted=1)
    harness.clock.advance(INTERVAL)
    harness.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    harness.socket.bind(str(harness.path))
    harness.socket.setblocking(False)
    harness.clock.advance(INTERVAL)
    assert "1 accepted" in harness.read()["STATUS"]


def test_no_timer_without_a_manager() -> None:
    clock = Clock()
    supervision = Supervision({}, clock, lambda: Load(0, 0, 0, 0))
    supervision.ready()
    supervision.stopping(1.0)
    supervision.stop()
    assert clock.getDelayedCalls() == []
