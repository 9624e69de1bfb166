"""Timeouts that nobody moves a timer for: first byte, session, a reader that stalls."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, cast

import certificates
import pytest
from net.test_layer import FULL, House, LeanHouse, Told, flush, join, server_tls, tls_client
from twisted.internet.task import Clock
from zope.interface import implementer

from tcpd.config.settings import PolicySettings
from tcpd.interfaces import IBusy
from tcpd.net.sweeper import Sweeper
from tcpd.policy.reasons import End
from tcpd.policy.workqueue import WorkQueue

Make = Callable[..., House]


@pytest.fixture(params=[House, LeanHouse], ids=["connection", "lean"])
def make(request: pytest.FixtureRequest) -> Make:
    """Makes a layer, begun, whose connections are of one kind or the other."""

    def made(*args: Any, **more: Any) -> House:
        house: House = request.param(*args, **more)
        house.layer.start()
        return house

    return made


def wait(house: House, seconds: float, step: float = 1.0) -> None:
    """Let time pass as a reactor does, step by step."""
    for _ in range(round(seconds / step)):
        house.clock.advance(step)


# --- the first byte ---


def test_first_byte_timeout_is_logged_and_closes(make: Make) -> None:
    house = make(first_byte=8.0)
    connection, transport = house.connect()
    connection.write(b"welcome ")  # what the server says does not count
    wait(house, 7)
    assert not transport.disconnecting
    wait(house, 2)
    assert transport.value() == b"welcome bye: first-byte"
    house.lose(connection)
    assert house.counters.ended == {End.FIRST_BYTE: 1}


def test_one_byte_satisfies_first_byte(make: Make) -> None:
    house = make(first_byte=8.0)
    connection, transport = house.connect()
    wait(house, 7)
    house.feed(connection, b".")
    wait(house, 1000)
    assert not transport.disconnecting


@pytest.mark.parametrize("together", [True, False], ids=["with the handshake", "never"])
def test_first_byte_counts_payload_after_the_tls_handshake(
    localhost: certificates.Made, together: bool
) -> None:
    """RFC 8446 section 2: a client may send data with its Finished."""
    clock = Clock()
    house = House(tls=server_tls(localhost, clock), clock=clock, first_byte=8.0)
    house.layer.start()
    told, client = tls_client(clock)
    if together:
        told.makeConnection = lambda transport: transport.write(b"hello")  # type: ignore[method-assign]
    connection, pump = join(house, client)
    flush(pump, clock)
    assert connection.tls is not None
    assert [made.received for made in house.application.made] == [b"hello" if together else b""]
    for _ in range(9):
        clock.advance(1)
    flush(pump, clock)
    assert told.received == (b"" if together else b"bye: first-byte")
    assert house.counters.ended == ({} if together else {End.FIRST_BYTE: 1})


def test_first_byte_does_not_apply_to_the_handshake(localhost: certificates.Made) -> None:
    house = House(tls=server_tls(localhost, Clock()), first_byte=2.0, handshake=10.0)
    house.layer.start()
    _, transport = house.connect()
    wait(house, 9)
    assert not transport.aborted
    wait(house, 1)
    assert transport.aborted


def test_probe_of_a_tls_listener_is_closed_by_client(localhost: certificates.Made) -> None:
    house = House(tls=server_tls(localhost, Clock()))
    connection, _ = house.connect()
    house.lose(connection)
    assert house.counters.ended == {End.CLIENT: 1}


# --- the session ---


def test_session_timeout_closes_a_busy_connection(make: Make) -> None:
    house = make(session=80.0, idle=40.0)
    connection, transport = house.connect()
    for _ in range(79):
        wait(house, 1)
        house.feed(connection, b".")
    assert not transport.disconnecting
    wait(house, 12)
    assert transport.value() == b"bye: session"
    house.lose(connection)
    assert house.counters.ended == {End.SESSION: 1}


@implementer(IBusy)
class AtWork(Told):
    """Reads nothing as long as it is at work."""

    busy = True


def test_busy_time_does_not_count_as_idle(make: Make) -> None:
    """IBusy"""
    for limits in ({"idle": 8.0}, {"first_byte": 8.0}):
        house = make(AtWork, stalled=0.0, **limits)
        _, transport = house.connect()
        wait(house, 100)
        assert not transport.disconnecting
        (protocol,) = house.application.made
        protocol.busy = False
        wait(house, 7)
        assert not transport.disconnecting
        wait(house, 3)
        assert transport.disconnecting


def test_session_timeout_closes_a_busy_protocol(make: Make) -> None:
    house = make(AtWork, session=80.0)
    _, transport = house.connect()
    wait(house, 91)
    assert transport.disconnecting


# --- a reader that stalls ---


def test_stalled_timeout_closes_a_client_that_does_not_read(make: Make) -> None:
    """Further writes do not reset it, as they do ``idle``."""
    house = make(stalled=80.0, unsent=10 << 20)
    connection, transport = house.connect()
    connection.write(b"x" * FULL)
    for _ in range(79):
        wait(house, 1)
        connection.write(b"more")
    assert not transport.aborted
    wait(house, 21)
    assert transport.aborted, "with no words, which it would not read"
    house.lose(connection)
    assert house.counters.ended == {End.STALLED: 1}


def test_slow_reader_is_not_stalled(make: Make) -> None:
    house = make(stalled=16.0, unsent=10 << 20)
    connection, transport = house.connect()
    for _ in range(40):
        connection.write(b"x" * FULL)
    for _ in range(40):
        wait(house, 10, 2)
        assert connection.pending
        transport.empty()
    assert not transport.aborted


def test_empty_buffer_is_not_stalled(make: Make) -> None:
    house = make(stalled=16.0)
    connection, transport = house.connect()
    connection.write(b"read at once")
    wait(house, 1000)
    assert not transport.disconnecting


# --- how it looks ---


def test_no_timer_without_limits() -> None:
    house = House(stalled=0.0)
    house.layer.start()
    assert not house.clock.getDelayedCalls()
    connection, _ = house.connect()
    assert house.layer.idle_for(connection) is None


def test_all_connections_share_one_timer(make: Make) -> None:
    house = make(first_byte=5.0, session=60.0, idle=10.0)
    for _ in range(100):
        house.connect()
    assert len(house.clock.getDelayedCalls()) == 1


def test_reload_of_limits_keeps_the_idle_time(make: Make) -> None:
    house = make(idle=80.0, stalled=0.0)
    connection, transport = house.connect()
    wait(house, 60, 10)
    assert house.layer.idle_for(connection) == 60
    house.layer.reconfigure(PolicySettings(first_byte=8.0, stalled=0.0), 80.0)
    assert house.layer.idle_for(connection) == 60
    house.layer.reconfigure(PolicySettings(stalled=0.0), 70.0)
    wait(house, 30)
    assert transport.disconnecting


def test_reload_starts_and_stops_the_sweeper(make: Make) -> None:
    house = make(stalled=0.0)
    _, transport = house.connect()
    wait(house, 100)
    house.layer.reconfigure(PolicySettings(stalled=0.0, session=50.0), 0.0)
    wait(house, 7)
    assert transport.disconnecting
    house.layer.reconfigure(PolicySettings(stalled=0.0), 0.0)
    _, later = house.connect()
    wait(house, 1000, 100)
    assert not later.disconnecting


def test_sweeps_are_at_most_ten_a_second(make: Make) -> None:
    house = make(idle=0.001, stalled=0.0)
    looks = house.clock.getDelayedCalls()
    assert [look.getTime() - house.clock.seconds() for look in looks] == [pytest.approx(0.1)]


# --- many at once ---


class Silent:
    """A connection as the sweeper sees it."""

    address = proxy = tls = None
    busy = False
    has_protocol = True
    opened = ready_at = 0.0
    bytes_in = bytes_out = bytes_before_protocol = pending = 0

    def __init__(self) -> None:
        self.idle_sweeps = 0
        self.ends: list[End] = []

    def end(self, reason: End) -> None:
        self.ends.append(reason)


def test_sweep_of_thousands_is_divided_into_turns() -> None:
    """Issue 14: "All work that peers cause [...] is taken from one fair queue with a bound in time
    for each reactor turn"."""
    clock = Clock()
    turns: list[WorkQueue] = []

    def now() -> float:
        clock.rightNow += 0.001
        return clock.rightNow

    silent = {Silent() for _ in range(50)}
    queue = WorkQueue(now, turns.append, lambda: None)
    sweeper = Sweeper(cast(Any, silent), clock, queue)
    sweeper.reconfigure(PolicySettings(), 0.4)
    sweeper.start()

    def count() -> int:
        return sum(len(each.ends) for each in silent)

    counts = [0]
    while counts[-1] < len(silent):
        if turns:
            turns.pop().flush()
        else:
            clock.advance(0.1)
        counts.append(count())
    assert max(after - before for before, after in pairwise(counts)) < 10
    assert [each.ends for each in silent] == [[End.IDLE]] * len(silent)
    clock.advance(0.1)
    sweeper.stop()
    assert not len(queue)
    assert not clock.getDelayedCalls()
