"""The event log of a single node: in memory, delivered at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed

from tcpd.events.chat import Event


def _not_started(event: Event) -> None:
    raise RuntimeError("the event log was not started")


class LocalLog:
    """See :class:`tcpd.eventlog.log.EventLog`.

    An event is delivered within :meth:`append`. During a delivery it is queued instead, so that
    events that cause each other do not recurse.
    """

    def __init__(self) -> None:
        self._deliver: Callable[[Event], None] = _not_started
        self._waiting: deque[Event] = deque()
        self._delivering = False

    def start(self, deliver: Callable[[Event], None]) -> None:
        self._deliver = deliver

    def append(self, event: Event) -> None:
        if self._delivering:
            self._waiting.append(event)
            return
        self._delivering = True
        try:
            self._deliver(event)
            while self._waiting:
                self._deliver(self._waiting.popleft())
        finally:
            self._delivering = False
            if self._waiting:  # a delivery failed, which does not keep the others back
                self.append(self._waiting.popleft())

    def stop(self) -> Deferred[None]:
        return succeed(None)
