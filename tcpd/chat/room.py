"""One room: who is in it, who may do what, and what was said last."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

from tcpd.chat.history import History
from tcpd.chat.hosts import Network
from tcpd.chat.masks import Mask
from tcpd.chat.names import fold
from tcpd.events import LISTS, Change, Mode, Who

if TYPE_CHECKING:
    from tcpd.chat.member import Member


class Rank(IntEnum):
    """What a member may do in a room: what those below may, and more."""

    NONE = 0
    VOICE = 1
    HALF_OPERATOR = 2
    OPERATOR = 4

    @classmethod
    def of(cls, mode: Mode) -> Rank:
        """The rank that one of ``o``, ``h`` and ``v`` gives."""
        return _RANKS[mode]


_RANKS = {
    Mode.OPERATOR: Rank.OPERATOR,
    Mode.HALF_OPERATOR: Rank.HALF_OPERATOR,
    Mode.VOICE: Rank.VOICE,
}

#: What IRC puts before a nickname, highest first.
PREFIXES = ((Rank.OPERATOR, "@"), (Rank.HALF_OPERATOR, "%"), (Rank.VOICE, "+"))

#: Of how many beside its members a room remembers whether they are banned: it costs some
#: microseconds a mask to find out.
_STRANGERS = 64

#: What holds in a room when it is opened.
_AT_FIRST = frozenset({Mode.NO_OUTSIDERS, Mode.TOPIC_PROTECTED})


@dataclass(frozen=True, slots=True)
class Topic:
    """What a room is about.

    :ivar text: as it was written.
    :ivar who: who set it; ``None`` for the house.
    :ivar time: when, in seconds since 1970 UTC.
    """

    text: str
    who: Who | None
    time: float


@dataclass(frozen=True, slots=True)
class Listed:
    """Who is kept out, or let in.

    :ivar mask: of their ``nick!user@host``.
    :ivar network: addresses that go with it. Never shown.
    :ivar who: who listed them.
    :ivar time: when, in seconds since 1970 UTC.
    """

    mask: Mask
    network: Network | None
    who: Who
    time: float

    def meets(self, member: Member, folded: str) -> bool:
        """Whether it is about this member.

        :param folded: of the member, computed once for many entries.
        """
        address = member.address
        if self.network is not None and address is not None and address in self.network:
            return True
        return self.mask.matches(folded)


@dataclass(slots=True)
class Modes:
    """What holds in a room.

    :ivar flags: of the modes without argument, those that are set.
    :ivar key: which one has to know to come in; empty for none.
    :ivar limit: how many may be in; ``None`` for no limit.
    """

    flags: frozenset[Mode] = _AT_FIRST
    key: str = field(default="", repr=False)
    limit: int | None = None


class Room:
    """One room. The hub changes it; doors read it.

    :ivar name: as its opener wrote it.
    :ivar key: the same, folded.
    :ivar house: whether it belongs to the house: always there, and operated by the daemon's
        operators alone.
    :ivar created: when it was opened, in seconds since 1970 UTC.
    :ivar members: who is in it, in the order of joining, with the ranks they have, as a sum of
        :class:`Rank`; see :meth:`rank`.
    :ivar topic: ``None`` for none.
    :ivar modes: what holds in it.
    :ivar lists: by mode (``b``, ``e``, ``I``) and folded mask, oldest first.
    :ivar invited: ids of members who were asked to come by one who may, oldest first.
    :ivar history: what was said last, oldest first.

    :param kept: the length of the history.
    """

    __slots__ = (
        "_verdicts",
        "created",
        "history",
        "house",
        "invited",
        "key",
        "lists",
        "members",
        "modes",
        "name",
        "topic",
    )

    def __init__(self, name: str, kept: int, created: float, *, house: bool = False) -> None:
        self.name = name
        self.key = fold(name)
        self.house = house
        self.created = created
        self.members: dict[Member, int] = {}
        self.topic: Topic | None = None
        self.modes = Modes()
        self.lists: dict[Mode, dict[str, Listed]] = {mode: {} for mode in LISTS}
        self.invited: dict[str, None] = {}
        self.history = History(kept)
        self._verdicts: dict[Who, tuple[bool, bool]] = {}

    @property
    def operators(self) -> set[Member]:
        """Those who are in it and its operators."""
        return {member for member, ranks in self.members.items() if ranks & Rank.OPERATOR}

    @property
    def bans(self) -> dict[str, Listed]:
        """Who is kept out, by folded mask."""
        return self.lists[Mode.BAN]

    @property
    def listed(self) -> int:
        """How many entries its lists have together."""
        return sum(map(len, self.lists.values()))

    def has(self, mode: Mode) -> bool:
        """Whether a mode without argument is set."""
        return mode in self.modes.flags

    def rank(self, member: Member) -> Rank:
        """The highest that a member has here; that of the house's rooms is the daemon's to give."""
        if self.house and member.server_operator:
            return Rank.OPERATOR
        ranks = self.members.get(member, 0)
        for rank in (Rank.OPERATOR, Rank.HALF_OPERATOR, Rank.VOICE):
            if ranks & rank:
                return rank
        return Rank.NONE

    def ranked(self, least: Rank) -> list[Member]:
        """Those who are in it with this rank or a higher one, found quickly among thousands.

        :param least: not ``NONE``.
        """
        wanted = sum(rank.value for rank in Rank if rank >= least)
        house = self.house
        return [
            member
            for member, ranks in self.members.items()
            if ranks & wanted or (house and member.server_operator)
        ]

    def is_banned(self, member: Member) -> bool:
        """Whether a member is kept out, by mask or by address, and is not exempt."""
        return bool(self.lists[Mode.BAN]) and self._verdict(member)[0]

    def is_muted(self, member: Member) -> bool:
        """Whether a member is not heard, by a mask for that, and is not exempt by such a mask."""
        return bool(self.lists[Mode.BAN]) and self._verdict(member)[1]

    def _verdict(self, member: Member) -> tuple[bool, bool]:
        """Whether a member is banned, and whether muted."""
        who = member.who
        verdict = self._verdicts.get(who)
        if verdict is None:
            # bounded, for strangers ask too; and who has another name or host is somebody else
            if len(self._verdicts) >= _STRANGERS + len(self.members):
                self._verdicts.clear()
            verdict = self._verdicts[who] = (self._bars(member, False), self._bars(member, True))
        return verdict

    def _bars(self, member: Member, mutes: bool) -> bool:
        return self.lists_member(Mode.BAN, member, mutes) and not self.lists_member(
            Mode.EXEMPT, member, mutes
        )

    def lists_member(self, mode: Mode, member: Member, mutes: bool = False) -> bool:
        """Whether one of the lists has a member in it.

        :param mutes: whether the entries count that are about speaking, or all others.
        """
        folded = member.folded
        return any(
            listed.mask.mutes is mutes and listed.meets(member, folded)
            for listed in self.lists[mode].values()
        )

    def may_speak(self, member: Member) -> bool:
        """Whether what a member of any sort says is let into the room, but for bans."""
        if member not in self.members:
            return Mode.NO_OUTSIDERS not in self.modes.flags and not self.has(Mode.MODERATED)
        return not self.has(Mode.MODERATED) or self.rank(member) > Rank.NONE

    def hides_from(self, member: Member | None) -> bool:
        """Whether it is secret, and this member not in it."""
        return self.has(Mode.HIDDEN) and (member is None or member not in self.members)

    def apply(self, change: Change, whom: Member | None, who: Who, time: float) -> None:
        """Make one change true. Called by a delivery alone.

        :param whom: the member that it is about, who is in the room.
        """
        mode, modes = change.mode, self.modes
        if mode in _RANKS:
            assert whom is not None
            rank = _RANKS[mode]
            ranks = self.members[whom]
            self.members[whom] = ranks | rank if change.adding else ranks & ~rank
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

    def take_back_invitations(self, ban: Change, members: Mapping[str, Member]) -> None:
        """Forget the invitations of those whom a new ban keeps out: the later word holds.

        :param ban: just applied.
        :param members: by id; an invitation of who has left goes, too.
        """
        listed = self.bans[Mask.of(ban.argument).key]
        for id in () if listed.mask.mutes else list(self.invited):
            whom = members.get(id)
            if whom is None or listed.meets(whom, whom.folded):
                del self.invited[id]

    def remove(self, member: Member) -> None:
        """Take a member out; does nothing for one who is not in."""
        self.members.pop(member, None)
        member.rooms.pop(self.key, None)
