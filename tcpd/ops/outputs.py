"""The log as text and as JSON lines, written to a file or to standard output."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Protocol

from twisted.logger import ILogObserver, LogEvent, eventAsText, formatTime
from zope.interface import implementer

from tcpd.ops.records import (
    LONGEST_MESSAGE,
    Escape,
    bounded,
    json_line,
    level_of,
    sentence_of,
    traceback_of,
)


class Writable(Protocol):
    """What this module asks of a file."""

    def write(self, data: str, /) -> object: ...
    def flush(self) -> object: ...


@functools.lru_cache(1)
def _second(since_1970: int) -> str:
    """A time as Twisted's log has it, to the second; made once for all lines of one."""
    return formatTime(float(since_1970))


def _line(event: LogEvent) -> str:
    """As :func:`twisted.logger.eventAsText` has it without the traceback, in less time."""
    moment = event.get("log_time")
    if "log_system" in event or not isinstance(moment, float) or event.get("log_level") is None:
        return eventAsText(event, includeTraceback=False)
    namespace = event.get("log_namespace", "-")
    when = _second(math.floor(moment))
    return f"{when} [{namespace}#{level_of(event)}] {sentence_of(event)}"


def as_text(event: LogEvent, escape: Escape) -> str | None:
    """As Twisted itself writes it, one line an event; a traceback follows in lines of its own.

    Those begin with a tab, and no other line does. ``None`` for an event that says nothing.
    """
    traceback = traceback_of(event, escape)
    if not (event.get("log_format") or traceback):
        return None
    line = escape(_line(event).rstrip())
    return "\n\t".join([bounded(line, LONGEST_MESSAGE), *traceback])


def as_json(event: LogEvent, escape: Escape) -> str | None:
    """One JSON object, in one line: see :func:`tcpd.ops.records.json_line`."""
    return json_line(event, escape)


@implementer(ILogObserver)
class Output:
    """Writes the log to one file.

    :param file: where to.
    :param render: :func:`as_text` or :func:`as_json`.
    :param escape: makes text safe to print; see :mod:`tcpd.ops.records`.
    """

    def __init__(
        self,
        file: Writable,
        render: Callable[[LogEvent, Escape], str | None],
        escape: Escape,
    ) -> None:
        self._file = file
        self._render = render
        self._escape = escape

    def __call__(self, event: LogEvent) -> None:
        line = self._render(event, self._escape)
        if line is not None:
            self._file.write(line + "\n")
            self._file.flush()
