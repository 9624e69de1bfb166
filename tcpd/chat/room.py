"""One room: who is in it, who may do what, and what was said last."""

from __future__ import annotations

import ipaddress
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tcpd.chat.names import fold
from tcpd.events import Said, Who

if TYPE_CHECKING:
    from tcpd.chat.member import Member

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


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
class Ban:
    """Who is kept out.

    :ivar nick: as it was banned.
    :ivar network: the addresses kept out with it. Never shown.
    :ivar who: who banned them.
    :ivar time: when, in seconds since 1970 UTC.
    """

    nick: str
    network: _Network | None
    who: Who
    time: float


class Room:
    """One room. The hub changes it; doors read it.

    :ivar name: as its opener wrote it.
    :ivar key: the same, folded.
    :ivar house: whether it belongs to the house: always there, without operators.
    :ivar members: who is in it, in the order of joining.
    :ivar operators: those of them who may set the topic, kick and ban.
    :ivar topic: ``None`` for none.
    :ivar bans: by folded nickname, oldest first.
    :ivar history: what was said last, oldest first.

    :param kept: the length of the history.
    """

    __slots__ = ("bans", "history", "house", "key", "members", "name", "operators", "topic")

    def __init__(self, name: str, kept: int, *, house: bool = False) -> None:
        self.name = name
        self.key = fold(name)
        self.house = house
        self.members: dict[Member, None] = {}
        self.operators: set[Member] = set()
        self.topic: Topic | None = None
        self.bans: dict[str, Ban] = {}
        self.history: deque[Said] = deque(maxlen=kept)

    def is_banned(self, member: Member) -> bool:
        """Whether a member is kept out, by nickname or by address."""
        if not self.bans:
            return False
        if member.key in self.bans:
            return True
        address = member.address
        if address is None:
            return False
        return any(ban.network is not None and address in ban.network for ban in self.bans.values())

    def remove(self, member: Member) -> None:
        """Take a member out; does nothing for one who is not in."""
        self.members.pop(member, None)
        self.operators.discard(member)
        member.rooms.pop(self.key, None)
