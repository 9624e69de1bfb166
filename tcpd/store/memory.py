"""A history in memory, bounded in messages and bytes. It ends with the process."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from itertools import islice

from twisted.internet.defer import Deferred, fail, succeed

from tcpd.events.chat import RoomMessage
from tcpd.store.history import Reference, Selector, UnknownMessage, Which, milliseconds

#: Memory of a message besides its text, and of a line besides its text, in bytes: measured with
#: CPython 3.11 (``tests/store/test_memory.py``), rounded up.
_MESSAGE_BYTES = 400
_LINE_BYTES = 160

#: Memory of a room's history besides its messages, in bytes.
ROOM_BYTES = 1100

#: Maximum number of messages that are dropped per new message.
_AT_A_TIME = 2000


def size_of(message: RoomMessage) -> int:
    """Estimate the memory of a message in bytes, from above.

    CPython stores ASCII text with one byte a character; other text counts four.
    """
    text = message.text
    size = _MESSAGE_BYTES + (len(text) if text.isascii() else 4 * len(text))
    if message.lines or message.speaker:
        size += _width(message.speaker)
        for line in message.lines:
            size += _LINE_BYTES + _width(line.text)
    return size


def _width(text: str) -> int:
    return len(text) if text.isascii() else 4 * len(text)


@dataclass(frozen=True, slots=True)
class HistoryLimits:
    """Bounds of the history.

    :ivar messages: maximum number of messages of a room.
    :ivar room_bytes: maximum size of a room's messages, as :func:`size_of` counts.
    :ivar total_bytes: maximum size of all messages.
    """

    messages: int
    room_bytes: int
    total_bytes: int


class _Room:
    """The messages of one room.

    :ivar name: the name of the room, folded.
    :ivar messages: oldest first.
    :ivar size: the size of the messages, in bytes.
    :ivar stale: entries in the order of all messages whose message is dropped already.
    """

    __slots__ = ("messages", "name", "size", "stale")

    def __init__(self, name: str) -> None:
        self.name = name
        self.messages: deque[RoomMessage] = deque()
        self.size = 0
        self.stale = 0


class MemoryHistory:
    """See :class:`tcpd.store.history.HistoryStore`.

    :param limits: bounds. The attribute may be replaced; it holds from the next message of a room
        on.
    :param forgotten: counts the messages dropped for their size, under ``room`` for the bound of
        one room and ``all`` for that of all rooms.
    """

    def __init__(self, limits: HistoryLimits, forgotten: MutableMapping[str, int]) -> None:
        self.limits = limits
        self._forgotten = forgotten
        self._rooms: dict[str, _Room] = {}
        #: The room of each message that was appended, oldest first: finds the oldest of all.
        self._order: deque[_Room] = deque()
        self._stale = 0
        self._size = 0

    @property
    def size(self) -> int:
        return self._size

    def __len__(self) -> int:
        """Number of messages."""
        return len(self._order) - self._stale

    def append(self, room: str, message: RoomMessage) -> None:
        limits = self.limits
        if not limits.messages:
            self.forget(room)
            return
        kept = self._rooms.get(room)
        if kept is None:
            kept = self._rooms[room] = _Room(room)
            self._size += ROOM_BYTES
        messages = kept.messages
        messages.append(message)
        self._order.append(kept)
        size = size_of(message)
        if len(messages) > limits.messages:  # the usual case in a busy room: one out for one in
            size -= size_of(messages.popleft())
            kept.stale += 1
            self._stale += 1
        kept.size += size
        self._size += size
        if (
            kept.size > limits.room_bytes
            or self._size > limits.total_bytes
            or len(messages) > limits.messages
        ):
            self._keep_within(limits, kept)
        if self._stale > 1000 and 2 * self._stale > len(self._order):
            self._compact()

    def _keep_within(self, limits: HistoryLimits, kept: _Room) -> None:
        """Drop the oldest messages of a room, and of all rooms, beyond the limits.

        At most :data:`_AT_A_TIME`: after a reload that lowered a limit, the next messages drop the
        rest.
        """
        for _ in range(_AT_A_TIME):
            if len(kept.messages) > limits.messages:
                self._drop_oldest(kept)
            elif kept.size > limits.room_bytes:
                self._drop_oldest(kept)
                self._forgotten["room"] += 1
            elif self._size > limits.total_bytes:
                self._drop_oldest_of_all()
            else:
                return

    def page(self, room: str, selector: Selector) -> Deferred[Sequence[RoomMessage]]:
        kept = self._rooms.get(room)
        if kept is None:
            if isinstance(selector.first, str) or isinstance(selector.second, str):
                return fail(UnknownMessage(room))
            return succeed(())
        messages = kept.messages
        if selector.which is Which.LATEST and selector.first is None:
            last = list(islice(reversed(messages), selector.limit))
            last.reverse()
            return succeed(last)
        try:
            return succeed(_select(messages, selector))
        except UnknownMessage as error:
            return fail(error)

    def find(self, room: str, msgid: str) -> Deferred[RoomMessage | None]:
        kept = self._rooms.get(room)
        index = None if kept is None else _index(kept.messages, msgid)
        return succeed(None if kept is None or index is None else kept.messages[index])

    def redact(self, room: str, msgid: str) -> Deferred[None]:
        kept = self._rooms.get(room)
        index = None if kept is None else _index(kept.messages, msgid)
        if kept is not None and index is not None:
            message = kept.messages[index]
            del kept.messages[index]
            self._note(kept, message)
        return succeed(None)

    def rename(self, old: str, new: str) -> None:
        kept = self._rooms.pop(old, None)
        if new != old:
            self.forget(new)
        if kept is not None:
            kept.name = new
            self._rooms[new] = kept

    def forget(self, room: str) -> None:
        kept = self._rooms.get(room)
        while kept is not None and kept.messages:
            self._drop_oldest(kept)

    def stop(self) -> Deferred[None]:
        return succeed(None)

    def _drop_oldest(self, kept: _Room) -> None:
        self._note(kept, kept.messages.popleft())

    def _note(self, kept: _Room, message: RoomMessage) -> None:
        """Account for a dropped message: its entry in the order of all is stale."""
        size = size_of(message)
        kept.size -= size
        self._size -= size
        kept.stale += 1
        self._stale += 1
        self._leave_out(kept)

    def _drop_oldest_of_all(self) -> None:
        kept = self._order.popleft()
        if kept.stale:
            kept.stale -= 1
            self._stale -= 1
            return
        size = size_of(kept.messages.popleft())
        kept.size -= size
        self._size -= size
        self._forgotten["all"] += 1
        self._leave_out(kept)

    def _leave_out(self, kept: _Room) -> None:
        """Remove the record of a room without messages."""
        if not kept.messages and self._rooms.get(kept.name) is kept:
            del self._rooms[kept.name]
            self._size -= ROOM_BYTES

    def _compact(self) -> None:
        """Remove stale entries: the first ones of each room."""
        order: deque[_Room] = deque()
        for kept in self._order:
            if kept.stale:
                kept.stale -= 1
            else:
                order.append(kept)
        self._order = order
        self._stale = 0


def _select(messages: deque[RoomMessage], selector: Selector) -> list[RoomMessage]:
    """See :class:`tcpd.store.history.Selector`."""
    limit = selector.limit
    first = _locate(messages, selector.first)
    match selector.which:
        case Which.LATEST:
            return list(islice(messages, max(first.after, len(messages) - limit), None))
        case Which.BEFORE:
            return list(islice(messages, max(0, first.before - limit), first.before))
        case Which.AFTER:
            return list(islice(messages, first.after, first.after + limit))
        case Which.AROUND:
            start = max(0, first.before - limit // 2)
            return list(islice(messages, start, start + limit))
    second = _locate(messages, selector.second)
    if first.before <= second.before:
        return list(islice(messages, first.after, min(second.before, first.after + limit)))
    return list(islice(messages, max(second.after, first.before - limit), first.before))


@dataclass(frozen=True, slots=True)
class _Position:
    """The position of a reference in the history.

    :ivar before: number of messages before it.
    :ivar after: index of the first message after it.
    """

    before: int
    after: int


def _locate(messages: deque[RoomMessage], reference: Reference | None) -> _Position:
    if isinstance(reference, str):
        index = _index(messages, reference)
        if index is None:
            raise UnknownMessage(reference)
        return _Position(index, index + 1)
    time = milliseconds(reference or 0.0)
    return _Position(
        bisect_left(messages, time, key=_time), bisect_right(messages, time, key=_time)
    )


def _index(messages: deque[RoomMessage], msgid: str) -> int | None:
    """Return the index of a message; ``None`` if it is not kept.

    Only msgids with the right number are formatted, which in a long history takes a quarter of the
    time.
    """
    try:
        sequence = int(msgid.rpartition("-")[2])
    except ValueError:
        return None
    for index, message in enumerate(messages):
        if message.id.sequence == sequence and str(message.id) == msgid:
            return index
    return None


def _time(message: RoomMessage) -> int:
    return milliseconds(message.time)
