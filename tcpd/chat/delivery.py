"""Who is where, made true by events: the third of the three steps of :mod:`tcpd.chat.hub`.

Nothing but a delivery changes a room. Deliveries never nest: an event that comes up while another
is delivered (a member dropped for not reading, a door's reaction) waits for its turn, so that all
members see the same events in the same order, and an avalanche of drops takes no stack.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any, TypeGuard

from tcpd.chat.history import forget_oldest
from tcpd.chat.member import NO_DOOR, Format, Member
from tcpd.chat.names import fold
from tcpd.chat.past import Past
from tcpd.chat.room import Rank, Room, Topic
from tcpd.chat.settings import ChatSettings
from tcpd.chat.watching import Watching
from tcpd.events import (
    Announced,
    Event,
    HostChanged,
    Invited,
    Joined,
    Kicked,
    Kind,
    Mode,
    ModesChanged,
    Parted,
    PrivateSaid,
    Quit,
    RealNameSet,
    Redacted,
    Renamed,
    RoomRenamed,
    Said,
    SaidMore,
    TopicSet,
    WentAway,
)
from tcpd.ops.counters import ChatCounters


class Delivery:
    """The rooms and members as all events so far have left them. Belongs to a hub.

    :param settings: the bounds; may be replaced.
    :param lobby: the room that is always there; ``None`` for none.
    :param counters: of what happens in all rooms.
    :param drop: called for a member whose outbox is full.

    :ivar rooms: by folded name, the lobby first, then in the order of opening.
    :ivar members: by id.
    :ivar nicks: by folded nickname; for a moment a member has two, the old and the accepted one.
    :ivar watching: who is told when somebody of a nickname comes and goes.
    :ivar history_size: what the histories of all rooms take, in bytes.
    :ivar listed: how many entries the lists of all rooms have.
    :ivar past: who was here.
    :ivar server_operators: how many members are operators of the daemon.
    :ivar invisible: how many members are invisible.
    :ivar closing: whether nobody is told any more who leaves.
    """

    def __init__(
        self,
        settings: ChatSettings,
        lobby: Room | None,
        counters: ChatCounters,
        drop: Callable[[Member], None],
    ) -> None:
        self.settings = settings
        self.counters = counters
        self.rooms: dict[str, Room] = {} if lobby is None else {lobby.key: lobby}
        self.members: dict[str, Member] = {}
        self.nicks: dict[str, Member] = {}
        self.watching = Watching()
        self.history_size = 0
        self.listed = 0
        self.past = Past()
        self.server_operators = 0
        self.invisible = 0
        self.closing = False
        self._drop = drop
        self._queue: deque[Event] = deque()
        self._delivering = False
        self._holding = False
        self._delivery: dict[type[Event], Callable[[Any], Member | None]] = {
            Joined: self._joined,
            Parted: self._parted,
            SaidMore: self._said_more,
            PrivateSaid: self._private_said,
            Redacted: self._redacted,
            TopicSet: self._topic_set,
            Renamed: self._renamed,
            Kicked: self._kicked,
            ModesChanged: self._modes_changed,
            Invited: self._invited,
            RoomRenamed: self._room_renamed,
            WentAway: self._went_away,
            RealNameSet: self._real_name_set,
            HostChanged: self._host_changed,
            Announced: self._announced,
            Quit: self._quit,
        }

    def deliver(self, event: Event) -> None:
        """Make an event true, and tell those whom it concerns. Called by the order of events.

        What it speaks of may have gone since it was accepted: it is then passed over.
        """
        self._queue.append(event)
        if not self._holding or type(event) is not Said:
            self.settle()

    def hold(self) -> None:
        """Let what is said wait for :meth:`release`, or for the next event of another sort.

        What one member says in one go is then handed to each of the others in one piece.
        """
        self._holding = True

    def release(self) -> None:
        """Hold no longer, and deliver what waits."""
        self._holding = False
        self.settle()

    def settle(self) -> None:
        """Deliver what waits."""
        queue = self._queue
        if self._delivering or not queue:
            return
        self._delivering = True
        try:
            while queue:
                event = queue.popleft()
                events: Sequence[Event]
                if type(event) is Said:
                    events = said = [event]
                    while queue and _goes_with(other := queue[0], event):
                        said.append(other)
                        queue.popleft()
                    concerned = self._said(event, said)
                else:
                    events = (event,)
                    concerned = self._delivery[type(event)](event)
                author = self.members.get(event.who.id)
                if author is not None:
                    author.outbox.follow()
                if concerned is not None:
                    for event in events:
                        if not concerned.gone:
                            concerned.door.happened(event)
        finally:
            self._delivering = False

    def _send(self, event: Event, audience: Collection[Member]) -> None:
        self._send_all((event,), audience, None)

    def _send_room(self, event: Event, room: Room) -> None:
        """Tell those in a room, and who did it, who may be outside: an operator of the daemon."""
        self._send(event, room.members)
        member = self.members.get(event.who.id)
        if member is not None and member not in room.members:
            self._send(event, (member,))

    def _send_all(
        self, events: Sequence[Event], audience: Collection[Member], skipped: Member | None
    ) -> None:
        self.counters.deliveries += (len(audience) - (skipped is not None)) * len(events)
        rendered: dict[Format, list[bytes]] = {}
        joined: dict[Format, bytes] = {}
        full = []
        format = None
        data = b""
        size = 0
        for member in audience:
            if member.format is not format:
                format = member.format
                if format not in rendered:
                    rendered[format] = [format.render(event) for event in events]
                    joined[format] = b"".join(rendered[format])
                data = joined[format]
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
            if member is not skipped and not all(map(member.outbox.put, rendered[member.format])):
                self._drop(member)

    def _place(self, event: Event, name: str) -> tuple[Room, Member] | None:
        """The room and the author of an event, as long as the one is in the other."""
        room = self.rooms.get(fold(name))
        member = self.members.get(event.who.id)
        if room is None or member is None or member not in room.members:
            return None
        return room, member

    def _joined(self, event: Joined) -> Member | None:
        member = self.members.get(event.who.id)
        if member is None:
            return None
        key = fold(event.room)
        room = self.rooms.get(key)
        if room is None:
            room = self.rooms[key] = Room(event.room, self.settings.history_kept, event.time)
        elif member in room.members:  # they asked twice before the first was delivered
            return None
        first = event.opened and not room.members and not room.house
        room.members[member] = Rank.OPERATOR if first else Rank.NONE
        room.invited.pop(member.id, None)
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

    def _said(self, event: Said, events: Sequence[Said]) -> Member | None:
        """
        :param event: the first of them.
        :param events: said by the same member in the same room, and nothing between.
        """
        found = self._heard(event)
        if found is None:
            return None
        room, member = found
        self._remember(room, events)
        self.counters.messages += len(events)
        inside = member in room.members
        self._send_all(events, room.members, member if inside and not member.echo else None)
        if member.echo and not inside:
            self._send_all(events, (member,), None)
        return member

    def _said_more(self, event: SaidMore) -> Member | None:
        found = self._heard(event)
        if found is None:
            return None
        room, member = found
        everybody = event.least is None
        if event.kind is not Kind.TAGS:
            self.counters.messages += 1
            if everybody:
                # what clients tell each other beside it is of no use later, and may be long
                self._remember(room, (replace(event, tags=()) if event.tags else event,))
        audience = dict.fromkeys(
            room.members if event.least is None else room.ranked(Rank.of(event.least))
        )
        if member.echo:
            audience[member] = None
        elif not event.speaker:
            audience.pop(member, None)
        self._send(event, audience)
        return member

    def _remember(self, room: Room, events: Sequence[Said]) -> None:
        """Keep what was said in a room, within the bounds of one room and of all."""
        settings, history = self.settings, room.history
        before = history.size
        if forgotten := history.add(events, settings.history_bytes):
            self.counters.forgotten["room"] += forgotten
        self.history_size += history.size - before
        excess = self.history_size - settings.history_in_all
        if excess > 0:
            # somewhat more than has to go: to find the oldest, all rooms are looked at
            excess += settings.history_in_all // 16
            every = [each.history for each in self.rooms.values()]
            self.counters.forgotten["all"] += forget_oldest(every, excess)
            self.history_size = sum(each.size for each in every)

    def _heard(self, event: Said) -> tuple[Room, Member] | None:
        """The room and the author of what was said, as long as the one hears the other."""
        room = self.rooms.get(fold(event.room))
        member = self.members.get(event.who.id)
        if room is None or member is None:
            return None
        if member not in room.members and Mode.NO_OUTSIDERS in room.modes.flags:
            return None
        return room, member

    def _private_said(self, event: PrivateSaid) -> Member | None:
        whom = self.members.get(event.whom.id)
        if whom is not None:
            self.counters.private_messages += event.kind is not Kind.TAGS
            self._send(event, (whom,))
        return self.members.get(event.who.id)

    def _redacted(self, event: Redacted) -> Member | None:
        room = self.rooms.get(fold(event.room))
        if room is None:
            return None
        before = room.history.size
        room.history.take_back(event.message)
        self.history_size += room.history.size - before
        self._send_room(event, room)
        return self.members.get(event.who.id)

    def _topic_set(self, event: TopicSet) -> Member | None:
        room = self.rooms.get(fold(event.room))
        member = self.members.get(event.who.id)
        if room is None or member is None:
            return None
        room.topic = Topic(event.topic, event.who, event.time) if event.topic else None
        self._send_room(event, room)
        return member

    def _renamed(self, event: Renamed) -> Member | None:
        key = fold(event.nick)
        member = self.members.get(event.who.id)
        owner = self.nicks.get(key)
        if member is None:
            if owner is not None and owner.gone:  # they left with two nicknames to their name
                del self.nicks[key]
            return None
        if owner is not None and owner is not member:
            return None
        before = member.key
        if key != before:
            self.nicks.pop(before, None)
            self.nicks[key] = member
            self.past.add(member, member.who, event.time)
        member.nick = event.nick
        member.key = key
        self._send(event, self._neighbours(member))
        if key != before:
            self.watching.gone(before, event.who.nick)
            self.watching.come(member)
        return member

    def _kicked(self, event: Kicked) -> Member | None:
        room = self.rooms.get(fold(event.room))
        whom = self.members.get(event.whom.id)
        if room is None or whom is None or whom not in room.members:
            return None
        self._send_room(event, room)
        self._take_out(room, whom)
        return whom

    def _modes_changed(self, event: ModesChanged) -> Member | None:
        room = self.rooms.get(fold(event.room))
        if room is None:
            return None
        made = []
        for change in event.changes:
            whom = None
            if change.whom is not None:
                whom = self.members.get(change.whom.id)
                if whom is None or whom not in room.members:
                    continue
            before = room.listed
            room.apply(change, whom, event.who, event.time)
            self.listed += room.listed - before
            if change.adding and change.mode is Mode.BAN:
                room.take_back_invitations(change, self.members)
            made.append(change)
        if made:
            self._send_room(replace(event, changes=tuple(made)), room)
        return self.members.get(event.who.id)

    def _invited(self, event: Invited) -> Member | None:
        room = self.rooms.get(fold(event.room))
        whom = self.members.get(event.whom.id)
        if whom is None:
            return None
        member = self.members.get(event.who.id)
        operators = [] if room is None else room.ranked(Rank.HALF_OPERATOR)
        if room is not None and member in operators and whom not in room.members:
            room.invited.pop(whom.id, None)
            room.invited[whom.id] = None
            if len(room.invited) > self.settings.bans_per_room:
                del room.invited[next(iter(room.invited))]
        self._send(event, [each for each in operators if each is not member])
        if not whom.gone:
            whom.door.happened(event)
        return member

    def _room_renamed(self, event: RoomRenamed) -> Member | None:
        room = self.rooms.get(fold(event.room))
        key = fold(event.name)
        if room is None or self.rooms.get(key, room) is not room:
            return None
        before = room.key
        self.rooms = {key if each is room else name: each for name, each in self.rooms.items()}
        room.name = event.name
        room.key = key
        for member in room.members:
            member.rooms = {
                key if name == before else name: each for name, each in member.rooms.items()
            }
        self._send(event, room.members)
        for member in list(room.members):
            if not member.gone:
                member.door.happened(event)
        return None

    def _went_away(self, event: WentAway) -> Member | None:
        member = self.members.get(event.who.id)
        if member is None:
            return None
        member.away = event.message
        audience = self._acquainted(member)
        audience.pop(member, None)
        self._send(event, audience)
        return member

    def _real_name_set(self, event: RealNameSet) -> Member | None:
        member = self.members.get(event.who.id)
        if member is None:
            return None
        member.real_name = event.real_name
        self._send(event, self._acquainted(member))
        return member

    def _host_changed(self, event: HostChanged) -> Member | None:
        member = self.members.get(event.who.id)
        if member is None:
            return None
        member.host = event.host
        self._send(event, self._acquainted(member))
        return member

    def _announced(self, event: Announced) -> Member | None:
        self._send(event, [member for member in self.members.values() if member.wallops])
        return self.members.get(event.who.id)

    def _quit(self, event: Quit) -> Member | None:
        member = self.members.pop(event.who.id, None)
        if member is None:
            return None
        self.nicks.pop(member.key, None)
        self.past.add(member, member.who, event.time)
        self.server_operators -= member.server_operator
        self.invisible -= member.invisible
        self.watching.leave(member)
        neighbours = {} if self.closing else self._neighbours(member)
        neighbours.pop(member, None)
        for room in list(member.rooms.values()):
            self._take_out(room, member)
        self._send(event, neighbours)
        if not self.closing:
            self.watching.gone(member.key, member.nick)
        member.door = NO_DOOR
        return None

    def _acquainted(self, member: Member) -> dict[Member, None]:
        """The neighbours, and those who watch the member and want to know more than that."""
        found = self._neighbours(member)
        found.update({each: None for each in self.watching.of(member.key) if each.distant})
        return found

    def _neighbours(self, member: Member) -> dict[Member, None]:
        """The member and everybody who is in a room with them, each once."""
        found = {member: None}
        for room in member.rooms.values():
            found.update(dict.fromkeys(room.members))
        return found

    def _take_out(self, room: Room, member: Member) -> None:
        room.remove(member)
        if not room.members and not room.house:
            self.rooms.pop(room.key, None)
            self.history_size -= room.history.size
            self.listed -= room.listed


def _goes_with(event: Event, first: Said) -> TypeGuard[Said]:
    """Whether the same member said it in the same room."""
    return type(event) is Said and event.who == first.who and event.room == first.room
