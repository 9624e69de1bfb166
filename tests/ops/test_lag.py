"""Lag of the reactor, with a test's clock."""

from __future__ import annotations

from twisted.internet.task import Clock

from tcpd.ops.lag import INTERVAL, WINDOW, ReactorLag


def test_largest_lag_is_kept_for_a_minute() -> None:
    clock = Clock()
    lag = ReactorLag(clock)
    lag.start()
    clock.advance(INTERVAL)
    assert (lag.last, lag.largest) == (0.0, 0.0)
    clock.advance(INTERVAL + 2.0)  # something took two seconds
    assert (lag.last, lag.largest) == (2.0, 2.0)
    clock.advance(INTERVAL)
    assert (lag.last, lag.largest) == (0.0, 2.0)
    for _ in range(int(WINDOW / INTERVAL)):
        clock.advance(INTERVAL)
    assert lag.largest == 2.0, "readings do not reset it"
    for _ in range(int(WINDOW / INTERVAL)):
        clock.advance(INTERVAL)
    assert lag.largest == 0.0


def test_early_timer_is_no_lag() -> None:
    clock = Clock()
    lag = ReactorLag(clock)
    lag.start()
    due = clock.getDelayedCalls()[0]
    clock.rightNow = -10.0
    due.func()
    assert lag.last == 0.0


def test_stop_cancels_the_timer() -> None:
    clock = Clock()
    lag = ReactorLag(clock)
    lag.stop()
    lag.start()
    clock.advance(INTERVAL)
    lag.stop()
    lag.stop()
    assert clock.getDelayedCalls() == []
