"""Closes reactors that a test has made and not run."""

from __future__ import annotations

from typing import Any


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
