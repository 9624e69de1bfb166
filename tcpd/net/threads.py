"""The threads of a reactor: the end of the process does not wait for them."""

from __future__ import annotations

from threading import Thread
from typing import Any

from twisted.internet.base import ReactorBase
from twisted.python.threadpool import ThreadPool

#: As many as Twisted's own pool has.
_MOST = 10


class _DaemonThread(Thread):
    def __init__(self, *arguments: Any, **names: Any) -> None:
        super().__init__(*arguments, **names, daemon=True)


class DaemonThreads(ThreadPool):
    """A pool whose threads neither a stop nor the end of the interpreter waits for.

    Twisted's own pool joins its threads: a thread that hangs, or queued work, holds the end. What
    has to be whole at the end (a file that is written) is waited for by who asked for it.
    """

    threadFactory = _DaemonThread

    def stop(self) -> None:
        """Take no more work, and let threads end when they have done what they are at."""
        self.threads.clear()  # which would be joined
        super().stop()


def use_daemon_threads(reactor: Any) -> None:
    """Have a reactor of Twisted's use such a pool. Call it before it runs.

    :param reactor: the process's. A reactor that is not made on Twisted's ReactorBase, or that has
        a pool by now, keeps it.
    """
    if isinstance(reactor, ReactorBase) and reactor.threadpool is None:
        pool = DaemonThreads(0, _MOST, "tcpd")
        reactor.threadpool = pool
        reactor.callWhenRunning(pool.start)
        reactor.addSystemEventTrigger("during", "shutdown", pool.stop)
