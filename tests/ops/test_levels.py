"""Log levels, and the filter for Twisted's messages."""

from __future__ import annotations

import pytest
from twisted.logger import LogEvent, Logger, LogPublisher
from twisted.python import log as legacy

from tcpd.ops.levels import LEVELS, Threshold, filtered


@pytest.mark.parametrize("name", LEVELS)
def test_lower_levels_are_not_logged(name: str) -> None:
    seen: list[LogEvent] = []
    threshold = Threshold()
    log = Logger(observer=filtered(seen.append, threshold))  # type: ignore[arg-type]
    threshold.name = name
    assert threshold.name == name
    for each in LEVELS:
        getattr(log, each)("x")
    assert [event["log_level"].name for event in seen] == list(LEVELS[LEVELS.index(name) :])


def test_unknown_level_is_rejected() -> None:
    threshold = Threshold("warn")
    with pytest.raises(ValueError, match="'loud' is not a log level; there are debug, info"):
        threshold.name = "loud"
    assert threshold.name == "warn"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("service echo: starting on 7007", False),
        ("service echo: starting on '/run/echo.sock'", False),
        ("Datagrams starting on 7007", False),
        ("(TCP Port 7007 Closed)", False),
        ("(UDP Port 7007 Closed)", False),
        ("(UNIX Port '/run/echo.sock' Closed)", False),
        ("Could not accept new connection (EMFILE)", True),
    ],
)
def test_port_messages_of_twisted_are_filtered(text: str, shown: bool) -> None:
    """The events service.listening and service.stopped replace them."""
    seen: list[LogEvent] = []
    publisher = LogPublisher(filtered(seen.append, Threshold()))  # type: ignore[arg-type]
    legacy.LogPublisher(publishPublisher=publisher).msg(text)
    assert bool(seen) is shown
