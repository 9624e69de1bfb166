"""What LIST and WHO are asked for beyond a name: conditions on rooms, and fields of people.

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
    :ivar created: in seconds since 1970 UTC.
    :ivar topic_time: when the topic was set, likewise; ``None`` without a topic.
    """

    name: str
    users: int
    created: float
    topic_time: float | None


_Condition = Callable[[RoomFacts, float], bool]
_CONDITION = re.compile("([CTct]?)([<>])([0-9]+)")


@dataclass(frozen=True, slots=True)
class RoomFilter:
    """Which rooms a LIST asks for: those of any of the names and masks, under all the conditions.

    :ivar names: folded.
    :ivar masks: patterns for folded names. Without names and masks all rooms are asked for.
    :ivar excluded: patterns for those that are left out.
    :ivar conditions: what else must hold.
    """

    names: frozenset[str] = frozenset()
    masks: tuple[re.Pattern[str], ...] = ()
    excluded: tuple[re.Pattern[str], ...] = ()
    conditions: tuple[_Condition, ...] = ()

    def matches(self, room: RoomFacts, now: float) -> bool:
        """Whether a room is asked for.

        :param now: in seconds since 1970 UTC.
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
    """What the parameters of a LIST ask for.

    Names and conditions may stand in either parameter, mixed: "LIST >3" is an example of the
    document. What reads as no condition is a name or a mask, which no room may have.

    :param most: how many of them are read; the rest is ignored, as TARGMAX says.
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


#: The fields of WHOX in the order of RPL_WHOSPCRPL. ``d`` and ``o`` (hops, and the level of an
#: operator) are ircu's, and clients that ask for them count on their place.
WHOX_FIELDS = "tcuihsnfdlaor"

#: What stands for a token that was asked for and not given, as ircu has it.
UNGIVEN = "0"


@dataclass(frozen=True, slots=True)
class WhoOptions:
    """How a WHO wants its answer.

    :ivar operators: whether only operators of the server are asked for.
    :ivar fields: letters of :data:`WHOX_FIELDS`, in its order; ``None`` for RPL_WHOREPLY.
    :ivar token: what stands in field ``t``.
    """

    operators: bool = False
    fields: str | None = None
    token: str = UNGIVEN


def parse_who(options: str) -> WhoOptions:
    """What the second parameter of a WHO asks for: ``[<flags>][%<fields>[,<token>]]``.

    Flags and fields that nobody knows are ignored, and so is a token that is none.
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
