"""Look-ups by the system's resolver, bounded in number and in time.

``getaddrinfo(3)`` and ``gethostbyaddr(3)`` block, and nothing can cancel them: where a name server
is silent, a call takes ``timeout`` times ``attempts`` of ``resolv.conf(5)``, for each server and
search domain. So each look-up has a daemon thread, for which the end of the process does not wait;
each service has its own :class:`Lookups`, with few threads; and the caller has its answer in time,
though the thread goes on. docs/explanation/structure.rst says why not ``twisted.names``.
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

#: Look-ups at a time: threads that a silent name server can hold.
MOST = 4
#: Look-ups that wait for one of those.
WAITING = 256
#: Seconds until a caller has an answer. The resolver has asked a second name server by then: the
#: default of ``options timeout`` in ``resolv.conf(5)`` is 5 s.
TIMEOUT = 10.0


class LookupFailed(Exception):
    """There is no answer. Its text is a clause for a log, without a full stop and without text of a
    peer's."""


def start_thread(run: Callable[[], None]) -> None:
    """Run it in a daemon thread. :raise RuntimeError: if the system gives no thread."""
    threading.Thread(target=run, name="tcpd look-up", daemon=True).start()


class _Search:
    """One call of the resolver, and its callers with their timers."""

    __slots__ = ("began", "find", "key", "waiters")

    def __init__(self, key: Hashable, find: Callable[[], Any], began: float) -> None:
        self.key = key
        self.find = find
        self.began = began
        self.waiters: dict[Deferred[Any], IDelayedCall] = {}


class Lookups:
    """The look-ups of one service.

    Callers of the same key share a search, so any number of clients of one name take one thread. A
    search that is overdue is repeated while there are threads.

    :param reactor: IReactorTime and IReactorFromThreads.
    :param most: searches at a time, which is threads.
    :param waiting: searches that wait for their turn.
    :param timeout: seconds, for each caller.
    :param start: runs a function in a thread; but for tests, :func:`start_thread`.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        most: int = MOST,
        waiting: int = WAITING,
        timeout: float = TIMEOUT,
        start: Callable[[Callable[[], None]], None] = start_thread,
    ) -> None:
        self._reactor = reactor
        self._most = most
        self._most_waiting = waiting
        self._timeout = timeout
        self._start = start
        self._running = 0
        self._latest: dict[Hashable, _Search] = {}
        self._queue: dict[_Search, None] = {}

    def ask(self, key: Hashable, find: Callable[[], T]) -> Deferred[T]:
        """Look something up.

        :param key: equal for callers that can share an answer.
        :param find: called in a thread; blocks, and returns the answer or raises.
        :return: fires with the answer. Fails with what ``find`` raises, and with
            :class:`LookupFailed` where the answer does not come in time, too many wait, or the
            caller cancels it.
        """
        search = self._latest.get(key)
        now = self._reactor.seconds()
        free = self._running < self._most
        if search is None or (free and now - search.began >= self._timeout):
            if not free and len(self._queue) >= self._most_waiting:
                return fail(LookupFailed(f"{self._most_waiting} look-ups wait for the resolver"))
            search = self._latest[key] = _Search(key, find, now)
            self._queue[search] = None
        result = self._wait(search)
        self._go_on()
        return result

    def _wait(self, search: _Search) -> Deferred[Any]:
        began = self._reactor.seconds()
        result: Deferred[Any] = Deferred(lambda result: self._expire(search, result, began))
        search.waiters[result] = self._reactor.callLater(
            self._timeout, self._expire, search, result, began
        )
        return result

    def _expire(self, search: _Search, result: Deferred[Any], began: float) -> None:
        timer = search.waiters.pop(result)
        if timer.active():
            timer.cancel()
        if not search.waiters and search in self._queue:
            del self._queue[search]
            self._forget(search)
        seconds = self._reactor.seconds() - began
        result.errback(
            LookupFailed(
                f"the system's resolver has not answered in {seconds:.1f} s; "
                "do the name servers in /etc/resolv.conf answer?"
            )
        )

    def _go_on(self) -> None:
        while self._queue and self._running < self._most:
            search = next(iter(self._queue))
            del self._queue[search]
            self._running += 1
            try:
                self._start(partial(self._in_thread, search))
            except RuntimeError:
                error = LookupFailed("the system gives no thread for a look-up")
                self._reactor.callLater(0, self._finished, search, Failure(error))

    def _in_thread(self, search: _Search) -> None:
        result: Any
        try:
            result = search.find()
        except Exception:
            result = Failure()
        self._reactor.callFromThread(self._finished, search, result)

    def _finished(self, search: _Search, result: Any) -> None:
        self._running -= 1
        self._forget(search)
        self._go_on()
        waiters, search.waiters = search.waiters, {}
        for waiter, timer in waiters.items():
            timer.cancel()
            waiter.callback(result)

    def _forget(self, search: _Search) -> None:
        if self._latest.get(search.key) is search:
            del self._latest[search.key]
