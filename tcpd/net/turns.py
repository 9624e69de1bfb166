"""The turns of the reactor, and what is done at the end of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.logger import Logger

from tcpd.policy.workqueue import SECONDS_A_TURN, WorkQueue

_log = Logger()


class Flushed(Protocol):
    """What has something to do at the end of a turn."""

    def flush(self) -> None:
        """Do it. Called once each time it was asked for; what it raises is logged, and costs no
        other its own."""


def between_polls(reactor: Any) -> Callable[[Callable[[], object]], object]:
    """How to call what opens descriptors and registers them with a reactor.

    Twisted's poll and epoll reactors find descriptors by number: an event late in a batch reaches
    whoever has its number by then. What is opened between two polls gets no such event.

    :param reactor: an IReactorFDSet and IReactorTime.
    :return: takes a callable; calls it at once on :class:`tcpd.net.reactor.TcpdReactor`, whose
        registrations have generations, and before the next poll on any other.
    """
    if has_generations(reactor):
        return lambda call: call()
    return lambda call: reactor.callLater(0, call)


def has_generations(reactor: Any) -> bool:
    """Whether a reactor gives events only to who was registered when it polled."""
    return hasattr(reactor, "forget")


class TurnScheduler:
    """The reactor, and what happens at the end of each of its turns; one for all connections.

    Other things than connections, too, may have a ``flush`` and ask for it.

    :param reactor: an IReactorFDSet and IReactorTime; for others than connections the latter will
        do. One that has ``written``, as :class:`tcpd.net.reactor.TcpdReactor` has, flushes at the
        end of its turns by itself.

    :ivar soon: called with a connection that was written to or is to end; sees to it that its
        ``flush``, which never raises, is called at the end of the turn.
    :ivar forget: called with a connection whose socket is closed right after.
    """

    __slots__ = ("_waiting", "forget", "reactor", "soon")

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self._waiting: list[Flushed] = []
        written = getattr(reactor, "written", None)
        self.soon: Callable[[Flushed], None] = self._later if written is None else written.append
        self.forget: Callable[[Any], None] = getattr(reactor, "forget", self._remove)

    def _remove(self, connection: Any) -> None:
        self.reactor.removeReader(connection)
        self.reactor.removeWriter(connection)

    def _later(self, connection: Flushed) -> None:
        if not self._waiting:
            self.reactor.callLater(0, self._flush)
        self._waiting.append(connection)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            try:
                each.flush()
            except Exception:
                _log.failure("a flush failed")


def work_queue(reactor: Any, seconds: float = SECONDS_A_TURN) -> WorkQueue:
    """Make the queue of the work that clients cause; the daemon has one.

    :param reactor: an IReactorTime whose clock is monotonic.
    :param seconds: see :class:`tcpd.policy.workqueue.WorkQueue`.
    """
    soon = TurnScheduler(reactor).soon
    return WorkQueue(reactor.seconds, soon, lambda: _log.failure("work failed"), seconds)
