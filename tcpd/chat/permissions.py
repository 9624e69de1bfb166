"""Permissions of people in rooms.

The hub checks them before it makes an event. The state checks again when it applies the event,
since the room may have changed: so all nodes refuse the same events.
"""

from __future__ import annotations

import hmac

from tcpd.chat.people import Person
from tcpd.chat.refused import Code, Refused
from tcpd.chat.room import Rank, Room
from tcpd.events.chat import Mode


def not_joinable(room: Room, person: Person, key: str | None) -> Refused | None:
    """Why a person cannot join a room; ``None`` if they can.

    :param key: the key that they sent; ``None`` if it was checked before.
    """
    if person.id in room.invited:
        return None
    if room.is_banned(person):
        return Refused(Code.BANNED, f"you are banned from {room.name}")
    if room.has(Mode.INVITE_ONLY) and not room.is_listed(Mode.INVITED, person):
        return Refused(Code.NEEDS_INVITATION, f"{room.name} is invite-only")
    modes = room.modes
    if (
        modes.key
        and key is not None
        and not hmac.compare_digest(modes.key.encode(), key.encode(errors="replace"))
    ):
        return Refused(Code.NEEDS_KEY, f"{room.name} has a key")
    if modes.limit is not None and len(room.members) >= modes.limit:
        return Refused(Code.ROOM_FULL, f"{room.name} is full")
    return None


def not_speakable(room: Room, person: Person) -> Refused | None:
    """Why a person cannot speak in a room; ``None`` if they can."""
    ranks = room.members.get(person)
    if ranks is not None and room.unrestricted:  # the usual case
        return None
    if ranks is None and Mode.NO_OUTSIDERS in room.modes.flags:
        return Refused(Code.NOT_IN_ROOM, f"you are not in {room.name}")
    if Mode.MODERATED in room.modes.flags and room.rank(person) == Rank.NONE:
        if ranks is None:
            return Refused(Code.OUTSIDER, f"{room.name} is moderated, and you are not in it")
        return Refused(Code.MODERATED, f"{room.name} is moderated, and you have no voice")
    if room.lists[Mode.BAN] and room.rank(person) == Rank.NONE:
        if room.is_banned(person):
            return Refused(Code.BANNED, f"you are banned from {room.name}")
        if room.is_muted(person):
            return Refused(Code.MUTED, f"you are muted in {room.name}")
    return None


def not_operated(room: Room, person: Person, least: Rank = Rank.HALF_OPERATOR) -> Refused | None:
    """Why a person cannot operate a room; ``None`` if they can.

    Server operators operate configured rooms without being members.

    :param least: the required rank.
    """
    if person not in room.members and not (room.is_lobby and person.server_operator):
        return Refused(Code.NOT_IN_ROOM, f"you are not in {room.name}")
    if room.rank(person) >= least:
        return None
    if room.is_lobby:
        return Refused(Code.NO_OPERATORS, f"{room.name} has no operators")
    return Refused(Code.NOT_OPERATOR, f"you are not an operator of {room.name}")


def not_kickable(room: Room, person: Person, target: Person) -> Refused | None:
    """Why a person cannot kick another; ``None`` if they can.

    Half-operators kick members of a lower rank.
    """
    refused = not_operated(room, person)
    if refused is None and Rank.OPERATOR > room.rank(person) <= room.rank(target):
        return Refused(Code.NOT_OPERATOR, f"you are not an operator of {room.name}")
    return refused


def not_topical(room: Room, person: Person) -> Refused | None:
    """Why a person cannot set the topic of a room; ``None`` if they can."""
    if person not in room.members or room.has(Mode.TOPIC_PROTECTED):
        return not_operated(room, person)
    return None


def not_invitable(room: Room, person: Person) -> Refused | None:
    """Why a person cannot invite others into a room; ``None`` if they can."""
    if person not in room.members:
        return Refused(Code.NOT_IN_ROOM, f"you are not in {room.name}")
    if room.has(Mode.INVITE_ONLY):
        return not_operated(room, person)
    return None


def not_renamable(room: Room, person: Person) -> Refused | None:
    """Why a person cannot rename a room; ``None`` if they can."""
    refused = not_operated(room, person, Rank.OPERATOR)
    if refused is None and room.is_lobby:
        return Refused(Code.NO_OPERATORS, f"{room.name} keeps its name")
    return refused


def not_redactable(room: Room, person: Person, author: str) -> Refused | None:
    """Why a person cannot redact a message in a room; ``None`` if they can.

    :param author: the id of its sender; empty if unknown.
    """
    if person not in room.members and not (room.is_lobby and person.server_operator):
        return Refused(Code.NOT_IN_ROOM, f"you are not in {room.name}")
    if author != person.id and room.rank(person) < Rank.HALF_OPERATOR:
        return Refused(Code.NOT_YOURS, "only its author and operators can delete a message")
    return None
