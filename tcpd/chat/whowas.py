"""Nicknames of the past (IRC's WHOWAS), bounded."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass

from tcpd.chat.hosts import Address
from tcpd.chat.names import fold
from tcpd.chat.people import Person
from tcpd.events.chat import Identity

#: Bounds of the nicknames, and of the people for each.
NICKNAMES = 1000
EACH = 5


@dataclass(frozen=True, slots=True)
class Gone:
    """A person at the time when they gave up a nickname.

    :ivar who: the person, with that nickname.
    :ivar real_name: their real name.
    :ivar address: shown to server operators only.
    :ivar time: the time of the event, in seconds since 1970 UTC.
    """

    who: Identity
    real_name: str
    address: Address | None
    time: float


class Whowas:
    """People who gave up a nickname. Part of the state, which adds to it."""

    def __init__(self) -> None:
        self._by_nick: OrderedDict[str, deque[Gone]] = OrderedDict()

    def add(self, person: Person, who: Identity, time: float) -> None:
        """Add a person who changed nickname or left."""
        key = fold(who.nick)
        known = self._by_nick.setdefault(key, deque(maxlen=EACH))
        known.appendleft(Gone(who, person.real_name, person.address, time))
        self._by_nick.move_to_end(key)
        if len(self._by_nick) > NICKNAMES:
            self._by_nick.popitem(last=False)

    def of(self, nick: str) -> list[Gone]:
        """Return the people who had a nickname, in any spelling, the latest first."""
        return list(self._by_nick.get(fold(nick), ()))
