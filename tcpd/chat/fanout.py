"""Sends events to the clients of this node: one rendering per format, one append per client.

The loop in :meth:`Fanout._append` is the hot path of chat: a flood in a room of a thousand runs it
a thousand times a message. So a room caches the outboxes of its members' clients, by format, until
its membership changes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tcpd.chat.format import Format
from tcpd.chat.outbox import FlushQueue, Outbox
from tcpd.chat.people import Client, Person
from tcpd.chat.room import Room
from tcpd.chat.state import Outcome
from tcpd.events.chat import Event, PrivateMessage, Quit, RoomMessage
from tcpd.ops.counters import ChatCounters

#: Events of these classes can be applied before earlier ones of the class are sent. Messages change
#: no membership. Quits only remove recipients, and those who quit together need no copy.
HOLDABLE = frozenset({RoomMessage, Quit})

#: Outboxes by format.
_Groups = Sequence[tuple[Format, list[Outbox]]]


class Fanout:
    """Sends applied events. Belongs to a hub.

    :param counters: deliveries are counted here.
    :param queue: flushes the outboxes.
    :param drop: called with a client whose outbox is full; not within a loop over clients.

    :ivar held: events that are applied but not sent yet, all for the members of one room.
    :ivar held_kind: their class; meaningless if there is none.
    """

    def __init__(
        self, counters: ChatCounters, queue: FlushQueue, drop: Callable[[Client], None]
    ) -> None:
        self.queue = queue
        self._counters = counters
        self._drop = drop
        self._holding = False
        self.held: list[Event] = []
        self.held_kind: type[Event] | None = None
        self._held_room: Room | None = None
        self._held_skip: Outbox | None = None
        self._held_origin: Outbox | None = None
        self._full: deque[tuple[Outbox, list[bytes]]] = deque()
        self._dropping = False

    # --- runs of events ---

    def hold(self) -> None:
        """Hold a run of messages to one room, or of quits from one, until :meth:`release`, to send
        it in one piece."""
        self._holding = True

    def release(self) -> None:
        """Send the held events, and hold no more."""
        self._holding = False
        if self.held:
            self.flush_held()

    def flush_held(self) -> None:
        """Send the held events."""
        held, room, skip, origin = self.held, self._held_room, self._held_skip, self._held_origin
        if not held or room is None:
            return
        self.held = []
        self._held_room = self._held_skip = self._held_origin = None
        self._append(held, room.recipients or _recipients(room), skip)
        if origin is not None:
            queue = self.queue
            origin.position = queue.done + len(queue.broadcasts)  # mark_flush_position
        if self._full:
            self._drop_full()

    # --- sending ---

    def send(self, outcome: Outcome, origin: Client | None, collects: bool) -> bool:
        """Send an event to all its recipients.

        :param origin: the client that caused it, if it is one of this node's.
        :param collects: the reply of its request takes the origin's own copy.
        :return: whether there is such a copy for the reply to take.
        """
        event, room = outcome.event, outcome.room
        if type(event) is RoomMessage or type(event) is PrivateMessage:
            return self.send_message(outcome, origin, collects)
        if self._holding and type(event) is Quit and room is not None and not outcome.people:
            if self.held and self._held_room is not room:
                self.flush_held()
            self.held.append(event)
            self.held_kind, self._held_room = Quit, room
            return False
        if self.held:
            self.flush_held()
        skip = origin.outbox if collects and origin is not None else None
        person = None if origin is None else origin.person
        if room is not None:
            self._append((event,), _recipients(room), skip)
        if outcome.people:
            self._append((event,), _grouped(outcome.people), skip)
        if self._full:
            self._drop_full()
        if skip is None or person is None:
            return False
        return person in outcome.people or (room is not None and person in room.members)

    def send_message(self, outcome: Outcome, origin: Client | None, collects: bool) -> bool:
        """Send a message. The client that sent it gets it if it wants echoes; the other clients of
        the same person get it in any case. For the parameters see :meth:`send`."""
        event: Any = outcome.event
        room = outcome.room
        actor = outcome.actor
        relayed = type(event) is RoomMessage and bool(event.speaker)
        wanted = origin is not None and (origin.echo or relayed)
        skip = origin.outbox if origin is not None and (collects or not wanted) else None
        inside = actor is None or (room is not None and actor in room.members)
        if self._holding and room is not None and inside and not collects:
            source = None if origin is None else origin.outbox
            if self.held and (
                self._held_room is not room
                or self._held_origin is not source
                or self._held_skip is not skip
            ):
                self.flush_held()
            if not self.held:
                self.held_kind = RoomMessage
                self._held_room, self._held_skip, self._held_origin = room, skip, source
            self.held.append(event)
            return False
        if self.held:
            self.flush_held()
        events = (event,)
        own = actor is None
        if room is not None:
            self._append(events, _recipients(room), skip)
            own = own or actor in room.members
        elif type(event) is PrivateMessage:
            # what a person sends to itself each of its clients gets; the echo is another copy
            self._append(events, _grouped(outcome.people), None)
        else:
            self._append(events, _grouped(outcome.people), skip)
            own = own or actor in outcome.people
        if not own and actor is not None and actor.clients:
            others = [each.outbox for each in actor.clients if each is not origin]
            itself = type(event) is PrivateMessage and actor in outcome.people
            if others and not itself:
                self._append(events, _grouped((actor,)), None if origin is None else origin.outbox)
            if wanted and not collects and origin is not None:
                self._append(events, ((origin.format, [origin.outbox]),), None)
        if origin is not None:
            origin.outbox.mark_flush_position()
        if self._full:
            self._drop_full()
        return wanted and collects

    def send_to(self, event: Event, clients: Iterable[Client]) -> None:
        """Send an event to some clients."""
        if self.held:
            self.flush_held()
        groups: dict[Format, list[Outbox]] = {}
        for client in clients:
            groups.setdefault(client.format, []).append(client.outbox)
        self._append((event,), list(groups.items()), None)
        self._drop_full()

    def _append(self, events: Sequence[Event], groups: _Groups, skip: Outbox | None) -> None:
        deliveries = 0
        for format, outboxes in groups:
            if len(events) == 1:
                data = format.render(events[0])
                pieces = [data]
            else:
                pieces = [format.render(event) for event in events]
                data = b"".join(pieces)
            size = len(data)
            if not size:
                continue
            add = self.queue.add
            full = None
            for outbox in outboxes:
                waiting = outbox.size + size
                if waiting > outbox.half and outbox is not skip and outbox.refuses(waiting):
                    if full is None:
                        full = []
                    full.append(outbox)
                elif outbox is not skip:
                    outbox.size = waiting
                    outbox.chunks.append(data)
                    if not outbox.awaited:
                        outbox.awaited = True
                        add(outbox)
                else:
                    deliveries -= 1
            deliveries += len(outboxes)
            if full is not None:
                self._full.extend((each, pieces) for each in full)
        self._counters.deliveries += deliveries * len(events)

    def _drop_full(self) -> None:
        """Drop the clients whose outbox is full.

        Not reentrant: each quit is an event for others, whose outboxes may be full, too.
        """
        if self._dropping:
            return
        self._dropping = True
        try:
            while self._full:
                outbox, pieces = self._full.popleft()
                client = outbox.owner
                if client is not None and not all(map(outbox.put, pieces)):
                    self._drop(client)
        finally:
            self._dropping = False


def _recipients(room: Room) -> _Groups:
    """The outboxes of a room, cached."""
    found: _Groups | None = room.recipients
    if found is None:
        found = room.recipients = _grouped(room.members)
    return found


def _grouped(people: Iterable[Person]) -> _Groups:
    groups: dict[Format, list[Outbox]] = {}
    for person in people:
        for client in person.clients:
            format = client.format
            if format in groups:
                groups[format].append(client.outbox)
            else:
                groups[format] = [client.outbox]
    return list(groups.items())
