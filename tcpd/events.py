"""What happens in chat, as facts: the vocabulary that hub, doors, history and other nodes share.

An event is made once, by the node whose member did it, and never changed. It is told apart from all
others by its :class:`EventId` and sorted by ``(time, id)``. Texts in it are as the person wrote
them, but for line ends and NUL, which no door can carry: whoever shows them to a person makes them
safe for that person's screen.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True, order=True)
class EventId:
    """Which event it is, among those of all nodes and runs.

    :ivar node: the node's name; 1 to 32 ASCII letters, digits, ``.``, ``_`` and ``-``.
    :ivar boot: differs in each run of the node; 1 to 12 of the same characters.
    :ivar sequence: counts from 1 in each run.
    """

    node: str
    boot: str
    sequence: int

    def __str__(self) -> str:
        """The msgid: printable ASCII without space, at most 64 bytes."""
        return f"{self.node}-{self.boot}-{self.sequence}"


@dataclass(frozen=True, slots=True)
class Who:
    """A member as others know it.

    :ivar id: unique among the members of all nodes and runs, the same through every change of
        nickname; printable ASCII, at most 64 bytes. Not shown in rooms: doors may derive a stand-in
        for the address from it, as IRC needs one.
    :ivar nick: the nickname when it happened.
    """

    id: str
    nick: str


class Kind(StrEnum):
    """How something was said."""

    MESSAGE = "message"
    ACTION = "action"
    #: automatic; must never be answered automatically (RFC 2812 section 3.3.2)
    NOTICE = "notice"


@dataclass(frozen=True, slots=True)
class Event:
    """What all events have.

    :ivar id: which one it is.
    :ivar time: when it was accepted, in seconds since 1970 UTC.
    :ivar who: whose doing it is.
    """

    id: EventId
    time: float
    who: Who


@dataclass(frozen=True, slots=True)
class Joined(Event):
    """Somebody came into a room.

    :ivar room: the room's name, as it is shown.
    :ivar opened: whether the room was opened by it, which makes an operator of ``who``.
    """

    room: str
    opened: bool


@dataclass(frozen=True, slots=True)
class Parted(Event):
    """Somebody left a room.

    :ivar reason: may be empty.
    """

    room: str
    reason: str


@dataclass(frozen=True, slots=True)
class Said(Event):
    """Somebody said something in a room.

    :ivar text: 1 to 400 bytes of UTF-8.
    """

    room: str
    text: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class PrivateSaid(Event):
    """Somebody said something to one person.

    :ivar whom: the person.
    :ivar text: 1 to 400 bytes of UTF-8.
    """

    whom: Who
    text: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class TopicSet(Event):
    """An operator gave a room a topic.

    :ivar topic: empty when it was taken away.
    """

    room: str
    topic: str


@dataclass(frozen=True, slots=True)
class Renamed(Event):
    """Somebody changed nicknames, in all rooms at once; ``who`` has the old one.

    :ivar nick: the new one.
    """

    nick: str


@dataclass(frozen=True, slots=True)
class Kicked(Event):
    """An operator put somebody out of a room.

    :ivar whom: who was put out.
    :ivar reason: may be empty.
    """

    room: str
    whom: Who
    reason: str


@dataclass(frozen=True, slots=True)
class ModeChanged(Event):
    """Somebody was made an operator of a room, or is one no longer.

    :ivar whom: whom it concerns.
    :ivar operator: whether ``whom`` is an operator from now on.
    """

    room: str
    whom: Who
    operator: bool


@dataclass(frozen=True, slots=True)
class Banned(Event):
    """An operator closed a room to somebody.

    :ivar nick: the nickname that is kept out.
    :ivar network: the addresses that are kept out with it, as :func:`ipaddress.ip_network` reads
        them; ``None`` for none. For nodes to enforce, never for a door to show.
    """

    room: str
    nick: str
    network: str | None


@dataclass(frozen=True, slots=True)
class Unbanned(Event):
    """An operator opened a room to somebody again.

    :ivar nick: as it was banned.
    """

    room: str
    nick: str


@dataclass(frozen=True, slots=True)
class Quit(Event):
    """Somebody is gone from chat, and from all rooms at once.

    :ivar reason: may be empty.
    """

    reason: str
