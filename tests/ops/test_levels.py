"""The log level, and what is left out at any level."""

from __future__ import annotations

import pytest
from twisted.logger import LogEvent, Logger, LogPublisher
from twisted.python import log as legacy

from tcpd.ops.levels import LEVELS, Threshold, filtered


@pytest.mark.parametrize("name", LEVELS)
def test_nothing_below_the_level_is_logged(name: str) -> None:
    seen: list[LogEvent] = []
    threshold = Threshold()
    log = Logger(observer=filtered(seen.append, threshold))  # type: ignore[arg-type]
    threshold.name = name
    assert threshold.name == name
    for each in LEVELS:
        getattr(log, each)("x")
    assert [event["log_level"].name for event in seen] == list(LEVELS[LEVELS.index(name) :])


def test_there_is_no_other_level() -> None:
    threshold = Threshold("warn")
    with pytest.raises(ValueError, match="'loud' is not a log level; there are debug, info"):
        threshold.name = "loud"
    assert threshold.name == "warn"


@pytest.mark.parametrize(
    ("text", "told"),
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
def test_what_twisted_says_of_ports_is_left_out(text: str, told: bool) -> None:
    """service.listening and service.stopped say it better."""
    seen: list[LogEvent] = []
    publisher = LogPublisher(filtered(seen.append, Threshold()))  # type: ignore[arg-type]
    legacy.LogPublisher(publishPublisher=publisher).msg(text)
    assert bool(seen) is told
