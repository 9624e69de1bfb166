"""A thread pool for the reactor whose threads do not delay the exit of the process."""

from __future__ import annotations

from threading import Thread
from typing import Any

from twisted.internet.base import ReactorBase
from twisted.python.threadpool import ThreadPool

#: The size of Twisted's own pool.
_MAX_THREADS = 10


class _DaemonThread(Thread):
    def __init__(self, *arguments: Any, **names: Any) -> None:
        super().__init__(*arguments, **names, daemon=True)


class DaemonThreadPool(ThreadPool):
    """A pool of daemon threads: neither ``stop`` nor the interpreter's exit joins them.

    Twisted's own pool joins its threads, so a thread that hangs would delay the exit. A caller that
    needs its result before the exit, such as a written file, waits for its Deferred.
    """

    threadFactory = _DaemonThread

    def stop(self) -> None:
        """Accept no more work; each thread ends after its current call."""
        self.threads.clear()  # ThreadPool.stop joins the threads in this list
        super().stop()


def use_daemon_threads(reactor: Any) -> None:
    """Give a Twisted reactor a :class:`DaemonThreadPool`. Call this before it runs.

    :param reactor: the process's; one not derived from Twisted's ReactorBase, or with a pool,
        stays as it is.
    """
    if isinstance(reactor, ReactorBase) and reactor.threadpool is None:
        pool = DaemonThreadPool(0, _MAX_THREADS, "tcpd")
        reactor.threadpool = pool
        reactor.callWhenRunning(pool.start)
        reactor.addSystemEventTrigger("during", "shutdown", pool.stop)
