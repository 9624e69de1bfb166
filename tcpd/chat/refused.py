"""Refusals of the hub."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from tcpd.events.chat import Change


class Code(Enum):
    """The reason of a refusal. Frontends map it to their own words or numerics."""

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
    NOT_LISTED = "not banned"
    LIST_FULL = "too many masks in a list"
    MUTED = "muted"
    NO_CTCP = "the room takes no CTCP"
    NEEDS_KEY = "the room has a key"
    ROOM_FULL = "the room has no place left"
    NEEDS_INVITATION = "one has to be invited"
    MODERATED = "only some may speak"
    OUTSIDER = "only those may speak who are in the room"
    ALREADY_THERE = "somebody is in the room already"
    ROOM_TAKEN = "there is such a room already"
    BAD_ARGUMENT = "what stands with a mode is not what it takes"
    NO_SUCH_MESSAGE = "no such message"
    NOT_YOURS = "it is not yours to take back"
    TOO_MANY_WATCHED = "too many people are watched"
    ROOMS_FULL = "too many rooms"
    OWN_ROOMS_FULL = "in too many rooms"
    HUB_FULL = "too many people"
    EMPTY = "nothing to say"
    TOO_LONG = "too long"


class Refused(Struct, frozen=True, gc=False):
    """A refusal.

    :ivar code: the reason.
    :ivar sentence: the same for people, without a full stop. It may quote user input: frontends
        escape it like any other text.
    :ivar about: the refused mode change, where a request has several.
    """

    code: Code
    sentence: str
    about: Change | None = None
