"""Notifications of a live daemon to the service manager, sd_notify(3)."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import Daemon
from service_manager import ServiceManager

pytestmark = pytest.mark.live

#: Seconds; the daemon sends WATCHDOG=1 at half of it.
WATCHDOG = 1.0

CONFIG = """
[tcpd]
drain = 20s
[service:chargen]
protocol = chargen
listen =
    127.0.0.1:0
"""


@pytest.fixture
def daemon(tmp_path: Path, manager: ServiceManager) -> Iterator[Daemon]:
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


def test_notifications_from_start_to_stop(daemon: Daemon, manager: ServiceManager) -> None:
    """READY after the last listen(2), WATCHDOG, STATUS, and a stop that extends its timeout."""
    first = manager.read()
    assert first["READY"] == "1"
    assert first["STATUS"].startswith("serving 1 service: 0 connections now")
    assert manager.read()["WATCHDOG"] == "1"
    # a client with unread data delays the stop
    with daemon.connect("chargen") as client:
        manager.read_until("STATUS", "1 connection now, 1 accepted, 0 refused")
        daemon.process.send_signal(signal.SIGTERM)
        stopping = manager.read_until("STOPPING")
        assert stopping["EXTEND_TIMEOUT_USEC"] == "20000000"
        assert "1 connection left" in stopping["STATUS"]
        assert "EXTEND_TIMEOUT_USEC" in manager.read()
        client.shutdown(socket.SHUT_RDWR)
    assert daemon.stop() == -signal.SIGTERM, "a clean stop"
    assert manager.is_silent_for(WATCHDOG)


def test_hanging_process_sends_no_watchdog(daemon: Daemon, manager: ServiceManager) -> None:
    manager.read_until("WATCHDOG")
    os.kill(daemon.process.pid, signal.SIGSTOP)
    assert manager.is_silent_for(2 * WATCHDOG)
    os.kill(daemon.process.pid, signal.SIGCONT)
    assert manager.read()["WATCHDOG"] == "1"
