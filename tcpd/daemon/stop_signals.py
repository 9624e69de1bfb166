"""SIGTERM and SIGINT, which stop the daemon, and what they do when they are repeated.

The first one stops the daemon: its services drain. The second one aborts all connections and ends
all programs of ``exec``. The third one ends the process immediately, as does :data:`PATIENCE` after
the second, so that no SIGKILL is needed. Two signals at the same instant count as one: the
kernel does not queue them (signal(7)).

During the start the first one waits for the reactor, and the second one ends the process.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

from twisted.application.service import Service
from twisted.logger import Logger

from tcpd.daemon.daemon import Daemon
from tcpd.ops import catalogue

#: Seconds that a stop may take after the second signal.
PATIENCE = 5.0

#: Seconds that a stop may take after ``drain``.
MARGIN = 30.0

_MOMENT = 0.1

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignals(Service):
    """Counts the signals.

    :param daemon: the second signal cuts it.
    :param reactor: runs calls in its own thread; its signal handlers run at the first signal.
    :param pidfile: the third signal removes it; empty for none.
    """

    _log = Logger()

    def __init__(self, daemon: Daemon, reactor: Any, pidfile: str) -> None:
        self._daemon = daemon
        self._reactor = reactor
        self._pidfile = pidfile
        self._count = 0
        self._serving = False
        self._first: dict[int, Callable[[int, FrameType | None], object]] = {}
        self._before: dict[int, Any] = {}  # the handlers when the start began
        self._early = 0  # a signal that came before the reactor ran
        self._mask: set[int] = set()

    def privilegedStartService(self) -> None:
        """Record signals until the reactor runs. Python's handlers would print a traceback, or
        end the process and leave the pidfile."""
        super().privilegedStartService()
        for number in _SIGNALS:
            handler = signal.getsignal(number)
            if handler != signal.SIG_IGN:
                self._before[number] = handler
                signal.signal(number, self._received_early)

    def startService(self) -> None:
        """Install the handlers once the reactor has its own."""
        super().startService()
        if self._before:
            self._reactor.addSystemEventTrigger("before", "startup", self._hand_over)
        self._reactor.callWhenRunning(self._take_over)

    def stopService(self) -> None:
        """The daemon stops."""
        super().stopService()
        self._serving = False

    def _received_early(self, number: int, frame: FrameType | None) -> None:
        if self._early:
            self._end(number)
        else:
            self._early = number

    def _hand_over(self) -> None:
        """Let the reactor set its handlers: it sets none for SIGINT where one is set already.
        Signals wait in the kernel meanwhile."""
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _take_over(self) -> None:
        self._serving = True
        self._daemon.components.memory.exhausted = self.exit_with_error
        if hasattr(self._reactor, "exhausted"):
            self._reactor.exhausted = self.exit_with_error
        for number in _SIGNALS:
            handler = signal.getsignal(number)
            if callable(handler):  # otherwise it is ignored, as by nohup(1)
                self._first[number] = handler
                signal.signal(number, self._received)
        if self._early:
            self._received(self._early, None)
        if self._before:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def _received(self, number: int, frame: FrameType | None) -> None:
        self._count += 1
        if self._count == 1:
            # a stop by a single signal ends in bounded time, too
            self._end_after(self._daemon.running_services.settings.tcpd.drain + MARGIN, number)
            try:
                self._first[number](number, frame)
            except BaseException:  # out of memory: try again a moment later
                self._count = 0
                signal.signal(signal.SIGALRM, lambda *_: self._received(number, None))
                signal.setitimer(signal.ITIMER_REAL, _MOMENT)
        elif self._count == 2:
            self._end_after(PATIENCE, number)
            self._reactor.callFromThread(self._daemon.cut)
        else:
            self._end(number)

    def _end_after(self, seconds: float, number: int) -> None:
        signal.signal(signal.SIGALRM, lambda *_: self._end(number))
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def _end(self, number: int) -> None:
        """End the process immediately, without logging: a log line may be incomplete."""
        self._leave_nothing()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def exit_with_error(self, why: str) -> None:
        """End the process with status 1 after a fatal error.

        :param why: a sentence, for the log and for standard error.
        """
        with contextlib.suppress(BaseException):
            catalogue.DAEMON_GAVE_UP.emit(self._log, error=why)
        with contextlib.suppress(BaseException):
            os.write(2, f"tcpd: {why}\n".encode())
        self._leave_nothing()
        os._exit(1)

    def _leave_nothing(self) -> None:
        with contextlib.suppress(BaseException):
            self._daemon.running_services.abort_factories()
        with contextlib.suppress(BaseException):
            if self._pidfile:
                os.unlink(self._pidfile)

    def check(self) -> None:
        """Called when the interpreter exits: without a stop, the main loop has failed."""
        if self._serving:
            self.exit_with_error("the main loop has ended without a stop")
