"""Who was here: nicknames that nobody has any more (IRC's WHOWAS), bounded."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass

from tcpd.chat.hosts import Address
from tcpd.chat.names import fold
from tcpd.chat.people import Person
from tcpd.events.chat import Identity

#: How many nicknames are remembered, and how many people for each.
NICKNAMES = 1000
EACH = 5


@dataclass(frozen=True, slots=True)
class Gone:
    """A person at the time when they gave up a nickname.

    :ivar who: with that nickname.
    :ivar real_name: their real name.
    :ivar address: shown to operators of the daemon alone.
    :ivar time: when, in seconds since 1970 UTC.
    """

    who: Identity
    real_name: str
    address: Address | None
    time: float


class Whowas:
    """Remembers them. Part of the state: :class:`tcpd.chat.state.ChatState` adds to it."""

    def __init__(self) -> None:
        self._by_nick: OrderedDict[str, deque[Gone]] = OrderedDict()

    def add(self, person: Person, who: Identity, time: float) -> None:
        """Somebody gave up a nickname: they took another, or left."""
        key = fold(who.nick)
        known = self._by_nick.setdefault(key, deque(maxlen=EACH))
        known.appendleft(Gone(who, person.real_name, person.address, time))
        self._by_nick.move_to_end(key)
        if len(self._by_nick) > NICKNAMES:
            self._by_nick.popitem(last=False)

    def of(self, nick: str) -> list[Gone]:
        """Who had a nickname, written in any way that folds to it; the latest first."""
        return list(self._by_nick.get(fold(nick), ()))
