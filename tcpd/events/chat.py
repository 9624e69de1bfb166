"""The events of chat: what hub, frontends, history and other nodes share.

An event is made once, by the node whose client caused it, and is never changed. Its
:class:`EventId` is unique. Texts are as the person wrote them, without line ends and NUL, which no
frontend can carry; each frontend makes them safe for its clients.

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
# The longest of each has 30 to 200 bytes of UTF-8; these bounds keep out what cannot be one. The
# patterns keep out what no line of IRC can carry in that place. They do not ask what Unicode knows
# of a character: nodes of different Python versions decode alike.
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

    :ivar id: unique among the people of all nodes and runs, and the same through every change of
        nickname; printable ASCII, at most 64 bytes. Not shown in rooms.
    :ivar nick: the nickname at the time of the event.
    :ivar user: the user name; at most 12 characters that IRC's grammar allows. Who has entered has
        one, and a host.
    :ivar host: the host that others may know (:mod:`tcpd.chat.hosts`); at most 63 bytes of the same
        characters.
    :ivar bot: the person says that it is a program.
    """

    id: _PersonId
    nick: _Nick
    user: _Host = ""
    host: _Host = ""
    bot: bool = False

    def __str__(self) -> str:
        """``nick!user@host``, the source of a line of IRC and what masks are compared with."""
        return f"{self.nick}!{self.user}@{self.host}"


class Kind(StrEnum):
    """How a message was sent."""

    MESSAGE = "message"
    ACTION = "action"
    #: automatic; must never be answered automatically (RFC 2812 section 3.3.2)
    NOTICE = "notice"
    #: tags alone, for programs: it has no text (IRCv3's TAGMSG)
    TAGS = "tags"


class Mode(StrEnum):
    """A mode of a room or of a member of it, by IRC's letter."""

    OPERATOR = "o"
    HALF_OPERATOR = "h"
    VOICE = "v"
    BAN = "b"
    #: may join and speak in spite of a ban
    EXEMPT = "e"
    #: may join without an invitation
    INVITED = "I"
    KEY = "k"
    LIMIT = "l"
    INVITE_ONLY = "i"
    MODERATED = "m"
    #: takes no CTCP but actions
    NO_CTCP = "C"
    #: only members speak
    NO_OUTSIDERS = "n"
    #: only members see it (IRC: secret)
    HIDDEN = "s"
    TOPIC_PROTECTED = "t"


#: Modes that are lists of masks.
LISTS = (Mode.BAN, Mode.EXEMPT, Mode.INVITED)

#: Modes that give a member a rank.
RANKS = (Mode.OPERATOR, Mode.HALF_OPERATOR, Mode.VOICE)


class Change(Struct, frozen=True, gc=False):
    """One change of a mode.

    :ivar adding: the mode is set; else it is removed.
    :ivar mode: which mode.
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
    """What all events have.

    :ivar id: identifies it.
    :ivar time: when the origin node accepted it, in seconds since 1970 UTC.
    :ivar actor: whose doing it is.
    """

    id: EventId
    time: _Seconds
    actor: Identity


class Entered(Event, frozen=True, gc=False):
    """Somebody connected and has a nickname now.

    :ivar real_name: 1 to 150 bytes of UTF-8.
    :ivar address: the client's IP address, for bans; empty for a UNIX socket. Shown to operators of
        the daemon and to the person alone.
    :ivar secure: nobody on the way can read along.
    """

    real_name: _Short
    address: _Host = ""
    secure: bool = False


class Joined(Event, frozen=True, gc=False):
    """Somebody joined a room.

    :ivar room: the room's name, as it is shown.
    :ivar opened: the room did not exist before, and ``actor`` is its operator.
    :ivar real_name: the actor's.
    :ivar away: the actor's away message; empty if they are not away.
    """

    room: _Room
    opened: bool
    real_name: _Short = ""
    away: _Short = ""


class Parted(Event, frozen=True, gc=False):
    """Somebody left a room.

    :ivar reason: may be empty.
    """

    room: _Room
    reason: _Short


class RoomMessage(Event, frozen=True, gc=False):
    """Somebody said something in a room.

    :ivar text: less than 500 bytes of UTF-8, what fits a line of IRC; of several lines, all of
        them; empty if it is tags alone.
    :ivar tags: client-only tags.
    :ivar lines: the lines of a message of several; else empty.
    :ivar least: only members of this rank and above receive it (``o``, ``h`` or ``v``); ``None``
        for all members.
    :ivar speaker: the name of who said it elsewhere, if ``actor`` relays it; else empty.
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
        """Whether it is one line of text to all members, without tags."""
        if self.tags or self.lines or self.speaker or self.least is not None:
            return False
        return self.kind is not Kind.TAGS


class PrivateMessage(Event, frozen=True, gc=False):
    """Somebody said something to one person.

    :ivar target: the person.
    :ivar text: as of :class:`RoomMessage`.
    :ivar tags: client-only tags.
    :ivar lines: the lines of a message of several; else empty.
    """

    target: Identity
    text: _Text
    kind: Kind
    tags: Tags = ()
    lines: tuple[Line, ...] = ()


class Redacted(Event, frozen=True, gc=False):
    """Somebody took back a message in a room.

    :ivar message: the msgid of the message, as :class:`EventId` writes it.
    :ivar reason: may be empty.
    :ivar author: the id of who said it, as the origin node's store has it; empty if unknown.
    """

    room: _Room
    message: _MsgId
    reason: _Short
    author: _Author = ""


class TopicChanged(Event, frozen=True, gc=False):
    """Somebody set the topic of a room.

    :ivar topic: empty where it was removed.
    """

    room: _Room
    topic: _Short


class NickChanged(Event, frozen=True, gc=False):
    """Somebody took another nickname; ``actor`` has the old one.

    :ivar nick: the new one.
    """

    nick: _Nick


class Kicked(Event, frozen=True, gc=False):
    """An operator put somebody out of a room.

    :ivar target: who was put out.
    :ivar reason: may be empty.
    """

    room: _Room
    target: Identity
    reason: _Short


class ModesChanged(Event, frozen=True, gc=False):
    """Modes of a room, or ranks of its members, changed.

    :ivar changes: one or more, in their order.
    """

    room: _Room
    changes: tuple[Change, ...]


class Invited(Event, frozen=True, gc=False):
    """Somebody was invited into a room.

    :ivar target: who was invited.
    """

    room: _Room
    target: Identity


class RoomRenamed(Event, frozen=True, gc=False):
    """A room got another name.

    :ivar room: the old name.
    :ivar name: the new name.
    :ivar reason: may be empty.
    """

    room: _Room
    name: _Room
    reason: _Short


class AwayChanged(Event, frozen=True, gc=False):
    """Somebody is away, or is back.

    :ivar message: the away message; empty if they are back.
    """

    message: _Short


class RealNameChanged(Event, frozen=True, gc=False):
    """Somebody changed their real name.

    :ivar real_name: 1 to 150 bytes of UTF-8.
    """

    real_name: _Short


class HostChanged(Event, frozen=True, gc=False):
    """Somebody has another host; ``actor`` has the old one.

    :ivar host: the new one.
    """

    host: _NewHost


class UserModesChanged(Event, frozen=True, gc=False):
    """Modes of a person changed, by IRC's letters.

    ``B``: bot. ``i``: invisible, found by those alone who share a room. ``o``: operator of the
    daemon. ``w``: receives announcements.

    :ivar added: letters of the modes that are set now.
    :ivar removed: letters of those that are not any more.
    """

    added: _Letters
    removed: _Letters


class Announced(Event, frozen=True, gc=False):
    """An operator of the daemon announced something to all with mode ``w`` (IRC's WALLOPS).

    :ivar text: less than 500 bytes of UTF-8; not empty.
    """

    text: _Line


class Quit(Event, frozen=True, gc=False):
    """Somebody left chat, and all rooms.

    :ivar reason: may be empty.
    """

    reason: _Short


class Killed(Event, frozen=True, gc=False):
    """An operator of the daemon, ``actor``, ended somebody's connections (IRC's KILL).

    :ivar target: whose.
    :ivar comment: the operator's.
    :ivar reason: both in one, as others see it.
    """

    target: Identity
    comment: _Short
    reason: _Short


#: All that can happen.
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
