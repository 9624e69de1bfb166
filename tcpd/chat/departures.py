"""Quits of clients that left or were dropped: run by the work queue, in batches.

A thousand connections may end in one turn of the reactor, and each quit is an event for all members
of the same rooms. Quits therefore wait for the work queue, and those of one turn are sent together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.logger import Logger

from tcpd.chat.fanout import Fanout
from tcpd.policy.workqueue import BACKGROUND, WorkQueue

_log = Logger()


def at_once(act: Callable[[], None]) -> None:
    """Call ``act`` now: departures without a queue."""
    act()


class Departures:
    """A :class:`tcpd.policy.workqueue.WorkSource`, one for all clients.

    :param queue: the daemon's queue of work.
    :param now: the monotonic clock of the queue, in seconds.
    :param fanout: gives the fan-out of the hub.
    """

    share = BACKGROUND

    def __init__(
        self, queue: WorkQueue, now: Callable[[], float], fanout: Callable[[], Fanout]
    ) -> None:
        self._queue = queue
        self._now = now
        self._fanout = fanout
        self._acts: deque[Callable[[], None]] = deque()

    def later(self, act: Callable[[], None]) -> None:
        """Queue ``act``. Calls run in order."""
        self._acts.append(act)
        self._queue.add(self)

    def work(self, deadline: float) -> bool:
        """See :class:`tcpd.policy.workqueue.WorkSource`."""
        fanout = self._fanout()
        fanout.hold()
        try:
            while self._acts:
                self._do(self._acts.popleft())
                if self._now() >= deadline:
                    break
        finally:
            fanout.release()
        return bool(self._acts)

    def finish(self) -> None:
        """Run the rest now. Called when the service stops."""
        while self._acts:
            self._do(self._acts.popleft())
        self._queue.remove(self)

    @staticmethod
    def _do(act: Callable[[], None]) -> None:
        try:
            act()
        except Exception:  # a failed departure does not affect others
            _log.failure("a client that has gone could not be removed")
