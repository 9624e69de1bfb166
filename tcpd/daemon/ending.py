"""What signals do that ask for the end more than once.

The first SIGTERM or SIGINT stops the daemon: its services drain. The second ends all that is left
at once, programs of ``exec`` included. The third ends the process as it is, and so does
:data:`PATIENCE` after the second: whatever hangs, an operator needs no SIGKILL.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

from twisted.application.service import Service

from tcpd.daemon.daemon import Daemon

#: Seconds that the end may take once all was cut.
PATIENCE = 5.0

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Ending(Service):
    """Counts the signals.

    :param daemon: is cut at the second.
    :param reactor: calls back in its own thread; its handlers are called at the first.
    :param pidfile: removed at the third; empty for none.
    """

    def __init__(self, daemon: Daemon, reactor: Any, pidfile: str) -> None:
        self._daemon = daemon
        self._reactor = reactor
        self._pidfile = pidfile
        self._count = 0
        self._first: dict[int, Callable[[int, FrameType | None], object]] = {}

    def startService(self) -> None:
        """Take over once the reactor has its handlers."""
        super().startService()
        self._reactor.callWhenRunning(self._take_over)

    def _take_over(self) -> None:
        for number in _SIGNALS:
            handler = signal.getsignal(number)
            if callable(handler):  # else it is ignored, as nohup(1) has it
                self._first[number] = handler
                signal.signal(number, self._asked)

    def _asked(self, number: int, frame: FrameType | None) -> None:
        self._count += 1
        if self._count == 1:
            self._first[number](number, frame)
        elif self._count == 2:
            signal.signal(signal.SIGALRM, lambda *_: self._end(number))
            signal.setitimer(signal.ITIMER_REAL, PATIENCE)
            self._reactor.callFromThread(self._daemon.cut)
        else:
            self._end(number)

    def _end(self, number: int) -> None:
        """End the process, whatever it is at. It may be in the middle of a line of the log, so that
        none is written."""
        with contextlib.suppress(Exception):
            self._daemon.kill_programs()
        if self._pidfile:
            with contextlib.suppress(OSError):
                os.unlink(self._pidfile)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
