"""What waits to be written to one member: bounded, and one write a reactor turn."""

from __future__ import annotations

from collections.abc import Callable

#: How many of those that were only told of something are written out in a turn: each takes a
#: system call, and ten thousand of them keep others waiting. The rest has the next turns.
AT_A_TIME = 500


class FlushSet:
    """The outboxes with something to write, written out together at the end of a reactor turn.

    Who was answered comes first; who was told of what others do may wait for some turns, if they
    are very many. In a room of thousands, that also saves writes. One set serves all doors: a place
    in its queue then tells whether all were written to who were told of something.

    :ivar done: how many of those who were told have been written to.

    :param schedule: called with this object; sees to it that its :meth:`flush` is called once,
        soon, but not at once. Called again only after that was done. A door's edge gives
        :attr:`tcpd.net.turns.Turns.soon`.
    """

    __slots__ = ("_due", "_first", "_schedule", "_scheduled", "done")

    def __init__(self, schedule: Callable[[FlushSet], object]) -> None:
        self._schedule = schedule
        self._scheduled = False
        self._due: list[Outbox] = []
        self._first: list[Outbox] = []
        self.done = 0

    def add(self, outbox: Outbox) -> None:
        """Have an outbox flushed soon. Called by the hub."""
        if not self._scheduled:
            self._scheduled = True
            self._schedule(self)
        self._due.append(outbox)

    def add_first(self, outbox: Outbox) -> None:
        """Have an outbox flushed at the end of this turn, although it may wait already. Called by
        the outbox itself."""
        if not self._scheduled:
            self._scheduled = True
            self._schedule(self)
        self._first.append(outbox)

    @property
    def told(self) -> int:
        """What :attr:`done` will be when all were written to who wait now."""
        return self.done + len(self._due)

    def flush(self) -> None:
        """Write out all of them, or as many as may be. Called at the end of a turn.

        :raise Exception: what the last write to fail raised, when all others were made; its owner
            is dropped, see :meth:`Outbox.spoil`.
        """
        self._scheduled = False
        first, self._first = self._first, []
        due = self._due
        if len(due) > AT_A_TIME:
            self._due = due[AT_A_TIME:]
            del due[AT_A_TIME:]
            self._scheduled = True
            self._schedule(self)
        else:
            self._due = []
        self.done += len(due)
        failed: Exception | None = None
        outbox: Outbox
        answered, told = iter(first), iter(due)
        while True:  # once, and once more behind each that failed
            try:
                for outbox in answered:
                    outbox.answering = False
                    outbox.flush()
                for outbox in told:
                    # as Outbox.flush has it, written out here where it is done for each member
                    if outbox.paused:
                        continue
                    outbox.awaited = False
                    chunks = outbox.chunks
                    if not chunks:  # it was answered meanwhile
                        continue
                    if len(chunks) == 1:  # as a rule: it is then the very object that others get
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

    Its attributes are open because the hub's innermost loop works on them directly: for each member
    it costs an addition, a comparison and a list append. What does not fit there is for
    :meth:`squeeze`. While :meth:`pause` holds, nothing is written.

    :ivar limit: the most bytes that may wait; -1 once closed.
    :ivar size: how many wait.
    :ivar chunks: what waits, oldest first.
    :ivar awaited: whether a flush is coming without anybody asking for one: it is in the flush set,
        or paused.
    :ivar answering: whether that is to be at the end of this turn.
    :ivar behind: what ``done`` of the flush set is when all were written to who were told of what
        the owner has caused.
    :ivar flush_set: where to ask for a flush.
    :ivar paused: whether the transport has enough.
    :ivar write: called with all that waits.

    :param limit: bytes.
    :param write: called with all that waits, joined; never with ``b""``. Nothing more comes in this
        turn, as a rule. It may call :meth:`pause`.
    """

    __slots__ = (
        "answering",
        "awaited",
        "behind",
        "chunks",
        "flush_set",
        "limit",
        "paused",
        "size",
        "write",
    )

    def __init__(self, limit: int, flush_set: FlushSet, write: Callable[[bytes], None]) -> None:
        self.limit = limit
        self.size = 0
        self.chunks: list[bytes] = []
        self.awaited = False
        self.answering = False
        self.behind = 0
        self.flush_set = flush_set
        self.write = write
        self.paused = False

    def follow(self) -> None:
        """Its owner has caused what others were told just now. Called by the hub."""
        self.behind = self.flush_set.told

    @property
    def followed(self) -> bool:
        """Whether all were written to who were told of what the owner has caused."""
        return self.flush_set.done >= self.behind

    @property
    def closed(self) -> bool:
        """Whether nothing more is taken."""
        return self.limit < 0

    def put(self, data: bytes) -> bool:
        """Add what the door itself has to say, behind the events that wait.

        :return: whether it fitted; ``True`` as well when closed, as nobody is there to miss it.
        """
        size = self.size + len(data)
        if size > self.limit:
            return self.squeeze(data)
        self.size = size
        self.chunks.append(data)
        if not (self.answering or self.paused):
            self.awaited = self.answering = True
            self.flush_set.add_first(self)
        return True

    def flush(self) -> None:
        """Write all that waits, in one write. Does nothing while paused."""
        if self.paused:
            return
        self.awaited = False
        chunks = self.chunks
        if chunks:
            # one is the rule: it is then the very object that all others get
            data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
            chunks.clear()
            self.size = 0
            if data:
                self.write(data)

    def squeeze(self, data: bytes) -> bool:
        """Add what does not fit, by writing first what waits.

        A reader is slow only if the transport has enough; else it is just a busy turn.

        :return: whether it was possible; if not, the owner is to be dropped.
        """
        if self.closed:
            return True
        if self.paused or len(data) > self.limit:
            return False
        self.flush()
        return self.put(data)

    def take(self) -> bytes:
        """Take out all that waits, for who ends a connection and writes it together with more."""
        data = b"".join(self.chunks)
        self.chunks.clear()
        self.size = 0
        return data

    def pause(self) -> None:
        """The transport has enough: let things wait here."""
        self.paused = True
        self.awaited = True

    def resume(self) -> None:
        """The transport takes more."""
        self.paused = False
        self.flush()

    def spoil(self) -> None:
        """Something was lost on its way. The next event does not fit, and its owner is dropped then
        as a slow reader."""
        if not self.closed:
            self.limit = 0
            self.paused = self.awaited = True

    def close(self) -> None:
        """Forget what waits and take nothing more."""
        self.limit = -1
        self.take()
