"""Event logs for tests: the local one, or one that delivers late, on which the suites of chat run
too."""

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
    """See :class:`tcpd.eventlog.log.EventLog`. It delivers each event after a random delay, through
    the codec, as a log of several nodes does: the events of one person in their order, those of
    different people in any.

    :param clock: keeps time.
    :param seed: of the delays.
    """

    def __init__(self, clock: Clock, seed: int = 0) -> None:
        self._clock = clock
        self._random = random.Random(seed)
        self._queues: dict[str, deque[Event]] = {}
        self._deliver: Callable[[Event], None]
        self.counters = ChatCounters()
        #: Events that are on their way.
        self.waiting = 0

    def start(self, deliver: Callable[[Event], None]) -> None:
        self._deliver = deliver

    def append(self, event: Event) -> None:
        queue = self._queues.setdefault(event.actor.id, deque())
        queue.append(event)
        self.waiting += 1
        if len(queue) == 1:
            self._later(queue)

    def stop(self) -> Deferred[None]:
        return succeed(None)

    def _later(self, queue: deque[Event]) -> None:
        self._clock.callLater(self._random.uniform(0.001, LONGEST), self._next, queue)

    def _next(self, queue: deque[Event]) -> None:
        event = queue.popleft()
        self.waiting -= 1
        if queue:
            self._later(queue)
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


class HeldLog:
    """See :class:`tcpd.eventlog.log.EventLog`. It delivers when a test says so."""

    def __init__(self) -> None:
        self.queue: deque[Event] = deque()
        self._deliver: Callable[[Event], None]

    def start(self, deliver: Callable[[Event], None]) -> None:
        self._deliver = deliver

    def append(self, event: Event) -> None:
        self.queue.append(event)

    def stop(self) -> Deferred[None]:
        return succeed(None)

    def settle(self) -> None:
        """Deliver all that was appended."""
        while self.queue:
            self._deliver(self.queue.popleft())


#: Marks a test whose subject is what happens within one call, which a late log has no part in.
#: Takes the reason in a sentence.
on_the_local_log = pytest.mark.on_the_local_log

#: The kind of log that :func:`make_log` makes, and the seed of late ones; see the fixture
#: ``log_kind`` in conftest.py.
kind = "local"
seed = 0


def make_log(clock: Clock) -> EventLog:
    """The log for a chat of the test that runs."""
    return LateLog(clock, seed) if kind == "late" else LocalLog()


@contextmanager
def use_log(new_kind: str, new_seed: int = 0) -> Iterator[None]:
    """Have houses made with this kind of log, for a test that compares two."""
    global kind, seed
    before = kind, seed
    kind, seed = new_kind, new_seed
    try:
        yield
    finally:
        kind, seed = before


def seed_of(node_id: str) -> int:
    """The seed for a test: another for each, the same in each run, unless ``TCPD_TEST_SEED`` in
    the environment is changed."""
    return zlib.crc32(f"{os.environ.get('TCPD_TEST_SEED', '')}{node_id}".encode())


def settle(clock: Clock, chat: ChatService) -> None:
    """Let a turn of the reactor end; with a late log, until all is delivered and answered."""
    clock.advance(0)
    log = chat.log
    if isinstance(log, LateLog):
        quiet = 0
        while quiet < 3:
            quiet = 0 if log.waiting else quiet + 1
            clock.advance(LONGEST / 4 if log.waiting else 0)
