"""Reactors: one in memory without threads; and a close of those that a test has not run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.testing import MemoryReactorClock


class ThreadlessReactor(MemoryReactorClock):
    """Runs calls from threads and signal handlers at once."""

    def callFromThread(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> None:
        call(*arguments, **named)


def close(reactor: Any) -> None:
    """Cancel the calls of a reactor, and close its waker and its poller.

    Twisted has no public way to do this, so the private names are here only.
    """
    for call in reactor.getDelayedCalls():
        call.cancel()
    for each in list(reactor._internalReaders):
        reactor.removeReader(each)
        each.connectionLost(None)
    for name in ("_poller", "_asyncioEventloop"):
        opened = getattr(reactor, name, None)
        if hasattr(opened, "close"):
            opened.close()
