"""The state of chat: people, rooms, memberships, modes, bans and topics.

:meth:`ChatState.apply` is its only mutation. It is pure and deterministic: no clock, no randomness,
no I/O, no clients. It repeats all checks that depend on the order of events, such as whether a
nickname is free, a person is a member or an operator, or a room is full. All nodes that apply the
same events in the same order therefore have the same state, and refuse the same events.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from tcpd.chat.masks import BadMask
from tcpd.chat.names import fold
from tcpd.chat.people import NO_ROOMS, Person
from tcpd.chat.permissions import (
    not_invitable,
    not_joinable,
    not_kickable,
    not_operated,
    not_redactable,
    not_renamable,
    not_speakable,
    not_topical,
)
from tcpd.chat.refused import Code, Refused
from tcpd.chat.room import Rank, Room, Topic
from tcpd.chat.whowas import Whowas
from tcpd.events.chat import (
    RANKS,
    Announced,
    AwayChanged,
    Change,
    Entered,
    Event,
    HostChanged,
    Invited,
    Joined,
    Kicked,
    Killed,
    Kind,
    Mode,
    ModesChanged,
    NickChanged,
    Parted,
    PrivateMessage,
    Quit,
    RealNameChanged,
    Redacted,
    RoomMessage,
    RoomRenamed,
    TopicChanged,
    UserModesChanged,
)

_E = TypeVar("_E", bound=Event)

#: Invitations by operators that a room remembers; the oldest are dropped.
_INVITATIONS = 100

#: Only operators change these modes, not half-operators.
FOR_OPERATORS = (Mode.OPERATOR, Mode.HALF_OPERATOR)


class Outcome(Struct, gc=False):
    """The result of applying an event. Made by :meth:`ChatState.apply`, and not kept.

    :ivar event: the event to send, with the current names and ranks.
    :ivar refused: the refusal of the event; ``None`` if it was applied.
    :ivar changed: false if it was allowed and there was nothing to do.
    :ivar actor: the actor of the event; ``None`` if they have left.
    :ivar room: all its members receive the event.
    :ivar people: others who receive it; none of them is a member of ``room``.
    :ivar target: another person that it affects.
    :ivar closed: rooms that the event emptied and that no longer exist.
    """

    event: Event
    refused: Refused | None = None
    changed: bool = True
    actor: Person | None = None
    room: Room | None = None
    people: Collection[Person] = ()
    target: Person | None = None
    closed: list[Room] | None = None


class ChatState:
    """See the head of this module. All modules may read it; only :meth:`apply` changes it.

    :param lobby: the name of the configured room; empty for none.
    :param lobby_topic: its topic; empty for none.
    :param created: its creation time, in seconds since 1970 UTC.

    :ivar lobby: the configured room; ``None`` for none.
    :ivar rooms: the rooms by folded name, the lobby first, then in the order of opening.
    :ivar people: the people by id, in the order of entering.
    :ivar nicks: people by folded nickname.
    :ivar listed: entries of the lists of all rooms.
    :ivar whowas: past nicknames.
    :ivar server_operators: number of server operators.
    :ivar invisible: number of invisible people.
    :ivar handlers: handlers by class of event; the hot path calls them directly.
    """

    def __init__(self, lobby: str = "", lobby_topic: str = "", created: float = 0.0) -> None:
        self.lobby: Room | None = None
        self.rooms: dict[str, Room] = {}
        if lobby:
            self.lobby = Room(lobby, created, is_lobby=True)
            self.rooms[self.lobby.key] = self.lobby
            if lobby_topic:
                self.lobby.topic = Topic(lobby_topic, None, created)
        self.people: dict[str, Person] = {}
        self.nicks: dict[str, Person] = {}
        self.listed = 0
        self.whowas = Whowas()
        self.server_operators = 0
        self.invisible = 0
        self._snapshot: tuple[Person, ...] | None = None
        self.handlers: dict[type[Event], Callable[[Any], Outcome]] = {
            Entered: self._entered,
            Joined: self._joined,
            Parted: self._parted,
            RoomMessage: self._room_message,
            PrivateMessage: self._private_message,
            Redacted: self._redacted,
            TopicChanged: self._topic_changed,
            NickChanged: self._nick_changed,
            Kicked: self._kicked,
            ModesChanged: self._modes_changed,
            Invited: self._invited,
            RoomRenamed: self._room_renamed,
            AwayChanged: self._away_changed,
            RealNameChanged: self._real_name_changed,
            HostChanged: self._host_changed,
            UserModesChanged: self._user_modes_changed,
            Announced: self._announced,
            Quit: self._quit,
            Killed: self._killed,
        }

    def apply(self, event: Event) -> Outcome:
        """Apply an event, or refuse it. Called with each event once, in the order of the log."""
        return self.handlers[type(event)](event)

    # --- reading ---

    def room(self, name: str) -> Room | None:
        """Return the room of a name, in any spelling that folds to it."""
        return self.rooms.get(fold(name))

    def person(self, nick: str) -> Person | None:
        """Return the person of a nickname, in any spelling that folds to it."""
        return self.nicks.get(fold(nick))

    def is_here(self, person: Person) -> bool:
        """Whether a person is still online."""
        return self.people.get(person.id) is person

    def snapshot(self) -> tuple[Person, ...]:
        """Return a snapshot of all people, in the order of entering, for long replies. Cached until
        a person enters or leaves."""
        if self._snapshot is None:
            self._snapshot = tuple(self.people.values())
        return self._snapshot

    def rooms_of(self, person: Person) -> list[Room]:
        """Return the rooms of a person, in the order of joining."""
        return [self.rooms[key] for key in person.rooms]

    def neighbours(self, person: Person) -> dict[Person, None]:
        """Return a person and all members of the same rooms, each once."""
        found = {person: None}
        for key in person.rooms:
            found.update(dict.fromkeys(self.rooms[key].members))
        return found

    # --- people ---

    def _entered(self, event: Entered) -> Outcome:
        who = event.actor
        key = fold(who.nick)
        if key in self.nicks or who.id in self.people:
            return Outcome(event, nick_taken(who.nick))
        address = ipaddress.ip_address(event.address) if event.address else None
        person = Person(who, event.real_name, address, event.secure, event.time)
        self.people[person.id] = person
        self._snapshot = None
        self.nicks[person.key] = person
        return Outcome(event, actor=person)

    def _nick_changed(self, event: NickChanged) -> Outcome:
        person = self.people.get(event.actor.id)
        if person is None:
            return _gone(event)
        key = fold(event.nick)
        if self.nicks.get(key, person) is not person:
            return Outcome(event, nick_taken(event.nick), actor=person)
        if event.nick == person.nick:
            return Outcome(event, changed=False, actor=person)
        event = _by(event, person)
        if key != person.key:
            del self.nicks[person.key]
            self.whowas.add(person, event.actor, event.time)
        person.nick = event.nick
        person.key = event.nick if key == event.nick else key
        self.nicks[person.key] = person
        person.update_identity()
        return self._to_neighbours(event, person)

    def _away_changed(self, event: AwayChanged) -> Outcome:
        person = self.people.get(event.actor.id)
        if person is None:
            return _gone(event)
        person.away = event.message
        people = self.neighbours(person)
        del people[person]
        return Outcome(_by(event, person), actor=person, people=people)

    def _real_name_changed(self, event: RealNameChanged) -> Outcome:
        person = self.people.get(event.actor.id)
        if person is None:
            return _gone(event)
        person.real_name = event.real_name
        return self._to_neighbours(_by(event, person), person)

    def _host_changed(self, event: HostChanged) -> Outcome:
        person = self.people.get(event.actor.id)
        if person is None:
            return _gone(event)
        event = _by(event, person)
        person.host = event.host
        person.update_identity()
        return self._to_neighbours(event, person)

    def _user_modes_changed(self, event: UserModesChanged) -> Outcome:
        person = self.people.get(event.actor.id)
        if person is None:
            return _gone(event)
        event = _by(event, person)
        for letters, is_set in ((event.added, True), (event.removed, False)):
            for letter in letters:
                self._set_user_mode(person, letter, is_set)
        return Outcome(event, actor=person, people=(person,))

    def _set_user_mode(self, person: Person, letter: str, is_set: bool) -> None:
        match letter:
            case "B":
                person.bot = is_set
                person.update_identity()
            case "i":
                self.invisible += is_set - person.invisible
                person.invisible = is_set
            case "o":
                self.server_operators += is_set - person.server_operator
                person.server_operator = is_set
            case "w":
                person.announcements = is_set

    def _announced(self, event: Announced) -> Outcome:
        person = self.people.get(event.actor.id)
        if person is None:
            return _gone(event)
        if not person.server_operator:
            return Outcome(event, _NO_SERVER_OPERATOR, actor=person)
        people = [each for each in self.people.values() if each.announcements]
        return Outcome(_by(event, person), actor=person, people=people)

    def _quit(self, event: Quit) -> Outcome:
        person = self.people.get(event.actor.id)
        if person is None:
            return _gone(event)
        return self._leave(_by(event, person), person, Outcome(event, actor=person))

    def _killed(self, event: Killed) -> Outcome:
        person = self.people.get(event.actor.id)
        target = self.people.get(event.target.id)
        if person is None or target is None:
            return _gone(event)
        if not person.server_operator:
            return Outcome(event, _NO_SERVER_OPERATOR, actor=person)
        event = replace(_by(event, person), target=target.identity)
        return self._leave(event, target, Outcome(event, actor=person, target=target))

    def _leave(self, event: Event, person: Person, outcome: Outcome) -> Outcome:
        """Remove a person; the members of the same rooms receive the event."""
        del self.people[person.id]
        self._snapshot = None
        del self.nicks[person.key]
        self.whowas.add(person, person.identity, event.time)
        self.server_operators -= person.server_operator
        self.invisible -= person.invisible
        outcome.event = event
        rooms = self.rooms_of(person)
        if len(rooms) == 1:
            outcome.room = rooms[0]
        elif rooms:
            outcome.people = people = self.neighbours(person)
            del people[person]
        for room in rooms:
            self._take_out(room, person, outcome)
        return outcome

    def _to_neighbours(self, event: Event, person: Person) -> Outcome:
        """Return the outcome of an event for a person and all members of the same rooms."""
        if len(person.rooms) == 1:
            return Outcome(event, actor=person, room=self.rooms[next(iter(person.rooms))])
        return Outcome(event, actor=person, people=self.neighbours(person))

    # --- membership ---

    def _joined(self, event: Joined) -> Outcome:
        person = self.people.get(event.actor.id)
        if person is None:
            return _gone(event)
        key = fold(event.room)
        room = self.rooms.get(key)
        opened = room is None
        if room is None:
            room = self.rooms[key] = Room(event.room, event.time)
        elif person in room.members:
            return Outcome(event, changed=False, actor=person, room=room)
        else:
            refused = not_joinable(room, person, None)
            if refused is not None:
                return Outcome(event, refused, actor=person)
        room.add(person, Rank.OPERATOR if opened else Rank.NONE)
        room.invited.pop(person.id, None)
        if person.rooms is NO_ROOMS:
            person.rooms = {}
        person.rooms[key] = None
        real_name, away = person.real_name, person.away
        event = replace(
            _by(event, person), room=room.name, opened=opened, real_name=real_name, away=away
        )
        return Outcome(event, actor=person, room=room)

    def _parted(self, event: Parted) -> Outcome:
        person = self.people.get(event.actor.id)
        room = self.room(event.room)
        if person is None or room is None or person not in room.members:
            return _not_there(event, person, room)
        outcome = Outcome(_by(event, person), actor=person, room=room, people=(person,))
        self._take_out(room, person, outcome)
        return outcome

    def _kicked(self, event: Kicked) -> Outcome:
        person = self.people.get(event.actor.id)
        target = self.people.get(event.target.id)
        room = self.room(event.room)
        if person is None or room is None:
            return _not_there(event, person, room)
        if target is None or target not in room.members:
            return Outcome(event, not_in_room(event.target.nick, room), actor=person)
        refused = not_kickable(room, person, target)
        if refused is not None:
            return Outcome(event, refused, actor=person)
        people = (target,) if person in room.members else (target, person)
        event = replace(_by(event, person), target=target.identity)
        outcome = Outcome(event, actor=person, room=room, people=people, target=target)
        self._take_out(room, target, outcome)
        return outcome

    def _take_out(self, room: Room, person: Person, outcome: Outcome) -> None:
        room.remove(person)
        del person.rooms[room.key]
        if not room.members and not room.is_lobby:
            del self.rooms[room.key]
            self.listed -= room.listed
            if outcome.closed is None:
                outcome.closed = []
            outcome.closed.append(room)

    def _invited(self, event: Invited) -> Outcome:
        person = self.people.get(event.actor.id)
        target = self.people.get(event.target.id)
        if person is None or target is None:
            return _gone(event, person)
        event = replace(_by(event, person), target=target.identity)
        room = self.room(event.room)
        if room is None:
            # RFC 2812 section 3.2.7: the room need not exist
            return Outcome(event, actor=person, target=target)
        refused = not_invitable(room, person)
        if refused is None and target in room.members:
            refused = already_there(target, room)
        if refused is not None:
            return Outcome(event, refused, actor=person)
        operators = room.ranked(Rank.HALF_OPERATOR)
        if person in operators:
            room.invited.pop(target.id, None)
            room.invited[target.id] = None
            if len(room.invited) > _INVITATIONS:
                del room.invited[next(iter(room.invited))]
        people = [each for each in operators if each is not person]
        return Outcome(event, actor=person, target=target, people=people)

    # --- messages ---

    def _room_message(self, event: RoomMessage) -> Outcome:
        person = self.people.get(event.actor.id)
        room = self.rooms.get(fold(event.room))
        if person is None or room is None:
            return _not_there(event, person, room)
        if event.speaker or not (room.unrestricted and person in room.members):
            check = not_operated if event.speaker else not_speakable
            refused = check(room, person)
            if refused is not None:
                return Outcome(event, refused, actor=person)
        if event.actor is not person.identity:
            event = _by(event, person)
        if event.kind is not Kind.TAGS:
            person.spoke = event.time
        if event.least is None:
            return Outcome(event, actor=person, room=room)
        return Outcome(event, actor=person, people=room.ranked(Rank.of(event.least)))

    def _private_message(self, event: PrivateMessage) -> Outcome:
        person = self.people.get(event.actor.id)
        target = self.people.get(event.target.id)
        if person is None:
            return _gone(event)
        if target is None:
            return Outcome(event, no_such_nick(event.target.nick), actor=person)
        if event.kind is not Kind.TAGS:
            person.spoke = event.time
        if event.actor is not person.identity or event.target is not target.identity:
            event = replace(_by(event, person), target=target.identity)
        return Outcome(event, actor=person, target=target, people=(target,))

    def _redacted(self, event: Redacted) -> Outcome:
        person = self.people.get(event.actor.id)
        room = self.room(event.room)
        if person is None or room is None:
            return _not_there(event, person, room)
        refused = not_redactable(room, person, event.author)
        if refused is not None:
            return Outcome(event, refused, actor=person)
        return self._in_room(event, room, person)

    # --- rooms ---

    def _topic_changed(self, event: TopicChanged) -> Outcome:
        person = self.people.get(event.actor.id)
        room = self.room(event.room)
        if person is None or room is None:
            return _not_there(event, person, room)
        refused = not_topical(room, person)
        if refused is not None:
            return Outcome(event, refused, actor=person)
        event = _by(event, person)
        room.topic = Topic(event.topic, event.actor, event.time) if event.topic else None
        return self._in_room(event, room, person)

    def _modes_changed(self, event: ModesChanged) -> Outcome:
        person = self.people.get(event.actor.id)
        room = self.room(event.room)
        if person is None or room is None:
            return _not_there(event, person, room)
        refused = not_operated(room, person)
        if refused is not None:
            return Outcome(event, refused, actor=person)
        event = _by(event, person)
        applied = []
        for change in event.changes:
            target = None
            if change.mode in FOR_OPERATORS and room.rank(person) < Rank.OPERATOR:
                continue
            if change.mode in RANKS:
                target = None if change.target is None else self.people.get(change.target.id)
                if target is None or target not in room.members:
                    continue
                change = _on(change, target)
            before = room.listed
            try:
                room.apply(change, target, event.actor, event.time)
            except BadMask:
                continue
            self.listed += room.listed - before
            if change.adding and change.mode is Mode.BAN:
                room.withdraw_invitations(change, self.people)
            applied.append(change)
        if not applied:
            return Outcome(event, changed=False, actor=person)
        if len(applied) < len(event.changes) or tuple(applied) != event.changes:
            event = replace(event, changes=tuple(applied))
        return self._in_room(event, room, person)

    def _room_renamed(self, event: RoomRenamed) -> Outcome:
        person = self.people.get(event.actor.id)
        room = self.room(event.room)
        if person is None or room is None:
            return _not_there(event, person, room)
        refused = not_renamable(room, person)
        key = fold(event.name)
        if refused is None and self.rooms.get(key, room) is not room:
            refused = room_taken(event.name)
        if refused is not None:
            return Outcome(event, refused, actor=person)
        event = replace(_by(event, person), room=room.name)
        before = room.key
        self.rooms = {key if each is room else name: each for name, each in self.rooms.items()}
        room.name = event.name
        room.key = key
        for member in room.members:
            member.rooms = {key if name == before else name: None for name in member.rooms}
        return self._in_room(event, room, person)

    def _in_room(self, event: Event, room: Room, person: Person) -> Outcome:
        """The outcome of an event for a room and its actor, who may be an operator outside."""
        people = () if person in room.members else (person,)
        return Outcome(_by(event, person), actor=person, room=room, people=people)


_NO_SERVER_OPERATOR = Refused(Code.NOT_OPERATOR, "you are not an operator of the server")


def _by(event: _E, person: Person) -> _E:
    """Return the event with its actor's current identity: the nickname may have changed."""
    who = person.identity
    return event if event.actor is who or event.actor == who else replace(event, actor=who)


def _on(change: Change, target: Person) -> Change:
    who = target.identity
    return change if change.target == who else replace(change, target=who)


def _gone(event: Event, person: Person | None = None) -> Outcome:
    refused = Refused(Code.NO_SUCH_NICK, f"there is no nickname {event.actor.nick}")
    if person is not None:
        refused = Refused(Code.NO_SUCH_NICK, "they have left")
    return Outcome(event, refused, actor=person)


def _not_there(event: Any, person: Person | None, room: Room | None) -> Outcome:
    if person is None:
        return _gone(event)
    if room is None:
        return Outcome(event, no_room(event.room), actor=person)
    return Outcome(event, not_in(room), actor=person)


def nick_taken(nick: str) -> Refused:
    """Refuse: the nickname is in use."""
    return Refused(Code.NICK_TAKEN, f"the nickname {nick} is already in use")


def no_such_nick(nick: str) -> Refused:
    """Refuse: the nickname is not in use."""
    return Refused(Code.NO_SUCH_NICK, f"there is no nickname {nick}")


def no_room(name: str) -> Refused:
    """Refuse: there is no room of this name."""
    return Refused(Code.NO_SUCH_ROOM, f"there is no room {name}")


def not_in(room: Room) -> Refused:
    """Refuse: the person is not in the room."""
    return Refused(Code.NOT_IN_ROOM, f"you are not in {room.name}")


def not_in_room(nick: str, room: Room) -> Refused:
    """Refuse: the target is not in the room."""
    return Refused(Code.NOT_IN_SAME_ROOM, f"{nick} is not in {room.name}")


def already_there(target: Person, room: Room) -> Refused:
    """Refuse: the target is in the room already."""
    return Refused(Code.ALREADY_THERE, f"{target.nick} is in {room.name} already")


def room_taken(name: str) -> Refused:
    """Refuse: there is a room of this name already."""
    return Refused(Code.ROOM_TAKEN, f"there is a room {name} already")
