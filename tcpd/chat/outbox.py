"""Bytes that wait to be written to a client: bounded, and one write a turn of the reactor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: How many outboxes are flushed in a turn that got broadcasts alone: each takes a system call, and
#: ten thousand would stall other clients. The rest is flushed in the next turns.
BROADCASTS_A_TURN = 500


class FlushQueue:
    """The outboxes with something to write, flushed together at the end of a reactor turn.

    Replies are flushed first. Broadcasts follow, at most :data:`BROADCASTS_A_TURN` sockets a turn;
    in a room of thousands that also saves writes. One queue serves all frontends, so that a place
    in it (:meth:`Outbox.mark_flush_position`) shows whether all who must see something were written
    to.

    :ivar broadcasts: outboxes that got broadcasts and wait, oldest first.
    :ivar done: how many outboxes with broadcasts have been flushed.

    :param schedule: called with this object; has its :meth:`flush` called once, soon, but not at
        once. Called again only after that. An edge passes
        :attr:`tcpd.net.turns.TurnScheduler.soon`.
    """

    __slots__ = ("_replies", "_schedule", "_scheduled", "broadcasts", "done")

    def __init__(self, schedule: Callable[[FlushQueue], object]) -> None:
        self._schedule = schedule
        self._scheduled = False
        self.broadcasts: list[Outbox] = []
        self._replies: list[Outbox] = []
        self.done = 0

    def add(self, outbox: Outbox) -> None:
        """Have an outbox flushed soon: it got a broadcast. Called by the fan-out."""
        if not self._scheduled:
            self._scheduled = True
            self._schedule(self)
        self.broadcasts.append(outbox)

    def add_reply(self, outbox: Outbox) -> None:
        """Have an outbox flushed at the end of this turn, although it may wait already. Called by
        the outbox."""
        if not self._scheduled:
            self._scheduled = True
            self._schedule(self)
        self._replies.append(outbox)

    @property
    def position(self) -> int:
        """The value of :attr:`done` when all that wait now will have been flushed."""
        return self.done + len(self.broadcasts)

    def flush(self) -> None:
        """Flush all, or as many as a turn allows. Called at the end of a turn.

        :raise Exception: of the last write that failed, after all others were made; its client is
            dropped, see :meth:`Outbox.spoil`.
        """
        self._scheduled = False
        replies, self._replies = self._replies, []
        broadcasts = self.broadcasts
        if len(broadcasts) > BROADCASTS_A_TURN:
            self.broadcasts = broadcasts[BROADCASTS_A_TURN:]
            del broadcasts[BROADCASTS_A_TURN:]
            self._scheduled = True
            self._schedule(self)
        else:
            self.broadcasts = []
        self.done += len(broadcasts)
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
                break
            except Exception as error:
                outbox.spoil()
                failed = error
        if failed is not None:
            raise failed


class Outbox:
    """Collects rendered bytes for one connection.

    Its attributes are open because the innermost loop of the fan-out works on them directly: for
    each client it costs an addition, a comparison and a list append. What does not fit there is for
    :meth:`squeeze`. While :meth:`pause` holds, nothing is written.

    :ivar limit: the most bytes that may wait; -1 once closed.
    :ivar size: how many wait.
    :ivar chunks: what waits, oldest first.
    :ivar awaited: a flush is due already: it is in the flush queue, or paused.
    :ivar replying: the flush is due at the end of this turn.
    :ivar position: of the flush queue, when all were written to who must see what the owner caused.
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
        "limit",
        "owner",
        "paused",
        "position",
        "queue",
        "replying",
        "size",
        "write",
    )

    def __init__(self, limit: int, queue: FlushQueue, write: Callable[[bytes], None]) -> None:
        self.limit = limit
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
        """The owner caused what was sent to others just now. Called by the hub."""
        self.position = self.queue.position

    @property
    def flushed(self) -> bool:
        """Whether all were written to who must see what the owner caused."""
        return self.queue.done >= self.position

    @property
    def closed(self) -> bool:
        """Whether nothing more is taken."""
        return self.limit < 0

    def put(self, data: bytes) -> bool:
        """Add a reply, behind the events that wait.

        :return: whether it fits; ``True`` as well when closed, since nobody reads it.
        """
        size = self.size + len(data)
        if size > self.limit:
            return self.squeeze(data)
        self.size = size
        self.chunks.append(data)
        if not (self.replying or self.paused):
            self.awaited = self.replying = True
            self.queue.add_reply(self)
        return True

    def put_broadcast(self, data: bytes) -> bool:
        """Add what the owner has not asked for, as the fan-out does: thousands may get such bytes
        at a time, and are written to in the course of some turns.

        :return: whether it fits, as of :meth:`put`.
        """
        size = self.size + len(data)
        if size > self.limit:
            return self.squeeze(data)
        self.size = size
        self.chunks.append(data)
        if not self.awaited:
            self.awaited = True
            self.queue.add(self)
        return True

    def flush(self) -> None:
        """Write all that waits, in one write. Does nothing while paused."""
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
        """Add what does not fit, after writing what waits.

        A client is slow only if the transport's buffer is full; else this is just a busy turn.

        :return: whether it was possible; if not, the owner is to be dropped.
        """
        if self.closed:
            return True
        if self.paused or len(data) > self.limit:
            return False
        self.flush()
        return self.put(data)

    def take(self) -> bytes:
        """Remove and return all that waits, for who writes it together with last words."""
        data = b"".join(self.chunks)
        self.chunks.clear()
        self.size = 0
        return data

    def pause(self) -> None:
        """The transport's buffer is full: let things wait here."""
        self.paused = True
        self.awaited = True

    def resume(self) -> None:
        """The transport takes more."""
        self.paused = False
        self.flush()

    def spoil(self) -> None:
        """Bytes were lost on their way. The next event does not fit, and its owner is dropped then
        as a slow reader."""
        if not self.closed:
            self.limit = 0
            self.paused = self.awaited = True

    def close(self) -> None:
        """Forget what waits and take nothing more."""
        self.limit = -1
        self.owner = None
        self.take()
