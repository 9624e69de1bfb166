"""Timers run on a monotonic clock."""

from __future__ import annotations

import importlib
import time

import pytest
from reactors import close
from twisted.internet.base import ReactorBase
from twisted.internet.task import Clock
from twisted.python import runtime

from tcpd.net.clock import use_monotonic_clock

REACTORS = {
    "tcpd": "tcpd.net.reactor.TcpdReactor",
    "epoll": "twisted.internet.epollreactor.EPollReactor",
    "poll": "twisted.internet.pollreactor.PollReactor",
    "select": "twisted.internet.selectreactor.SelectReactor",
    "asyncio": "twisted.internet.asyncioreactor.AsyncioSelectorReactor",
}


class Wall:
    """A wall clock that can be set."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    made = Wall()
    monkeypatch.setattr(time, "time", made)
    monkeypatch.setattr(runtime, "seconds", made)
    monkeypatch.setattr(ReactorBase, "seconds", staticmethod(made))
    return made


@pytest.mark.parametrize("step", [-1e9, -60.0, 3600.0, 1e9])
@pytest.mark.parametrize("name", REACTORS)
def test_wall_clock_step_does_not_affect_timers(name: str, step: float, wall: Wall) -> None:
    """docs/decisions/0014, on any reactor."""
    module, _, attribute = REACTORS[name].rpartition(".")
    try:
        made = getattr(importlib.import_module(module), attribute)()
    except ImportError as error:
        pytest.skip(str(error))
    try:
        use_monotonic_clock(made)
        called: list[str] = []
        made.callLater(1000, called.append, "late")
        made.callLater(0, called.append, "at once")
        before = made.seconds()
        wall.now += step
        assert 0 <= made.seconds() - before < 100
        made.runUntilCurrent()
        assert called == ["at once"]
        assert 900 < made.timeout() <= 1000
    finally:
        close(made)


def test_other_reactors_keep_their_clock() -> None:
    clock = Clock()
    clock.advance(5)
    use_monotonic_clock(clock)
    assert clock.seconds() == 5
