"""The hub: one set of rooms for all frontends.

A request of a client takes these steps:

1. A **verb**, one of the public methods, validates it. It returns a
   :class:`~tcpd.chat.refused.Refused`, or makes an event and appends it to the event log.
2. The **log** (:mod:`tcpd.eventlog`) puts the events into their order and calls
   :meth:`Hub.deliver` with each: now, or later, and also with those of other nodes.
3. The **state** (:mod:`tcpd.chat.state`) applies the event, or refuses it.
4. The **fan-out** (:mod:`tcpd.chat.fanout`) sends it to the recipients on this node.
5. The **request** continues (:mod:`tcpd.chat.reply`), if a client of this node made it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from msgspec.structs import replace

from tcpd.chat.departures import at_once
from tcpd.chat.fanout import HOLDABLE, Fanout
from tcpd.chat.format import Format
from tcpd.chat.hosts import Hosts
from tcpd.chat.moderation import Moderating
from tcpd.chat.monitor import Monitor
from tcpd.chat.names import BadName, fold, nickname, room_name
from tcpd.chat.outbox import FlushQueue
from tcpd.chat.people import Client, Person, Profile
from tcpd.chat.permissions import not_joinable
from tcpd.chat.refused import Code, Refused
from tcpd.chat.reply import Completion
from tcpd.chat.room import Room
from tcpd.chat.settings import ALWAYS, AWAY_BYTES, REAL_NAME_BYTES, REASON_BYTES, ChatSettings
from tcpd.chat.speaking import Speaking
from tcpd.chat.split import is_longer, tidied
from tcpd.chat.state import ChatState, Outcome, nick_taken
from tcpd.eventlog.log import EventLog
from tcpd.events.chat import (
    AwayChanged,
    Entered,
    Event,
    HostChanged,
    Identity,
    Invited,
    Joined,
    Kicked,
    Killed,
    Kind,
    NickChanged,
    Parted,
    PrivateMessage,
    Quit,
    RealNameChanged,
    Redacted,
    RoomMessage,
    RoomRenamed,
    UserModesChanged,
)
from tcpd.ops.counters import ChatCounters
from tcpd.store.history import HistoryStore

_SECRET_BYTES = 32

#: Events whose actor's clients are notified, besides getting the event.
_OF_ACTOR = (Joined, Parted, NickChanged, PrivateMessage, Invited)
_OF_TARGET = (Kicked, Invited)


class Hub(Moderating, Speaking):
    """Rooms and people. See the head of this module, and :class:`tcpd.chat.verbs.Verbs`.

    :param settings: the bounds. The attribute may be replaced by a reload.
    :param log: puts events into their order. The hub's owner starts and stops it.
    :param history: keeps messages.
    :param queue: flushes the outboxes of all frontends.
    :param node: this node's name. In the ids of events it is cut to 32 characters, and all but
        ASCII letters, digits, ``.``, ``_`` and ``-`` is replaced by ``-``; so cut, it differs from
        that of any other node.
    :param boot: differs in each run of the node; 1 to 12 of these characters.
    :param wall_clock: seconds since 1970 UTC.
    :param clock: seconds of a monotonic clock.
    :param counters: the counters of all rooms.
    :param report: see :class:`tcpd.chat.verbs.Verbs`.
    :param secret: the key of hidden hosts, the same on all nodes; ``None`` draws one.
    :param later: queues quits; see :class:`tcpd.chat.departures.Departures`. By default they run
        at once.
    :raise ValueError: for a boot that breaks this rule.

    :ivar hosts: makes hosts of addresses.
    :ivar most_people: the largest number of people so far.
    """

    def __init__(
        self,
        settings: ChatSettings,
        log: EventLog,
        history: HistoryStore,
        queue: FlushQueue,
        node: str,
        boot: str,
        wall_clock: Callable[[], float],
        clock: Callable[[], float],
        counters: ChatCounters,
        report: Callable[[str, Any], object],
        secret: bytes | None = None,
        later: Callable[[Callable[[], None]], None] = at_once,
    ) -> None:
        state = ChatState(settings.lobby, settings.lobby_topic, wall_clock())
        super().__init__(settings, state, log, node, boot, wall_clock, clock, report)
        self.history = history
        self.counters = counters
        self.fanout = Fanout(counters, queue, self.drop)
        self.hosts = Hosts(secret or secrets.token_bytes(_SECRET_BYTES), settings.hosts)
        self.most_people = 0
        self._monitor = Monitor()
        self._entering: dict[str, Client] = {}
        self._entered = 0
        self._later = later
        self._closing = False

    # --- properties ---

    @property
    def lobby(self) -> Room | None:
        """The configured room; ``None`` for none."""
        return self.state.lobby

    @property
    def rooms(self) -> Iterable[Room]:
        """All rooms, the lobby first, then in the order of opening."""
        return self.state.rooms.values()

    @property
    def room_count(self) -> int:
        """Number of rooms, including the lobby."""
        return len(self.state.rooms)

    @property
    def people(self) -> Iterable[Person]:
        """All people, in the order of entering."""
        return self.state.people.values()

    @property
    def people_count(self) -> int:
        """Number of people."""
        return len(self.state.people)

    def room(self, name: str) -> Room | None:
        """Return the room of a name, in any spelling that folds to it."""
        return self.state.room(name)

    def person(self, nick: str) -> Person | None:
        """Return the person of a nickname, in any spelling that folds to it."""
        return self.state.person(nick)

    # --- entering and leaving ---

    def enter(
        self,
        client: Client,
        nick: str,
        profile: Profile,
        *,
        completion: Completion | None = None,
    ) -> Refused | None:
        """Create the person of a client, in no room yet: ``client.person``.

        :param nick: as typed.
        :param profile: the other properties of the person.
        """
        if len(self.state.people) >= self.settings.max_members:
            return Refused(Code.HUB_FULL, "there are too many people here, try again later")
        checked = self.free_nick(nick)
        if isinstance(checked, Refused):
            return checked
        self._entered += 1
        id = f"{self._node}-{self._boot}-m{self._entered}"
        host = self.hosts.of(profile.address) if profile.host is None else profile.host
        event = Entered(
            self._next_id(),
            self.wall_clock(),
            Identity(id, checked, profile.user, host),
            profile.real_name or checked,
            "" if profile.address is None else str(profile.address),
            profile.secure,
        )
        self._entering[id] = client
        self._append(event, completion)
        return None

    def attach(self, client: Client, person: Person) -> None:
        """Attach a client to a person who has another connection.

        :param client: a client that has not entered.
        """
        self.fanout.flush_held()  # else the new client would receive earlier messages
        client.person = person
        client.spoke = self.clock()
        person.clients = (*person.clients, client)
        if person.address == client.address:
            person.address = client.address  # share one object
        self._forget_recipients(person)

    def equip(self, client: Client, format: Format) -> None:
        """Change the format of a client's events."""
        if client.format is not format:
            self.fanout.flush_held()
            client.format = format
            if client.person is not None:
                self._forget_recipients(client.person)

    def free_nick(self, nick: str, person: Person | None = None) -> str | Refused:
        """Validate a nickname, and check that it is free.

        :param nick: as typed.
        :param person: the person who requests it; ``None`` for a client that has not entered.
        """
        try:
            checked = nickname(nick)
        except BadName as error:
            return Refused(Code.BAD_NICK, str(error))
        if self.state.nicks.get(fold(checked), person) is not person:
            return nick_taken(checked)
        return checked

    def leave(self, client: Client, reason: str = "") -> None:
        """Remove a client that leaves or whose connection is lost. May be called again.

        The person quits with its last client.
        """
        person = client.person
        if client.gone:
            return
        client.gone = True
        self._monitor.leave(client)
        if person is None:
            return
        fanout = self.fanout
        if fanout.held and fanout.held_kind is not Quit:
            fanout.flush_held()  # the client still receives its own messages
        self._detach(client, person)
        if not person.clients:
            self._later(partial(self._quit, person, reason))

    def drop(self, client: Client) -> None:
        """Disconnect a client whose outbox is full. Frontends call it if a reply does not fit."""
        if client.gone or client.outbox.closed:
            return
        client.outbox.close()
        self.counters.dropped += 1
        self._later(partial(self._disconnect, client))

    def _disconnect(self, client: Client) -> None:
        """Disconnect a client that was dropped, unless its connection was lost in between."""
        if not client.gone:
            client.dropped()
            self.leave(client, client.slow)

    def _quit(self, person: Person, reason: str) -> None:
        """Append the quit of a person without clients."""
        if not person.clients:
            self._append(Quit(*self._head(person), tidied(reason, REASON_BYTES)), None)

    def kill(
        self,
        client: Client,
        target: Person,
        comment: str,
        *,
        completion: Completion | None = None,
    ) -> Refused | None:
        """Disconnect a person. For server operators.

        :param comment: the reason.
        """
        person = self._person(client)
        reason = tidied(f"Killed ({person.nick} ({comment}))", REASON_BYTES)
        head = self._head(person)
        event = Killed(*head, target.identity, tidied(comment, REASON_BYTES), reason)
        self._append(event, completion)
        return None

    def close(self) -> None:
        """Stop sending quits: the daemon is about to end all connections.

        Sending each quit to all others would take quadratic time.
        """
        self._closing = True

    def _detach(self, client: Client, person: Person) -> None:
        person.clients = tuple(each for each in person.clients if each is not client)
        self._forget_recipients(person)

    def _forget_recipients(self, person: Person) -> None:
        for room in self.state.rooms_of(person):
            room.recipients = None

    # --- oneself ---

    def rename(
        self, client: Client, nick: str, *, completion: Completion | None = None
    ) -> Refused | None:
        """Change the nickname. Another spelling of the same one is allowed."""
        person = self._person(client)
        checked = self.free_nick(nick, person)
        if isinstance(checked, Refused):
            return checked
        if checked != person.nick:
            self._append(NickChanged(*self._head(person), checked), completion)
        return None

    def set_away(
        self, client: Client, message: str, *, completion: Completion | None = None
    ) -> Refused | None:
        """Set the away message; an empty one removes it."""
        person = self._person(client)
        message = tidied(message, AWAY_BYTES)
        if message != person.away:
            self._append(AwayChanged(*self._head(person), message), completion)
        return None

    def set_real_name(
        self, client: Client, real_name: str, *, completion: Completion | None = None
    ) -> Refused | None:
        """Change the real name."""
        person = self._person(client)
        if not real_name:
            return Refused(Code.EMPTY, "a real name has at least one letter")
        if is_longer(real_name, REAL_NAME_BYTES):
            return Refused(Code.TOO_LONG, f"a real name has at most {REAL_NAME_BYTES} bytes")
        text = tidied(real_name, REAL_NAME_BYTES)
        self._append(RealNameChanged(*self._head(person), text), completion)
        return None

    def set_host(self, client: Client, host: str) -> None:
        """Change the host that others see, e.g. to the DNS name of the address.

        :param host: see :class:`tcpd.events.chat.Identity`.
        """
        person = self._person(client)
        if host != person.host:
            self._append(HostChanged(*self._head(person), host), None)

    def set_user_modes(
        self,
        client: Client,
        added: str,
        removed: str,
        *,
        completion: Completion | None = None,
    ) -> Refused | None:
        """Change modes of the client's person: see :class:`tcpd.events.chat.UserModesChanged`.

        The caller has authenticated server operators.
        """
        person = self._person(client)
        if added or removed:
            self._append(UserModesChanged(*self._head(person), added, removed), completion)
        return None

    # --- rooms ---

    def join(
        self,
        client: Client,
        name: str,
        key: str = "",
        *,
        completion: Completion | None = None,
    ) -> Refused | None:
        """Join a room. Opens it if it does not exist; does nothing for a member.

        :param key: the room's, if it has one.
        """
        person = self._person(client)
        try:
            checked = room_name(name)
        except BadName as error:
            return Refused(Code.BAD_ROOM, str(error))
        room = self.state.rooms.get(fold(checked))
        if room is not None:
            if person in room.members:
                return None
            refused = not_joinable(room, person, key)
            if refused is not None:
                return refused
            checked = room.name
        elif len(self.state.rooms) >= self.settings.max_rooms:
            return Refused(Code.ROOMS_FULL, "there are too many rooms, no other can be opened")
        if len(person.rooms) >= self.settings.rooms_per_member:
            return Refused(
                Code.OWN_ROOMS_FULL, f"you are in {len(person.rooms)} rooms, leave one first"
            )
        head = self._head(person)
        event = Joined(*head, checked, room is None, person.real_name, person.away)
        self._append(event, completion)
        return None

    def part(
        self,
        client: Client,
        name: str,
        reason: str = "",
        *,
        completion: Completion | None = None,
    ) -> Refused | None:
        """Leave a room. An empty room is closed, except the lobby."""
        person = self._person(client)
        room = self._own_room(person, name)
        if isinstance(room, Refused):
            return room
        text = tidied(reason, REASON_BYTES)
        self._append(Parted(*self._head(person), room.name, text), completion)
        return None

    # --- monitoring ---

    def monitor(self, client: Client, nick: str) -> Refused | None:
        """Notify a client when a nickname enters and leaves."""
        monitored = client.monitored or {}
        if fold(nick) in monitored:
            return None
        settings = self.settings
        if len(monitored) >= settings.watched:
            return Refused(Code.TOO_MANY_WATCHED, f"you watch {settings.watched} people already")
        if self._monitor.count >= settings.watched_in_all and len(monitored) >= ALWAYS:
            return Refused(Code.TOO_MANY_WATCHED, "too many people are watched here")
        self._monitor.add(client, nick)
        return None

    def unmonitor(self, client: Client, nick: str) -> None:
        """Stop notifying a client about a nickname."""
        self._monitor.remove(client, nick)

    # --- delivery ---

    def deliver(self, event: Event) -> None:
        """Apply an event and send it. Called by the event log, with each event once; does not
        raise."""
        completion: Completion | None = None
        origin: Client | None = None
        late = False
        if event is self._appending:
            origin = self._sender
            self._appending = self._sender = None
        elif self._open or self._ahead:
            completion = self._open.pop(event.id, None)
            if completion is not None:
                origin = completion.reply.client
            else:
                origin = self._ahead.pop(event.id, None)
                if origin is not None:
                    origin.ahead -= 1
                    late = not origin.ahead
        try:
            fanout = self.fanout
            kind = type(event)
            if fanout.held and not (fanout.held_kind is kind and kind in HOLDABLE):
                fanout.flush_held()
            outcome = self.state.handlers[kind](event)
            if kind is RoomMessage and completion is None and outcome.refused is None:
                # the hot path: _applied without the steps that only other events require
                fanout.send_message(outcome, origin, False)
                said: Any = outcome.event
                room = outcome.room
                if room is None or said.tags or said.kind is Kind.TAGS:
                    self._keep(outcome)
                else:
                    self.counters.messages += 1
                    self.history.append(room.key, said)
            elif outcome.refused is not None:
                self._refused(event, outcome.refused, origin, completion)
            elif outcome.changed:
                self._applied(outcome, origin, completion)
            elif completion is not None:
                completion.done(None)
        except Exception:  # a bug of ours: the log continues, and the request completes
            self._report("an event could not be delivered whole", None)
            if completion is not None:
                completion.failed()
        if late and origin is not None:
            origin.caught_up()

    def _refused(
        self,
        event: Event,
        refused: Refused,
        origin: Client | None,
        completion: Completion | None,
    ) -> None:
        if type(event) is Entered:
            self._entering.pop(event.actor.id, None)
        if completion is not None:
            completion.done(refused)
        elif origin is not None and not origin.gone:
            origin.refused(event, refused)

    def _applied(
        self, outcome: Outcome, origin: Client | None, completion: Completion | None
    ) -> None:
        event = outcome.event
        kind = type(event)
        if kind is Entered:
            self._has_entered(outcome)
        collects = completion is not None and completion.reply.collects
        if not (self._closing and kind is Quit):
            copy = self.fanout.send(outcome, origin, collects)
            if copy and completion is not None:
                completion.reply.show(event)
        if origin is not None:
            origin.outbox.mark_flush_position()  # of what was held, when it is sent
        if kind is RoomMessage:
            self._keep(outcome)
        else:
            self._follow_up(outcome, event, origin, completion)
        if completion is not None:
            completion.done(None)

    def _keep(self, outcome: Outcome) -> None:
        """Count a message, and add it to the history if all members get it."""
        event: Any = outcome.event
        if event.kind is Kind.TAGS:
            return
        self.counters.messages += 1
        room = outcome.room
        if room is not None:
            # tags are for connected clients; in the history they would only take memory
            self.history.append(room.key, replace(event, tags=()) if event.tags else event)

    def _follow_up(
        self,
        outcome: Outcome,
        event: Event,
        origin: Client | None,
        completion: Completion | None,
    ) -> None:
        """Do what follows from an event besides sending it."""
        actor = outcome.actor
        match event:
            case PrivateMessage(kind=kind):
                self.counters.private_messages += kind is not Kind.TAGS
            case Redacted(room=room, message=message):
                self.history.redact(fold(room), message).addErrback(self._not_redacted)
            case RoomRenamed(room=old, name=new):
                self.history.rename(fold(old), fold(new))
                for member in list(outcome.room.members if outcome.room is not None else ()):
                    self._notify(member, event, origin, completion)
            case NickChanged(actor=before) if actor is not None:
                if fold(before.nick) != actor.key:
                    self._monitor.vanished(fold(before.nick), before.nick)
                    self._monitor.appeared(actor.key, actor.identity)
            case AwayChanged() | RealNameChanged() | HostChanged() if actor is not None:
                self._send_from_afar(outcome, event, actor)
            case Quit():
                self._has_left(actor, event.actor)
            case Killed():
                self._end_connections(outcome.target, event, origin, completion)
                self._has_left(outcome.target, event.target)
        for empty in outcome.closed or ():
            if empty.was_private:
                # the next to open the room may not have been allowed in
                self.history.forget(empty.key)
        if isinstance(event, _OF_ACTOR) and actor is not None:
            self._notify(actor, event, origin, completion)
        if isinstance(event, _OF_TARGET) and outcome.target not in (None, actor):
            self._notify(outcome.target, event, origin, completion)

    def _not_redacted(self, failure: Any) -> None:
        self._report("a redacted message is still kept", failure)

    def _notify(
        self,
        person: Person | None,
        event: Event,
        origin: Client | None,
        completion: Completion | None,
    ) -> None:
        if person is None:
            return
        for client in person.clients:
            if not client.gone:
                reply = completion.reply if client is origin and completion is not None else None
                client.happened(event, reply)

    def _send_from_afar(self, outcome: Outcome, event: Event, actor: Person) -> None:
        """Send an event to clients that monitor its actor and share no room with them."""
        clients = [each for each in self._monitor.of(actor.key) if each.extended_monitor]
        if clients:
            near = self.state.neighbours(actor)
            self.fanout.send_to(event, [each for each in clients if each.person not in near])

    def _has_entered(self, outcome: Outcome) -> None:
        person = outcome.actor
        assert person is not None
        self.counters.entered += 1
        self.most_people = max(self.most_people, len(self.state.people))
        client = self._entering.pop(person.id, None)
        if client is not None and client.gone:
            # it left before the event was delivered
            self._append(Quit(*self._head(person), ""), None)
        elif client is not None:
            self.attach(client, person)
        self._monitor.appeared(person.key, person.identity)

    def _has_left(self, person: Person | None, who: Identity) -> None:
        if person is not None:
            person.clients = ()
        if not self._closing:
            self._monitor.vanished(fold(who.nick), who.nick)

    def _end_connections(
        self,
        person: Person | None,
        event: Killed,
        origin: Client | None,
        completion: Completion | None,
    ) -> None:
        if person is None:
            return
        for client in person.clients:
            client.gone = True
            self._monitor.leave(client)
            reply = completion.reply if client is origin and completion is not None else None
            client.killed(event, reply)
