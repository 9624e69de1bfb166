"""sd_notify(3) and sd_watchdog_enabled(3), as systemd documents them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from service_manager import ServiceManager

from tcpd.ops.notify import LONGEST, Notifier, watchdog_interval


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[ServiceManager]:
    made = ServiceManager(tmp_path / "notify")
    yield made
    made.close()


def test_notification_is_one_datagram_of_lines(manager: ServiceManager, tmp_path: Path) -> None:
    """ "a newline-separated list of variable assignments" """
    notifier = Notifier(str(tmp_path / "notify"))
    assert notifier.wanted
    assert notifier.notify(READY=1, STATUS="all is well")
    assert manager.receive() == "READY=1\nSTATUS=all is well\n"


def test_line_feed_in_a_value_is_replaced(manager: ServiceManager, tmp_path: Path) -> None:
    assert Notifier(str(tmp_path / "notify")).notify(STATUS="a\nMAINPID=1")
    assert manager.receive() == "STATUS=a MAINPID=1\n"


def test_at_sign_means_an_abstract_socket() -> None:
    """ "If the first character is @, the string is understood as [...] abstract namespace" """
    name = f"tcpd-test-{os.getpid()}"
    manager = ServiceManager(f"\0{name}".encode())
    try:
        assert Notifier(f"@{name}").notify(READY=1)
        assert manager.receive() == "READY=1\n"
    finally:
        manager.close()


@pytest.mark.parametrize("address", ["", "@", "vsock:2:1234", "relative"])
def test_nothing_is_sent_without_a_manager(address: str) -> None:
    notifier = Notifier(address)
    assert not notifier.wanted
    assert not notifier.notify(READY=1)


@pytest.mark.parametrize("address", ["/nowhere/at/all", "/" + "x" * 200, "/a\0b", "@" + "y" * 200])
def test_unreachable_manager_is_ignored(address: str) -> None:
    assert not Notifier(address).notify(READY=1)


def test_manager_that_does_not_read_does_not_block(manager: ServiceManager, tmp_path: Path) -> None:
    notifier = Notifier(str(tmp_path / "notify"))
    sent = [notifier.notify(WATCHDOG=1) for _ in range(5000)]
    assert sent[0]
    assert not sent[-1]


def test_notification_size_is_bounded(manager: ServiceManager, tmp_path: Path) -> None:
    assert Notifier(str(tmp_path / "notify")).notify(STATUS="é" * 5000)
    assert len(manager.socket.recv(65536)) == LONGEST


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, 0.0),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "17"}, 0.5),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "18"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
        ({"WATCHDOG_USEC": "-1"}, 0.0),
        ({"WATCHDOG_USEC": ""}, 0.0),
    ],
)
def test_watchdog_interval(environ: dict[str, str], seconds: float) -> None:
    """WATCHDOG_PID names the process that the watchdog is for."""
    assert watchdog_interval(environ, 17) == seconds
