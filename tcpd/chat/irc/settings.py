"""The keys of a ``protocol = irc`` service."""

from __future__ import annotations

from dataclasses import dataclass

from tcpd.chat.irc.trusted import GATEWAYS, OPERATORS, Gateway, Operator
from tcpd.config.fields import option
from tcpd.config.values import DURATION, PATH, RATE, TEXT, Rate, Type
from tcpd.net.websocket_settings import origins_option, ping_option

_ADMIN_LINES = 3
_ADMIN_BYTES = 300


def _parse_admin(text: str) -> tuple[str, ...]:
    lines = tuple(line.strip() for line in text.split("\n") if line.strip())
    if len(lines) > _ADMIN_LINES:
        raise ValueError(f"there are {len(lines)} lines; ADMIN has at most {_ADMIN_LINES}")
    if any(len(line.encode()) > _ADMIN_BYTES or not line.isprintable() for line in lines):
        raise ValueError(f"a line has at most {_ADMIN_BYTES} bytes, all of them to be seen")
    return lines


_ADMIN: Type[tuple[str, ...]] = Type(
    f"up to {_ADMIN_LINES} lines of text", _parse_admin, "\n    ".join
)


@dataclass(frozen=True, kw_only=True, slots=True)
class IrcSettings:
    """How the IRC door calls itself and treats its clients."""

    network: str = option(
        TEXT,
        "tcpd",
        "The name of the network, as clients show it.",
    )
    motd: str = option(
        PATH,
        "",
        "A file of text, UTF-8, that is shown to who connects. Empty: there is none.",
    )
    admin: tuple[str, ...] = option(
        _ADMIN,
        (),
        "Who runs the server and how to reach them, for ADMIN.",
    )
    operators: tuple[Operator, ...] = option(
        OPERATORS,
        (),
        "Who becomes an operator of the daemon in chat by OPER: a name, and the hash of a "
        "password. Operators put people out (KILL), operate the house's rooms, see addresses and "
        "reload.",
        secret=True,
    )
    webirc: tuple[Gateway, ...] = option(
        GATEWAYS,
        (),
        "Gateways, such as web clients, that tell by WEBIRC whom they stand for: the networks that "
        "they connect from, and the hash of a password.",
        secret=True,
    )
    register_timeout: float = option(
        DURATION,
        60.0,
        "How long a client may take to register; 0 for ever.",
    )
    ping: float = option(
        DURATION,
        120.0,
        "After so long a silence a client is asked whether it is there, and has as long again to "
        "answer; 0 for never.",
    )
    rate: Rate | None = option(
        RATE,
        Rate(5.0, 40.0),
        "How many lines a client may send. Faster ones are not lost: they wait, and it is read no "
        "further until they were taken.",
    )
    join_rate: Rate | None = option(
        RATE,
        Rate(1.0, 30.0),
        "How many rooms a client may come into. Beyond it is told to wait.",
    )
    nick_rate: Rate | None = option(
        RATE,
        Rate(0.1, 5.0),
        "How often a client may change its nickname. Beyond it is told to wait.",
    )
    websocket_origins: tuple[str, ...] = origins_option()
    websocket_ping: float = ping_option()
