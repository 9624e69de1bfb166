"""What members say: in rooms, to one person, to all; and what they take back."""

from __future__ import annotations

from collections.abc import Sequence

from tcpd.chat.accepting import Accepting
from tcpd.chat.member import Member
from tcpd.chat.names import fold
from tcpd.chat.refused import Code, Refused
from tcpd.chat.room import Rank, Room
from tcpd.chat.settings import REASON_BYTES
from tcpd.chat.split import ALWAYS_FITS, carried, is_longer, room_for, room_for_all, tidied
from tcpd.events import (
    Announced,
    EventId,
    Kind,
    Line,
    Mode,
    PrivateSaid,
    Redacted,
    Said,
    SaidMore,
    Tags,
    Who,
)


class Speaking(Accepting):
    """The part of the hub that members speak by."""

    def say(
        self, member: Member, name: str, text: str, kind: Kind = Kind.MESSAGE
    ) -> Refused | None:
        """Say something in a room one is in, or that lets outsiders speak.

        :param text: what others get in one line of IRC: see :func:`tcpd.chat.split.room_for`.
        """
        room = self._speakable(member, name)
        if isinstance(room, Refused):
            return room
        refused = _unwanted(room, text)
        if not text or is_longer(text, ALWAYS_FITS):  # else it fits, as most do
            refused = _unsayable(member, room.name, kind, text) or refused
        if refused is not None:
            return refused
        return self._accept(Said(*self._spoken(member), room.name, carried(text), kind))

    def say_more(
        self,
        member: Member,
        name: str,
        lines: Sequence[Line],
        kind: Kind = Kind.MESSAGE,
        *,
        tags: Tags = (),
        least: Mode | None = None,
        speaker: str = "",
    ) -> Refused | None:
        """Say something with more to it: see :class:`tcpd.events.SaidMore`.

        :param lines: one, as for :meth:`say`; or several, some of them empty; none for mere tags.
        :param speaker: a name that no member can have; for operators and half-operators.
        """
        room = self._speakable(member, name) if not speaker else self._operated_room(member, name)
        if isinstance(room, Refused):
            return room
        if speaker and member not in room.members:
            return Refused(Code.NOT_IN_ROOM, f"you are not in {room.name}")
        target = room.name if least is None else f"@{room.name}"
        texts = [line.text for line in lines]
        refused = _unsayable(member, target, kind, *texts, speaker=speaker)
        refused = refused or _unwanted(room, *texts)
        if refused is not None:
            return refused
        head = self._spoken(member, kind)
        text, lines = _whole(lines)
        return self._accept(SaidMore(*head, room.name, text, kind, tags, lines, least, speaker))

    def tell(
        self, member: Member, nick: str, text: str, kind: Kind = Kind.MESSAGE
    ) -> Refused | None:
        """Say something to one person, in no room. It is kept in no history.

        :param text: as for :meth:`say`.
        """
        return self.tell_more(member, nick, (Line(text),), kind)

    def tell_more(
        self,
        member: Member,
        nick: str,
        lines: Sequence[Line],
        kind: Kind = Kind.MESSAGE,
        *,
        tags: Tags = (),
    ) -> Refused | None:
        """The same with more to it: see :class:`tcpd.events.PrivateSaid`.

        :param lines: as for :meth:`say_more`.
        """
        whom = self._present(nick)
        if isinstance(whom, Refused):
            return whom
        refused = _unsayable(member, whom.nick, kind, *(line.text for line in lines))
        if refused is not None:
            return refused
        head = self._spoken(member, kind)
        text, lines = _whole(lines)
        return self._accept(PrivateSaid(*head, whom.who, text, kind, tags, lines))

    def redact(self, member: Member, name: str, message: str, reason: str = "") -> Refused | None:
        """Take back what was said in a room. For who said it, operators and half-operators.

        :param message: the id of what was said.
        """
        room = self._own_room(member, name)
        if isinstance(room, Refused):
            room = self._operated_room(member, name)
        if isinstance(room, Refused):
            return room
        said = next((said for said in reversed(room.history) if str(said.id) == message), None)
        if said is None:
            return Refused(Code.NO_SUCH_MESSAGE, f"there is no such message in {room.name}")
        if said.who.id != member.id and room.rank(member) < Rank.HALF_OPERATOR:
            return Refused(Code.NOT_YOURS, "only who said it, and operators, can take it back")
        return self._accept(
            Redacted(*self._head(member), room.name, message, tidied(reason, REASON_BYTES))
        )

    def announce(self, member: Member, text: str) -> Refused | None:
        """Say something to all who want to hear it. For operators of the daemon.

        :param text: as for :meth:`say`, by :func:`tcpd.chat.split.room_for_all`.
        """
        if not text:
            return Refused(Code.EMPTY, "there is nothing to say")
        room = room_for_all(member)
        if is_longer(text, room):
            return _too_long(room)
        return self._accept(Announced(*self._head(member), carried(text)))

    def _speakable(self, member: Member, name: str) -> Room | Refused:
        room = self._own_room(member, name)
        if isinstance(room, Refused):
            # some rooms let in what is said outside
            outside = self._state.rooms.get(fold(name))
            if outside is None or outside.has(Mode.NO_OUTSIDERS):
                return room
            room = outside
        if not room.may_speak(member):
            if room.rank(member) == Rank.NONE and member in room.members:
                return Refused(
                    Code.MODERATED, f"only those may speak in {room.name} who have a voice"
                )
            return Refused(Code.OUTSIDER, f"only those may speak in {room.name} who are in it")
        if room.bans and room.rank(member) == Rank.NONE:
            if room.is_banned(member):
                return Refused(Code.BANNED, f"you are banned from {room.name}")
            if room.is_muted(member):
                return Refused(Code.MUTED, f"you are muted in {room.name}")
        return room

    def _spoken(self, member: Member, kind: Kind = Kind.MESSAGE) -> tuple[EventId, float, Who]:
        head = self._head(member)
        if kind is not Kind.TAGS:  # that somebody types is told by a program
            member.spoke = self.clock()
        return head


def _unwanted(room: Room, *texts: str) -> Refused | None:
    """Refuse the Client-to-Client Protocol (https://modern.ircdocs.horse/ctcp) where the room takes
    none, but for actions, which are words."""
    if room.has(Mode.NO_CTCP):
        for text in texts:
            if text[:1] == "\x01" and not text.startswith("\x01ACTION "):
                return Refused(Code.NO_CTCP, f"{room.name} takes no CTCP but ACTION")
    return None


def _unsayable(
    member: Member, target: str, kind: Kind, *texts: str, speaker: str = ""
) -> Refused | None:
    """Why nobody could be told these lines, if so.

    :param target: as others are told.
    """
    if kind is Kind.TAGS:
        return None
    if not any(texts):
        return Refused(Code.EMPTY, "there is nothing to say")
    for text in texts:
        if is_longer(text, ALWAYS_FITS):
            room = room_for(member, target, kind, speaker)
            if is_longer(text, room):
                return _too_long(room)
    return None


def _too_long(room: int) -> Refused:
    return Refused(Code.TOO_LONG, f"others get {room} bytes in a line, and this has more")


def _whole(lines: Sequence[Line]) -> tuple[str, tuple[Line, ...]]:
    """All of them as one text; and them again, if they are more than one."""
    if len(lines) == 1:
        return carried(lines[0].text), ()
    kept = tuple(Line(carried(line.text), line.joined) for line in lines)
    text = "".join(f"{'' if line.joined else chr(10)}{line.text}" for line in kept)
    return text.removeprefix("\n"), kept
