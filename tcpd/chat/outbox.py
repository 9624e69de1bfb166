"""Output buffers of clients: bounded, with one write per reactor turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

#: Outboxes with only broadcasts that are flushed per turn: each takes a system call, and ten
#: thousand would stall other clients.
BROADCASTS_A_TURN = 500

#: Seconds per turn for them. A send of much to a client that reads slowly takes long.
SECONDS_A_TURN = 0.005

#: Outboxes that are flushed between two looks at the clock.
_BATCH = 20


class FlushQueue:
    """Outboxes with pending bytes, flushed together at the end of a reactor turn.

    Replies are flushed first. Broadcasts follow, at most :data:`BROADCASTS_A_TURN` sockets or
    :data:`SECONDS_A_TURN` a turn; in a room of thousands that also saves writes. One queue serves
    all frontends, so that a position in it (:meth:`Outbox.mark_flush_position`) shows whether a
    broadcast was written to all its recipients.

    :ivar broadcasts: outboxes with broadcasts, oldest first.
    :ivar done: how many outboxes with broadcasts have been flushed.
    :ivar crowded: an outbox is half full, though its client reads. No line from a client is taken
        until all broadcasts are flushed.

    :param schedule: called with this object; schedules one call of :meth:`flush`, not within this
        call. Called again only after that. An edge passes
        :attr:`tcpd.net.turns.TurnScheduler.schedule`.
    :param now: the monotonic clock, in seconds.
    """

    __slots__ = (
        "_now",
        "_replies",
        "_schedule",
        "_scheduled",
        "_waiting",
        "broadcasts",
        "crowded",
        "done",
    )

    def __init__(
        self,
        schedule: Callable[[FlushQueue], object],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._schedule = schedule
        self._now = now
        self._scheduled = False
        self.broadcasts: list[Outbox] = []
        self._replies: list[Outbox] = []
        self.done = 0
        self.crowded = False
        self._waiting: list[Callable[[], object]] = []

    def add(self, outbox: Outbox) -> None:
        """Queue an outbox that got a broadcast. Called by the fan-out."""
        if not self._scheduled:
            self._scheduled = True
            self._schedule(self)
        self.broadcasts.append(outbox)

    def add_reply(self, outbox: Outbox) -> None:
        """Queue an outbox for the end of this turn, even if it waits already. Called by the
        outbox."""
        if not self._scheduled:
            self._scheduled = True
            self._schedule(self)
        self._replies.append(outbox)

    def when_flushed(self, call: Callable[[], object]) -> None:
        """Call a function, which does not raise, when the queue is no longer crowded."""
        self._waiting.append(call)

    def _end_crowd(self) -> None:
        self.crowded = False
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            call()

    @property
    def position(self) -> int:
        """The value of :attr:`done` at which all outboxes that wait now are flushed."""
        return self.done + len(self.broadcasts)

    def flush(self) -> None:
        """Flush all, or as many as a turn allows. Called at the end of a turn.

        :raise Exception: of the last write that failed, after all other writes. Its client is
            dropped: see :meth:`Outbox.spoil`.
        """
        self._scheduled = False
        replies, self._replies = self._replies, []
        failed = _flush(replies, ())
        deadline = self._now() + SECONDS_A_TURN
        left = BROADCASTS_A_TURN
        while self.broadcasts and left and self._now() < deadline:
            batch = self.broadcasts[: min(left, _BATCH)]
            del self.broadcasts[: len(batch)]
            left -= len(batch)
            self.done += len(batch)
            failed = _flush((), batch) or failed
        if not self.broadcasts:
            if self.crowded:
                self._end_crowd()
        elif not self._scheduled:
            self._scheduled = True
            self._schedule(self)
        if failed is not None:
            raise failed


def _flush(replies: Iterable[Outbox], broadcasts: Iterable[Outbox]) -> Exception | None:
    """Flush outboxes, all of them whatever a write raises.

    :return: the exception of the last write that failed.
    """
    failed: Exception | None = None
    outbox: Outbox
    replied, others = iter(replies), iter(broadcasts)
    while True:  # once, and once more behind each that failed
        try:
            for outbox in replied:
                outbox.replying = False
                outbox.flush()
            for outbox in others:
                # Outbox.flush, inlined where it runs for each client
                if outbox.paused:
                    continue
                outbox.awaited = False
                chunks = outbox.chunks
                if not chunks:  # its reply was flushed before
                    continue
                if len(chunks) == 1:  # the usual case: the very object that other clients get
                    outbox.size = 0
                    if data := chunks.pop():
                        outbox.write(data)
                else:
                    outbox.flush()
            return failed
        except Exception as error:
            outbox.spoil()
            failed = error


@cache
def _half(limit: int) -> int:
    """Half of a limit, as one object for all clients."""
    return limit // 2


class Outbox:
    """Collects rendered bytes for one connection.

    Its attributes are open because the innermost loop of the fan-out works on them directly: for
    each client it costs an addition, a comparison and a list append. The rare cases are in
    :meth:`squeeze`. While paused, nothing is written.

    :ivar half: half the limit, in bytes; negative once closed.
    :ivar size: how many wait.
    :ivar chunks: what waits, oldest first.
    :ivar awaited: a flush is due already: it is in the flush queue, or paused.
    :ivar replying: the flush is due at the end of this turn.
    :ivar position: of the flush queue, at which what the owner caused is written to everybody.
    :ivar queue: the flush queue.
    :ivar paused: the transport's buffer is full.
    :ivar write: called with all that waits.
    :ivar owner: the :class:`tcpd.chat.people.Client`; ``None`` once closed.

    :param limit: bytes.
    :param write: called with all that waits, joined; never with ``b""``. As a rule nothing more
        comes in this turn. It may call :meth:`pause`.
    """

    __slots__ = (
        "awaited",
        "chunks",
        "half",
        "owner",
        "paused",
        "position",
        "queue",
        "replying",
        "size",
        "write",
    )

    def __init__(self, limit: int, queue: FlushQueue, write: Callable[[bytes], None]) -> None:
        self.half = _half(limit)
        self.size = 0
        self.chunks: list[bytes] = []
        self.awaited = False
        self.replying = False
        self.position = 0
        self.queue = queue
        self.write = write
        self.paused = False
        self.owner: Any = None

    def mark_flush_position(self) -> None:
        """Record that the owner caused what was sent just now. Called by the hub."""
        self.position = self.queue.position

    @property
    def limit(self) -> int:
        """The most bytes that may wait; negative once closed."""
        return 2 * self.half

    @property
    def flushed(self) -> bool:
        """Whether all recipients of what the owner caused are written to."""
        return self.queue.done >= self.position

    @property
    def closed(self) -> bool:
        """Whether it takes no more bytes."""
        return self.half < 0

    def put(self, data: bytes) -> bool:
        """Add a reply, behind the pending events.

        :return: whether it fits; ``True`` if closed.
        """
        size = self.size + len(data)
        if size > self.half and size > self.limit:
            return self.squeeze(data)
        self.size = size
        self.chunks.append(data)
        if not (self.replying or self.paused):
            self.awaited = self.replying = True
            self.queue.add_reply(self)
        return True

    def put_broadcast(self, data: bytes) -> bool:
        """Add a broadcast, as the fan-out does: it may be flushed some turns later.

        :return: whether it fits, as of :meth:`put`.
        """
        size = self.size + len(data)
        if size > self.half and size > self.limit:
            return self.squeeze(data)
        self.size = size
        self.chunks.append(data)
        if not self.awaited:
            self.awaited = True
            self.queue.add(self)
        return True

    def refuses(self, size: int) -> bool:
        """Whether a broadcast does not fit. Called by the fan-out if it fills more than half.

        :param size: of all pending bytes with it.
        """
        if size > self.limit:
            return True
        if not self.paused:
            self.queue.crowded = True
        return False

    def flush(self) -> None:
        """Write all pending bytes in one write. Does nothing while paused."""
        if self.paused:
            return
        self.awaited = False
        chunks = self.chunks
        if chunks:
            # usually one: then it is the very object that other clients get
            data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
            chunks.clear()
            self.size = 0
            if data:
                self.write(data)

    def squeeze(self, data: bytes) -> bool:
        """Flush, and add what did not fit.

        A client is slow only if the transport's buffer is full; else the turn is just busy.

        :return: whether it fits now; if not, the caller drops the owner.
        """
        if self.closed:
            return True
        if self.paused or len(data) > self.limit:
            return False
        self.flush()
        return self.put(data)

    def take(self) -> bytes:
        """Remove and return all pending bytes, to be written together with the last lines."""
        data = b"".join(self.chunks)
        self.chunks.clear()
        self.size = 0
        return data

    def pause(self) -> None:
        """The transport's buffer is full: buffer here."""
        self.paused = True
        self.awaited = True

    def resume(self) -> None:
        """The transport takes more."""
        self.paused = False
        self.flush()

    def spoil(self) -> None:
        """Bytes were lost. Refuse the next event, so that the owner is dropped as a slow reader."""
        if not self.closed:
            self.half = 0
            self.paused = self.awaited = True

    def close(self) -> None:
        """Discard pending bytes and take no more."""
        self.half = -1
        self.owner = None
        self.take()
