"""Event logs for tests: recording, held and late. The suites of chat also run on a late log."""

from __future__ import annotations

import os
import random
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from tcpd.chat.service import ChatService
from tcpd.eventlog.entry import deliver_entry
from tcpd.eventlog.local import LocalLog
from tcpd.eventlog.log import EventLog
from tcpd.events.chat import Event
from tcpd.events.codec import encode
from tcpd.ops.counters import ChatCounters

#: The longest delay of :class:`LateLog`, in seconds.
LONGEST = 0.02


class LateLog:
    """A log that delivers each event after a random delay, through the codec, as a log of several
    nodes does. The events of one person keep their order.

    :param seed: of the delays.

    :ivar waiting: the number of events that are not delivered yet.
    """

    def __init__(self, clock: Clock, seed: int = 0) -> None:
        self._clock = clock
        self._random = random.Random(seed)
        self._queues: dict[str, deque[Event]] = {}
        self._deliver: Callable[[Event], None]
        self.counters = ChatCounters()
        self.waiting = 0

    def start(self, deliver: Callable[[Event], None]) -> None:
        self._deliver = deliver

    def append(self, event: Event) -> None:
        queue = self._queues.setdefault(event.actor.id, deque())
        queue.append(event)
        self.waiting += 1
        if len(queue) == 1:
            self._schedule(queue)

    def stop(self) -> Deferred[None]:
        return succeed(None)

    def _schedule(self, queue: deque[Event]) -> None:
        self._clock.callLater(self._random.uniform(0.001, LONGEST), self._deliver_next, queue)

    def _deliver_next(self, queue: deque[Event]) -> None:
        event = queue.popleft()
        self.waiting -= 1
        if queue:
            self._schedule(queue)
        deliver_entry(encode(event), self._deliver, self.counters)


class RecordingLog(LocalLog):
    """The local log, which records its events.

    :ivar events: the appended events.
    :ivar events_at_stop: those that were appended before :meth:`stop`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Event] = []
        self.events_at_stop: list[Event] | None = None

    def append(self, event: Event) -> None:
        self.events.append(event)
        super().append(event)

    def stop(self) -> Deferred[None]:
        self.events_at_stop = list(self.events)
        return super().stop()


class HeldLog(LocalLog):
    """A log that delivers when a test says so.

    :ivar holding: ``False`` to deliver at once.
    :ivar queue: the held events.
    """

    def __init__(self, holding: bool = True) -> None:
        super().__init__()
        self.holding = holding
        self.queue: deque[Event] = deque()

    def append(self, event: Event) -> None:
        if self.holding:
            self.queue.append(event)
        else:
            super().append(event)

    def deliver_next(self) -> None:
        """Deliver the first of the held events."""
        super().append(self.queue.popleft())

    def deliver_all(self) -> None:
        """Deliver all held events."""
        while self.queue:
            self.deliver_next()


#: Marks a test that requires delivery within the call. Takes the reason.
on_the_local_log = pytest.mark.on_the_local_log

#: The kind and the seed of logs from :func:`make_log`. Set by the fixture ``log_kind``.
kind = "local"
seed = 0


def make_log(clock: Clock) -> EventLog:
    """The log for a chat of the test that runs."""
    return LateLog(clock, seed) if kind == "late" else LocalLog()


@contextmanager
def use_log(new_kind: str, new_seed: int = 0) -> Iterator[None]:
    """Make logs of this kind, in a test that compares two."""
    global kind, seed
    before = kind, seed
    kind, seed = new_kind, new_seed
    try:
        yield
    finally:
        kind, seed = before


def seed_of(node_id: str) -> int:
    """The seed of a test: the same in each run with the same ``TCPD_TEST_SEED``."""
    return zlib.crc32(f"{os.environ.get('TCPD_TEST_SEED', '')}{node_id}".encode())


def settle(clock: Clock, chat: ChatService) -> None:
    """End a reactor turn. With a late log, run turns until all events are delivered."""
    clock.advance(0)
    log = chat.log
    if isinstance(log, LateLog):
        quiet = 0
        while quiet < 3:
            quiet = 0 if log.waiting else quiet + 1
            clock.advance(LONGEST / 4 if log.waiting else 0)
