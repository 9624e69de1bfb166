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
        nickname; printable ASCII, at most 64 bytes. Not shown in rooms.
    :ivar nick: the nickname when it happened.
    :ivar user: what they, or their door, call their account; at most 12 characters, and without
        what IRC's grammar forbids.
    :ivar host: where they are, as others may know it (:mod:`tcpd.chat.hosts`); likewise, at most
        63 bytes.
    :ivar bot: whether they say that they are no person.
    """

    id: str
    nick: str
    user: str = ""
    host: str = ""
    bot: bool = False

    def __str__(self) -> str:
        """As masks are compared with it, and IRC writes it: ``nick!user@host``."""
        return f"{self.nick}!{self.user}@{self.host}"


class Kind(StrEnum):
    """How something was said."""

    MESSAGE = "message"
    ACTION = "action"
    #: automatic; must never be answered automatically (RFC 2812 section 3.3.2)
    NOTICE = "notice"
    #: nothing but tags, for programs: it has no text (IRCv3's TAGMSG)
    TAGS = "tags"


class Mode(StrEnum):
    """What can be set on a room or on a member of it, by IRC's letters."""

    OPERATOR = "o"
    HALF_OPERATOR = "h"
    VOICE = "v"
    BAN = "b"
    #: who may come and speak in spite of a ban
    EXEMPT = "e"
    #: who may come without being invited
    INVITED = "I"
    KEY = "k"
    LIMIT = "l"
    INVITE_ONLY = "i"
    MODERATED = "m"
    #: nobody sends CTCP to it, but for actions
    NO_CTCP = "C"
    #: nobody speaks who is not in the room
    NO_OUTSIDERS = "n"
    #: only those know of it who are in the room (IRC: secret)
    HIDDEN = "s"
    TOPIC_PROTECTED = "t"


#: Modes that lists of masks hold.
LISTS = (Mode.BAN, Mode.EXEMPT, Mode.INVITED)


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a mode.

    :ivar adding: whether it is set, or taken away.
    :ivar mode: which.
    :ivar argument: a mask, a key, a limit in digits; empty where the mode has none, or a person.
    :ivar whom: the member of the room that it is about.
    :ivar network: addresses that are kept out with a mask, as :func:`ipaddress.ip_network` reads
        them; ``None`` for none. For nodes to enforce, never for a door to show.
    """

    adding: bool
    mode: Mode
    argument: str = ""
    whom: Who | None = None
    network: str | None = None


#: Tags that clients put on what they say, for other clients: names and values, in their order.
Tags = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One of several lines that are one message.

    :ivar text: what fits a line of IRC, less than 500 bytes of UTF-8; may be empty.
    :ivar joined: whether it goes on from the line before it, without a line end between.
    """

    text: str
    joined: bool = False


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
    :ivar real_name: what else they call themselves.
    :ivar away: why they are away; empty if they are not.
    """

    room: str
    opened: bool
    real_name: str = ""
    away: str = ""


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

    :ivar text: what fits a line of IRC, less than 500 bytes of UTF-8; not empty.
    """

    room: str
    text: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class SaidMore(Said):
    """The same, with more to it. Its ``text`` may be empty, or longer, as it says.

    :ivar tags: for clients.
    :ivar lines: the message's lines if it has several: ``text`` is then all of them.
    :ivar least: who gets it: those of such a rank in the room, and above (``o``, ``h`` or ``v``);
        ``None`` for everybody.
    :ivar speaker: in whose name ``who`` says it, for messages from elsewhere; empty for their own.
    """

    tags: Tags = ()
    lines: tuple[Line, ...] = ()
    least: Mode | None = None
    speaker: str = ""


@dataclass(frozen=True, slots=True)
class PrivateSaid(Event):
    """Somebody said something to one person.

    :ivar whom: the person.
    :ivar text: as of :class:`Said`; of several lines, all of them; of mere tags, empty.
    :ivar tags: for clients.
    :ivar lines: the message's lines if it has several.
    """

    whom: Who
    text: str
    kind: Kind
    tags: Tags = ()
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True)
class Redacted(Event):
    """Somebody took back what was said in a room.

    :ivar message: the id of what was said, as :class:`EventId` writes it.
    :ivar reason: may be empty.
    """

    room: str
    message: str
    reason: str


@dataclass(frozen=True, slots=True)
class TopicSet(Event):
    """Somebody gave a room a topic.

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
class ModesChanged(Event):
    """Modes of a room, or of members in it, were changed.

    :ivar changes: one or more, in their order.
    """

    room: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Invited(Event):
    """Somebody was asked to come into a room.

    :ivar whom: who was.
    """

    room: str
    whom: Who


@dataclass(frozen=True, slots=True)
class RoomRenamed(Event):
    """A room has another name.

    :ivar room: the old one.
    :ivar name: the new one.
    :ivar reason: may be empty.
    """

    room: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class WentAway(Event):
    """Somebody is away, or is back.

    :ivar message: why; empty if they are back.
    """

    message: str


@dataclass(frozen=True, slots=True)
class RealNameSet(Event):
    """Somebody calls themselves otherwise, besides their nickname.

    :ivar real_name: 1 to 150 bytes of UTF-8.
    """

    real_name: str


@dataclass(frozen=True, slots=True)
class HostChanged(Event):
    """Somebody is somewhere else, as others know it; ``who`` has the old host.

    :ivar host: the new one.
    """

    host: str


@dataclass(frozen=True, slots=True)
class Announced(Event):
    """An operator of the daemon said something to all who want to hear it (IRC's WALLOPS).

    :ivar text: what fits a line of IRC, less than 500 bytes of UTF-8; not empty.
    """

    text: str


@dataclass(frozen=True, slots=True)
class Quit(Event):
    """Somebody is gone from chat, and from all rooms at once.

    :ivar reason: may be empty.
    """

    reason: str
