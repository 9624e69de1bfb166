"""A monotonic clock for the reactor (docs/decisions/0014)."""

from __future__ import annotations

import time
from typing import Any

from twisted.internet.base import ReactorBase


def use_monotonic_clock(reactor: Any) -> None:
    """Make a Twisted reactor measure time by ``time.monotonic`` instead of the wall clock.

    Call this before any timer is set.

    :param reactor: the process's; one not derived from Twisted's ReactorBase keeps its clock.
    """
    if isinstance(reactor, ReactorBase):
        reactor.seconds = time.monotonic
