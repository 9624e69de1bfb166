"""Log events as text, as fields and as JSON: bounded, and without control characters.

The parameter ``escape`` of the functions escapes control characters in a text, line ends included.
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
"""Escapes control characters, line ends included."""

#: Maximum characters of a field, a message and a traceback; longer ones are truncated and marked.
#: Together they fit into one datagram to the journal.
LONGEST_FIELD = 1024
LONGEST_MESSAGE = 8192
LONGEST_TRACEBACK = 32768

#: The mark of truncated text.
CUT = "[cut]"

# Keys that Twisted's legacy logging adds to an event.
_LEGACY = frozenset(
    {"failure", "format", "isError", "message", "system", "time", "why", "logLevel", EVENT_ID}
)


def bounded(text: str, longest: int) -> str:
    """Truncate and mark a text that is too long."""
    return text if len(text) <= longest else text[: longest - len(CUT)] + CUT


def time_of(event: LogEvent) -> float:
    """Return an event's time in seconds since 1970 UTC; 0 if it has none."""
    moment = event.get("log_time")
    return moment if isinstance(moment, float) else 0.0


def rfc3339(moment: float) -> str:
    """Format seconds since 1970 as ``2026-10-17T01:02:03.456Z`` (RFC 3339 section 5.6)."""
    text = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
    return f"{text.removesuffix('+00:00')}Z"


def level_of(event: LogEvent) -> str:
    """Return the name of an event's level."""
    level = event.get("log_level")
    name: str = (LogLevel.info if level is None else level).name
    return name


def sentence_of(event: LogEvent) -> str:
    """Return :func:`twisted.logger.formatEvent`, ten times as fast for events of the catalogue.

    Never raises. Optimized, as an access log has an event for every connection.
    """
    known = CATALOGUE.get(event.get(EVENT_ID, ""))
    if known is not None and event.get("log_format") == known.text:
        try:
            return known.text.format_map(event)
        except Exception:
            return formatEvent(event)  # its text says why formatting failed
    return formatEvent(event)


def message_of(event: LogEvent, escape: Escape) -> str:
    """Return an event's sentence in one line; ``""`` if it has none."""
    return bounded(escape(sentence_of(event).rstrip()), LONGEST_MESSAGE)


def traceback_of(event: LogEvent, escape: Escape) -> list[str]:
    """Return the lines of an event's traceback; empty if it has none."""
    failure = event.get("log_failure")
    if failure is None:
        return []
    try:
        text: str = failure.getTraceback()
    except Exception as error:  # the repr of an exception may raise
        text = f"(no traceback: formatting it raised {type(error).__name__})"
    # bounded before, as escaping takes time, and after, as it makes text longer
    escaped = "\n".join(escape(line) for line in text[-LONGEST_TRACEBACK:].rstrip().split("\n"))
    if len(text) > LONGEST_TRACEBACK or len(escaped) > LONGEST_TRACEBACK:
        # keep the end, which has the exception
        escaped = CUT + escaped[-LONGEST_TRACEBACK:]
    return escaped.split("\n")


def fields_of(event: LogEvent, escape: Escape) -> dict[str, Any]:
    """Return an event's fields as JSON types: those of the catalogue, or else all of them."""
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
            value = f"(repr raised {type(error).__name__})"
    return bounded(escape(value), LONGEST_FIELD)


def json_line(event: LogEvent, escape: Escape) -> str:
    """Render a JSON object without a line end, with time, level, event, message, logger, fields and
    traceback.

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
