"""The keys of a ``protocol = chat`` service."""

from __future__ import annotations

from dataclasses import dataclass

from tcpd.config.fields import option
from tcpd.config.values import DURATION, RATE, Rate


@dataclass(frozen=True, kw_only=True, slots=True)
class TextSettings:
    """Timeouts and rates of the text frontend."""

    nick_timeout: float = option(
        DURATION,
        60.0,
        "Time in which a client must choose a nickname; 0 for no limit.",
    )
    rate: Rate | None = option(
        RATE,
        Rate(5.0, 20.0),
        "Rate of lines from one client. Lines above the rate are delayed, not lost: the server "
        "stops reading from the client until they are taken.",
    )
