"""Fixtures of the tests of small services."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from twisted.internet.task import Clock
from zope.interface import implementer

from tcpd.interfaces import IContext
from tcpd.net.directory import ServiceEntry
from tcpd.ops.counters import ServiceCounters

#: 2022-02-22 17:37:43.9 UTC
NOW = 1_645_551_463.9


@implementer(IContext)
@dataclass
class Context:
    """A context with clocks that a test advances."""

    service: str = "test"
    clock: Clock = field(default_factory=Clock)
    wall_clock: Callable[[], float] = lambda: NOW
    server_name: str = "test.example"
    started: float = 0.0
    hub: object = None
    reactor: object = None
    uid: int = 1000
    counters: ServiceCounters = field(default_factory=ServiceCounters)
    reload: object = None

    def directory(self) -> list[ServiceEntry]:
        return []


@pytest.fixture
def context() -> Context:
    return Context()
