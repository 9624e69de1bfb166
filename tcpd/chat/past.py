"""Who was here: a bounded memory of nicknames that nobody has any more, for who asks."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass

from tcpd.chat.member import Address, Member
from tcpd.chat.names import fold
from tcpd.events import Who

#: How many nicknames are remembered, and how many of who had one.
NICKNAMES = 1000
EACH = 5


@dataclass(frozen=True, slots=True)
class Gone:
    """Somebody as they were when they gave up a nickname.

    :ivar who: with the nickname.
    :ivar real_name: what else they called themselves.
    :ivar address: where they were; for operators of the daemon alone.
    :ivar time: when, in seconds since 1970 UTC.
    """

    who: Who
    real_name: str
    address: Address | None
    time: float


class Past:
    """What is remembered of them. Changed by deliveries."""

    def __init__(self) -> None:
        self._by_nick: OrderedDict[str, deque[Gone]] = OrderedDict()

    def add(self, member: Member, who: Who, time: float) -> None:
        """Remember that somebody gave up a nickname: by taking another, or by leaving."""
        key = fold(who.nick)
        known = self._by_nick.setdefault(key, deque(maxlen=EACH))
        known.appendleft(Gone(who, member.real_name, member.address, time))
        self._by_nick.move_to_end(key)
        if len(self._by_nick) > NICKNAMES:
            self._by_nick.popitem(last=False)

    def of(self, nick: str) -> list[Gone]:
        """Who had a nickname, written in any way that folds to it; the latest first."""
        return list(self._by_nick.get(fold(nick), ()))
