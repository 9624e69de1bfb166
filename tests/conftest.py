"""Fixtures for every test."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path

import alone
import amounts
import certificates
import forking
import pytest
from running import REACTOR, Daemon
from terminal import Screen
from twisted.logger import LogEvent, LogLevel, globalLogPublisher
from wires import VethPair, need


class LoggedFailures(list[LogEvent]):
    """The events logged as failures or as errors during a test."""

    def expect(self, text: str, count: int = 1) -> list[LogEvent]:
        """Remove the failures whose exception or format contains ``text``.

        :raise AssertionError: unless exactly ``count`` match.
        """
        found = [event for event in self if text in _described(event)]
        assert len(found) == count, f"{len(found)} logged failures with {text!r}: {list(self)}"
        self[:] = [event for event in self if event not in found]
        return found


def _described(event: LogEvent) -> str:
    failure = event.get("log_failure")
    return (
        f"{event.get('log_format')} {failure.value!r}" if failure else str(event.get("log_format"))
    )


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], Daemon]]:
    """Start daemons; after the test they are stopped and their logs checked."""
    started: list[Daemon] = []

    def start(config: str, reactor: Sequence[str] = REACTOR) -> Daemon:
        directory = tmp_path / str(len(started))
        directory.mkdir()
        certificates.make(directory, "localhost")
        daemon = Daemon(directory, config, reactor=reactor)
        started.append(daemon)
        return daemon

    try:
        yield start
    finally:
        for daemon in started:
            daemon.stop()


@pytest.fixture
def screen(tmp_path: Path) -> Iterator[Callable[[str], Screen]]:
    """Run programs on terminals."""
    need("tmux")
    made: list[Screen] = []

    def run(command: str) -> Screen:
        directory = tmp_path / f"screen{len(made)}"
        directory.mkdir()
        made.append(Screen(directory, command))
        return made[-1]

    yield run
    for each in made:
        each.close()


@pytest.fixture(scope="module")
def wire() -> Iterator[VethPair]:
    """Two network namespaces joined by a veth pair."""
    made = VethPair()
    try:
        made.connect_up()
        yield made
    finally:
        made.close()


@pytest.fixture(autouse=True)
def logged_failures() -> Iterator[LoggedFailures]:
    """Fail a test that logs a failure it does not expect (``logged_failures.expect(...)``)."""
    seen = LoggedFailures()

    def observe(event: LogEvent) -> None:
        if "log_failure" in event or event.get("log_level") in (LogLevel.error, LogLevel.critical):
            seen.append(event)

    globalLogPublisher.addObserver(observe)
    try:
        yield seen
        # A Deferred logs its unhandled failure when it is collected. Surviving objects are frozen:
        # scanning them after each later test took most of the suite's time.
        gc.collect()
        gc.freeze()
    finally:
        globalLogPublisher.removeObserver(observe)
    assert not seen, "unexpected failures were logged:\n" + "\n".join(
        _described(event) for event in seen
    )


def _no_skip_in_ci(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Fail a skipped test in CI, where everything that a test needs is installed."""
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"skipped, though CI=true: {report.longrepr}"


def pytest_configure() -> None:
    amounts.load_profile()


def pytest_unconfigure() -> None:
    forking.stop()


def pytest_collection_finish() -> None:
    """Keep objects shared by all tests out of the collection after each test."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    if item.get_closest_marker("box") is not None:
        return (yield)  # a box runs for minutes, and a serial test would wait for it
    with alone.running(alone=item.get_closest_marker("serial") is not None):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _no_skip_in_ci(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _no_skip_in_ci(report)
    return report


@pytest.fixture(scope="session")
def localhost(tmp_path_factory: pytest.TempPathFactory) -> certificates.Made:
    """A self-signed certificate for localhost."""
    return certificates.make(tmp_path_factory.mktemp("tls"), "localhost")
