"""The one set of rooms, whatever doors their members came through.

What a member asks for goes three steps:

1. **accept**: may they? One of the public methods below; it answers with a
   :class:`~tcpd.chat.refused.Refused`, or makes an event and answers ``None``.
2. **order**: a function given to the hub settles when, and in which order, events are delivered. By
   default at once.
3. **deliver**: :meth:`Hub.deliver` changes the rooms and writes the event to the outbox of each
   local member whom it concerns, rendered once for each format.

Nothing but deliver changes a room. Doors answer a member from
:meth:`~tcpd.chat.member.Door.happened`, which is called when the event was delivered, and so behind
it.

Deliveries never nest: an event that comes up while another is delivered (a member dropped for not
reading, a door's reaction) waits for its turn, so that all members see the same events in the same
order, and an avalanche of drops takes no stack.
"""

from __future__ import annotations

import ipaddress
import re
from collections import deque
from collections.abc import Callable, Collection, Iterable
from typing import Any

from tcpd.chat.member import Address, Door, Format, Member
from tcpd.chat.names import NICK_CHARACTERS, ROOM_CHARACTERS, BadName, fold, nickname, room_name
from tcpd.chat.outbox import Outbox
from tcpd.chat.refused import Code, Refused
from tcpd.chat.room import Ban, Room, Topic
from tcpd.chat.settings import REASON_BYTES, TOPIC_BYTES, ChatSettings
from tcpd.chat.split import MESSAGE_BYTES
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
# what would end a line, or a string, on its way through some door
_NOT_CARRIED = str.maketrans({"\0": "\ufffd", "\r": "\ufffd", "\n": "\ufffd"})


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
        self.settings = settings
        self.counters = ChatCounters()
        self.wall_clock = wall_clock
        self._node = _NOT_IN_NODE.sub("-", node[:_NODE_BYTES]) or "-"
        self._boot = boot
        self._order = order
        self._events = 0
        self._entered = 0
        self._nicks: dict[str, Member] = {}
        self._members: dict[str, Member] = {}
        self._queue: deque[Event] = deque()
        self._delivering = False
        self._closing = False
        self.lobby = Room(settings.lobby, settings.history_kept, house=True)
        if settings.lobby_topic:
            self.lobby.topic = Topic(settings.lobby_topic, None, wall_clock())
        self._rooms = {self.lobby.key: self.lobby}
        self._delivery: dict[type[Event], Callable[[Any], Member | None]] = {
            Joined: self._joined,
            Parted: self._parted,
            Said: self._said,
            PrivateSaid: self._private_said,
            TopicSet: self._topic_set,
            Renamed: self._renamed,
            Kicked: self._kicked,
            ModeChanged: self._mode_changed,
            Banned: self._banned,
            Unbanned: self._unbanned,
            Quit: self._quit,
        }

    # --- what there is ---

    @property
    def rooms(self) -> Iterable[Room]:
        """All rooms, the lobby first, then in the order of opening."""
        return self._rooms.values()

    @property
    def room_count(self) -> int:
        """How many rooms there are, the lobby included."""
        return len(self._rooms)

    @property
    def member_count(self) -> int:
        """How many people there are."""
        return len(self._members)

    def room(self, name: str) -> Room | None:
        """The room of a name, written in any way that folds to it."""
        return self._rooms.get(fold(name))

    def member(self, nick: str) -> Member | None:
        """The member of a nickname, written in any way that folds to it."""
        return self._nicks.get(fold(nick))

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
        if len(self._members) >= self.settings.max_members:
            return Refused(Code.HUB_FULL, "there are too many people here, try again later")
        checked = self._free_nick(nick, None)
        if isinstance(checked, Refused):
            return checked
        self._entered += 1
        id = f"{self._node}-{self._boot}-m{self._entered}"
        member = Member(id, checked, door, format, outbox, address, echo)
        self._nicks[member.key] = member
        self._members[id] = member
        self.counters.entered += 1
        return member

    def leave(self, member: Member, reason: str = "") -> None:
        """Be a member no more: they asked for it, or their connection is gone.

        May be called again, and for a member who was dropped.
        """
        if member.gone:
            return
        member.gone = True
        self._accept(Quit(*self._head(member), _cut(reason, REASON_BYTES)))

    def rename(self, member: Member, nick: str) -> Refused | None:
        """Take another nickname. The same one in other letters will do."""
        checked = self._free_nick(nick, member)
        if isinstance(checked, Refused):
            return checked
        if checked == member.nick:
            return None
        self._nicks[fold(checked)] = member  # both are theirs until it is delivered
        return self._accept(Renamed(*self._head(member), checked))

    def join(self, member: Member, name: str) -> Refused | None:
        """Come into a room, which is opened if there is none of that name.

        Nothing happens to a member who is in it already.
        """
        try:
            checked = room_name(name)
        except BadName as error:
            return Refused(Code.BAD_ROOM, str(error))
        room = self._rooms.get(fold(checked))
        if room is not None:
            if member in room.members:
                return None
            if room.is_banned(member):
                return Refused(Code.BANNED, f"you are banned from {room.name}")
            checked = room.name
        elif len(self._rooms) >= self.settings.max_rooms:
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
        return self._accept(Parted(*self._head(member), room.name, _cut(reason, REASON_BYTES)))

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
        return self._accept(Said(*self._head(member), room.name, _carried(text), kind))

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
        return self._accept(PrivateSaid(*self._head(member), whom.who, _carried(text), kind))

    def set_topic(self, member: Member, name: str, topic: str) -> Refused | None:
        """Give a room a topic, or take it away with an empty one. For operators."""
        room = self._operated_room(member, name)
        if isinstance(room, Refused):
            return room
        if _is_longer(topic, TOPIC_BYTES):
            return Refused(Code.TOO_LONG, f"a topic has at most {TOPIC_BYTES} bytes")
        return self._accept(TopicSet(*self._head(member), room.name, _carried(topic)))

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
            Kicked(*self._head(member), room.name, whom.who, _cut(reason, REASON_BYTES))
        )

    def ban(self, member: Member, name: str, nick: str) -> Refused | None:
        """Keep a nickname out of a room, and the address of who has it now. For operators.

        It puts nobody out; but who is banned and still in the room cannot speak there.
        """
        room = self._operated_room(member, name)
        if isinstance(room, Refused):
            return room
        whom = self._nicks.get(fold(nick))
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
        self._closing = True

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
        if self._nicks.get(fold(checked), member) is not member:
            return Refused(Code.NICK_TAKEN, f"somebody else is called {checked}")
        return checked

    def _present(self, nick: str) -> Member | Refused:
        member = self._nicks.get(fold(nick))
        if member is None:
            return Refused(Code.NO_SUCH_NICK, f"nobody here is called {nick[:NICK_CHARACTERS]}")
        return member

    def _own_room(self, member: Member, name: str) -> Room | Refused:
        key = fold(name)
        room = member.rooms.get(key)
        if room is not None:
            return room
        room = self._rooms.get(key)
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

    # --- deliver ---

    def deliver(self, event: Event) -> None:
        """Make an event true, and tell those whom it concerns. Called by the order of events.

        What it speaks of may have gone since it was accepted: it is then passed over.
        """
        self._queue.append(event)
        if self._delivering:
            return
        self._delivering = True
        try:
            while self._queue:
                event = self._queue.popleft()
                concerned = self._delivery[type(event)](event)
                if concerned is not None and not concerned.gone:
                    concerned.door.happened(event)
        finally:
            self._delivering = False

    def _send(
        self, event: Event, audience: Collection[Member], skipped: Member | None = None
    ) -> None:
        self.counters.deliveries += len(audience) - (skipped is not None)
        rendered: dict[Format, bytes] = {}
        full = []
        format = None
        data = b""
        size = 0
        for member in audience:
            if member.format is not format:
                format = member.format
                if format not in rendered:
                    rendered[format] = format.render(event)
                data = rendered[format]
                size = len(data)
            outbox = member.outbox
            waiting = outbox.size + size
            if waiting > outbox.limit:
                full.append(member)
            elif member is not skipped:
                outbox.size = waiting
                outbox.chunks.append(data)
                if not outbox.awaited:
                    outbox.awaited = True
                    outbox.flush_set.add(outbox)
        for member in full:
            if member is not skipped and not member.outbox.squeeze(rendered[member.format]):
                self.drop(member)

    def _place(self, event: Event, name: str) -> tuple[Room, Member] | None:
        """The room and the author of an event, as long as the one is in the other."""
        room = self._rooms.get(fold(name))
        member = self._members.get(event.who.id)
        if room is None or member is None or member not in room.members:
            return None
        return room, member

    def _joined(self, event: Joined) -> Member | None:
        member = self._members.get(event.who.id)
        if member is None:
            return None
        key = fold(event.room)
        room = self._rooms.get(key)
        if room is None:
            room = self._rooms[key] = Room(event.room, self.settings.history_kept)
        if event.opened and not room.members and not room.house:
            room.operators.add(member)
        room.members[member] = None
        member.rooms[key] = room
        self._send(event, room.members)
        return member

    def _parted(self, event: Parted) -> Member | None:
        found = self._place(event, event.room)
        if found is None:
            return None
        room, member = found
        self._send(event, room.members)
        self._take_out(room, member)
        return member

    def _said(self, event: Said) -> Member | None:
        found = self._place(event, event.room)
        if found is None:
            return None
        room, member = found
        room.history.append(event)
        self.counters.messages += 1
        self._send(event, room.members, None if member.echo else member)
        return member

    def _private_said(self, event: PrivateSaid) -> Member | None:
        whom = self._members.get(event.whom.id)
        if whom is not None:
            self.counters.private_messages += 1
            self._send(event, (whom,))
        return self._members.get(event.who.id)

    def _topic_set(self, event: TopicSet) -> Member | None:
        found = self._place(event, event.room)
        if found is None:
            return None
        room, member = found
        room.topic = Topic(event.topic, event.who, event.time) if event.topic else None
        self._send(event, room.members)
        return member

    def _renamed(self, event: Renamed) -> Member | None:
        key = fold(event.nick)
        member = self._members.get(event.who.id)
        owner = self._nicks.get(key)
        if member is None:
            if owner is not None and owner.gone:  # they left with two nicknames to their name
                del self._nicks[key]
            return None
        if owner is not None and owner is not member:
            return None
        if key != member.key:
            self._nicks.pop(member.key, None)
            self._nicks[key] = member
        member.nick = event.nick
        member.key = key
        self._send(event, self._neighbours(member))
        return member

    def _kicked(self, event: Kicked) -> Member | None:
        room = self._rooms.get(fold(event.room))
        whom = self._members.get(event.whom.id)
        if room is None or whom is None or whom not in room.members:
            return None
        self._send(event, room.members)
        self._take_out(room, whom)
        return whom

    def _mode_changed(self, event: ModeChanged) -> Member | None:
        room = self._rooms.get(fold(event.room))
        whom = self._members.get(event.whom.id)
        if room is None or whom is None or whom not in room.members:
            return None
        if event.operator:
            room.operators.add(whom)
        else:
            room.operators.discard(whom)
        self._send(event, room.members)
        return self._members.get(event.who.id)

    def _banned(self, event: Banned) -> Member | None:
        room = self._rooms.get(fold(event.room))
        if room is None:
            return None
        network = None if event.network is None else ipaddress.ip_network(event.network)
        room.bans[fold(event.nick)] = Ban(event.nick, network, event.who, event.time)
        self._send(event, room.members)
        return self._members.get(event.who.id)

    def _unbanned(self, event: Unbanned) -> Member | None:
        room = self._rooms.get(fold(event.room))
        if room is None:
            return None
        room.bans.pop(fold(event.nick), None)
        self._send(event, room.members)
        return self._members.get(event.who.id)

    def _quit(self, event: Quit) -> Member | None:
        member = self._members.pop(event.who.id, None)
        if member is None:
            return None
        self._nicks.pop(member.key, None)
        neighbours = {} if self._closing else self._neighbours(member)
        neighbours.pop(member, None)
        for room in list(member.rooms.values()):
            self._take_out(room, member)
        self._send(event, neighbours)
        return None

    def _neighbours(self, member: Member) -> dict[Member, None]:
        """The member and everybody who is in a room with them, each once."""
        found = {member: None}
        for room in member.rooms.values():
            found.update(room.members)
        return found

    def _take_out(self, room: Room, member: Member) -> None:
        room.remove(member)
        if not room.members and not room.house:
            self._rooms.pop(room.key, None)


def _is_longer(text: str, size: int) -> bool:
    # a character takes at most 4 bytes, so that most need not be encoded to know
    return len(text) * 4 > size and len(text.encode(errors="replace")) > size


def _unsayable(text: str) -> Refused | None:
    if not text:
        return Refused(Code.EMPTY, "there is nothing to say")
    if _is_longer(text, MESSAGE_BYTES):
        return Refused(Code.TOO_LONG, f"a message has at most {MESSAGE_BYTES} bytes")
    return None


def _carried(text: str) -> str:
    """The same text without what would end it early behind some door."""
    return text if text.isprintable() else text.translate(_NOT_CARRIED)


def _cut(text: str, size: int) -> str:
    """A reason, no longer than it may be."""
    return _carried(text).encode(errors="replace")[:size].decode(errors="ignore")
