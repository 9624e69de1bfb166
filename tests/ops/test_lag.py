"""How late the reactor is, on a clock that a test turns."""

from __future__ import annotations

from twisted.internet.task import Clock

from tcpd.ops.lag import INTERVAL, WINDOW, ReactorLag


def test_what_holds_the_reactor_up_is_seen_and_remembered_for_a_while() -> None:
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
    assert lag.largest == 2.0, "asking takes nothing away, and a minute is not over for all"
    for _ in range(int(WINDOW / INTERVAL)):
        clock.advance(INTERVAL)
    assert lag.largest == 0.0


def test_a_timer_that_is_early_makes_no_lag() -> None:
    clock = Clock()
    lag = ReactorLag(clock)
    lag.start()
    due = clock.getDelayedCalls()[0]
    clock.rightNow = -10.0
    due.func()
    assert lag.last == 0.0


def test_it_leaves_no_timer_behind() -> None:
    clock = Clock()
    lag = ReactorLag(clock)
    lag.stop()
    lag.start()
    clock.advance(INTERVAL)
    lag.stop()
    lag.stop()
    assert clock.getDelayedCalls() == []
