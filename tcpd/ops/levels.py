"""How much is logged: a level that can be changed while the daemon runs, and less noise."""

from __future__ import annotations

import re
from typing import Any

from twisted.logger import (
    FilteringLogObserver,
    ILogFilterPredicate,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    PredicateResult,
)
from zope.interface import implementer

#: The names of the levels, from everything to almost nothing.
LEVELS = ("debug", "info", "warn", "error", "critical")

# What Twisted says of each port that is opened or closed; service.listening and
# service.stopped say it better. Its module logs the old way, so there is only the text to go by.
_PORT_NOISE = re.compile(r" starting on \S+$|^\((?:TCP|TLS|UDP|UNIX) Port .* Closed\)$", re.S)


class Threshold:
    """The level below which nothing is logged.

    :param name: one of :data:`LEVELS`.
    """

    def __init__(self, name: str = "info") -> None:
        self.predicate = LogLevelFilterPredicate()
        self.name = name

    @property
    def name(self) -> str:
        """One of :data:`LEVELS`; setting it takes effect with the next event.

        :raise ValueError: for any other word.
        """
        level: Any = self.predicate.logLevelForNamespace("")
        name: str = level.name
        return name

    @name.setter
    def name(self, name: str) -> None:
        if name not in LEVELS:
            raise ValueError(f"{name!r} is no log level; there are {', '.join(LEVELS)}")
        self.predicate.setLogLevelForNamespace("", LogLevel.levelWithName(name))


@implementer(ILogFilterPredicate)
class _Quiet:
    """Leaves out what Twisted says of ports."""

    def __call__(self, event: LogEvent) -> Any:
        text = event.get("log_text")
        if isinstance(text, str) and _PORT_NOISE.search(text):
            return PredicateResult.no
        return PredicateResult.maybe


def filtered(observer: ILogObserver, threshold: Threshold) -> ILogObserver:
    """Pass on to an observer what is to be logged."""
    return FilteringLogObserver(observer, [threshold.predicate, _Quiet()])
