"""Log levels, changeable at run time, and a filter for messages of Twisted."""

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

#: The names of the levels, in ascending order.
LEVELS = ("debug", "info", "warn", "error", "critical")

# Twisted's messages about opened and closed ports, replaced by the events service.listening and
# service.stopped. They are legacy log messages, so they can be recognized only by text.
_PORT_NOISE = re.compile(r" starting on \S+$|^\((?:TCP|TLS|UDP|UNIX) Port .* Closed\)$", re.S)


class Threshold:
    """The lowest level that is logged.

    :param name: one of :data:`LEVELS`.
    """

    def __init__(self, name: str = "info") -> None:
        self.predicate = LogLevelFilterPredicate()
        self.name = name

    @property
    def name(self) -> str:
        """One of :data:`LEVELS`. Can be set, and applies to the next event.

        :raise ValueError: if it is not a level.
        """
        level: Any = self.predicate.logLevelForNamespace("")
        name: str = level.name
        return name

    @name.setter
    def name(self, name: str) -> None:
        if name not in LEVELS:
            raise ValueError(f"{name!r} is not a log level; there are {', '.join(LEVELS)}")
        self.predicate.setLogLevelForNamespace("", LogLevel.levelWithName(name))


@implementer(ILogFilterPredicate)
class _Quiet:
    """Filters Twisted's messages about ports."""

    def __call__(self, event: LogEvent) -> Any:
        text = event.get("log_text")
        if isinstance(text, str) and _PORT_NOISE.search(text):
            return PredicateResult.no
        return PredicateResult.maybe


def filtered(observer: ILogObserver, threshold: Threshold) -> ILogObserver:
    """Wrap an observer in the filters."""
    return FilteringLogObserver(observer, [threshold.predicate, _Quiet()])
