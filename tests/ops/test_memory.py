"""The memory reserve, and the exit without it."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import LoggedFailures
from twisted.internet.task import Clock
from twisted.logger import LogEvent, Logger, globalLogPublisher

from tcpd.ops import catalogue, memory
from tcpd.ops.memory import MOST_LOGGED, PATIENCE, RETRY, MemoryGuard


class System:
    """An mmap that may fail."""

    def __init__(self) -> None:
        self.has_some = True
        self.held = 0

    def mmap(self, _: int, size: int, flags: int) -> Any:
        if not self.has_some:
            raise OSError(12, "Cannot allocate memory")
        assert flags & mmap.MAP_PRIVATE
        self.held += size
        return self

    def close(self) -> None:
        self.held = 0


class GuardHarness:
    """A guard with a clock, and the logged events."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.system = System()
        monkeypatch.setattr(memory.mmap, "mmap", self.system.mmap)
        self.clock = Clock()
        self.ended: list[str] = []
        self.events: list[LogEvent] = []
        self.guard = MemoryGuard(self.clock)
        self.guard.exhausted = self.ended.append
        self.guard.start()

    def fail(self, count: int = 1) -> None:
        for _ in range(count):
            self.guard.failed(MemoryError("none left"))

    @property
    def ids(self) -> list[str]:
        return [event[catalogue.EVENT_ID] for event in self.events if catalogue.EVENT_ID in event]


@pytest.fixture
def bed(monkeypatch: pytest.MonkeyPatch, logged_failures: LoggedFailures) -> Iterator[GuardHarness]:
    made = GuardHarness(monkeypatch)
    globalLogPublisher.addObserver(made.events.append)
    globalLogPublisher.addObserver(made.guard)
    yield made
    globalLogPublisher.removeObserver(made.guard)
    globalLogPublisher.removeObserver(made.events.append)
    made.guard.stop()
    assert made.clock.getDelayedCalls() == []
    assert made.system.held == 0
    logged_failures[:] = [
        each
        for each in logged_failures
        if each.get(catalogue.EVENT_ID) != catalogue.DAEMON_MEMORY.id
    ]


def test_reserve_is_freed_and_allocated_again(bed: GuardHarness) -> None:
    """The reserve is enough to close the connection, and the failure is logged once."""

    assert bed.system.held == memory.RESERVE
    bed.fail()
    assert bed.system.held == 0
    bed.fail(99)
    assert bed.ids == ["daemon.memory"]
    assert "MemoryError: none left" in bed.events[0]["log_failure"].getTraceback()
    bed.clock.advance(RETRY)
    assert bed.system.held == memory.RESERVE
    assert bed.ids == ["daemon.memory", "daemon.memory-back"]
    assert bed.events[1]["count"] == 100
    bed.fail()
    bed.clock.advance(RETRY)
    assert bed.events[3]["count"] == 1
    assert bed.ended == []


def test_persistent_failures_exit_the_process(bed: GuardHarness) -> None:
    """ "the process exits, and a supervisor restarts it" """
    bed.fail()
    bed.system.has_some = False
    for _ in range(int(PATIENCE / RETRY) - 1):
        bed.clock.advance(RETRY)
        bed.fail()
    assert bed.ended == []
    bed.clock.advance(RETRY)
    bed.fail()
    (sentence,) = bed.ended
    assert sentence.startswith("out of memory: 11 failures in 10.0 s; ")


def test_missing_reserve_without_failures_does_not_exit(bed: GuardHarness) -> None:
    """The memory may be sufficient."""
    bed.system.has_some = False
    bed.fail()
    for _ in range(100):
        bed.clock.advance(RETRY)
    assert bed.ended == []
    bed.system.has_some = True
    bed.clock.advance(RETRY)
    assert bed.system.held == memory.RESERVE


def test_memory_at_the_last_attempt_prevents_the_exit(bed: GuardHarness) -> None:
    bed.system.has_some = False
    bed.fail()
    for _ in range(int(PATIENCE / RETRY)):
        bed.clock.advance(RETRY)
    bed.system.has_some = True
    bed.fail()
    assert bed.ended == []
    bed.clock.advance(RETRY)
    assert bed.ids == ["daemon.memory", "daemon.memory-back"]


def test_failures_logged_by_twisted_count(
    bed: GuardHarness, logged_failures: LoggedFailures
) -> None:
    """Twisted catches the failures of timers and logs each with a traceback."""
    log = Logger()
    for error in (ValueError("another"), MemoryError("a timer's")):
        try:
            raise error
        except Exception:
            log.failure("while handling timed call")
    assert bed.system.held == 0
    assert bed.ids == [], "it was logged"
    bed.system.has_some = False
    for _ in range(MOST_LOGGED - 1):
        try:
            raise MemoryError("a timer's")
        except MemoryError:
            log.failure("while handling timed call")
    assert len(bed.ended) == 1
    logged_failures.expect("another")
    logged_failures.expect("a timer's", MOST_LOGGED)


def test_reserve_is_address_space() -> None:
    """ "It is address space without used pages" """
    guard = MemoryGuard(Clock())
    guard.start()
    assert guard.reserved == memory.RESERVE
    guard.start()
    guard.stop()
    guard.stop()
    assert guard.reserved == 0
