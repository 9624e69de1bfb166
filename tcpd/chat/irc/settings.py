"""The keys of a ``protocol = irc`` service."""

from __future__ import annotations

from dataclasses import dataclass

from tcpd.config.fields import option
from tcpd.config.values import DURATION, PATH, RATE, TEXT, Rate
from tcpd.net.websocket_settings import origins_option, ping_option


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
