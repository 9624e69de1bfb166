"""Chat as a Service: what the frontends share, from before they start until after they stop."""

from __future__ import annotations

from collections.abc import Callable

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from tcpd.chat.hub import Hub
from tcpd.chat.outbox import FlushQueue
from tcpd.chat.settings import ChatSettings
from tcpd.eventlog.local import LocalLog
from tcpd.eventlog.log import EventLog
from tcpd.net.turns import TurnScheduler
from tcpd.ops.counters import ChatCounters
from tcpd.store.memory import Limits, MemoryHistory


class ChatService(Service):
    """Owns the hub, the event log, the history and the queues. Made by composition; it starts
    before the frontends, and stops after them.

    :param settings: the keys of ``[chat]``.
    :param node: see :class:`tcpd.chat.hub.Hub`.
    :param boot: likewise.
    :param wall_clock: seconds since 1970 UTC.
    :param clock: an IReactorTime with a monotonic clock, the reactor.
    :param log: puts events into their order; by default the log of a node by itself.

    :ivar hub: the rooms and the people.
    :ivar history: what was said.
    :ivar counters: what happens in all rooms, counted.
    :ivar log: puts events into their order.
    """

    def __init__(
        self,
        settings: ChatSettings,
        node: str,
        boot: str,
        wall_clock: Callable[[], float],
        clock: IReactorTime,
        log: EventLog | None = None,
    ) -> None:
        self.counters = ChatCounters()
        self.history = MemoryHistory(_limits(settings), self.counters.forgotten)
        self.log = LocalLog() if log is None else log
        self.hub = Hub(
            settings,
            log=self.log,
            history=self.history,
            queue=FlushQueue(TurnScheduler(clock).soon),
            node=node,
            boot=boot,
            wall_clock=wall_clock,
            clock=clock.seconds,
            counters=self.counters,
        )

    def reconfigure(self, settings: ChatSettings) -> None:
        """Take over other bounds. They hold for what comes after."""
        self.hub.settings = settings
        self.history.limits = _limits(settings)

    def startService(self) -> None:
        super().startService()
        self.log.start(self.hub.deliver)

    def stopService(self) -> Deferred[None]:
        """:return: fires when all that was appended to the log is delivered and kept."""
        super().stopService()
        return self.log.stop()


def _limits(settings: ChatSettings) -> Limits:
    return Limits(settings.history_kept, settings.history_bytes, settings.history_in_all)
