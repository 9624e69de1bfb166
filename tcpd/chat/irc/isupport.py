"""Tokens of RPL_ISUPPORT: features and limits of the server.

Source: the Modern IRC Client Protocol, "RPL_ISUPPORT Parameters"
(https://modern.ircdocs.horse/#rplisupport-parameters), and for WHOX, MONITOR, BOT, UTF8ONLY and
CLIENTTAGDENY the specifications of these names at https://ircv3.net/irc/.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tcpd.chat.irc import numerics
from tcpd.chat.irc.message import LINE_BYTES, write
from tcpd.chat.masks import MUTE

#: Maximum number of tokens in a line: RFC 1459 allows 15 parameters, including nickname and text.
TOKENS = 13

# Exact for ASCII names. tcpd.chat.names.fold also folds other letters, for which clients know no
# casemapping; with an unknown one they assume rfc1459 and equate [x] with {x}.
_CASEMAPPING = "ascii"


@dataclass(frozen=True, kw_only=True, slots=True)
class IsupportLimits:
    """Limits that RPL_ISUPPORT announces. Lengths are in characters unless bytes are named.

    :ivar network: name of the network; any text.
    :ivar rooms: maximum number of rooms of a user.
    :ivar list_entries: maximum number of entries in each list of a room: ``b``, ``e`` and ``I``.
    :ivar modes: maximum number of changes with a parameter in one MODE.
    :ivar monitored: maximum number of nicknames that a client monitors.
    :ivar targets: maximum number of targets by command; ``None`` for no limit.
    :ivar nick: length of a nickname.
    :ivar room: length of a room's name.
    :ivar topic: bytes of a topic.
    :ivar reason: bytes of a reason of KICK.
    :ivar away: bytes of an away message.
    :ivar user: length of a user name.
    :ivar host: length of a host.
    :ivar real_name: bytes of a real name.
    :ivar key: length of a room's key.
    :ivar denied_tags: client-only tags that are not relayed, as in CLIENTTAGDENY: names without
        their ``+``; ``*`` for all; ``-`` before an exception.
    :ivar history: maximum number of messages in a reply to CHATHISTORY; 0 if no history is kept.
    """

    network: str
    rooms: int
    list_entries: int
    modes: int
    monitored: int
    targets: Mapping[str, int | None]
    nick: int
    room: int
    topic: int
    reason: int
    away: int
    user: int
    host: int
    real_name: int
    key: int
    denied_tags: tuple[str, ...] = ()
    history: int = 0


def tokens(limits: IsupportLimits) -> dict[str, str]:
    """Return the values of tokens by name, in their order; ``""`` for no value."""
    targets = (
        f"{command}:{'' if most is None else most}" for command, most in limits.targets.items()
    )
    found = {
        "NETWORK": limits.network,
        "CASEMAPPING": _CASEMAPPING,
        "UTF8ONLY": "",
        "CHANTYPES": "#",
        "PREFIX": "(ohv)@%+",
        "STATUSMSG": "@%+",
        "CHANMODES": "beI,k,l,Cimnst",
        # without prefix, as in Ergo and InspIRCd: "Format: EXTBAN=[<prefix>],<types>"
        "EXTBAN": f",{MUTE}",
        "EXCEPTS": "e",
        "INVEX": "I",
        "MODES": str(limits.modes),
        # "beI:100" would limit their sum
        "MAXLIST": ",".join(f"{mode}:{limits.list_entries}" for mode in "beI"),
        "CHANLIMIT": f"#:{limits.rooms}",
        "TARGMAX": ",".join(targets),
        "NICKLEN": str(limits.nick),
        "USERLEN": str(limits.user),
        "HOSTLEN": str(limits.host),
        "NAMELEN": str(limits.real_name),
        "CHANNELLEN": str(limits.room),
        "TOPICLEN": str(limits.topic),
        "KICKLEN": str(limits.reason),
        "AWAYLEN": str(limits.away),
        "KEYLEN": str(limits.key),
        "ELIST": "CMNTU",
        "SAFELIST": "",
        "WHOX": "",
        "MONITOR": str(limits.monitored),
        "BOT": "B",
    }
    if limits.history:  # CHATHISTORY=0 would mean no limit
        found["CHATHISTORY"] = str(limits.history)
        found["MSGREFTYPES"] = "msgid,timestamp"
    if limits.denied_tags:
        found["CLIENTTAGDENY"] = ",".join(limits.denied_tags)
    return found


def changed(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Return the difference of tokens: new and changed ones, and ``-`` before a removed name."""
    gone = [f"-{name}" for name in old if name not in new]
    return [*gone, *written({name: new[name] for name in new if new[name] != old.get(name)})]


def written(found: Mapping[str, str]) -> list[str]:
    """Serialize tokens, with escaped values."""
    return [f"{name}={_escaped(value)}" if value else name for name, value in found.items()]


def lines(words: Iterable[str], source: str, client: str) -> list[bytes]:
    """Return lines of RPL_ISUPPORT, each with at most 13 tokens and 512 bytes.

    :param words: the result of :func:`written` or :func:`changed`.
    :param source: name of the server.
    :param client: nickname of the client, or ``*``.
    :raise ValueError: if a token does not fit a line.
    """
    empty = write(
        numerics.RPL_ISUPPORT, client, numerics.TEXT[numerics.RPL_ISUPPORT], source=source
    )
    room = LINE_BYTES - len(empty)
    found: list[list[str]] = []
    left = 0
    for word in words:
        size = len(word.encode()) + 1
        if size > room:
            raise ValueError(f"no line can carry {word}")
        if not found or size > left or len(found[-1]) == TOKENS:
            found.append([])
            left = room
        found[-1].append(word)
        left -= size
    return [
        write(
            numerics.RPL_ISUPPORT,
            client,
            *chunk,
            numerics.TEXT[numerics.RPL_ISUPPORT],
            source=source,
        )
        for chunk in found
    ]


def _escaped(value: str) -> str:
    """Escape all characters of a value but printable ASCII without space, = and \\."""
    if value.isascii() and value.isprintable() and not set(value) & set(" =\\"):
        return value
    return "".join(
        chr(byte) if 0x21 <= byte <= 0x7E and byte not in b"=\\" else f"\\x{byte:02X}"
        for byte in value.encode()
    )
