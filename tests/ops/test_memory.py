"""The reserve, and when there is none any more."""

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
    """Gives memory, or not."""

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


class Bed:
    """A guard on a clock, and what it said."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.system = System()
        monkeypatch.setattr(memory.mmap, "mmap", self.system.mmap)
        self.clock = Clock()
        self.ended: list[str] = []
        self.told: list[LogEvent] = []
        self.guard = MemoryGuard(self.clock)
        self.guard.exhausted = self.ended.append
        self.guard.start()

    def fail(self, count: int = 1) -> None:
        for _ in range(count):
            self.guard.failed(MemoryError("none left"))

    @property
    def ids(self) -> list[str]:
        return [event[catalogue.EVENT_ID] for event in self.told if catalogue.EVENT_ID in event]


@pytest.fixture
def bed(monkeypatch: pytest.MonkeyPatch, logged_failures: LoggedFailures) -> Iterator[Bed]:
    made = Bed(monkeypatch)
    globalLogPublisher.addObserver(made.told.append)
    globalLogPublisher.addObserver(made.guard)
    yield made
    globalLogPublisher.removeObserver(made.guard)
    globalLogPublisher.removeObserver(made.told.append)
    made.guard.stop()
    assert made.clock.getDelayedCalls() == []
    assert made.system.held == 0
    logged_failures[:] = [
        each
        for each in logged_failures
        if each.get(catalogue.EVENT_ID) != catalogue.DAEMON_MEMORY.id
    ]


def test_a_failure_has_the_reserve_and_it_is_held_again(bed: Bed) -> None:
    """ "One connection's failure costs that connection": there is memory to close it with, and to
    log it once, however many there are."""
    assert bed.system.held == memory.RESERVE
    bed.fail()
    assert bed.system.held == 0
    bed.fail(99)
    assert bed.ids == ["daemon.memory"]
    assert "MemoryError: none left" in bed.told[0]["log_failure"].getTraceback()
    bed.clock.advance(RETRY)
    assert bed.system.held == memory.RESERVE
    assert bed.ids == ["daemon.memory", "daemon.memory-back"]
    assert bed.told[1]["count"] == 100
    bed.fail()
    bed.clock.advance(RETRY)
    assert bed.told[3]["count"] == 1
    assert bed.ended == []


def test_failures_that_go_on_without_memory_end_the_process(bed: Bed) -> None:
    """ "Where memory is really out, the process ends with a sentence and a status" """
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


def test_one_that_has_no_reserve_and_no_failures_goes_on(bed: Bed) -> None:
    """What it has may be enough for what it does."""
    bed.system.has_some = False
    bed.fail()
    for _ in range(100):
        bed.clock.advance(RETRY)
    assert bed.ended == []
    bed.system.has_some = True
    bed.clock.advance(RETRY)
    assert bed.system.held == memory.RESERVE


def test_memory_that_is_there_at_the_last_moment_is_enough(bed: Bed) -> None:
    bed.system.has_some = False
    bed.fail()
    for _ in range(int(PATIENCE / RETRY)):
        bed.clock.advance(RETRY)
    bed.system.has_some = True
    bed.fail()
    assert bed.ended == []
    bed.clock.advance(RETRY)
    assert bed.ids == ["daemon.memory", "daemon.memory-back"]


def test_what_twisted_logs_counts_too(bed: Bed, logged_failures: LoggedFailures) -> None:
    """A timer's failure is caught by Twisted, with a traceback for each: no log bears many."""
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


def test_the_reserve_is_real() -> None:
    """No page of it is used until somebody else has it."""
    guard = MemoryGuard(Clock())
    guard.start()
    assert guard._reserve is not None
    assert len(guard._reserve) == memory.RESERVE
    guard.start()
    guard.stop()
    guard.stop()
