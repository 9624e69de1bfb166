"""Who is where, made true by events: the third of the three steps of :mod:`tcpd.chat.hub`.

Nothing but a delivery changes a room. Deliveries never nest: an event that comes up while another
is delivered (a member dropped for not reading, a door's reaction) waits for its turn, so that all
members see the same events in the same order, and an avalanche of drops takes no stack.
"""

from __future__ import annotations

import ipaddress
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeGuard

from tcpd.chat.member import Format, Member
from tcpd.chat.names import fold
from tcpd.chat.room import Ban, Room, Topic
from tcpd.chat.settings import ChatSettings
from tcpd.events import (
    Banned,
    Event,
    Joined,
    Kicked,
    ModeChanged,
    Parted,
    PrivateSaid,
    Quit,
    Renamed,
    Said,
    TopicSet,
    Unbanned,
)
from tcpd.ops.counters import ChatCounters


class Delivery:
    """The rooms and members as all events so far have left them. Belongs to a hub.

    :param settings: the bounds; may be replaced.
    :param lobby: the room that is always there.
    :param counters: of what happens in all rooms.
    :param drop: called for a member whose outbox is full.

    :ivar rooms: by folded name, the lobby first, then in the order of opening.
    :ivar members: by id.
    :ivar nicks: by folded nickname; for a moment a member has two, the old and the accepted one.
    :ivar closing: whether nobody is told any more who leaves.
    """

    def __init__(
        self,
        settings: ChatSettings,
        lobby: Room,
        counters: ChatCounters,
        drop: Callable[[Member], None],
    ) -> None:
        self.settings = settings
        self.counters = counters
        self.rooms = {lobby.key: lobby}
        self.members: dict[str, Member] = {}
        self.nicks: dict[str, Member] = {}
        self.closing = False
        self._drop = drop
        self._queue: deque[Event] = deque()
        self._delivering = False
        self._holding = False
        self._delivery: dict[type[Event], Callable[[Any], Member | None]] = {
            Joined: self._joined,
            Parted: self._parted,
            PrivateSaid: self._private_said,
            TopicSet: self._topic_set,
            Renamed: self._renamed,
            Kicked: self._kicked,
            ModeChanged: self._mode_changed,
            Banned: self._banned,
            Unbanned: self._unbanned,
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
                if concerned is not None:
                    for event in events:
                        if not concerned.gone:
                            concerned.door.happened(event)
        finally:
            self._delivering = False

    def _send(self, event: Event, audience: Collection[Member]) -> None:
        self._send_all((event,), audience, None)

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
            room = self.rooms[key] = Room(event.room, self.settings.history_kept)
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

    def _said(self, event: Said, events: Sequence[Said]) -> Member | None:
        """
        :param event: the first of them.
        :param events: said by the same member in the same room, and nothing between.
        """
        found = self._place(event, event.room)
        if found is None:
            return None
        room, member = found
        room.history.extend(events)
        self.counters.messages += len(events)
        self._send_all(events, room.members, None if member.echo else member)
        return member

    def _private_said(self, event: PrivateSaid) -> Member | None:
        whom = self.members.get(event.whom.id)
        if whom is not None:
            self.counters.private_messages += 1
            self._send(event, (whom,))
        return self.members.get(event.who.id)

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
        member = self.members.get(event.who.id)
        owner = self.nicks.get(key)
        if member is None:
            if owner is not None and owner.gone:  # they left with two nicknames to their name
                del self.nicks[key]
            return None
        if owner is not None and owner is not member:
            return None
        if key != member.key:
            self.nicks.pop(member.key, None)
            self.nicks[key] = member
        member.nick = event.nick
        member.key = key
        self._send(event, self._neighbours(member))
        return member

    def _kicked(self, event: Kicked) -> Member | None:
        room = self.rooms.get(fold(event.room))
        whom = self.members.get(event.whom.id)
        if room is None or whom is None or whom not in room.members:
            return None
        self._send(event, room.members)
        self._take_out(room, whom)
        return whom

    def _mode_changed(self, event: ModeChanged) -> Member | None:
        room = self.rooms.get(fold(event.room))
        whom = self.members.get(event.whom.id)
        if room is None or whom is None or whom not in room.members:
            return None
        if event.operator:
            room.operators.add(whom)
        else:
            room.operators.discard(whom)
        self._send(event, room.members)
        return self.members.get(event.who.id)

    def _banned(self, event: Banned) -> Member | None:
        room = self.rooms.get(fold(event.room))
        if room is None:
            return None
        network = None if event.network is None else ipaddress.ip_network(event.network)
        room.bans[fold(event.nick)] = Ban(event.nick, network, event.who, event.time)
        self._send(event, room.members)
        return self.members.get(event.who.id)

    def _unbanned(self, event: Unbanned) -> Member | None:
        room = self.rooms.get(fold(event.room))
        if room is None:
            return None
        room.bans.pop(fold(event.nick), None)
        self._send(event, room.members)
        return self.members.get(event.who.id)

    def _quit(self, event: Quit) -> Member | None:
        member = self.members.pop(event.who.id, None)
        if member is None:
            return None
        self.nicks.pop(member.key, None)
        neighbours = {} if self.closing else self._neighbours(member)
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
            self.rooms.pop(room.key, None)


def _goes_with(event: Event, first: Said) -> TypeGuard[Said]:
    """Whether the same member said it in the same room."""
    return type(event) is Said and event.who == first.who and event.room == first.room
