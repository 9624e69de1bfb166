"""Sends events to the clients of this node: one rendering per format, one append per client.

The inner loop of :meth:`Fanout._append` is the hot path of chat: it runs once per recipient of each
message. Each room therefore caches the outboxes of its members' clients, by format.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tcpd.chat.format import Format
from tcpd.chat.outbox import FlushQueue, Outbox
from tcpd.chat.people import Client, Person
from tcpd.chat.recipients import Recipients
from tcpd.chat.room import Room
from tcpd.chat.state import Outcome
from tcpd.events.chat import Event, PrivateMessage, Quit, RoomMessage
from tcpd.ops.counters import ChatCounters

#: Classes of events that can be batched: applied one by one, and sent together. Messages change no
#: membership. Quits only remove recipients, and clients that quit together need no copy.
HOLDABLE = frozenset({RoomMessage, Quit})

#: Outboxes by format.
_Groups = Iterable[tuple[Format, list[Outbox]]]


class Fanout:
    """Sends applied events. Belongs to a hub.

    :param counters: deliveries are counted here.
    :param queue: flushes the outboxes.
    :param drop: called with a client whose outbox is full; not within a loop over clients.

    :ivar held: events that are applied but not sent yet, all for one room.
    :ivar held_kind: the class of the held events; stale while :attr:`held` is empty.
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

    # --- batches of events ---

    def hold(self) -> None:
        """Batch consecutive messages to a room, or quits from it, until :meth:`release`."""
        self._holding = True

    def release(self) -> None:
        """Send the held events and end the batch."""
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
        self._append(held, _recipients(room), skip)
        if origin is not None:
            queue = self.queue
            origin.position = queue.done + len(queue.broadcasts)  # mark_flush_position
        if self._full:
            self._drop_full()

    # --- sending ---

    def send(self, outcome: Outcome, origin: Client | None, collects: bool) -> bool:
        """Send an event to all its recipients.

        :param origin: the client that caused it, if it is one of this node's.
        :param collects: the origin's own copy goes into the reply to its request, not into its
            outbox.
        :return: whether the caller has to add that copy to the reply.
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
        """Send a message; for the parameters see :meth:`send`.

        The origin receives a copy only if it has enabled echoes (IRC: echo-message), or if it
        relayed the message. The other clients of the same person always receive one.
        """
        event: Any = outcome.event
        room = outcome.room
        actor = outcome.actor
        relayed = type(event) is RoomMessage and bool(event.speaker)
        echo = origin is not None and (origin.echo or relayed)
        skip = origin.outbox if origin is not None and (collects or not echo) else None
        is_member = actor is None or (room is not None and actor in room.members)
        if self._holding and room is not None and is_member and not collects:
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
        actor_included = actor is None
        if room is not None:
            self._append(events, _recipients(room), skip)
            actor_included = actor_included or actor in room.members
        elif type(event) is PrivateMessage:
            # all clients of a person receive a message to itself; the echo is an additional copy
            self._append(events, _grouped(outcome.people), None)
        else:
            self._append(events, _grouped(outcome.people), skip)
            actor_included = actor_included or actor in outcome.people
        if not actor_included and actor is not None and actor.clients:
            others = [each.outbox for each in actor.clients if each is not origin]
            to_self = type(event) is PrivateMessage and actor in outcome.people
            if others and not to_self:
                self._append(events, _grouped((actor,)), None if origin is None else origin.outbox)
            if echo and not collects and origin is not None:
                self._append(events, ((origin.format, [origin.outbox]),), None)
        if origin is not None:
            origin.outbox.mark_flush_position()
        if self._full:
            self._drop_full()
        return echo and collects

    def send_to(self, event: Event, clients: Iterable[Client]) -> None:
        """Send an event to some clients."""
        if self.held:
            self.flush_held()
        groups: dict[Format, list[Outbox]] = {}
        for client in clients:
            groups.setdefault(client.format, []).append(client.outbox)
        self._append((event,), groups.items(), None)
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

        Not reentrant: the quit of a dropped client may fill the outboxes of others.
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
    """Return the outboxes of a room, cached."""
    found = room.recipients
    if found is None:
        found = room.recipients = Recipients(room.members)
    return found.groups.items()


def _grouped(people: Iterable[Person]) -> _Groups:
    return Recipients(people).groups.items()
