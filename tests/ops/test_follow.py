"""Following events: in order, bounded, and at nobody's expense."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from conftest import LoggedFailures
from twisted.logger import Logger, LogPublisher

from tcpd.ops.catalogue import RELOAD_DONE
from tcpd.ops.follow import Follower, Followers
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
    """Make an event happen."""
    log = Logger(observer=publisher)
    return lambda what: RELOAD_DONE.emit(log, line=what)


def told(lines: list[str]) -> list[Any]:
    """What each line is about."""
    return [next(iter(json.loads(line)["fields"].values())) for line in lines]


def test_a_follower_gets_events_from_now_on_as_json(
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


def test_diagnostics_are_no_events(publisher: LogPublisher, followers: Followers) -> None:
    lines: list[str] = []
    followers.follow(lines.append)
    Logger(observer=publisher).info("something that only a programmer would read")
    assert lines == []


def test_nothing_is_encoded_while_nobody_follows_and_once_for_many(
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
    happen("heard")
    assert len(encoded) == 1
    assert len(many) == 100


def test_nothing_is_encoded_for_those_who_are_stuck(
    followers: Followers, happen: Callable[[object], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stuck consumer of events costs nobody anything."""
    follower = followers.follow(lambda _line: None, held=0)
    follower.pause()
    monkeypatch.setattr(followers, "render", None)
    happen("unheard")
    happen("unheard")
    assert follower.dropped == 2
    assert followers.dropped == 2


def test_who_pauses_gets_what_waited_and_then_how_much_was_left_out(
    followers: Followers, happen: Callable[[object], None]
) -> None:
    lines: list[str] = []
    follower = followers.follow(lines.append, held=3)
    happen(0)
    follower.pause()
    for each in range(1, 8):
        happen(each)
    assert told(lines) == [0]
    assert follower.dropped == 4
    follower.resume()
    assert told(lines) == [0, 1, 2, 3, 4]
    assert json.loads(lines[-1])["event"] == "events.dropped"
    happen(8)
    assert told(lines) == [0, 1, 2, 3, 4, 8]
    assert follower.dropped == 4


def test_a_follower_may_pause_in_the_middle_of_what_waited(
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
    assert told(lines) == [0]
    follower.resume()
    assert told(lines) == [0, 1]
    follower.resume()
    assert told(lines) == [0, 1, 2]


def test_what_happens_while_waiting_lines_are_taken_comes_behind_them(
    followers: Followers, happen: Callable[[object], None]
) -> None:
    lines: list[str] = []

    def take(line: str) -> None:
        lines.append(line)
        if told([line]) == [1]:
            happen("caused by 1")

    follower = followers.follow(take)
    follower.pause()
    for each in (1, 2):
        happen(each)
    follower.resume()
    assert told(lines) == [1, 2, "caused by 1"]


def test_who_stops_gets_nothing_more(
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


def test_a_follower_that_fails_ends_alone(
    followers: Followers, happen: Callable[[object], None], logged_failures: LoggedFailures
) -> None:
    """Sinks cannot break each other."""

    def fail(_line: str) -> None:
        raise ValueError("no more room")

    lines: list[str] = []
    followers.follow(fail)
    followers.follow(lines.append)
    happen(1)
    happen(2)
    assert told(lines) == [1, 2]
    assert len(followers) == 1
    logged_failures.expect("no more room")
