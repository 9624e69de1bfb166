"""The interface of a store of messages said in rooms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from twisted.internet.defer import Deferred

from tcpd.events.chat import RoomMessage

#: A place in a history: a msgid, or a time in seconds since 1970 UTC.
Reference = str | float


class UnknownMessage(LookupError):
    """A selector names a msgid that the store does not have."""


class Which(Enum):
    """What a selector asks for, as the subcommands of CHATHISTORY do.

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
    :ivar limit: how many messages at most, 1 or more.
    :ivar first: see above; ``None`` for LATEST alone.
    :ivar second: of BETWEEN; it may be the earlier one.
    """

    which: Which
    limit: int
    first: Reference | None = None
    second: Reference | None = None

    @classmethod
    def latest(cls, limit: int) -> Selector:
        """The last messages."""
        return cls(Which.LATEST, limit)


class HistoryStore(Protocol):
    """Keeps messages by room name, in the order in which they were delivered.

    A room that is empty and opened again has its history. Names are folded
    (:func:`tcpd.chat.names.fold`) by the caller, the hub.
    """

    @property
    def size(self) -> int:
        """Bytes that the messages take in memory; an estimate."""

    def append(self, room: str, message: RoomMessage) -> None:
        """Keep a message. Called within its delivery; does not raise."""

    def page(self, room: str, selector: Selector) -> Deferred[Sequence[RoomMessage]]:
        """Messages of a room, oldest first.

        :return: fails with :class:`UnknownMessage`.
        """

    def find(self, room: str, msgid: str) -> Deferred[RoomMessage | None]:
        """The message of a msgid; ``None`` if the store does not have it in this room."""

    def redact(self, room: str, msgid: str) -> Deferred[None]:
        """Forget one message. Called within the delivery of a ``Redacted``.

        :return: fires when it is gone for good, or was not there.
        """

    def rename(self, old: str, new: str) -> None:
        """A room has another name, and its history with it."""

    def forget(self, room: str) -> None:
        """Forget all messages of a room."""

    def stop(self) -> Deferred[None]:
        """Take no more messages. Called once, after the event log has stopped.

        :return: fires when all that was appended is stored.
        """
