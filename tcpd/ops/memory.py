"""Handles failed memory allocations.

A MemoryError ends the connection that it occurred in. Closing and logging need memory, too, so a
reserve is allocated, and freed at the first failure. It is allocated again as soon as possible. If
that fails and connections still fail after :data:`PATIENCE`, the process exits, and a supervisor
restarts it.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import ILogObserver, LogEvent, Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from tcpd.ops import catalogue

#: The reserve in bytes. It is address space without used pages.
RESERVE = 4 << 20

#: Seconds for which connections may fail without a reserve.
PATIENCE = 10.0

#: Failures that other code may log with tracebacks while memory is out.
MOST_LOGGED = 1000

#: Seconds between two attempts to allocate the reserve.
RETRY = 1.0


@implementer(ILogObserver)
class MemoryGuard:
    """Holds the reserve, and counts failures.

    It is a log observer for failures that Twisted catches, such as those of timers.

    :param clock: for timestamps and a timer.

    :ivar exhausted: called with a sentence when the process must exit; set by the code that can
        stop it.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self.exhausted: Callable[[str], None] = lambda why: None
        self._reserve: mmap.mmap | None = None
        self._count = self._logged = 0
        self._since = 0.0
        self._call: IDelayedCall | None = None

    @property
    def reserved(self) -> int:
        """The size of the reserve in bytes; 0 while it is not allocated."""
        return 0 if self._reserve is None else len(self._reserve)

    def start(self) -> None:
        """Allocate the reserve."""
        self._hold()

    def stop(self) -> None:
        """Free the reserve."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self._reserve is not None:
            self._reserve.close()
            self._reserve = None

    def __call__(self, event: LogEvent) -> None:
        """Observe a log event."""
        failure = event.get("log_failure")
        own = event.get(catalogue.EVENT_ID) == catalogue.DAEMON_MEMORY.id
        if failure is not None and failure.check(MemoryError) and not own:
            self.failed(failure.value, logged=True)

    def failed(self, error: BaseException, logged: bool = False) -> None:
        """Count a failure for lack of memory.

        :param error: the exception, logged with its traceback the first time.
        :param logged: whether it was logged already.
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
        """Allocate the reserve, unless it is allocated; return whether it is."""
        if self._reserve is None:
            try:
                self._reserve = mmap.mmap(-1, RESERVE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            except (OSError, MemoryError):
                return False
        return True
