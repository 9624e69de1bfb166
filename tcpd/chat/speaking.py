"""Verbs that send messages to rooms, to a person or as announcements; and redaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tcpd.chat.names import ROOM_CHARACTERS, fold
from tcpd.chat.people import Client, Person
from tcpd.chat.permissions import not_operated, not_redactable, not_speakable
from tcpd.chat.refused import Code, Refused
from tcpd.chat.reply import Completion
from tcpd.chat.room import Room
from tcpd.chat.settings import REASON_BYTES
from tcpd.chat.split import ALWAYS_FITS, carried, is_longer, room_for, room_for_all, tidied
from tcpd.chat.state import no_room, not_in
from tcpd.chat.verbs import Verbs
from tcpd.events.chat import (
    Announced,
    Event,
    EventId,
    Identity,
    Kind,
    Line,
    Mode,
    PrivateMessage,
    Redacted,
    RoomMessage,
    Tags,
)
from tcpd.store.history import HistoryStore


class Speaking(Verbs):
    """See the head of this module."""

    history: HistoryStore

    def say(
        self,
        client: Client,
        name: str,
        text: str,
        kind: Kind = Kind.MESSAGE,
        *,
        completion: Completion | None = None,
    ) -> Refused | None:
        """Send a message to a room that the client is in, or that takes messages from outside (-n).

        :param text: one line that fits IRC: see :func:`tcpd.chat.split.room_for`.
        """
        person = client.person
        room = self.state.rooms.get(fold(name))
        if room is None or person is None:
            return no_room(name[:ROOM_CHARACTERS])
        refused = None
        if not (room.unrestricted and person in room.members):  # the usual case needs no check
            refused = not_speakable(room, person) or _unwanted(room, text)
        # short texts need not be encoded: a character takes at most 4 bytes
        if refused is None and (not text or len(text) * 4 > ALWAYS_FITS):
            refused = _unsayable(person, room.name, kind, text)
        if refused is not None:
            return refused
        if not text.isprintable():
            text = carried(text)
        if kind is not Kind.TAGS:
            client.spoke = self.clock()
        self._events += 1
        event = RoomMessage(
            EventId(self._node, self._boot, self._events),
            self.wall_clock(),
            person.identity,
            room.name,
            text,
            kind,
        )
        if completion is None:
            self._append_ahead(event, client)
        else:
            self._append(event, completion)
        return None

    def say_more(
        self,
        client: Client,
        name: str,
        lines: Sequence[Line],
        kind: Kind = Kind.MESSAGE,
        *,
        tags: Tags = (),
        least: Mode | None = None,
        speaker: str = "",
        completion: Completion | None = None,
    ) -> Refused | None:
        """Send a message with tags, several lines, a least rank or another speaker: see
        :class:`tcpd.events.chat.RoomMessage`.

        :param lines: one, as for :meth:`say`; or several, some of them empty; none for tags alone.
        :param speaker: a name that is no valid nickname; for operators and half-operators.
        """
        person = self._person(client)
        room = self.state.rooms.get(fold(name))
        if room is None:
            return no_room(name[:ROOM_CHARACTERS])
        if speaker:
            refused = not_operated(room, person)
            if refused is None and person not in room.members:
                refused = not_in(room)
        else:
            refused = not_speakable(room, person)
        if refused is not None:
            return refused
        target = room.name if least is None else f"@{room.name}"
        texts = [line.text for line in lines]
        refused = _unsayable(person, target, kind, *texts, speaker=speaker)
        refused = refused or _unwanted(room, *texts)
        if refused is not None:
            return refused
        head = self._spoken(client, person, kind)
        text, lines = _whole(lines)
        event = RoomMessage(*head, room.name, text, kind, tags, lines, least, speaker)
        return self._say(event, client, completion)

    def send_private(
        self,
        client: Client,
        nick: str,
        text: str,
        kind: Kind = Kind.MESSAGE,
        *,
        completion: Completion | None = None,
    ) -> Refused | None:
        """Send a private message. It is kept in no history.

        :param text: as for :meth:`say`.
        """
        return self.send_private_lines(client, nick, (Line(text),), kind, completion=completion)

    def send_private_lines(
        self,
        client: Client,
        nick: str,
        lines: Sequence[Line],
        kind: Kind = Kind.MESSAGE,
        *,
        tags: Tags = (),
        completion: Completion | None = None,
    ) -> Refused | None:
        """Send a private message with tags or several lines: see
        :class:`tcpd.events.chat.PrivateMessage`.

        :param lines: as for :meth:`say_more`.
        """
        person = self._person(client)
        target = self._present(nick)
        if isinstance(target, Refused):
            return target
        refused = _unsayable(person, target.nick, kind, *(line.text for line in lines))
        if refused is not None:
            return refused
        head = self._spoken(client, person, kind)
        text, lines = _whole(lines)
        event = PrivateMessage(*head, target.identity, text, kind, tags, lines)
        return self._say(event, client, completion)

    def redact(
        self,
        client: Client,
        name: str,
        message: str,
        reason: str = "",
        *,
        completion: Completion | None = None,
    ) -> Refused | None:
        """Redact a message in a room. For its sender, operators and half-operators.

        The store is asked for the message; if that takes time, the completion is called later.

        :param message: the msgid.
        """
        person = self._person(client)
        room = self._own_room(person, name)
        if isinstance(room, Refused) and person.server_operator:
            room = self._operated_room(person, name)
        if isinstance(room, Refused):
            return room
        answers: list[Refused | None] = []
        shown = room.name

        def judge(said: RoomMessage | None) -> None:
            refused = self._not_redactable(client, shown, said)
            if refused is None and said is not None:
                text = tidied(reason, REASON_BYTES)
                event = Redacted(*self._head(person), shown, message, text, said.actor.id)
                self._append(event, completion)
            elif completion is not None and completion.expected:
                completion.done(refused)
            answers.append(refused)

        def failed(failure: Any) -> None:
            self._report("a message could not be looked up", failure)
            if completion is not None and completion.expected:
                completion.done(_NO_HISTORY)
            answers.append(_NO_HISTORY)

        found = self.history.find(room.key, message)
        found.addCallbacks(judge, failed)
        if not answers and completion is not None:
            completion.expected = True
        return answers[0] if answers else None

    def _not_redactable(
        self, client: Client, name: str, said: RoomMessage | None
    ) -> Refused | None:
        """Why a client cannot redact a message; the room may have changed in between."""
        room = self.state.rooms.get(fold(name))
        person = client.person
        if room is None or person is None:
            return no_room(name)
        if said is None:
            return Refused(Code.NO_SUCH_MESSAGE, f"there is no such message in {room.name}")
        return not_redactable(room, person, said.actor.id)

    def announce(
        self, client: Client, text: str, *, completion: Completion | None = None
    ) -> Refused | None:
        """Send an announcement to all people with mode ``w``. For server operators.

        :param text: as for :meth:`say`, by :func:`tcpd.chat.split.room_for_all`.
        """
        person = self._person(client)
        if not text:
            return Refused(Code.EMPTY, "there is nothing to say")
        room = room_for_all(person)
        if is_longer(text, room):
            return _too_long(room)
        self._append(Announced(*self._head(person), carried(text)), completion)
        return None

    def _say(self, event: Event, client: Client, completion: Completion | None) -> Refused | None:
        if completion is None:
            self._append_ahead(event, client)
        else:
            self._append(event, completion)
        return None

    def _spoken(
        self, client: Client, person: Person, kind: Kind = Kind.MESSAGE
    ) -> tuple[EventId, float, Identity]:
        if kind is not Kind.TAGS:  # clients send those automatically, e.g. while typing
            client.spoke = self.clock()
        return self._head(person)


_NO_HISTORY = Refused(Code.NO_SUCH_MESSAGE, "the history cannot be read")


def _unwanted(room: Room, *texts: str) -> Refused | None:
    """Refuse CTCP (https://modern.ircdocs.horse/ctcp) except actions in a room with +C."""
    if room.has(Mode.NO_CTCP):
        for text in texts:
            if text[:1] == "\x01" and not text.startswith("\x01ACTION "):
                return Refused(Code.NO_CTCP, f"{room.name} accepts no CTCP except ACTION")
    return None


def _unsayable(
    person: Person, target: str, kind: Kind, *texts: str, speaker: str = ""
) -> Refused | None:
    """Why these lines cannot be sent; ``None`` if they can.

    :param target: as others see it.
    """
    if kind is Kind.TAGS:
        return None
    if not any(texts):
        return Refused(Code.EMPTY, "there is nothing to say")
    for text in texts:
        if is_longer(text, ALWAYS_FITS):
            room = room_for(person, target, kind, speaker)
            if is_longer(text, room):
                return _too_long(room)
    return None


def _too_long(room: int) -> Refused:
    return Refused(Code.TOO_LONG, f"a line for others has at most {room} bytes, and this has more")


def _whole(lines: Sequence[Line]) -> tuple[str, tuple[Line, ...]]:
    """Return all lines as one text, and the lines if there are several."""
    if len(lines) == 1:
        return carried(lines[0].text), ()
    kept = tuple(Line(carried(line.text), line.joined) for line in lines)
    text = "".join(f"{'' if line.joined else chr(10)}{line.text}" for line in kept)
    return text.removeprefix("\n"), kept
