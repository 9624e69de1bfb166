"""Reloads by SIGHUP and by services."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import pytest
from daemon.harness import DaemonHarness, service, settings

from tcpd.daemon.reload import Reloader


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Restore the signal handlers."""
    numbers = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def reloader_of(harness: DaemonHarness) -> Reloader:
    (reloader,) = (child for child in harness.daemon if isinstance(child, Reloader))
    return reloader


def test_reload_during_a_stop_opens_nothing(logged_failures: object) -> None:
    harness = DaemonHarness(service("a", "1"), read=lambda: settings(service("a", "1, 2")))
    reloader = reloader_of(harness)
    assert reloader.reload().ok
    assert harness.open == {"tcp 127.0.0.1:1", "tcp 127.0.0.1:2"}
    harness.daemon.stopService()
    outcome = reloader.reload()
    assert (outcome.ok, outcome.lines) == (False, ("the daemon is stopping",))
    assert harness.open == set()
    logged_failures.expect("reload refused")  # type: ignore[attr-defined]


def test_sighup_during_the_start_is_handled() -> None:
    """The default action of SIGHUP terminates the process (signal(7))."""
    harness = DaemonHarness(
        service("a", "1"), read=lambda: settings(service("a", "1")), start=False
    )
    harness.daemon.privilegedStartService()
    handler: Any = signal.getsignal(signal.SIGHUP)
    assert handler.__self__ is reloader_of(harness)


def test_service_may_request_a_reload() -> None:
    """In a later turn, as the reload may replace the service."""
    harness = DaemonHarness(service("a", "1"), read=lambda: settings(service("a", "1, 2")))
    results: list[tuple[bool, Sequence[str]]] = []
    harness.services.contexts["a"].reload(lambda ok, lines: results.append((ok, lines)))
    assert results == []
    assert harness.open == {"tcp 127.0.0.1:1"}
    harness.reactor.advance(0)
    assert harness.open == {"tcp 127.0.0.1:1", "tcp 127.0.0.1:2"}
    assert results == [(True, ("service a: listening on 127.0.0.1:2",))]


def test_service_gets_the_result_of_a_failed_reload() -> None:
    """A client of the service may wait for the result."""

    def broken() -> NoReturn:
        raise RuntimeError("a bug")

    harness = DaemonHarness(service("a", "1"), read=broken)
    results: list[tuple[bool, Sequence[str]]] = []
    harness.services.contexts["a"].reload(lambda ok, lines: results.append((ok, lines)))
    with pytest.raises(RuntimeError, match="a bug"):
        harness.reactor.advance(0)
    assert results == [(False, ())]
