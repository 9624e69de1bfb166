"""Output buffers of clients: bounded, with one write per reactor turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import cache
from itertools import islice
from typing import Any

#: Outboxes flushed per turn that contain only broadcasts: each flush is a system call, and ten
#: thousand would stall other clients.
BROADCASTS_A_TURN = 500

#: Seconds per turn for these flushes: a large send to a slow reader takes long.
SECONDS_A_TURN = 0.005

#: Outboxes flushed between two readings of the clock.
_BATCH = 32


class FlushQueue:
    """Outboxes with pending bytes, flushed together at the end of a reactor turn.

    Replies are flushed first. Broadcasts follow, at most :data:`BROADCASTS_A_TURN` sockets or
    :data:`SECONDS_A_TURN` per turn; in a room of thousands this also coalesces writes. The rest is
    flushed at every second call: tcpd's reactor flushes twice in a turn, and the lines of clients
    are processed once (:class:`tcpd.policy.workqueue.WorkQueue`). All frontends share one queue, so
    that a position in it (:meth:`Outbox.mark_flush_position`) shows whether a broadcast was written
    to all its recipients.

    :ivar broadcasts: outboxes with broadcasts, oldest first.
    :ivar done: the number of outboxes with broadcasts that have been flushed.
    :ivar crowded: the outbox of a client that does read is more than half full. No input line is
        processed until all broadcasts are flushed.

    :param schedule: called with this object; schedules one later call of :meth:`flush`. Called
        again only after that. A frontend passes :attr:`tcpd.net.turns.TurnScheduler.schedule`.
    :param now: the monotonic clock, in seconds.
    """

    __slots__ = (
        "_now",
        "_replies",
        "_resting",
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
        self._resting = False  # the last call flushed broadcasts and left some
        self.broadcasts: list[Outbox] = []
        self._replies: list[Outbox] = []
        self.done = 0
        self.crowded = False
        self._waiting: list[Callable[[], object]] = []

    def add(self, outbox: Outbox) -> None:
        """Queue an outbox that received a broadcast. Called by the fan-out."""
        if not self._scheduled:
            self._scheduled = True
            self._schedule(self)
        self.broadcasts.append(outbox)

    def add_reply(self, outbox: Outbox) -> None:
        """Queue an outbox with a reply for the end of this turn, even if it is queued for a
        broadcast. Called by the outbox."""
        if not self._scheduled:
            self._scheduled = True
            self._schedule(self)
        self._replies.append(outbox)

    def delays(self, proceed: Callable[[], object]) -> bool:
        """Whether the next line of a client must wait, since the queue is crowded.

        :param proceed: called once the line may be taken; must not raise.
        """
        if self.crowded:
            self._waiting.append(proceed)
        return self.crowded

    def _end_crowd(self) -> None:
        self.crowded = False
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            call()

    @property
    def position(self) -> int:
        """The value of :attr:`done` once all currently queued broadcasts are flushed."""
        return self.done + len(self.broadcasts)

    def flush(self) -> None:
        """Flush the replies, and broadcasts within the limits of a turn. Called at its end.

        :raise Exception: the exception of the last failed write, after all other writes. The client
            is dropped: see :meth:`Outbox.mark_broken`.
        """
        self._scheduled = False
        replies, self._replies = self._replies, []
        failed = _flush(replies, ())
        self._resting = not self._resting and bool(self.broadcasts)
        if self._resting:
            failed = self._flush_broadcasts() or failed
        if not self.broadcasts:
            self._resting = False
            if self.crowded:
                self._end_crowd()
        elif not self._scheduled:
            self._scheduled = True
            self._schedule(self)
        if failed is not None:
            raise failed

    def _flush_broadcasts(self) -> Exception | None:
        """Flush broadcasts within the limits of a turn; return as :func:`_flush` does."""
        taken = self.broadcasts[:BROADCASTS_A_TURN]
        del self.broadcasts[:BROADCASTS_A_TURN]
        self.done += len(taken)
        if len(taken) <= _BATCH:
            return _flush((), taken)
        deadline = self._now() + SECONDS_A_TURN
        failed: Exception | None = None
        left = iter(taken)
        for _ in range(0, len(taken), _BATCH):
            failed = _flush((), islice(left, _BATCH)) or failed
            if self._now() >= deadline:
                rest = list(left)
                self.broadcasts[:0] = rest
                self.done -= len(rest)
                break
        return failed


def _flush(replies: Iterable[Outbox], broadcasts: Iterable[Outbox]) -> Exception | None:
    """Flush all outboxes, even if writes raise.

    :return: the exception of the last failed write.
    """
    failed: Exception | None = None
    outbox: Outbox
    replied, others = iter(replies), iter(broadcasts)
    while True:  # resumes after each failed write
        try:
            for outbox in replied:
                outbox.replying = False
                outbox.flush()
            for outbox in others:
                # Outbox.flush, inlined: the hot path of broadcasts
                if outbox.paused:
                    continue
                outbox.awaited = False
                chunks = outbox.chunks
                if not chunks:  # flushed above, with a reply
                    continue
                if len(chunks) == 1:  # the usual case: an object shared with other clients
                    outbox.size = 0
                    if data := chunks.pop():
                        outbox.write(data)
                else:
                    outbox.flush()
            return failed
        except Exception as error:
            outbox.mark_broken()
            failed = error


@cache
def _half(limit: int) -> int:
    """Return half of a limit, as one object that all outboxes share."""
    return limit // 2


class Outbox:
    """Collects rendered bytes for one connection.

    Its attributes are public because the innermost loop of the fan-out accesses them directly: an
    addition, a comparison and a list append for each client. The rare cases are in
    :meth:`flush_and_put`. While paused, nothing is written.

    :ivar half: half the limit, in bytes; negative once closed.
    :ivar size: the number of pending bytes.
    :ivar chunks: the pending data, oldest first.
    :ivar awaited: a flush will follow: the outbox is queued or paused.
    :ivar replying: the flush is due at the end of this turn.
    :ivar position: the value of the queue's ``done`` once the owner's last broadcast is written to
        all recipients.
    :ivar queue: the flush queue.
    :ivar paused: the transport's buffer is full.
    :ivar owner: the :class:`tcpd.chat.people.Client`; ``None`` once closed.

    :param limit: bytes.
    :param write: called with all pending bytes, joined; never with ``b""``. Usually called once a
        turn. It may call :meth:`pause`.
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
        """Record the position of the broadcast that the owner just caused."""
        self.position = self.queue.position

    @property
    def limit(self) -> int:
        """The maximum number of pending bytes; negative once closed."""
        return 2 * self.half

    @property
    def flushed(self) -> bool:
        """Whether the owner's broadcasts are written to all their recipients."""
        return self.queue.done >= self.position

    @property
    def closed(self) -> bool:
        """Whether the outbox is closed and discards all data."""
        return self.half < 0

    def put(self, data: bytes) -> bool:
        """Append a reply.

        :return: whether it fits; ``True`` if closed.
        """
        size = self.size + len(data)
        if size > self.half and size > self.limit:
            return self.flush_and_put(data)
        self.size = size
        self.chunks.append(data)
        if not (self.replying or self.paused):
            self.awaited = self.replying = True
            self.queue.add_reply(self)
        return True

    def put_broadcast(self, data: bytes) -> bool:
        """Append a broadcast, as the fan-out does: it may be flushed some turns later.

        :return: as :meth:`put` does.
        """
        size = self.size + len(data)
        if size > self.half and size > self.limit:
            return self.flush_and_put(data)
        self.size = size
        self.chunks.append(data)
        if not self.awaited:
            self.awaited = True
            self.queue.add(self)
        return True

    def refuses(self, size: int) -> bool:
        """Whether a broadcast does not fit. Called by the fan-out if the outbox would be more than
        half full.

        :param size: pending bytes, including the broadcast.
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
            # usually one, an object shared with other clients
            data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
            chunks.clear()
            self.size = 0
            if data:
                self.write(data)

    def flush_and_put(self, data: bytes) -> bool:
        """Flush to make room for data that does not fit, and append the data.

        Fails while the transport is paused, and for data above the limit.

        :return: whether it fits now; if not, the caller drops the owner.
        """
        if self.closed:
            return True
        if self.paused or len(data) > self.limit:
            return False
        self.flush()
        return self.put(data)

    def take(self) -> bytes:
        """Remove and return all pending bytes, for the last write of a connection."""
        data = b"".join(self.chunks)
        self.chunks.clear()
        self.size = 0
        return data

    def pause(self) -> None:
        """Stop writing: the transport's buffer is full."""
        self.paused = True
        self.awaited = True

    def resume(self) -> None:
        """Flush: the transport accepts data again."""
        self.paused = False
        self.flush()

    def mark_broken(self) -> None:
        """Refuse further data, so that the owner is dropped. Called after a failed write."""
        if not self.closed:
            self.half = 0
            self.paused = self.awaited = True

    def close(self) -> None:
        """Discard pending bytes and all later ones."""
        self.half = -1
        self.owner = None
        self.take()
