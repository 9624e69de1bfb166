"""The interface of a store of room messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from twisted.internet.defer import Deferred

from tcpd.events.chat import RoomMessage

#: A position in a history: a msgid, or a time in seconds since 1970 UTC, to the millisecond.
Reference = str | float


def milliseconds(seconds: float) -> int:
    """Return a time in whole milliseconds, as clients see it. Times of messages are compared so.

    :param seconds: since 1970 UTC; rounded to microseconds first, since 1.001 is no exact float.
    """
    return round(seconds * 1_000_000) // 1000


class UnknownMessage(LookupError):
    """A selector names a msgid that the store does not have."""


class Which(Enum):
    """The kinds of selectors, as the subcommands of CHATHISTORY.

    Source: https://ircv3.net/specs/extensions/chathistory
    """

    LATEST = "latest"
    BEFORE = "before"
    AFTER = "after"
    AROUND = "around"
    BETWEEN = "between"


@dataclass(frozen=True, slots=True)
class Selector:
    """Selects messages of one room. The messages at the references are not among them, except
    that AROUND includes its own.

    :ivar which: LATEST: the last messages, or those of them after ``first`` if it is given. BEFORE,
        AFTER: the nearest to ``first``. AROUND: half of them before ``first`` and half after.
        BETWEEN: those between ``first`` and ``second``, the nearest to ``first``.
    :ivar limit: the maximum number of messages, 1 or more.
    :ivar first: see above; ``None`` for LATEST alone.
    :ivar second: the second selector of BETWEEN; may be the earlier one.
    """

    which: Which
    limit: int
    first: Reference | None = None
    second: Reference | None = None

    @classmethod
    def latest(cls, limit: int) -> Selector:
        """Select the last messages."""
        return cls(Which.LATEST, limit)


class HistoryStore(Protocol):
    """Stores messages by room name, in the order of delivery.

    History outlives its room: the room has it when it is opened again. Names are folded
    (:func:`tcpd.chat.names.fold`) by the caller, the hub.
    """

    @property
    def size(self) -> int:
        """Estimated memory of the messages, in bytes."""

    def append(self, room: str, message: RoomMessage) -> None:
        """Store a message. Called within its delivery; does not raise."""

    def page(self, room: str, selector: Selector) -> Deferred[Sequence[RoomMessage]]:
        """Return messages of a room, oldest first.

        :return: fails with :class:`UnknownMessage`.
        """

    def find(self, room: str, msgid: str) -> Deferred[RoomMessage | None]:
        """Return the message of a msgid; ``None`` if the store does not have it in this room."""

    def redact(self, room: str, msgid: str) -> Deferred[None]:
        """Delete one message. Called within the delivery of a ``Redacted``.

        :return: fires when it is deleted for good, or was not there.
        """

    def rename(self, old: str, new: str) -> None:
        """Move the history of a room to its new name."""

    def forget(self, room: str) -> None:
        """Delete all messages of a room."""

    def stop(self) -> Deferred[None]:
        """Stop accepting messages. Called once, after the event log has stopped.

        :return: fires when all messages are stored.
        """
