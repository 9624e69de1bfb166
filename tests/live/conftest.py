"""Fixtures that start live daemons."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import certificates
import pytest
from running import EVERYTHING, Daemon
from service_manager import ServiceManager

# test_fairness.py imports benchmarks; appended, so that an installed tcpd precedes the checkout's
sys.path.append(str(Path(__file__).resolve().parents[2]))


@pytest.fixture
def pki(tmp_path: Path) -> Path:
    """A directory with a CA, and certificates of far.example and client.example that it signed."""
    directory = tmp_path / "pki"
    directory.mkdir()
    authority = certificates.make(directory, "authority.example", authority=True)
    for name in ("far.example", "client.example"):
        certificates.make(directory, name, authority)
    return directory


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[ServiceManager]:
    made = ServiceManager(tmp_path / "notify")
    yield made
    made.close()


@pytest.fixture
def everything(start: Callable[[str], Daemon]) -> Daemon:
    """A daemon that serves each protocol, plain and over TLS."""
    return start(EVERYTHING)
