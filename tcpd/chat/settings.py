"""The keys of ``[chat]``: what holds for the rooms, whatever door one comes through."""

from __future__ import annotations

from dataclasses import dataclass

from tcpd.chat.names import room_name
from tcpd.config.fields import option
from tcpd.config.values import SIZE, TEXT, Type, at_least, choice, whole_number

#: The longest topic, reason of leaving, and reason of a kick, in bytes of UTF-8: what fits beside
#: prefix, command and two names into the 512 bytes of an IRC line.
TOPIC_BYTES = 300
REASON_BYTES = 200

#: The longest key of a room, real name, and message of who is away, in bytes of UTF-8.
KEY_BYTES = 32
REAL_NAME_BYTES = 150
AWAY_BYTES = 200

#: So many entries a room's lists may have, and nicknames a member may watch, however many there are
#: in all: who has made so many that the bounds in all are reached takes away nobody's first ones.
ALWAYS = 10

_LOBBY: Type[str] = Type("room name, or nothing", lambda text: room_name(text) if text else "", str)


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatSettings:
    """How big chat may grow, and what its lobby is called.

    A reload that lowers a bound puts nobody out: it holds for what comes after.
    """

    lobby: str = option(
        _LOBBY,
        "#lobby",
        "The room that is always there, belongs to nobody, and where people of the text door find "
        "themselves at first. With nothing behind the = there is none: the text door then asks "
        "for a room.",
        reloadable=False,
    )
    lobby_topic: str = option(
        TEXT,
        "Talk about anything",
        "The topic of the lobby, which nobody can change.",
        reloadable=False,
    )
    outbox: int = option(
        at_least(SIZE, 16384),
        256 * 1024,
        "How much may wait for one member who does not read. Who exceeds it is dropped.",
    )
    history_shown: int = option(
        whole_number(0, 1000),
        20,
        "How many of a room's last messages somebody who joins is shown.",
    )
    history_kept: int = option(
        whole_number(0, 100_000),
        100,
        "How many of a room's last messages are kept, in memory. They are there for who opens the "
        "room again when it was empty, unless it had a key or a ban, was hidden, or took only the "
        "invited.",
    )
    history_bytes: int = option(
        SIZE,
        128 * 1024,
        "What the messages that are kept of a room may take in memory; the oldest are dropped. "
        "Each counts some 400 bytes besides its text.",
    )
    history_in_all: int = option(
        SIZE,
        64 * 1024 * 1024,
        "The same for all rooms together; the oldest of all are dropped.",
    )
    max_members: int = option(
        whole_number(1, 1_000_000),
        10_000,
        "How many people there may be in all.",
    )
    max_rooms: int = option(
        whole_number(1, 1_000_000),
        1000,
        "How many rooms there may be, the lobby included.",
    )
    rooms_per_member: int = option(
        whole_number(1, 10_000),
        20,
        "How many rooms one member may be in at the same time.",
    )
    bans_per_room: int = option(
        whole_number(0, 10_000),
        100,
        "How many bans a room may have; of exemptions and invitations by mask as many each.",
    )
    bans_in_all: int = option(
        whole_number(0, 10_000_000),
        20_000,
        "How many of these there may be in all rooms together. A room that has fewer than "
        f"{ALWAYS} may always have another.",
    )
    hosts: str = option(
        choice("hidden", "address"),
        "hidden",
        "What others see of where somebody is: hidden is a name made of the address, by which it "
        "can be banned and from which nobody finds it; address shows it.",
        reloadable=False,
    )
    watched: int = option(
        whole_number(0, 10_000),
        100,
        "How many nicknames one member may watch come and go.",
    )
    watched_in_all: int = option(
        whole_number(0, 100_000_000),
        100_000,
        "How many all members together may watch. Who watches fewer than "
        f"{ALWAYS} may always watch another.",
    )
