"""Log events as text, as fields and as JSON: bounded, and nothing in them that a terminal obeys.

What makes text safe to print lives elsewhere and is passed in, as ``escape``: from any text to one
that has no control character in it, line ends included.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from twisted.logger import LogEvent, LogLevel, formatEvent

from tcpd.ops.catalogue import CATALOGUE, EVENT_ID

Escape = Callable[[str], str]
"""From any text to one that is safe to print, in one line."""

#: Characters of a field, a message and a traceback; what is longer is cut and marked. Together they
#: stay well below what a journal takes as one datagram.
LONGEST_FIELD = 1024
LONGEST_MESSAGE = 8192
LONGEST_TRACEBACK = 32768

#: How what was cut is marked.
CUT = "[cut]"

# What the old logging of Twisted leaves in an event beside what it says.
_LEGACY = frozenset(
    {"failure", "format", "isError", "message", "system", "time", "why", "logLevel", EVENT_ID}
)


def bounded(text: str, longest: int) -> str:
    """Cut a text that is too long, and mark it."""
    return text if len(text) <= longest else text[: longest - len(CUT)] + CUT


def time_of(event: LogEvent) -> float:
    """When it happened: seconds since 1970 UTC; 0 for an event that does not say."""
    moment = event.get("log_time")
    return moment if isinstance(moment, float) else 0.0


def rfc3339(moment: float) -> str:
    """Seconds since 1970 as ``2026-10-17T01:02:03.456Z`` (RFC 3339 section 5.6)."""
    text = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
    return f"{text.removesuffix('+00:00')}Z"


def level_of(event: LogEvent) -> str:
    """The name of its level."""
    level = event.get("log_level")
    name: str = (LogLevel.info if level is None else level).name
    return name


def sentence_of(event: LogEvent) -> str:
    """What :func:`twisted.logger.formatEvent` says; of the catalogue's in a tenth of its time.

    Never raises. An access log writes one for every connection.
    """
    known = CATALOGUE.get(event.get(EVENT_ID, ""))
    if known is not None and event.get("log_format") == known.text:
        try:
            return known.text.format_map(event)
        except Exception:
            return formatEvent(event)  # it says what could not be formatted, and why
    return formatEvent(event)


def message_of(event: LogEvent, escape: Escape) -> str:
    """Its sentence, in one line; ``""`` if it has none."""
    return bounded(escape(sentence_of(event).rstrip()), LONGEST_MESSAGE)


def traceback_of(event: LogEvent, escape: Escape) -> list[str]:
    """The lines of its traceback; empty if it has none."""
    failure = event.get("log_failure")
    if failure is None:
        return []
    try:
        text: str = failure.getTraceback()
    except Exception as error:  # whatever the repr of somebody's exception does
        text = f"(there is no traceback, for making it raised {type(error).__name__})"
    # bounded before, for escaping takes time, and after, for it makes text longer
    escaped = "\n".join(escape(line) for line in text[-LONGEST_TRACEBACK:].rstrip().split("\n"))
    if len(text) > LONGEST_TRACEBACK or len(escaped) > LONGEST_TRACEBACK:
        # the end is kept: it says what was raised
        escaped = CUT + escaped[-LONGEST_TRACEBACK:]
    return escaped.split("\n")


def fields_of(event: LogEvent, escape: Escape) -> dict[str, Any]:
    """Its fields as JSON can hold them: the catalogue's, or else all that it was logged with."""
    known = CATALOGUE.get(event.get(EVENT_ID, ""))
    names = (
        known.fields
        if known is not None
        else [name for name in event if not name.startswith("log_") and name not in _LEGACY]
    )
    return {name: _plain(event[name], escape) for name in names if name in event}


def _plain(value: object, escape: Escape) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if not isinstance(value, str):
        try:
            value = str(value)
        except Exception as error:
            value = f"(it cannot be shown: {type(error).__name__})"
    return bounded(escape(value), LONGEST_FIELD)


def json_line(event: LogEvent, escape: Escape) -> str:
    """One JSON object without a line end: time, level, event, message, logger, fields, traceback.

    ``event`` is an id of the catalogue, or null; ``traceback`` is text with line ends, or null.
    """
    return json.dumps(
        {
            "time": rfc3339(time_of(event)),
            "level": level_of(event),
            "event": event.get(EVENT_ID),
            "message": message_of(event, escape),
            "logger": str(event.get("log_namespace", "")),
            "fields": fields_of(event, escape),
            "traceback": "\n".join(traceback_of(event, escape)) or None,
        },
        separators=(",", ":"),
    )
