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

import hmac
import secrets
from collections.abc import Callable, Iterable
from typing import Any

from tcpd.chat.delivery import Delivery
from tcpd.chat.hosts import Hosts
from tcpd.chat.member import Door, Format, Member, Profile
from tcpd.chat.moderation import Moderating
from tcpd.chat.names import BadName, fold, nickname, room_name
from tcpd.chat.outbox import Outbox
from tcpd.chat.past import Past
from tcpd.chat.refused import Code, Refused
from tcpd.chat.room import Room, Topic
from tcpd.chat.settings import ALWAYS, AWAY_BYTES, REAL_NAME_BYTES, REASON_BYTES, ChatSettings
from tcpd.chat.speaking import Speaking
from tcpd.chat.split import is_longer, tidied
from tcpd.events import (
    Event,
    HostChanged,
    Joined,
    Mode,
    Parted,
    Quit,
    RealNameSet,
    Renamed,
    WentAway,
)
from tcpd.ops.counters import ChatCounters

_SECRET_BYTES = 32


def at_once(event: Event, deliver: Callable[[Event], None]) -> None:
    """The order of things on a node by itself: as they come."""
    deliver(event)


class Hub(Moderating, Speaking):
    """The rooms and their members.

    :param settings: the bounds. The attribute may be replaced by a reload.
    :param node: this node's name. In the ids of events it is cut to 32 characters, and all but
        ASCII letters, digits, ``.``, ``_`` and ``-`` is replaced by ``-``; so cut, it differs from
        that of any other node.
    :param boot: differs in each run of the node; 1 to 12 of these characters.
    :param wall_clock: seconds since 1970 UTC.
    :param clock: seconds of a clock that nobody sets, for durations.
    :param order: given each accepted event and :meth:`deliver`, which it calls with the event at
        once or later, but once.
    :param secret: what hosts are made with, the same on all nodes; ``None`` draws one, as long as
        nothing outlives the hub.
    :raise ValueError: for a boot that breaks this rule.

    :ivar lobby: the room that is always there; ``None`` for none.
    :ivar counters: what happens in all rooms, counted.
    :ivar hosts: makes hosts of addresses.
    :ivar most_members: how many people there were at most.
    :ivar flush_set: a :class:`tcpd.chat.outbox.FlushSet` that all doors share; the first makes it.
    :ivar turnstile: a :class:`tcpd.chat.turnstile.Turnstile`, likewise.
    """

    def __init__(
        self,
        settings: ChatSettings,
        node: str,
        boot: str,
        wall_clock: Callable[[], float],
        clock: Callable[[], float],
        order: Callable[[Event, Callable[[Event], None]], None] = at_once,
        secret: bytes | None = None,
    ) -> None:
        self.counters = ChatCounters()
        self.hosts = Hosts(secret or secrets.token_bytes(_SECRET_BYTES), settings.hosts)
        self.most_members = 0
        self.flush_set: Any = None
        self.turnstile: Any = None
        self._entered = 0
        self.lobby: Room | None = None
        if settings.lobby:
            self.lobby = Room(settings.lobby, settings.history_kept, wall_clock(), house=True)
            if settings.lobby_topic:
                self.lobby.topic = Topic(settings.lobby_topic, None, wall_clock())
        state = Delivery(settings, self.lobby, self.counters, self.drop)
        super().__init__(state, node, boot, wall_clock, clock, order)

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

    @property
    def members(self) -> Iterable[Member]:
        """All people, in the order of coming."""
        return self._state.members.values()

    @property
    def invisible_count(self) -> int:
        """How many of them are invisible."""
        return self._state.invisible

    @property
    def operator_count(self) -> int:
        """How many of them are operators of the daemon."""
        return self._state.server_operators

    @property
    def history_size(self) -> int:
        """What the messages that are kept of all rooms take, in bytes: an estimate."""
        return self._state.history_size

    @property
    def past(self) -> Past:
        """Who was here."""
        return self._state.past

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
        profile: Profile,
    ) -> Member | Refused:
        """Become a member, in no room yet.

        :param nick: as typed.
        :param profile: what else is known of who comes in.
        """
        if len(self._state.members) >= self.settings.max_members:
            return Refused(Code.HUB_FULL, "there are too many people here, try again later")
        checked = self.free_nick(nick)
        if isinstance(checked, Refused):
            return checked
        self._entered += 1
        id = f"{self._node}-{self._boot}-m{self._entered}"
        host = self.hosts.of(profile.address) if profile.host is None else profile.host
        times = self.wall_clock(), self.clock()
        member = Member(id, checked, host, profile, door, format, outbox, *times)
        self._state.nicks[member.key] = member
        self._state.members[id] = member
        self.most_members = max(self.most_members, len(self._state.members))
        self.counters.entered += 1
        self._state.watching.come(member)
        return member

    def free_nick(self, nick: str, member: Member | None = None) -> str | Refused:
        """Whether somebody may take a nickname, and how it is written.

        :param nick: as typed.
        :param member: who wants it; ``None`` for somebody who is not here yet.
        """
        try:
            checked = nickname(nick)
        except BadName as error:
            return Refused(Code.BAD_NICK, str(error))
        if self._state.nicks.get(fold(checked), member) is not member:
            return Refused(Code.NICK_TAKEN, f"somebody else is called {checked}")
        return checked

    def leave(self, member: Member, reason: str = "") -> None:
        """Be a member no more: they asked for it, or their connection is gone.

        May be called again, and for a member who was dropped.
        """
        if member.gone:
            return
        member.gone = True
        self._accept(Quit(*self._head(member), tidied(reason, REASON_BYTES)))

    def rename(self, member: Member, nick: str) -> Refused | None:
        """Take another nickname. The same one in other letters will do."""
        checked = self.free_nick(nick, member)
        if isinstance(checked, Refused):
            return checked
        if checked == member.nick:
            return None
        self._state.nicks[fold(checked)] = member  # both are theirs until it is delivered
        return self._accept(Renamed(*self._head(member), checked))

    def join(self, member: Member, name: str, key: str = "") -> Refused | None:
        """Come into a room, which is opened if there is none of that name.

        Nothing happens to a member who is in it already.

        :param key: the room's, if it has one.
        """
        try:
            checked = room_name(name)
        except BadName as error:
            return Refused(Code.BAD_ROOM, str(error))
        room = self._state.rooms.get(fold(checked))
        if room is not None:
            if member in room.members:
                return None
            closed = _closed(room, member, key)
            if closed is not None:
                return closed
            checked = room.name
        elif len(self._state.rooms) >= self.settings.max_rooms:
            return Refused(Code.ROOMS_FULL, "there are too many rooms, no other can be opened")
        if len(member.rooms) >= self.settings.rooms_per_member:
            return Refused(
                Code.OWN_ROOMS_FULL, f"you are in {len(member.rooms)} rooms, leave one first"
            )
        opened = room is None
        return self._accept(
            Joined(*self._head(member), checked, opened, member.real_name, member.away)
        )

    def part(self, member: Member, name: str, reason: str = "") -> Refused | None:
        """Leave a room. An empty one is closed, but for the lobby."""
        room = self._own_room(member, name)
        if isinstance(room, Refused):
            return room
        return self._accept(Parted(*self._head(member), room.name, tidied(reason, REASON_BYTES)))

    def set_away(self, member: Member, message: str) -> None:
        """Be away, or be back with an empty message."""
        message = tidied(message, AWAY_BYTES)
        if message != member.away:
            self._accept(WentAway(*self._head(member), message))

    def set_real_name(self, member: Member, real_name: str) -> Refused | None:
        """Call oneself otherwise, besides the nickname."""
        if not real_name:
            return Refused(Code.EMPTY, "a real name has at least one letter")
        if is_longer(real_name, REAL_NAME_BYTES):
            return Refused(Code.TOO_LONG, f"a real name has at most {REAL_NAME_BYTES} bytes")
        return self._accept(RealNameSet(*self._head(member), tidied(real_name, REAL_NAME_BYTES)))

    def set_host(self, member: Member, host: str) -> None:
        """Be somewhere else, as others know it. For doors that learn a member's name in the end.

        :param host: see :class:`tcpd.events.Who`.
        """
        if host != member.host:
            self._accept(HostChanged(*self._head(member), host))

    def set_invisible(self, member: Member, invisible: bool) -> None:
        """Be found by those alone who share a room, or by everybody."""
        self._state.invisible += invisible - member.invisible
        member.invisible = invisible

    def set_server_operator(self, member: Member, operator: bool) -> None:
        """Be an operator of the daemon, who has shown that they may; or be one no longer."""
        self._state.server_operators += operator - member.server_operator
        member.server_operator = operator

    def put_out(self, member: Member, whom: Member, comment: str) -> None:
        """End somebody's membership. For operators of the daemon.

        :param member: who does it.
        :param comment: why.
        """
        if whom.gone:
            return
        whom.gone = True
        reason = tidied(f"Killed ({member.nick} ({comment}))", REASON_BYTES)
        whom.door.put_out(member.who, tidied(comment, REASON_BYTES), reason)
        self._accept(Quit(*self._head(whom), reason))

    def watch(self, member: Member, nick: str) -> Refused | None:
        """Be told when somebody comes who has a nickname, and when they go."""
        watched = member.watched or {}
        if fold(nick) in watched:
            return None
        settings = self.settings
        if len(watched) >= settings.watched:
            return Refused(Code.TOO_MANY_WATCHED, f"you watch {settings.watched} people already")
        if self._state.watching.count >= settings.watched_in_all and len(watched) >= ALWAYS:
            return Refused(Code.TOO_MANY_WATCHED, "too many people are watched here")
        self._state.watching.add(member, nick)
        return None

    def unwatch(self, member: Member, nick: str) -> None:
        """Be told no more of a nickname."""
        self._state.watching.remove(member, nick)

    def drop(self, member: Member) -> None:
        """Put out a member whose outbox is full. Doors call it when an answer does not fit."""
        if member.gone:
            return
        member.gone = True
        member.outbox.close()
        self.counters.dropped += 1
        member.door.dropped()
        self._accept(Quit(*self._head(member), member.door.slow))

    def close(self) -> None:
        """The daemon is about to end all connections: from now on nobody is told who leaves.

        Everybody does, and to tell each one of each other takes quadratic time.
        """
        self._state.closing = True

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


def _closed(room: Room, member: Member, key: str) -> Refused | None:
    """Why a member cannot come into a room, if they cannot."""
    if member.id in room.invited:
        return None
    if room.is_banned(member):
        return Refused(Code.BANNED, f"you are banned from {room.name}")
    if room.has(Mode.INVITE_ONLY) and not room.lists_member(Mode.INVITED, member):
        return Refused(Code.NEEDS_INVITATION, f"{room.name} takes only those who were invited")
    modes = room.modes
    if modes.key and not hmac.compare_digest(modes.key.encode(), key.encode(errors="replace")):
        return Refused(Code.NEEDS_KEY, f"{room.name} has a key")
    if modes.limit is not None and len(room.members) >= modes.limit:
        return Refused(Code.ROOM_FULL, f"{room.name} has no place left")
    return None
