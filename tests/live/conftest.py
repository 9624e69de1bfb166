"""The real daemon, as a child process, for a test."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import certificates
import pytest
from running import EVERYTHING, REACTOR, Daemon

# the loads of test_fairness.py stand beside the tests; behind what is there: nothing else is to be
# found in a checkout whose package is installed elsewhere
sys.path.append(str(Path(__file__).resolve().parents[2]))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], Daemon]]:
    """Start daemons; they are stopped, and their logs checked, after the test."""
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
def everything(start: Callable[[str], Daemon]) -> Daemon:
    """A daemon that serves every kind, plain and over TLS."""
    return start(EVERYTHING)
