"""The one set of rooms, whatever doors their members came through.

What a member asks for goes three steps:

1. **accept**: may they? One of the public methods below; it answers with a
   :class:`~tcpd.chat.refused.Refused`, or makes an event and answers ``None``.
2. **order**: a function given to the hub settles when, and in which order, events are delivered. By
   default at once.
3. **deliver** (:mod:`tcpd.chat.delivery`): changes the rooms and writes the event to the outbox of
   each local member whom it concerns, rendered once for each format.

Nothing but deliver changes a room. Doors answer a member from
:meth:`~tcpd.chat.member.Door.happened`, which is called when the event was delivered, and so behind
it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from tcpd.chat.delivery import Delivery
from tcpd.chat.member import Address, Door, Format, Member
from tcpd.chat.names import NICK_CHARACTERS, ROOM_CHARACTERS, BadName, fold, nickname, room_name
from tcpd.chat.outbox import Outbox
from tcpd.chat.refused import Code, Refused
from tcpd.chat.room import Room, Topic
from tcpd.chat.settings import REASON_BYTES, TOPIC_BYTES, ChatSettings
from tcpd.chat.split import MESSAGE_BYTES, carried, cut, is_longer
from tcpd.events import (
    Banned,
    Event,
    EventId,
    Joined,
    Kicked,
    Kind,
    ModeChanged,
    Parted,
    PrivateSaid,
    Quit,
    Renamed,
    Said,
    TopicSet,
    Unbanned,
    Who,
)
from tcpd.ops.counters import ChatCounters

SLOW_READER = "did not read what was sent"

_NODE_BYTES = 32
_NOT_IN_NODE = re.compile(r"[^A-Za-z0-9._-]", re.ASCII)
_BOOT = re.compile(r"[A-Za-z0-9._-]{1,12}", re.ASCII)


def at_once(event: Event, deliver: Callable[[Event], None]) -> None:
    """The order of things on a node by itself: as they come."""
    deliver(event)


class Hub:
    """The rooms and their members.

    :param settings: the bounds. The attribute may be replaced by a reload.
    :param node: this node's name. In the ids of events it is cut to 32 characters, and all but
        ASCII letters, digits, ``.``, ``_`` and ``-`` is replaced by ``-``; so cut, it differs from
        that of any other node.
    :param boot: differs in each run of the node; 1 to 12 of these characters.
    :param wall_clock: seconds since 1970 UTC.
    :param order: given each accepted event and :meth:`deliver`, which it calls with the event at
        once or later, but once.
    :raise ValueError: for a boot that breaks this rule.

    :ivar lobby: the room that is always there.
    :ivar counters: what happens in all rooms, counted.
    """

    def __init__(
        self,
        settings: ChatSettings,
        node: str,
        boot: str,
        wall_clock: Callable[[], float],
        order: Callable[[Event, Callable[[Event], None]], None] = at_once,
    ) -> None:
        if not _BOOT.fullmatch(boot):
            raise ValueError(f"{boot!r} is no boot id")
        self.counters = ChatCounters()
        self.wall_clock = wall_clock
        self._node = _NOT_IN_NODE.sub("-", node[:_NODE_BYTES]) or "-"
        self._boot = boot
        self._order = order
        self._events = 0
        self._entered = 0
        self.lobby = Room(settings.lobby, settings.history_kept, house=True)
        if settings.lobby_topic:
            self.lobby.topic = Topic(settings.lobby_topic, None, wall_clock())
        self._state = Delivery(settings, self.lobby, self.counters, self.drop)

    # --- what there is ---

    @property
    def settings(self) -> ChatSettings:
        """The bounds; a reload replaces them."""
        return self._state.settings

    @settings.setter
    def settings(self, settings: ChatSettings) -> None:
        self._state.settings = settings

    @property
    def rooms(self) -> Iterable[Room]:
        """All rooms, the lobby first, then in the order of opening."""
        return self._state.rooms.values()

    @property
    def room_count(self) -> int:
        """How many rooms there are, the lobby included."""
        return len(self._state.rooms)

    @property
    def member_count(self) -> int:
        """How many people there are."""
        return len(self._state.members)

    def room(self, name: str) -> Room | None:
        """The room of a name, written in any way that folds to it."""
        return self._state.rooms.get(fold(name))

    def member(self, nick: str) -> Member | None:
        """The member of a nickname, written in any way that folds to it."""
        return self._state.nicks.get(fold(nick))

    # --- accept ---

    def enter(
        self,
        nick: str,
        door: Door,
        format: Format,
        outbox: Outbox,
        address: Address | None,
        *,
        echo: bool = False,
    ) -> Member | Refused:
        """Become a member, in no room yet.

        :param nick: as typed.
        :param address: for bans; ``None`` where there is none.
        :param echo: whether to send the member what they said themselves.
        """
        if len(self._state.members) >= self.settings.max_members:
            return Refused(Code.HUB_FULL, "there are too many people here, try again later")
        checked = self._free_nick(nick, None)
        if isinstance(checked, Refused):
            return checked
        self._entered += 1
        id = f"{self._node}-{self._boot}-m{self._entered}"
        member = Member(id, checked, door, format, outbox, address, echo)
        self._state.nicks[member.key] = member
        self._state.members[id] = member
        self.counters.entered += 1
        return member

    def leave(self, member: Member, reason: str = "") -> None:
        """Be a member no more: they asked for it, or their connection is gone.

        May be called again, and for a member who was dropped.
        """
        if member.gone:
            return
        member.gone = True
        self._accept(Quit(*self._head(member), cut(reason, REASON_BYTES)))

    def rename(self, member: Member, nick: str) -> Refused | None:
        """Take another nickname. The same one in other letters will do."""
        checked = self._free_nick(nick, member)
        if isinstance(checked, Refused):
            return checked
        if checked == member.nick:
            return None
        self._state.nicks[fold(checked)] = member  # both are theirs until it is delivered
        return self._accept(Renamed(*self._head(member), checked))

    def join(self, member: Member, name: str) -> Refused | None:
        """Come into a room, which is opened if there is none of that name.

        Nothing happens to a member who is in it already.
        """
        try:
            checked = room_name(name)
        except BadName as error:
            return Refused(Code.BAD_ROOM, str(error))
        room = self._state.rooms.get(fold(checked))
        if room is not None:
            if member in room.members:
                return None
            if room.is_banned(member):
                return Refused(Code.BANNED, f"you are banned from {room.name}")
            checked = room.name
        elif len(self._state.rooms) >= self.settings.max_rooms:
            return Refused(Code.ROOMS_FULL, "there are too many rooms, no other can be opened")
        if len(member.rooms) >= self.settings.rooms_per_member:
            return Refused(
                Code.OWN_ROOMS_FULL, f"you are in {len(member.rooms)} rooms, leave one first"
            )
        return self._accept(Joined(*self._head(member), checked, opened=room is None))

    def part(self, member: Member, name: str, reason: str = "") -> Refused | None:
        """Leave a room. An empty one is closed, but for the lobby."""
        room = self._own_room(member, name)
        if isinstance(room, Refused):
            return room
        return self._accept(Parted(*self._head(member), room.name, cut(reason, REASON_BYTES)))

    def say(
        self, member: Member, name: str, text: str, kind: Kind = Kind.MESSAGE
    ) -> Refused | None:
        """Say something in a room one is in.

        :param text: at most 400 bytes of UTF-8; see :func:`tcpd.chat.split.split_message`.
        """
        room = self._own_room(member, name)
        if isinstance(room, Refused):
            return room
        if room.is_banned(member):
            return Refused(Code.BANNED, f"you are banned from {room.name}")
        refused = _unsayable(text)
        if refused is not None:
            return refused
        return self._accept(Said(*self._head(member), room.name, carried(text), kind))

    def tell(
        self, member: Member, nick: str, text: str, kind: Kind = Kind.MESSAGE
    ) -> Refused | None:
        """Say something to one person, in no room. It is kept in no history.

        :param text: as for :meth:`say`.
        """
        whom = self._present(nick)
        if isinstance(whom, Refused):
            return whom
        refused = _unsayable(text)
        if refused is not None:
            return refused
        return self._accept(PrivateSaid(*self._head(member), whom.who, carried(text), kind))

    def set_topic(self, member: Member, name: str, topic: str) -> Refused | None:
        """Give a room a topic, or take it away with an empty one. For operators."""
        room = self._operated_room(member, name)
        if isinstance(room, Refused):
            return room
        if is_longer(topic, TOPIC_BYTES):
            return Refused(Code.TOO_LONG, f"a topic has at most {TOPIC_BYTES} bytes")
        return self._accept(TopicSet(*self._head(member), room.name, carried(topic)))

    def set_operator(self, member: Member, name: str, nick: str, operator: bool) -> Refused | None:
        """Make somebody in the room an operator, or one no longer. For operators."""
        found = self._operated_on(member, name, nick)
        if isinstance(found, Refused):
            return found
        room, whom = found
        if (whom in room.operators) is operator:
            return None
        return self._accept(ModeChanged(*self._head(member), room.name, whom.who, operator))

    def kick(self, member: Member, name: str, nick: str, reason: str = "") -> Refused | None:
        """Put somebody out of a room; they may come back. For operators."""
        found = self._operated_on(member, name, nick)
        if isinstance(found, Refused):
            return found
        room, whom = found
        return self._accept(
            Kicked(*self._head(member), room.name, whom.who, cut(reason, REASON_BYTES))
        )

    def ban(self, member: Member, name: str, nick: str) -> Refused | None:
        """Keep a nickname out of a room, and the address of who has it now. For operators.

        It puts nobody out; but who is banned and still in the room cannot speak there.
        """
        room = self._operated_room(member, name)
        if isinstance(room, Refused):
            return room
        whom = self._state.nicks.get(fold(nick))
        try:
            banned = whom.nick if whom is not None else nickname(nick)
        except BadName as error:
            return Refused(Code.BAD_NICK, str(error))
        if len(room.bans) >= self.settings.bans_per_room and fold(banned) not in room.bans:
            return Refused(Code.BANS_FULL, f"{room.name} has {len(room.bans)} bans, lift one first")
        network = whom.network if whom is not None else None
        return self._accept(Banned(*self._head(member), room.name, banned, network))

    def unban(self, member: Member, name: str, nick: str) -> Refused | None:
        """Lift a ban, that of the address included. For operators."""
        room = self._operated_room(member, name)
        if isinstance(room, Refused):
            return room
        ban = room.bans.get(fold(nick))
        if ban is None:
            return Refused(
                Code.NOT_BANNED, f"{nick[:NICK_CHARACTERS]} is not banned from {room.name}"
            )
        return self._accept(Unbanned(*self._head(member), room.name, ban.nick))

    def drop(self, member: Member) -> None:
        """Put out a member whose outbox is full. Doors call it when an answer does not fit."""
        if member.gone:
            return
        member.gone = True
        member.outbox.close()
        self.counters.dropped += 1
        member.door.dropped()
        self._accept(Quit(*self._head(member), SLOW_READER))

    def close(self) -> None:
        """The daemon is about to end all connections: from now on nobody is told who leaves.

        Everybody does, and to tell each one of each other takes quadratic time.
        """
        self._state.closing = True

    def deliver(self, event: Event) -> None:
        """Make an event true, and tell those whom it concerns. Called by the order of events."""
        self._state.deliver(event)

    def hold(self) -> None:
        """Let what is said wait until :meth:`release`, so that all of it goes out in one piece.

        For a door that takes several lines in one go. Anything but what is said in rooms is still
        delivered at once, with what waits before it; and a door that answers something itself
        calls :meth:`settle` first, or its answer stands before what is said here.
        """
        self._state.hold()

    def release(self) -> None:
        """Deliver what :meth:`hold` held. The door may be told to end within it."""
        self._state.release()

    def settle(self) -> None:
        """Deliver what waits so far, and hold on."""
        self._state.settle()

    def _accept(self, event: Event) -> Refused | None:
        self._order(event, self.deliver)
        return None

    def _head(self, member: Member) -> tuple[EventId, float, Who]:
        self._events += 1
        return EventId(self._node, self._boot, self._events), self.wall_clock(), member.who

    def _free_nick(self, nick: str, member: Member | None) -> str | Refused:
        try:
            checked = nickname(nick)
        except BadName as error:
            return Refused(Code.BAD_NICK, str(error))
        if self._state.nicks.get(fold(checked), member) is not member:
            return Refused(Code.NICK_TAKEN, f"somebody else is called {checked}")
        return checked

    def _present(self, nick: str) -> Member | Refused:
        member = self._state.nicks.get(fold(nick))
        if member is None:
            return Refused(Code.NO_SUCH_NICK, f"nobody here is called {nick[:NICK_CHARACTERS]}")
        return member

    def _own_room(self, member: Member, name: str) -> Room | Refused:
        key = fold(name)
        room = member.rooms.get(key)
        if room is not None:
            return room
        room = self._state.rooms.get(key)
        if room is None:
            return Refused(Code.NO_SUCH_ROOM, f"there is no room {name[:ROOM_CHARACTERS]}")
        return Refused(Code.NOT_IN_ROOM, f"you are not in {room.name}")

    def _operated_room(self, member: Member, name: str) -> Room | Refused:
        room = self._own_room(member, name)
        if isinstance(room, Refused) or member in room.operators:
            return room
        if room.house:
            return Refused(Code.NO_OPERATORS, f"{room.name} belongs to everybody, not to operators")
        return Refused(Code.NOT_OPERATOR, f"you are not an operator of {room.name}")

    def _operated_on(self, member: Member, name: str, nick: str) -> tuple[Room, Member] | Refused:
        room = self._operated_room(member, name)
        if isinstance(room, Refused):
            return room
        whom = self._present(nick)
        if isinstance(whom, Refused):
            return whom
        if whom not in room.members:
            return Refused(Code.NOT_IN_SAME_ROOM, f"{whom.nick} is not in {room.name}")
        return room, whom


def _unsayable(text: str) -> Refused | None:
    if not text:
        return Refused(Code.EMPTY, "there is nothing to say")
    if is_longer(text, MESSAGE_BYTES):
        return Refused(Code.TOO_LONG, f"a message has at most {MESSAGE_BYTES} bytes")
    return None
