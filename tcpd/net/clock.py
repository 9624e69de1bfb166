"""The clock of a reactor: monotonic, so that nobody can set it (docs/decisions/0014)."""

from __future__ import annotations

import time
from typing import Any

from twisted.internet.base import ReactorBase


def use_monotonic_clock(reactor: Any) -> None:
    """Have a reactor of Twisted's measure its timers by ``time.monotonic``.

    By default they measure by the wall clock. Call this before there is any timer.

    :param reactor: the process's. A reactor that is not made on Twisted's ReactorBase keeps its
        clock.
    """
    if isinstance(reactor, ReactorBase):
        reactor.seconds = time.monotonic
