"""Followers of events: order, bounds and isolation."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from conftest import LoggedFailures
from twisted.logger import Logger, LogPublisher

from tcpd.ops.catalogue import RELOAD_DONE
from tcpd.ops.follow import RECENT, Follower, Followers
from tcpd.wire.safe_text import escape_controls


@pytest.fixture
def publisher() -> LogPublisher:
    return LogPublisher()


@pytest.fixture
def followers(publisher: LogPublisher) -> Followers:
    made = Followers(escape_controls)
    publisher.addObserver(made)
    return made


@pytest.fixture
def happen(publisher: LogPublisher) -> Callable[[object], None]:
    """Emit an event."""
    log = Logger(observer=publisher)
    return lambda what: RELOAD_DONE.emit(log, line=what)


def test_recent_events_come_first(followers: Followers, happen: Callable[[object], None]) -> None:
    """ ":param recent: call back for the last :data:`RECENT` events first" """
    for number in range(RECENT + 1):
        happen(number)
    assert len(followers) == 0
    found: list[str] = []
    followers.follow(found.append, recent=True)
    happen("new")
    assert ids(found) == [*range(1, RECENT + 1), "new"]
    later: list[str] = []
    followers.follow(later.append)
    assert later == []


def test_recent_events_keep_no_object_alive(publisher: LogPublisher, followers: Followers) -> None:
    class Emitter:
        log = Logger(observer=publisher)

        def fail(self) -> None:
            try:
                raise ZeroDivisionError("a bug")
            except ZeroDivisionError:
                RELOAD_DONE.fail(self.log, line="x")

    emitter = Emitter()
    RELOAD_DONE.emit(emitter.log, line="x")
    emitter.fail()
    there = weakref.ref(emitter)
    del emitter
    gc.collect()
    assert there() is None
    found: list[str] = []
    followers.follow(found.append, recent=True)
    assert [json.loads(line)["traceback"] is None for line in found] == [True, False]
    assert "a bug" in found[1]


def ids(lines: list[str]) -> list[Any]:
    """Return the value in each line."""
    return [next(iter(json.loads(line)["fields"].values())) for line in lines]


def test_follower_gets_further_events_as_json(
    followers: Followers, happen: Callable[[object], None]
) -> None:
    happen("before")
    lines: list[str] = []
    followers.follow(lines.append)
    happen("one\x1b[31m")
    (line,) = lines
    event = json.loads(line)
    assert event["event"] == "reload.done"
    assert event["message"] == r"reload: one\x1b[31m"
    assert event["fields"] == {"line": r"one\x1b[31m"}
    assert line.isascii()
    assert "\n" not in line


def test_diagnostic_logs_are_not_followed(publisher: LogPublisher, followers: Followers) -> None:
    lines: list[str] = []
    followers.follow(lines.append)
    Logger(observer=publisher).info("something that only a programmer would read")
    assert lines == []


def test_event_is_rendered_once_and_only_for_followers(
    followers: Followers, happen: Callable[[object], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[object] = []
    render = followers.render
    monkeypatch.setattr(
        followers, "render", lambda event: (encoded.append(event), render(event))[1]
    )
    happen("unheard")
    assert encoded == []
    many: list[str] = []
    for _ in range(100):
        followers.follow(many.append)
    happen("followed")
    assert len(encoded) == 1
    assert len(many) == 100


def test_event_is_not_rendered_for_full_followers(
    followers: Followers, happen: Callable[[object], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stuck follower uses no time."""
    follower = followers.follow(lambda _line: None, held=0)
    follower.pause()
    monkeypatch.setattr(followers, "render", None)
    happen("unheard")
    happen("unheard")
    assert follower.dropped == 2
    assert followers.dropped == 2


def test_resumed_follower_gets_waiting_lines_then_the_number_dropped(
    followers: Followers, happen: Callable[[object], None]
) -> None:
    lines: list[str] = []
    follower = followers.follow(lines.append, held=3)
    happen(0)
    follower.pause()
    for each in range(1, 8):
        happen(each)
    assert ids(lines) == [0]
    assert follower.dropped == 4
    follower.resume()
    assert ids(lines) == [0, 1, 2, 3, 4]
    assert json.loads(lines[-1])["event"] == "events.dropped"
    happen(8)
    assert ids(lines) == [0, 1, 2, 3, 4, 8]
    assert follower.dropped == 4


def test_follower_may_pause_while_resuming(
    followers: Followers, happen: Callable[[object], None]
) -> None:
    lines: list[str] = []
    follower: Follower

    def take(line: str) -> None:
        lines.append(line)
        follower.pause()

    follower = followers.follow(take)
    for each in range(3):
        happen(each)
    assert ids(lines) == [0]
    follower.resume()
    assert ids(lines) == [0, 1]
    follower.resume()
    assert ids(lines) == [0, 1, 2]


def test_events_caused_while_resuming_come_last(
    followers: Followers, happen: Callable[[object], None]
) -> None:
    lines: list[str] = []

    def take(line: str) -> None:
        lines.append(line)
        if ids([line]) == [1]:
            happen("caused by 1")

    follower = followers.follow(take)
    follower.pause()
    for each in (1, 2):
        happen(each)
    follower.resume()
    assert ids(lines) == [1, 2, "caused by 1"]


def test_stopped_follower_gets_no_events(
    followers: Followers, happen: Callable[[object], None]
) -> None:
    lines: list[str] = []
    follower = followers.follow(lines.append)
    follower.stop()
    follower.stop()
    happen("unheard")
    follower.resume()
    assert lines == []
    assert len(followers) == 0


def test_follower_that_raises_is_removed(
    followers: Followers, happen: Callable[[object], None], logged_failures: LoggedFailures
) -> None:
    """Followers are isolated."""

    def fail(_line: str) -> None:
        raise ValueError("no more room")

    lines: list[str] = []
    followers.follow(fail)
    followers.follow(lines.append)
    happen(1)
    happen(2)
    assert ids(lines) == [1, 2]
    assert len(followers) == 1
    logged_failures.expect("no more room")
