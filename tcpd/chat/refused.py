"""Why the hub will not do what a member asks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Code(Enum):
    """What is in the way, for doors that answer with words or numbers of their own."""

    BAD_NICK = "bad nickname"
    NICK_TAKEN = "nickname taken"
    BAD_ROOM = "bad room name"
    NO_SUCH_NICK = "nobody of that name"
    NO_SUCH_ROOM = "no room of that name"
    NOT_IN_ROOM = "you are not in the room"
    NOT_IN_SAME_ROOM = "somebody else is not in the room"
    NOT_OPERATOR = "not an operator"
    NO_OPERATORS = "the room can have no operators"
    BANNED = "banned"
    NOT_BANNED = "not banned"
    BANS_FULL = "too many bans"
    ROOMS_FULL = "too many rooms"
    OWN_ROOMS_FULL = "in too many rooms"
    HUB_FULL = "too many people"
    EMPTY = "nothing to say"
    TOO_LONG = "too long"


@dataclass(frozen=True, slots=True)
class Refused:
    """The hub's answer to what it did not do.

    :ivar code: what is in the way.
    :ivar sentence: the same for people; no full stop at the end. It may hold what the person
        typed, so it needs the same care as any text of theirs.
    """

    code: Code
    sentence: str
