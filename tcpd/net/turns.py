"""Calls scheduled for the end of a reactor turn, which is one iteration of the event loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.logger import Logger

from tcpd.policy.workqueue import SECONDS_A_TURN, WorkQueue

_log = Logger()


class Flushable(Protocol):
    """An object that can be scheduled for the end of a turn."""

    def flush(self) -> None:
        """Send what is buffered. Called once for each time it was scheduled.

        An exception is logged and does not affect other objects.
        """


def between_polls(reactor: Any) -> Callable[[Callable[[], object]], object]:
    """Return a function that calls its argument when new descriptors can be registered safely.

    Twisted's poll and epoll reactors find descriptors by number. If a number is reused within one
    batch of events, the new descriptor gets an event of the old one. A descriptor that is opened
    between two polls gets no such event.

    :param reactor: an IReactorFDSet and IReactorTime.
    :return: on :class:`tcpd.net.reactor.TcpdReactor` the call is made at once, because its
        registrations have generations; on other reactors it is made before the next poll.
    """
    if has_generations(reactor):
        return lambda call: call()
    return lambda call: reactor.callLater(0, call)


def has_generations(reactor: Any) -> bool:
    """Whether a reactor drops events of former owners of a descriptor number."""
    return hasattr(reactor, "forget")


class TurnScheduler:
    """Schedules the ``flush`` of connections and queues for the end of the current turn.

    All connections share one.

    :param reactor: an IReactorTime; for connections an IReactorFDSet too. A reactor with
        an attribute ``written``, as :class:`tcpd.net.reactor.TcpdReactor`, calls ``flush`` itself.

    :ivar schedule: takes an object whose ``flush`` is then called at the end of the turn.
    :ivar forget: takes a connection whose socket is closed right after, and unregisters it.
    """

    __slots__ = ("_waiting", "forget", "reactor", "schedule")

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self._waiting: list[Flushable] = []
        written = getattr(reactor, "written", None)
        self.schedule: Callable[[Flushable], None] = (
            self._add if written is None else written.append
        )
        self.forget: Callable[[Any], None] = getattr(reactor, "forget", self._remove)

    def _remove(self, connection: Any) -> None:
        self.reactor.removeReader(connection)
        self.reactor.removeWriter(connection)

    def _add(self, flushable: Flushable) -> None:
        if not self._waiting:
            self.reactor.callLater(0, self._flush)
        self._waiting.append(flushable)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            try:
                each.flush()
            except Exception:
                _log.failure("a flush failed")


def work_queue(reactor: Any, seconds: float = SECONDS_A_TURN) -> WorkQueue:
    """Make the daemon's queue for the work that clients cause.

    :param reactor: an IReactorTime whose clock is monotonic.
    :param seconds: see :class:`tcpd.policy.workqueue.WorkQueue`.
    """
    schedule = TurnScheduler(reactor).schedule
    return WorkQueue(reactor.seconds, schedule, lambda: _log.failure("work failed"), seconds)
