"""Parameters of LIST and WHO: conditions on rooms, and fields of users.

Sources: the Modern IRC Client Protocol, "LIST message" and the ELIST parameter
(https://modern.ircdocs.horse/#elist-parameter); the IRCv3 WHOX specification
(https://ircv3.net/specs/extensions/whox).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tcpd.chat.masks import pattern
from tcpd.chat.names import fold


@dataclass(frozen=True, slots=True)
class RoomFacts:
    """Facts of a room that the conditions of LIST test.

    :ivar name: as the room's creator wrote it.
    :ivar users: the number of members.
    :ivar created: the time when the room was created, in seconds since 1970 UTC.
    :ivar topic_time: the time when the topic was set, in seconds since 1970 UTC; ``None`` without a
        topic.
    """

    name: str
    users: int
    created: float
    topic_time: float | None


_Condition = Callable[[RoomFacts, float], bool]
_CONDITION = re.compile("([CTct]?)([<>])([0-9]+)")


@dataclass(frozen=True, slots=True)
class RoomFilter:
    """Filter of a LIST: rooms that match any name or mask, and every condition.

    :ivar names: folded names.
    :ivar masks: patterns for folded names. Without names and masks every room matches.
    :ivar excluded: patterns of rooms to leave out.
    :ivar conditions: all of them must hold.
    """

    names: frozenset[str] = frozenset()
    masks: tuple[re.Pattern[str], ...] = ()
    excluded: tuple[re.Pattern[str], ...] = ()
    conditions: tuple[_Condition, ...] = ()

    def matches(self, room: RoomFacts, now: float) -> bool:
        """Return whether a room matches.

        :param now: the current time in seconds since 1970 UTC.
        """
        name = fold(room.name)
        if (
            (self.names or self.masks)
            and name not in self.names
            and not any(mask.match(name) for mask in self.masks)
        ):
            return False
        if any(mask.match(name) for mask in self.excluded):
            return False
        return all(condition(room, now) for condition in self.conditions)


def parse_list(params: Sequence[str], most: int) -> RoomFilter:
    """Parse the parameters of LIST.

    Names and conditions may be mixed in either parameter, as in Modern IRC's example "LIST >3". An
    item that is no condition is a name or a mask.

    :param most: maximum number of items, see TARGMAX; the rest is ignored.
    """
    names = []
    masks = []
    excluded = []
    conditions = []
    items = [item for param in params[:2] for item in param.split(",") if item]
    for item in items[:most]:
        condition = _condition(item)
        if condition is not None:
            conditions.append(condition)
        elif item[0] == "!":
            excluded.append(pattern(item[1:]))
        elif "*" in item or "?" in item:
            masks.append(pattern(item))
        else:
            names.append(fold(item))
    return RoomFilter(frozenset(names), tuple(masks), tuple(excluded), tuple(conditions))


def _condition(item: str) -> _Condition | None:
    found = _CONDITION.fullmatch(item)
    if found is None:
        return None
    letter, sign, number = found[1].upper(), found[2], int(found[3])
    if not letter:
        if sign == "<":
            return lambda room, now: room.users < number
        return lambda room, now: room.users > number
    when = _created if letter == "C" else _topic_time
    seconds = number * 60

    def holds(room: RoomFacts, now: float) -> bool:
        time = when(room)
        if time is None:
            return False
        return now - time < seconds if sign == "<" else now - time > seconds

    return holds


def _created(room: RoomFacts) -> float | None:
    return room.created


def _topic_time(room: RoomFacts) -> float | None:
    return room.topic_time


#: Fields of WHOX in the order of RPL_WHOSPCRPL, with ircu's ``d`` and ``o`` (hops and operator
#: level) at their places.
WHOX_FIELDS = "tcuihsnfdlaor"

#: The token if the client requests the field without a token, as in ircu.
UNGIVEN = "0"


@dataclass(frozen=True, slots=True)
class WhoOptions:
    """Options of WHO.

    :ivar operators: list server operators only.
    :ivar fields: letters of :data:`WHOX_FIELDS`, in its order; ``None`` for RPL_WHOREPLY.
    :ivar token: value of field ``t``.
    """

    operators: bool = False
    fields: str | None = None
    token: str = UNGIVEN


def parse_who(options: str) -> WhoOptions:
    """Parse the second parameter of WHO: ``[<flags>][%<fields>[,<token>]]``.

    Unknown flags and fields, and an invalid token, are ignored.
    """
    flags, percent, rest = options.partition("%")
    operators = "o" in flags.lower()
    if not percent:
        return WhoOptions(operators)
    asked, _, token = rest.partition(",")
    fields = "".join(field for field in WHOX_FIELDS if field in asked)
    if not (token.isascii() and token.isdigit() and len(token) <= 3):
        token = UNGIVEN
    return WhoOptions(operators, fields, token)
