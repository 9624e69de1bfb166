"""What happens when the process gets no memory.

A failure for want of memory costs the connection that it happened to, as any other does. To close
and to log it takes memory as well: some is held in reserve, and given up at the first failure. It
is held again as soon as the system has it. If connections still fail :data:`PATIENCE` later and it
cannot be had, memory is really out, and the process ends: a supervisor starts it again.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import ILogObserver, LogEvent, Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from tcpd.ops import catalogue

#: Bytes in reserve. They are address space, and no page of them is used.
RESERVE = 4 << 20

#: Seconds for which connections may fail without a reserve.
PATIENCE = 10.0

#: Failures that may be logged meanwhile, tracebacks and all, by who does not ask here first.
MOST_LOGGED = 1000

#: Seconds between two looks whether there is memory again.
RETRY = 1.0


@implementer(ILogObserver)
class MemoryGuard:
    """Keeps the reserve, and counts failures.

    As a log observer it hears of those that Twisted catches, such as a timer's.

    :param clock: for times, and a timer.

    :ivar exhausted: called with a sentence when memory is really out. Set by who can end the
        process; until then it goes on.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self.exhausted: Callable[[str], None] = lambda why: None
        self._reserve: mmap.mmap | None = None
        self._count = self._logged = 0
        self._since = 0.0
        self._call: IDelayedCall | None = None

    def start(self) -> None:
        """Hold the reserve."""
        self._hold()

    def stop(self) -> None:
        """Let go of it."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self._reserve is not None:
            self._reserve.close()
            self._reserve = None

    def __call__(self, event: LogEvent) -> None:
        """Something was logged."""
        failure = event.get("log_failure")
        own = event.get(catalogue.EVENT_ID) == catalogue.DAEMON_MEMORY.id
        if failure is not None and failure.check(MemoryError) and not own:
            self.failed(failure.value, logged=True)

    def failed(self, error: BaseException, logged: bool = False) -> None:
        """Something failed for want of memory, and was ended.

        :param error: is logged with its traceback, the first time.
        :param logged: that was done.
        """
        self._count += 1
        self._logged += logged
        reserve, self._reserve = self._reserve, None
        if reserve is not None:
            reserve.close()
            self._since = self._clock.seconds()
            self._call = self._clock.callLater(RETRY, self._look)
            if not logged:
                catalogue.DAEMON_MEMORY.fail(self._log, Failure(error))
            return
        seconds = self._clock.seconds() - self._since
        if (seconds >= PATIENCE or self._logged >= MOST_LOGGED) and not self._hold():
            self.exhausted(
                f"out of memory: {self._count} failures in {seconds:.1f} s; give the process more, "
                "or lower its limits"
            )

    def _look(self) -> None:
        self._call = None
        if self._hold():
            catalogue.DAEMON_MEMORY_BACK.emit(self._log, count=self._count)
            self._count = self._logged = 0
        else:
            self._call = self._clock.callLater(RETRY, self._look)

    def _hold(self) -> bool:
        """Hold the reserve, if the system has it. It may be held already."""
        if self._reserve is None:
            try:
                self._reserve = mmap.mmap(-1, RESERVE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            except (OSError, MemoryError):
                return False
        return True
