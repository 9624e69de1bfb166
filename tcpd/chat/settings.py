"""The keys of ``[chat]``: bounds of the rooms, the same for all frontends."""

from __future__ import annotations

from dataclasses import dataclass

from tcpd.chat.names import room_name
from tcpd.config.fields import option
from tcpd.config.values import SIZE, TEXT, Type, at_least, choice, whole_number

#: Maximum sizes of a topic, a part reason and a kick reason, in bytes of UTF-8. They fit beside
#: prefix, command and two names into the 512 bytes of an IRC line.
TOPIC_BYTES = 300
REASON_BYTES = 200

#: Maximum sizes of a room's key, a real name and an away message, in bytes of UTF-8.
KEY_BYTES = 32
REAL_NAME_BYTES = 150
AWAY_BYTES = 200

#: The number of list entries that every room may have, and of nicknames that every client may
#: monitor, even if others have used up the bounds for all.
ALWAYS = 10

_LOBBY: Type[str] = Type("room name, or nothing", lambda text: room_name(text) if text else "", str)


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatSettings:
    """Limits of chat, and its lobby.

    A limit that a reload lowers applies to new entries; no client is removed.
    """

    lobby: str = option(
        _LOBBY,
        "#lobby",
        "The permanent room. It has no operators, and clients of protocol = chat join it when "
        "they connect. Empty: there is no lobby, and the text frontend asks for a room.",
        reloadable=False,
    )
    lobby_topic: str = option(
        TEXT,
        "Talk about anything",
        "The topic of the lobby. Clients cannot change it.",
        reloadable=False,
    )
    outbox: int = option(
        at_least(SIZE, 16384),
        256 * 1024,
        "Bytes that are buffered for a client that does not read. A client that exceeds it is "
        "disconnected.",
    )
    history_shown: int = option(
        whole_number(0, 1000),
        20,
        "Number of recent messages that the text frontend shows to a client that joins a room.",
    )
    history_kept: int = option(
        whole_number(0, 100_000),
        100,
        "Number of messages that are kept for each room, in memory. They outlive the room, and "
        "are there when it is opened again, unless it ever had a key or a ban, was hidden (+s) or "
        "invite-only (+i).",
    )
    history_bytes: int = option(
        SIZE,
        128 * 1024,
        "Memory for the messages of one room; the oldest are dropped. A message counts some 400 "
        "bytes plus its text.",
    )
    history_in_all: int = option(
        SIZE,
        64 * 1024 * 1024,
        "Memory for the messages of all rooms; the oldest are dropped. A room counts 1,100 bytes.",
    )
    max_members: int = option(
        whole_number(1, 1_000_000),
        10_000,
        "Number of people in all rooms.",
    )
    max_rooms: int = option(
        whole_number(1, 1_000_000),
        1000,
        "Number of rooms, including the lobby.",
    )
    rooms_per_member: int = option(
        whole_number(1, 10_000),
        20,
        "Number of rooms that one person may be in.",
    )
    bans_per_room: int = option(
        whole_number(0, 10_000),
        100,
        "Number of bans of one room, of ban exceptions (+e), and of invite exceptions (+I).",
    )
    bans_in_all: int = option(
        whole_number(0, 10_000_000),
        20_000,
        "Number of these entries in all rooms. A room with fewer than "
        f"{ALWAYS} may always add one.",
    )
    hosts: str = option(
        choice("hidden", "address"),
        "hidden",
        "What other people see as a person's host. hidden: a hash of the address, which bans can "
        "name and which does not reveal the address. address: the address.",
        reloadable=False,
    )
    watched: int = option(
        whole_number(0, 10_000),
        100,
        "Number of nicknames that one client may monitor (IRC's MONITOR).",
    )
    watched_in_all: int = option(
        whole_number(0, 100_000_000),
        100_000,
        "Number of nicknames that all clients together may monitor. A client with fewer than "
        f"{ALWAYS} may always add one.",
    )
