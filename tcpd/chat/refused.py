"""Refusals of the hub."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from tcpd.events.chat import Change


class Code(Enum):
    """The reason of a refusal. Frontends map it to their own texts or numerics."""

    BAD_NICK = "bad nickname"
    NICK_TAKEN = "nickname taken"
    BAD_ROOM = "bad room name"
    NO_SUCH_NICK = "no such nickname"
    NO_SUCH_ROOM = "no such room"
    NOT_IN_ROOM = "you are not in the room"
    NOT_IN_SAME_ROOM = "the target is not in the room"
    NOT_OPERATOR = "not an operator"
    NO_OPERATORS = "the room can have no operators"
    BANNED = "banned"
    NOT_LISTED = "not banned"
    LIST_FULL = "too many masks in a list"
    MUTED = "muted"
    NO_CTCP = "the room accepts no CTCP"
    NEEDS_KEY = "the room has a key"
    ROOM_FULL = "the room is full"
    NEEDS_INVITATION = "the room is invite-only"
    MODERATED = "the room is moderated"
    OUTSIDER = "the room is moderated, and you are not in it"
    ALREADY_THERE = "the target is in the room already"
    ROOM_TAKEN = "room name taken"
    BAD_ARGUMENT = "invalid argument of a mode"
    NO_SUCH_MESSAGE = "no such message"
    NOT_YOURS = "not the author of the message"
    TOO_MANY_WATCHED = "too many people are watched"
    ROOMS_FULL = "too many rooms"
    OWN_ROOMS_FULL = "in too many rooms"
    HUB_FULL = "too many people"
    EMPTY = "empty text"
    TOO_LONG = "too long"


class Refused(Struct, frozen=True, gc=False):
    """A refusal.

    :ivar code: the reason.
    :ivar sentence: the reason in words, without a full stop. It may quote user input: frontends
        escape it like any other text.
    :ivar about: the refused mode change, where a request has several.
    """

    code: Code
    sentence: str
    about: Change | None = None
