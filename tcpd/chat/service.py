"""The chat service: starts before the frontends, and stops after them."""

from __future__ import annotations

from collections.abc import Callable

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from tcpd.chat.departures import Departures, at_once
from tcpd.chat.hub import Hub
from tcpd.chat.outbox import FlushQueue
from tcpd.chat.settings import ChatSettings
from tcpd.eventlog.local import LocalLog
from tcpd.eventlog.log import EventLog
from tcpd.net.turns import TurnScheduler
from tcpd.ops.counters import ChatCounters
from tcpd.policy.workqueue import WorkQueue
from tcpd.store.history import HistoryStore
from tcpd.store.memory import HistoryLimits, MemoryHistory

_log = Logger()


class ChatService(Service):
    """Owns the hub, the event log, the history and the queues. Made by composition; it starts
    before the frontends, and stops after them.

    :param settings: the keys of ``[chat]``.
    :param node: see :class:`tcpd.chat.hub.Hub`.
    :param boot: see :class:`tcpd.chat.hub.Hub`.
    :param wall_clock: seconds since 1970 UTC.
    :param clock: an IReactorTime with a monotonic clock, the reactor.
    :param work: the daemon's queue of work, which runs departures; ``None`` runs them
        at once.
    :param log: orders the events; by default the log of a single node.
    :param history: stores the messages of rooms; by default in memory, with the bounds of
        ``[chat]``.

    :ivar hub: rooms and people.
    :ivar history: recent messages.
    :ivar counters: the counters of all rooms.
    :ivar log: orders the events.
    """

    def __init__(
        self,
        settings: ChatSettings,
        node: str,
        boot: str,
        wall_clock: Callable[[], float],
        clock: IReactorTime,
        log: EventLog | None = None,
        work: WorkQueue | None = None,
        history: HistoryStore | None = None,
    ) -> None:
        self.counters = ChatCounters()
        if history is None:
            history = MemoryHistory(_limits(settings), self.counters.forgotten)
        self.history = history
        self.log = LocalLog() if log is None else log
        self._departures: Departures | None = None
        if work is not None:
            self._departures = Departures(work, clock.seconds, lambda: self.hub.fanout)
        self.hub = Hub(
            settings,
            log=self.log,
            history=self.history,
            queue=FlushQueue(TurnScheduler(clock).schedule, clock.seconds),
            node=node,
            boot=boot,
            wall_clock=wall_clock,
            clock=clock.seconds,
            counters=self.counters,
            report=_log.failure,
            later=at_once if self._departures is None else self._departures.later,
        )

    def reconfigure(self, settings: ChatSettings) -> None:
        """Apply new bounds. They hold for what comes after."""
        self.hub.settings = settings
        if isinstance(self.history, MemoryHistory):
            self.history.limits = _limits(settings)

    def startService(self) -> None:
        super().startService()
        self.log.start(self.hub.deliver)

    def stopService(self) -> Deferred[None]:
        """:return: fires when all events are delivered and kept, and all messages stored."""
        super().stopService()
        if self._departures is not None:
            self._departures.finish()
        stopped = self.log.stop()
        stopped.addCallback(lambda _: self.history.stop())
        return stopped


def _limits(settings: ChatSettings) -> HistoryLimits:
    return HistoryLimits(settings.history_kept, settings.history_bytes, settings.history_in_all)
