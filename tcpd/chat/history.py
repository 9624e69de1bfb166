"""What was said last in a room, bounded in messages and in bytes."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from tcpd.events import Said, SaidMore

#: What a message takes in memory beside its text, and a line of it beside its own, in bytes: as
#: measured with CPython 3.11 (``tests/chat/test_history.py``), rounded up.
_MESSAGE_BYTES = 400
_LINE_BYTES = 160

#: How many messages :func:`forget_oldest` forgets in one call.
_AT_A_TIME = 2000


def size_of(said: Said) -> int:
    """What a message takes in memory, in bytes: an estimate from above.

    Text counts as CPython keeps it, a byte for an ASCII character; where there is any other
    character in it, as four for each.
    """
    text = said.text
    size = _MESSAGE_BYTES + (len(text) if text.isascii() else 4 * len(text))
    if type(said) is SaidMore:  # few are
        size += _width(said.speaker)
        for line in said.lines:
            size += _LINE_BYTES + _width(line.text)
    return size


def _width(text: str) -> int:
    return len(text) if text.isascii() else 4 * len(text)


class History:
    """The last messages of one room, oldest first.

    :ivar size: what they take, as :func:`size_of` counts.

    :param kept: the most messages.
    """

    __slots__ = ("_kept", "_said", "size")

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._said: deque[Said] = deque()
        self.size = 0

    def __len__(self) -> int:
        return len(self._said)

    def __iter__(self) -> Iterator[Said]:
        return iter(self._said)

    def __reversed__(self) -> Iterator[Said]:
        return reversed(self._said)

    @property
    def oldest(self) -> float:
        """When the oldest message was said, in seconds since 1970 UTC. There is one."""
        return self._said[0].time

    def add(self, events: Sequence[Said], most: int) -> int:
        """Remember messages, and forget the oldest beyond the bounds.

        :param most: bytes, as :func:`size_of` counts.
        :return: how many were forgotten for their size.
        """
        said, size, forgotten = self._said, self.size, 0
        for event in events:
            said.append(event)
            size += size_of(event)
        for _ in range(len(said) - self._kept):
            size -= size_of(said.popleft())
        while size > most and said:
            size -= size_of(said.popleft())
            forgotten += 1
        self.size = size
        return forgotten

    def forget(self) -> None:
        """Forget the oldest message. There is one."""
        self.size -= size_of(self._said.popleft())

    def take_back(self, message: str) -> None:
        """Forget one message.

        :param message: its id.
        """
        for place, said in enumerate(self._said):
            if str(said.id) == message:
                del self._said[place]
                self.size -= size_of(said)
                return


def forget_oldest(histories: Iterable[History], excess: int) -> int:
    """Forget the oldest messages of many rooms, whichever they were said in.

    :param excess: how many bytes are to go. Of very many messages some stay for the next call.
    :return: how many messages were forgotten.
    """
    heads = [(each.oldest, number, each) for number, each in enumerate(histories) if len(each)]
    heapq.heapify(heads)
    forgotten = 0
    while heads and excess > 0 and forgotten < _AT_A_TIME:
        _, number, history = heads[0]
        before = history.size
        history.forget()
        excess -= before - history.size
        forgotten += 1
        if len(history):
            heapq.heapreplace(heads, (history.oldest, number, history))
        else:
            heapq.heappop(heads)
    return forgotten
