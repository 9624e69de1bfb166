"""The base of the hub's verbs: looks up people and rooms, and appends events."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tcpd.chat.names import NICK_CHARACTERS, ROOM_CHARACTERS, fold
from tcpd.chat.people import Client, Person
from tcpd.chat.permissions import not_operated
from tcpd.chat.refused import Refused
from tcpd.chat.reply import Completion
from tcpd.chat.room import Rank, Room
from tcpd.chat.settings import ChatSettings
from tcpd.chat.state import ChatState, no_room, no_such_nick, not_in, not_in_room
from tcpd.eventlog.log import EventLog
from tcpd.events.chat import Event, EventId, Identity

_NODE_BYTES = 32
_NOT_IN_NODE = re.compile(r"[^A-Za-z0-9._-]", re.ASCII)
_BOOT = re.compile(r"[A-Za-z0-9._-]{1,12}", re.ASCII)


class Verbs:
    """The base of the hub's verbs.

    A verb is called with the client that makes the request, and with its completion, or ``None``
    if nothing waits. It returns a :class:`~tcpd.chat.refused.Refused`, or appends an event and
    returns ``None``. ``None`` is also returned where there is nothing to do.

    :param settings: the bounds.
    :param state: people and rooms.
    :param log: puts events into their order.
    :param node: this node's name; see :class:`tcpd.chat.hub.Hub`.
    :param boot: differs in each run of the node.
    :param wall_clock: seconds since 1970 UTC.
    :param clock: seconds of a monotonic clock.
    :param report: logs a failure: called with a sentence and the failure, or ``None`` for the
        exception that is being handled.
    :raise ValueError: for a boot that breaks its rule.
    """

    def __init__(
        self,
        settings: ChatSettings,
        state: ChatState,
        log: EventLog,
        node: str,
        boot: str,
        wall_clock: Callable[[], float],
        clock: Callable[[], float],
        report: Callable[[str, Any], object],
    ) -> None:
        if not _BOOT.fullmatch(boot):
            raise ValueError(f"{boot!r} is no boot id")
        self.settings = settings
        self.state = state
        self.wall_clock = wall_clock
        self.clock = clock
        self._report = report
        self._log = log
        self._node = _NOT_IN_NODE.sub("-", node[:_NODE_BYTES]) or "-"
        self._boot = boot
        self._events = 0
        self._open: dict[EventId, Completion] = {}
        self._ahead: dict[EventId, Client] = {}
        self._appending: Event | None = None
        self._sender: Client | None = None

    def _append(self, event: Event, completion: Completion | None) -> None:
        """Append an event; its completion is called when it is applied."""
        if completion is not None:
            completion.expected = True
            self._open[event.id] = completion
        self._log.append(event)

    def _append_ahead(self, event: Event, client: Client) -> None:
        """Append a message that no request waits for. The local log applies it within this call."""
        self._appending = event
        self._sender = client
        self._log.append(event)
        if self._appending is event:  # not delivered yet
            self._appending = self._sender = None
            self._ahead[event.id] = client
            client.ahead += 1

    def _next_id(self) -> EventId:
        self._events += 1
        return EventId(self._node, self._boot, self._events)

    def _head(self, person: Person) -> tuple[EventId, float, Identity]:
        """Return the first fields of an event of a person."""
        return self._next_id(), self.wall_clock(), person.identity

    @staticmethod
    def _person(client: Client) -> Person:
        person = client.person
        assert person is not None, "a client that has entered"
        return person

    def _present(self, nick: str) -> Person | Refused:
        person = self.state.nicks.get(fold(nick))
        return no_such_nick(nick[:NICK_CHARACTERS]) if person is None else person

    def _own_room(self, person: Person, name: str) -> Room | Refused:
        """Find a room that a person is in."""
        room = self.state.rooms.get(fold(name))
        if room is None:
            return no_room(name[:ROOM_CHARACTERS])
        return room if person in room.members else not_in(room)

    def _operated_room(
        self, person: Person, name: str, least: Rank = Rank.HALF_OPERATOR
    ) -> Room | Refused:
        """Find a room in which a person has at least a rank."""
        room = self.state.rooms.get(fold(name))
        if room is None:
            return no_room(name[:ROOM_CHARACTERS])
        return not_operated(room, person, least) or room

    def _in_room(self, room: Room, nick: str) -> Person | Refused:
        """Find a member of a room."""
        target = self._present(nick)
        if isinstance(target, Person) and target not in room.members:
            return not_in_room(target.nick, room)
        return target
