"""Log events as text and JSON: bounded lines without control characters."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import LogEvent, Logger, LogLevel, LogPublisher, eventAsText
from twisted.python.failure import Failure

from tcpd.ops import catalogue
from tcpd.ops.outputs import LogOutput, StandardOutput, as_json, as_text
from tcpd.ops.records import CUT, LONGEST_FIELD, json_line, rfc3339
from tcpd.wire.safe_text import escape_controls

RENDERS = pytest.mark.parametrize("render", [as_text, as_json])

#: Text from a client that is harmful on a terminal.
EVIL = "a\x1b]0;owned\x07\r\n2026-10-17 forged line\x9b31m\u202eb\ud800"


def logged(do: Callable[[Logger], object]) -> LogEvent:
    """Return the event that ``do`` logs."""
    seen: list[LogEvent] = []
    publisher = LogPublisher(seen.append)  # type: ignore[arg-type]
    do(Logger("test", observer=publisher))
    (event,) = seen
    return event


def failed(text: str) -> Failure:
    try:
        raise ValueError(text)
    except ValueError:
        return Failure()


def written(event: LogEvent, render: Any) -> str:
    file = BytesIO()
    LogOutput(StandardOutput(file), render, escape_controls)(event)
    return file.getvalue().decode()


def test_time_is_utc_with_milliseconds() -> None:
    """RFC 3339 section 5.6: date-time, with ``Z`` for UTC."""
    assert rfc3339(0.0) == "1970-01-01T00:00:00.000Z"
    assert rfc3339(1792198923.4567) == "2026-10-17T01:02:03.456Z"


def test_json_of_an_event() -> None:
    event = logged(
        lambda log: catalogue.CONNECTION_REFUSED.emit(
            log, service="echo", peer="192.0.2.1:4711", refusal="denied", since=3
        )
    )
    event["log_time"] = 1792198923.456
    assert json.loads(json_line(event, escape_controls)) == {
        "time": "2026-10-17T01:02:03.456Z",
        "level": "warn",
        "event": "connection.refused",
        "message": "service echo: refused 192.0.2.1:4711: denied (3 more since last logged)",
        "logger": "test",
        "fields": {"service": "echo", "peer": "192.0.2.1:4711", "refusal": "denied", "since": 3},
        "traceback": None,
    }


def test_json_of_a_diagnostic_log() -> None:
    event = logged(lambda log: log.info("{a} {b}", a=[1], b=float("nan"), c=None, d=True, e=object))
    record = json.loads(json_line(event, escape_controls))
    assert record["event"] is None
    assert record["fields"] == {
        "a": "[1]",
        "b": "nan",
        "c": None,
        "d": True,
        "e": "<class 'object'>",
    }


@RENDERS
@given(text=st.text() | st.just(EVIL))
def test_peer_text_is_escaped(render: Any, text: str) -> None:
    """Text from the network is never written to a log with control characters in it."""
    event = logged(lambda log: log.info("{text}", text=text))
    line = written(event, render)
    assert line.endswith("\n")
    assert line.count("\n") == 1
    assert not [character for character in line[:-1] if ord(character) < 0x20]
    assert not {"\x7f", "\x9b", "\u202e", "\u2028"} & set(line)
    if render is as_json:
        record = json.loads(line)
        shown = record["message"] + record["fields"]["text"]
        assert shown == escape_controls(text.rstrip()) + escape_controls(text)


@RENDERS
def test_traceback_is_escaped(render: Any) -> None:
    event = logged(
        lambda log: catalogue.COMMAND_FAILED.fail(
            log, failed(EVIL), command="X", peer="p", service="s", error=EVIL, reference="r"
        )
    )
    text = written(event, render)
    assert "\x1b" not in text
    assert "forged" in text
    if render is as_text:
        # the first line of an event does not start with a tab
        first, *others = text.rstrip("\n").split("\n")
        assert first.endswith("reference r")
        assert others
        assert all(line.startswith("\t") for line in others)
    else:
        record = json.loads(text)
        assert record["traceback"].startswith("Traceback")
        assert "\x1b" not in record["traceback"]


@RENDERS
def test_size_of_a_record_is_bounded(render: Any) -> None:
    event = logged(
        lambda log: log.failure(
            "{a}{b}", failed("\x1b" * 1000000), a="\x1b" * 1000000, b="x" * 9999
        )
    )
    assert len(written(event, render)) < 100_000


def test_long_field_is_truncated_and_marked() -> None:
    event = logged(lambda log: log.info("{a}", a="x" * 5000))
    field = json.loads(json_line(event, escape_controls))["fields"]["a"]
    assert len(field) == LONGEST_FIELD
    assert field.endswith(CUT)


class Hostile:
    """Cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


@RENDERS
def test_repr_that_raises(render: Any) -> None:
    event = logged(lambda log: log.info("it is {what}", what=Hostile()))
    assert written(event, render).count("\n") == 1


def test_event_without_text_is_no_line() -> None:
    assert written({"log_level": None, "log_time": 0.0}, as_text) == ""


@pytest.mark.parametrize("each", catalogue.CATALOGUE.values(), ids=lambda each: each.id)
def test_text_equals_twisteds(each: catalogue.EventType) -> None:
    """Programs that parse Twisted's logs can parse ours."""
    fields: dict[str, object] = {**{name: name for name in each.fields}, "seconds": 2.5}
    event = logged(lambda log: each.emit(log, **fields))
    assert as_text(event, str) == eventAsText(event, includeTraceback=False)


def test_event_that_lacks_a_field() -> None:
    event = logged(lambda log: catalogue.DAEMON_STARTED.emit(log, version="1"))
    assert "Unable to format event" in (as_text(event, str) or "")


@given(st.floats(0, 4e9))
def test_time_of_a_line(moment: float) -> None:
    event = {"log_format": "x", "log_level": LogLevel.info, "log_namespace": "n"}
    text = as_text({**event, "log_time": moment}, str)
    # Twisted rounds the float to a microsecond, sometimes to the next second
    assert text == eventAsText({**event, "log_time": math.floor(moment)}, includeTraceback=False)
