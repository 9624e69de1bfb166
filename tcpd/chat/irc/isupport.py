"""The tokens of RPL_ISUPPORT, which tell clients what there is here and how much of it.

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

#: RFC 1459 has 15 parameters in a line, of which the client's name and the text behind the tokens
#: are two.
TOKENS = 13

# What clients are told of when two names are one. tcpd.chat.names.fold is Unicode's compatibility
# caseless matching, for which there is no word that clients know. Of ASCII names `ascii` is exactly
# true. Of others a client may think them different where they are one, which does it little harm,
# as each name is always written as its owner wrote it. With a word that they do not know, clients
# fall back to rfc1459 and take [x] and {x} for one person, and here they are two.
_CASEMAPPING = "ascii"


@dataclass(frozen=True, kw_only=True, slots=True)
class IsupportLimits:
    """How much there may be, as clients are told. Lengths are in characters unless said otherwise.

    :ivar network: the name of the network; any text.
    :ivar rooms: how many rooms one may be in.
    :ivar list_entries: how many entries each of the lists of a room has, ``b``, ``e`` and ``I``.
    :ivar modes: how many modes with a parameter one MODE changes.
    :ivar monitored: how many names one may monitor.
    :ivar targets: how many targets a command takes, ``None`` for any number; by command.
    :ivar nick: of a nickname.
    :ivar room: of the name of a room.
    :ivar topic: in bytes.
    :ivar reason: of a kick, in bytes.
    :ivar away: of an away message, in bytes.
    :ivar user: of a user name.
    :ivar host: of a host.
    :ivar real_name: in bytes.
    :ivar key: of the key of a room.
    :ivar denied_tags: the client-only tags that are not relayed, as CLIENTTAGDENY lists them:
        without their ``+``; ``*`` for all, and ``-`` before one that is relayed all the same.
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


def tokens(limits: IsupportLimits) -> dict[str, str]:
    """The tokens by name, in the order in which they are sent; ``""`` for those without a value."""
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
        # no prefix, as of Ergo and InspIRCd: "Format: EXTBAN=[<prefix>],<types>"
        "EXTBAN": f",{MUTE}",
        "EXCEPTS": "e",
        "INVEX": "I",
        "MODES": str(limits.modes),
        # "beI:100" would be 100 for all of them together
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
    if limits.denied_tags:
        found["CLIENTTAGDENY"] = ",".join(limits.denied_tags)
    return found


def changed(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """What to tell those who know the old tokens: the new and changed ones, and ``-`` before a name
    that is gone."""
    gone = [f"-{name}" for name in old if name not in new]
    return [*gone, *written({name: new[name] for name in new if new[name] != old.get(name)})]


def written(found: Mapping[str, str]) -> list[str]:
    """Tokens as they stand in a line, their values escaped."""
    return [f"{name}={_escaped(value)}" if value else name for name, value in found.items()]


def lines(words: Iterable[str], source: str, client: str) -> list[bytes]:
    """The lines that tell tokens, each with at most 13 of them and at most 512 bytes.

    :param words: from :func:`written` or :func:`changed`.
    :param source: the name of the server.
    :param client: the nickname of whom they are for, or ``*``.
    :raise ValueError: for a token that fits no line.
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
    """A value in the characters that the grammar has: ASCII but for controls, spaces, = and \\."""
    if value.isascii() and value.isprintable() and not set(value) & set(" =\\"):
        return value
    return "".join(
        chr(byte) if 0x21 <= byte <= 0x7E and byte not in b"=\\" else f"\\x{byte:02X}"
        for byte in value.encode()
    )
