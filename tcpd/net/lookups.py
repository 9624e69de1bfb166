"""Lookups by the system's resolver, bounded in number and in time.

``getaddrinfo(3)`` and ``gethostbyaddr(3)`` block and cannot be cancelled. If a name server does not
answer, a call takes ``timeout`` times ``attempts`` of ``resolv.conf(5)``, for each server and
search domain. So each lookup runs in a daemon thread, and each service has its own
:class:`Lookups` with few threads. The caller's Deferred times out even if the thread still runs.
docs/explanation/structure.rst says why not ``twisted.names``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

T = TypeVar("T")

#: Concurrent lookups, and so threads, of one service.
MAX_THREADS = 4
#: Lookups that may wait for a thread.
MAX_QUEUED = 256
#: Seconds. By then the resolver has tried a second name server: the default of ``options timeout``
#: in ``resolv.conf(5)`` is 5 s.
TIMEOUT = 10.0


class LookupFailed(Exception):
    """A lookup has no result. The message is a clause for logs, without text from a peer."""


def start_thread(run: Callable[[], None]) -> None:
    """Run a function in a daemon thread.

    :raise RuntimeError: if the system cannot start a thread.
    """
    threading.Thread(target=run, name="tcpd look-up", daemon=True).start()


class _Lookup:
    """One call of the resolver, and the Deferreds of its callers with their timers."""

    __slots__ = ("began", "find", "key", "waiters")

    def __init__(self, key: Hashable, find: Callable[[], Any], began: float) -> None:
        self.key = key
        self.find = find
        self.began = began
        self.waiters: dict[Deferred[Any], IDelayedCall] = {}


class Lookups:
    """The lookups of one service.

    Callers with the same key share one lookup. A lookup that has exceeded the timeout is repeated
    for new callers if a thread is free.

    :param reactor: IReactorTime and IReactorFromThreads.
    :param max_threads: concurrent lookups.
    :param max_queued: lookups that may wait for a thread.
    :param timeout: seconds, for each caller.
    :param start: runs a function in a thread; tests replace it.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        max_threads: int = MAX_THREADS,
        max_queued: int = MAX_QUEUED,
        timeout: float = TIMEOUT,
        start: Callable[[Callable[[], None]], None] = start_thread,
    ) -> None:
        self._reactor = reactor
        self._max_threads = max_threads
        self._max_queued = max_queued
        self._timeout = timeout
        self._start = start
        self._running = 0
        self._latest: dict[Hashable, _Lookup] = {}
        self._queue: dict[_Lookup, None] = {}

    def look_up(self, key: Hashable, find: Callable[[], T]) -> Deferred[T]:
        """Look up in a thread.

        :param key: equal for callers that can share a result.
        :param find: called in a thread; it may block, and returns the result or raises.
        :return: fires with the result. Fails with what ``find`` raises, or with
            :class:`LookupFailed` if the lookup times out, the queue is full or the caller cancels.
        """
        lookup = self._latest.get(key)
        now = self._reactor.seconds()
        free = self._running < self._max_threads
        if lookup is None or (free and now - lookup.began >= self._timeout):
            if not free and len(self._queue) >= self._max_queued:
                return fail(LookupFailed(f"{self._max_queued} look-ups wait for the resolver"))
            lookup = self._latest[key] = _Lookup(key, find, now)
            self._queue[lookup] = None
        result = self._add_waiter(lookup)
        self._start_queued()
        return result

    def _add_waiter(self, lookup: _Lookup) -> Deferred[Any]:
        began = self._reactor.seconds()
        result: Deferred[Any] = Deferred(lambda result: self._expire(lookup, result, began))
        lookup.waiters[result] = self._reactor.callLater(
            self._timeout, self._expire, lookup, result, began
        )
        return result

    def _expire(self, lookup: _Lookup, result: Deferred[Any], began: float) -> None:
        timer = lookup.waiters.pop(result)
        if timer.active():
            timer.cancel()
        if not lookup.waiters and lookup in self._queue:
            del self._queue[lookup]
            self._forget(lookup)
        seconds = self._reactor.seconds() - began
        result.errback(
            LookupFailed(
                f"the system's resolver has not answered in {seconds:.1f} s; "
                "do the name servers in /etc/resolv.conf answer?"
            )
        )

    def _start_queued(self) -> None:
        while self._queue and self._running < self._max_threads:
            lookup = next(iter(self._queue))
            del self._queue[lookup]
            self._running += 1
            try:
                self._start(partial(self._in_thread, lookup))
            except RuntimeError:
                error = LookupFailed("the system gives no thread for a look-up")
                self._reactor.callLater(0, self._finished, lookup, Failure(error))

    def _in_thread(self, lookup: _Lookup) -> None:
        result: Any
        try:
            result = lookup.find()
        except Exception:
            result = Failure()
        self._reactor.callFromThread(self._finished, lookup, result)

    def _finished(self, lookup: _Lookup, result: Any) -> None:
        self._running -= 1
        self._forget(lookup)
        self._start_queued()
        waiters, lookup.waiters = lookup.waiters, {}
        for waiter, timer in waiters.items():
            timer.cancel()
            waiter.callback(result)

    def _forget(self, lookup: _Lookup) -> None:
        if self._latest.get(lookup.key) is lookup:
            del self._latest[lookup.key]
