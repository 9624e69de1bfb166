"""One room: its members and their ranks, its modes, lists and topic."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from tcpd.chat.hosts import Network
from tcpd.chat.masks import Mask
from tcpd.chat.names import fold
from tcpd.chat.people import Person
from tcpd.chat.recipients import Recipients
from tcpd.events.chat import LISTS, Change, Identity, Mode


class Rank(IntEnum):
    """The rank of a member of a room. Each includes the lower ones."""

    NONE = 0
    VOICE = 1
    HALF_OPERATOR = 2
    OPERATOR = 4

    @classmethod
    def of(cls, mode: Mode) -> Rank:
        """Return the rank of mode ``o``, ``h`` or ``v``."""
        return _RANKS[mode]


_RANKS = {
    Mode.OPERATOR: Rank.OPERATOR,
    Mode.HALF_OPERATOR: Rank.HALF_OPERATOR,
    Mode.VOICE: Rank.VOICE,
}

#: Prefixes of nicknames in IRC, highest first.
PREFIXES = ((Rank.OPERATOR, "@"), (Rank.HALF_OPERATOR, "%"), (Rank.VOICE, "+"))

#: The number of people outside a room whose ban verdicts it caches besides those of its members. A
#: verdict takes some microseconds per mask.
_NON_MEMBER_VERDICTS = 64

#: Modes that exclude people, or hide a room.
_EXCLUDING = frozenset({Mode.KEY, Mode.INVITE_ONLY, Mode.HIDDEN, Mode.BAN})

#: The modes of a new room.
_AT_FIRST = frozenset({Mode.NO_OUTSIDERS, Mode.TOPIC_PROTECTED})


@dataclass(frozen=True, slots=True)
class Topic:
    """The topic of a room.

    :ivar text: the text.
    :ivar who: the person who set it; ``None`` for the configuration.
    :ivar time: the time of the change, in seconds since 1970 UTC.
    """

    text: str
    who: Identity | None
    time: float


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry of a list: a ban, a ban exception or an invite exception.

    :ivar mask: the mask, of the form ``nick!user@host``.
    :ivar network: further addresses that the entry covers. Never shown.
    :ivar who: the person who added it.
    :ivar time: the time of the change, in seconds since 1970 UTC.
    """

    mask: Mask
    network: Network | None
    who: Identity
    time: float

    def matches(self, person: Person, folded: str) -> bool:
        """Whether it covers this person.

        :param folded: :attr:`Person.folded`, computed once for many entries.
        """
        address = person.address
        if self.network is not None and address is not None and address in self.network:
            return True
        return self.mask.matches(folded)


@dataclass(slots=True)
class Modes:
    """The modes of a room that are no lists.

    :ivar flags: the modes without argument that are set.
    :ivar key: required to join; empty for none.
    :ivar limit: the most members; ``None`` for no limit.
    """

    flags: frozenset[Mode] = _AT_FIRST
    key: str = field(default="", repr=False)
    limit: int | None = None


class Room:
    """One room. Only :class:`tcpd.chat.state.ChatState` changes it.

    :ivar name: as its opener wrote it.
    :ivar key: the name, folded.
    :ivar is_lobby: a configured room: permanent, and operated by server operators only.
    :ivar created: the time when it was opened, in seconds since 1970 UTC.
    :ivar members: the members in the order of joining, each with a sum of :class:`Rank`; see
        :meth:`rank`.
    :ivar topic: ``None`` for none.
    :ivar modes: the modes other than lists.
    :ivar lists: entries by mode (``b``, ``e``, ``I``) and folded mask, oldest first.
    :ivar invited: ids of people invited by an operator, oldest first.
    :ivar unrestricted: whether all messages of members are allowed: the room is not moderated, CTCP
        is allowed, and there are no bans.
    :ivar was_private: whether the room ever had a key or a ban, or was invite-only or hidden.
    :ivar recipients: a cache of :class:`tcpd.chat.fanout.Fanout`; ``None`` after a member has left,
        or the clients of one have changed.
    """

    __slots__ = (
        "_snapshot",
        "_verdicts",
        "created",
        "invited",
        "is_lobby",
        "key",
        "lists",
        "members",
        "modes",
        "name",
        "recipients",
        "topic",
        "unrestricted",
        "was_private",
    )

    def __init__(self, name: str, created: float, *, is_lobby: bool = False) -> None:
        self.name = name
        self.key = fold(name)
        self.is_lobby = is_lobby
        self.created = created
        self.members: dict[Person, int] = {}
        self.topic: Topic | None = None
        self.modes = Modes()
        self.lists: dict[Mode, dict[str, Listed]] = {mode: {} for mode in LISTS}
        self.invited: dict[str, None] = {}
        self.recipients: Recipients | None = None
        self.unrestricted = True
        self.was_private = False
        self._snapshot: tuple[Person, ...] | None = None
        self._verdicts: dict[Identity, tuple[bool, bool]] = {}

    def __repr__(self) -> str:
        return f"<Room {self.name!r}>"

    def add(self, person: Person, ranks: int) -> None:
        """Add a member. Called by the state alone."""
        self.members[person] = ranks
        self._snapshot = None
        if self.recipients is not None:
            self.recipients.add(person)

    def remove(self, person: Person) -> None:
        """Remove a member. Called by the state alone."""
        del self.members[person]
        self.recipients = self._snapshot = None

    def snapshot(self) -> tuple[Person, ...]:
        """Return a snapshot of the members, for long replies; cached until they change."""
        if self._snapshot is None:
            self._snapshot = tuple(self.members)
        return self._snapshot

    @property
    def operators(self) -> set[Person]:
        """The members who are operators."""
        return {person for person, ranks in self.members.items() if ranks & Rank.OPERATOR}

    @property
    def bans(self) -> dict[str, Listed]:
        """The bans by folded mask."""
        return self.lists[Mode.BAN]

    @property
    def listed(self) -> int:
        """Number of entries in all lists."""
        return sum(map(len, self.lists.values()))

    def has(self, mode: Mode) -> bool:
        """Whether a mode without argument is set."""
        return mode in self.modes.flags

    def rank(self, person: Person) -> Rank:
        """Return the highest rank of a person. Server operators operate configured rooms."""
        if self.is_lobby and person.server_operator:
            return Rank.OPERATOR
        ranks = self.members.get(person, 0)
        for rank in (Rank.OPERATOR, Rank.HALF_OPERATOR, Rank.VOICE):
            if ranks & rank:
                return rank
        return Rank.NONE

    def ranked(self, least: Rank) -> list[Person]:
        """The members of this rank and above.

        :param least: not ``NONE``.
        """
        wanted = sum(rank.value for rank in Rank if rank >= least)
        is_lobby = self.is_lobby
        return [
            person
            for person, ranks in self.members.items()
            if ranks & wanted or (is_lobby and person.server_operator)
        ]

    def is_banned(self, person: Person) -> bool:
        """Whether a person is banned, by mask or by address, and not exempt."""
        return bool(self.lists[Mode.BAN]) and self._verdict(person)[0]

    def is_muted(self, person: Person) -> bool:
        """Whether a person is muted, and not exempt from mutes."""
        return bool(self.lists[Mode.BAN]) and self._verdict(person)[1]

    def _verdict(self, person: Person) -> tuple[bool, bool]:
        """Whether a person is banned, and whether muted."""
        who = person.identity
        verdict = self._verdicts.get(who)
        if verdict is None:
            # bounded: non-members are checked too, and a new nick or host is a new key
            if len(self._verdicts) >= _NON_MEMBER_VERDICTS + len(self.members):
                self._verdicts.clear()
            verdict = self._verdicts[who] = (
                self._is_covered(person, False),
                self._is_covered(person, True),
            )
        return verdict

    def _is_covered(self, person: Person, mutes: bool) -> bool:
        return self.is_listed(Mode.BAN, person, mutes) and not self.is_listed(
            Mode.EXEMPT, person, mutes
        )

    def is_listed(self, mode: Mode, person: Person, mutes: bool = False) -> bool:
        """Whether an entry of a list covers a person.

        :param mutes: whether to check mutes only; otherwise all other entries.
        """
        folded = person.folded
        return any(
            listed.mask.mutes is mutes and listed.matches(person, folded)
            for listed in self.lists[mode].values()
        )

    def may_speak(self, person: Person) -> bool:
        """Whether the modes let a person speak. Bans are checked elsewhere."""
        if person not in self.members:
            return Mode.NO_OUTSIDERS not in self.modes.flags and not self.has(Mode.MODERATED)
        return not self.has(Mode.MODERATED) or self.rank(person) > Rank.NONE

    def hides_from(self, person: Person | None) -> bool:
        """Whether it is hidden from a person."""
        return self.has(Mode.HIDDEN) and (person is None or person not in self.members)

    def apply(self, change: Change, target: Person | None, who: Identity, time: float) -> None:
        """Apply one change. Called by the state alone.

        :param target: the member whose rank changes.
        :raise BadMask: for an entry of a list that is no mask; nothing is changed.
        """
        mode, modes = change.mode, self.modes
        if change.adding and mode in _EXCLUDING:
            self.was_private = True
        if mode in _RANKS:
            assert target is not None
            rank = _RANKS[mode]
            ranks = self.members[target]
            self.members[target] = ranks | rank if change.adding else ranks & ~rank
        elif mode in self.lists:
            self._verdicts.clear()
            mask = Mask.of(change.argument)
            if change.adding:
                network = change.network and ipaddress.ip_network(change.network)
                self.lists[mode][mask.key] = Listed(mask, network or None, who, time)
            else:
                self.lists[mode].pop(mask.key, None)
        elif mode is Mode.KEY:
            modes.key = change.argument if change.adding else ""
        elif mode is Mode.LIMIT:
            modes.limit = int(change.argument) if change.adding else None
        elif change.adding:
            modes.flags |= {mode}
        else:
            modes.flags -= {mode}
        restricts = self.has(Mode.MODERATED) or self.has(Mode.NO_CTCP)
        self.unrestricted = not (restricts or self.lists[Mode.BAN])

    def withdraw_invitations(self, ban: Change, people: Mapping[str, Person]) -> None:
        """Remove the invitations of people that a new ban covers: the later decision holds.

        :param ban: the ban, already applied.
        :param people: all people by id; the invitations of people who have left are removed, too.
        """
        listed = self.bans[Mask.of(ban.argument).key]
        for id in () if listed.mask.mutes else list(self.invited):
            person = people.get(id)
            if person is None or listed.matches(person, person.folded):
                del self.invited[id]
