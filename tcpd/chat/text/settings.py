"""The keys of a ``protocol = chat`` service."""

from __future__ import annotations

from dataclasses import dataclass

from tcpd.config.fields import option
from tcpd.config.values import DURATION, RATE, Rate


@dataclass(frozen=True, kw_only=True, slots=True)
class TextSettings:
    """How the text door treats its clients."""

    nick_timeout: float = option(
        DURATION,
        60.0,
        "How long a client may take to give a nickname; 0 for ever.",
    )
    rate: Rate | None = option(
        RATE,
        Rate(5.0, 20.0),
        "How many lines a client may send. Faster ones are not lost: they wait, and it is read no "
        "further until they were taken.",
    )
