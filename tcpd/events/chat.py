"""The events of chat, shared by hub, frontends, history and other nodes.

An event is made once, by the node whose client caused it, and is never changed. Its
:class:`EventId` is unique. Texts are as the sender wrote them, without line ends and NUL; each
frontend escapes them for its clients.

The classes are msgspec Structs (docs/decisions/0010). They hold nothing but values, so the garbage
collector need not track them (``gc=False``). The bounds in their annotations are checked when an
event is decoded.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

_Node = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,32}\Z")]
_Boot = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,12}\Z")]
_Count = Annotated[int, Meta(ge=1)]
_Seconds = Annotated[float, Meta(ge=0.0, le=1e11)]
_PersonId = Annotated[str, Meta(pattern=r"^[!-~]{1,64}\Z")]
_Author = Annotated[str, Meta(pattern=r"^[!-~]{0,64}\Z")]
# Valid values have at most 30 to 200 bytes of UTF-8; these are looser bounds. The patterns refuse
# characters that IRC cannot carry at that position. They use no Unicode data, so that nodes with
# other versions of Python decode alike.
_Nick = Annotated[str, Meta(max_length=64, pattern=r"^[^\0- \x7f!@:#][^\0- \x7f!@]*\Z")]
_Host = Annotated[str, Meta(max_length=64, pattern=r"^[^\0- \x7f!@]*\Z")]
_NewHost = Annotated[str, Meta(max_length=64, pattern=r"^[^\0- \x7f!@:][^\0- \x7f!@]*\Z")]
_Speaker = Annotated[str, Meta(max_length=1024, pattern=r"^([^\0- \x7f!@:][^\0- \x7f!@]*)?\Z")]
_Room = Annotated[str, Meta(max_length=1024, pattern=r"^#[^\0- \x7f,]*\Z")]
_Word = Annotated[str, Meta(max_length=1024, pattern=r"^([^\0- \x7f:][^\0- \x7f]*)?\Z")]
_Short = Annotated[str, Meta(max_length=1024, pattern=r"^[^\0\r\n]*\Z")]
_Line = Annotated[str, Meta(max_length=1 << 20, pattern=r"^[^\0\r\n]*\Z")]
_Text = Annotated[str, Meta(max_length=1 << 20, pattern=r"^[^\0\r]*\Z")]
_MsgId = Annotated[str, Meta(max_length=256, pattern=r"^[!-9;-~][!-~]*\Z")]
_Key = Annotated[str, Meta(max_length=1024, pattern=r"^\+[A-Za-z0-9./-]+\Z")]
_Value = Annotated[str, Meta(max_length=8192, pattern=r"^[^\0]*\Z")]
_Letters = Annotated[str, Meta(max_length=64, pattern=r"^[A-Za-z]*\Z")]


class EventId(Struct, frozen=True, order=True, gc=False):
    """Identifies an event among those of all nodes and runs.

    :ivar node: the node's name; 1 to 32 ASCII letters, digits, ``.``, ``_`` and ``-``.
    :ivar boot: differs in each run of the node; 1 to 12 of the same characters.
    :ivar sequence: counts from 1 in each run.
    """

    node: _Node
    boot: _Boot
    sequence: _Count

    def __str__(self) -> str:
        """The msgid: printable ASCII without space, at most 64 bytes."""
        return f"{self.node}-{self.boot}-{self.sequence}"


class Identity(Struct, frozen=True, gc=False):
    """A person as others see them.

    :ivar id: unique across nodes and restarts; a new nickname does not change it. Printable ASCII,
        at most 64 bytes. Not shown in rooms.
    :ivar nick: the nickname at the time of the event.
    :ivar user: the user name; at most 12 characters of IRC's grammar. Not empty after ``Entered``.
    :ivar host: the host that others see (:mod:`tcpd.chat.hosts`); at most 63 bytes of the same
        characters. Not empty after ``Entered``.
    :ivar bot: the person declares to be a program (mode ``B``).
    """

    id: _PersonId
    nick: _Nick
    user: _Host = ""
    host: _Host = ""
    bot: bool = False

    def __str__(self) -> str:
        """``nick!user@host``: the source of an IRC line, compared with masks."""
        return f"{self.nick}!{self.user}@{self.host}"


class Kind(StrEnum):
    """How a message was sent."""

    MESSAGE = "message"
    ACTION = "action"
    #: never to be answered automatically (RFC 2812 section 3.3.2)
    NOTICE = "notice"
    #: tags without text, for programs (IRCv3's TAGMSG)
    TAGS = "tags"


class Mode(StrEnum):
    """A mode of a room or of one of its members, by IRC's letter."""

    OPERATOR = "o"
    HALF_OPERATOR = "h"
    VOICE = "v"
    BAN = "b"
    #: exempt from bans
    EXEMPT = "e"
    #: may join without an invitation
    INVITED = "I"
    KEY = "k"
    LIMIT = "l"
    INVITE_ONLY = "i"
    MODERATED = "m"
    #: no CTCP except actions
    NO_CTCP = "C"
    #: only members speak
    NO_OUTSIDERS = "n"
    #: only members see it (IRC: secret)
    HIDDEN = "s"
    TOPIC_PROTECTED = "t"


#: List modes: their entries are masks.
LISTS = (Mode.BAN, Mode.EXEMPT, Mode.INVITED)

#: Modes that give a member a rank.
RANKS = (Mode.OPERATOR, Mode.HALF_OPERATOR, Mode.VOICE)


class Change(Struct, frozen=True, gc=False):
    """One change of a mode.

    :ivar adding: whether the mode is set; otherwise it is removed.
    :ivar mode: the mode.
    :ivar argument: a mask, a key, or a limit in digits; empty where the mode has none.
    :ivar target: the member whose rank changes; ``None`` for other modes.
    :ivar network: addresses that a ban covers besides its mask, as :func:`ipaddress.ip_network`
        reads them. Nodes enforce it, frontends never show it.
    """

    adding: bool
    mode: Mode
    argument: _Word = ""
    target: Identity | None = None
    network: _Short | None = None


#: Client-only tags of a message: names and values, in their order.
Tags = tuple[tuple[_Key, _Value], ...]


class Line(Struct, frozen=True, gc=False):
    """One line of a message of several lines.

    :ivar text: less than 500 bytes of UTF-8; may be empty.
    :ivar joined: it continues the line before it, without a line end between.
    """

    text: _Line
    joined: bool = False


class Event(Struct, frozen=True, gc=False, tag=True):
    """Base of all events.

    :ivar id: unique.
    :ivar time: the time when the origin node accepted it, in seconds since 1970 UTC.
    :ivar actor: the person who caused it.
    """

    id: EventId
    time: _Seconds
    actor: Identity


class Entered(Event, frozen=True, gc=False):
    """A person entered chat.

    :ivar real_name: 1 to 150 bytes of UTF-8.
    :ivar address: the client's IP address, for bans; empty for a UNIX socket. Shown only to server
        operators and to the person.
    :ivar secure: the connection is encrypted or local.
    """

    real_name: _Short
    address: _Host = ""
    secure: bool = False


class Joined(Event, frozen=True, gc=False):
    """A person joined a room.

    :ivar room: the room's name, as it is shown.
    :ivar opened: the room did not exist before, and ``actor`` is its operator.
    :ivar real_name: the real name of the actor.
    :ivar away: the actor's away message; empty if they are not away.
    """

    room: _Room
    opened: bool
    real_name: _Short = ""
    away: _Short = ""


class Parted(Event, frozen=True, gc=False):
    """A person left a room.

    :ivar reason: may be empty.
    """

    room: _Room
    reason: _Short


class RoomMessage(Event, frozen=True, gc=False):
    """A message to a room.

    :ivar text: less than 500 bytes of UTF-8, to fit a line of IRC. Of a multiline message
        all lines, separated by LF. Empty for tags alone.
    :ivar tags: client-only tags.
    :ivar lines: the lines of a multiline message; otherwise empty.
    :ivar least: only members of this rank and above receive it (``o``, ``h`` or ``v``); ``None``
        for all members.
    :ivar speaker: the name of the sender elsewhere, if ``actor`` relays the message; else empty.
    """

    room: _Room
    text: _Text
    kind: Kind
    tags: Tags = ()
    lines: tuple[Line, ...] = ()
    least: Mode | None = None
    speaker: _Speaker = ""

    @property
    def is_plain(self) -> bool:
        """Whether it is one line of text for all members, without tags."""
        if self.tags or self.lines or self.speaker or self.least is not None:
            return False
        return self.kind is not Kind.TAGS


class PrivateMessage(Event, frozen=True, gc=False):
    """A message to one person.

    :ivar target: the recipient.
    :ivar text: as of :class:`RoomMessage`.
    :ivar tags: client-only tags.
    :ivar lines: the lines of a multiline message; otherwise empty.
    """

    target: Identity
    text: _Text
    kind: Kind
    tags: Tags = ()
    lines: tuple[Line, ...] = ()


class Redacted(Event, frozen=True, gc=False):
    """A message of a room was redacted.

    :ivar message: the msgid of the message, as :class:`EventId` writes it.
    :ivar reason: may be empty.
    :ivar author: the id of its sender, from the origin node's store; empty if unknown.
    """

    room: _Room
    message: _MsgId
    reason: _Short
    author: _Author = ""


class TopicChanged(Event, frozen=True, gc=False):
    """The topic of a room was set.

    :ivar topic: empty if removed.
    """

    room: _Room
    topic: _Short


class NickChanged(Event, frozen=True, gc=False):
    """A person changed nickname; ``actor`` has the old one.

    :ivar nick: the new one.
    """

    nick: _Nick


class Kicked(Event, frozen=True, gc=False):
    """An operator kicked a member.

    :ivar target: the member.
    :ivar reason: may be empty.
    """

    room: _Room
    target: Identity
    reason: _Short


class ModesChanged(Event, frozen=True, gc=False):
    """Modes of a room or ranks of its members changed.

    :ivar changes: one or more, in their order.
    """

    room: _Room
    changes: tuple[Change, ...]


class Invited(Event, frozen=True, gc=False):
    """A person was invited into a room.

    :ivar target: the invited person.
    """

    room: _Room
    target: Identity


class RoomRenamed(Event, frozen=True, gc=False):
    """A room was renamed.

    :ivar room: the old name.
    :ivar name: the new name.
    :ivar reason: may be empty.
    """

    room: _Room
    name: _Room
    reason: _Short


class AwayChanged(Event, frozen=True, gc=False):
    """A person set or removed the away message.

    :ivar message: empty if removed.
    """

    message: _Short


class RealNameChanged(Event, frozen=True, gc=False):
    """A person changed the real name.

    :ivar real_name: 1 to 150 bytes of UTF-8.
    """

    real_name: _Short


class HostChanged(Event, frozen=True, gc=False):
    """A person's host changed; ``actor`` has the old one.

    :ivar host: the new one.
    """

    host: _NewHost


class UserModesChanged(Event, frozen=True, gc=False):
    """Modes of a person changed, by IRC's letters.

    ``B``: bot. ``i``: invisible, only people in the same room find them. ``o``: server operator.
    ``w``: receives announcements.

    :ivar added: letters of the modes that were set.
    :ivar removed: letters of the modes that were removed.
    """

    added: _Letters
    removed: _Letters


class Announced(Event, frozen=True, gc=False):
    """An announcement of a server operator to all people with mode ``w`` (IRC's WALLOPS).

    :ivar text: less than 500 bytes of UTF-8; not empty.
    """

    text: _Line


class Quit(Event, frozen=True, gc=False):
    """A person left chat and all rooms.

    :ivar reason: may be empty.
    """

    reason: _Short


class Killed(Event, frozen=True, gc=False):
    """A server operator, ``actor``, disconnected a person (IRC's KILL).

    :ivar target: the person.
    :ivar comment: the comment of the operator.
    :ivar reason: the reason that others see, with the operator's name.
    """

    target: Identity
    comment: _Short
    reason: _Short


#: Every event.
AnyEvent = (
    Entered
    | Joined
    | Parted
    | RoomMessage
    | PrivateMessage
    | Redacted
    | TopicChanged
    | NickChanged
    | Kicked
    | ModesChanged
    | Invited
    | RoomRenamed
    | AwayChanged
    | RealNameChanged
    | HostChanged
    | UserModesChanged
    | Announced
    | Quit
    | Killed
)
