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
        "Maximum length of a line from a client, without its line end. A longer line is skipped "
        "and gets an error reply.",
    )
    strict_crlf: bool = option(
        BOOLEAN, False, "Whether a line that ends in LF alone gets an error reply."
    )
    command_timeout: float = option(
        at_least(DURATION, 0.001),
        30.0,
        "Timeout of a command. It is then cancelled and gets an error reply.",
    )
