"""The keys of the line protocol."""

from __future__ import annotations

from dataclasses import dataclass

from tcpd.config.fields import option
from tcpd.config.values import BOOLEAN, DURATION, SIZE, at_least


@dataclass(frozen=True, kw_only=True, slots=True)
class LineSettings:
    """The keys of a ``[service:NAME]`` section with ``protocol = line``."""

    max_line: int = option(
        at_least(SIZE, 64),
        4096,
        "The longest line a client may send, its end not counted. A longer one gets an error reply "
        "and is skipped.",
    )
    strict_crlf: bool = option(
        BOOLEAN, False, "Whether lines that end in LF alone get an error reply."
    )
    command_timeout: float = option(
        at_least(DURATION, 0.001),
        30.0,
        "How long a command may take before it is cancelled and answered with an error reply.",
    )
