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


def test_who_says_nothing_in_time_is_told_and_ended(make: Make) -> None:
    """[policy:...] first_byte: "How long a client may take until it says something"."""
    house = make(first_byte=8.0)
    connection, transport = house.connect()
    connection.write(b"welcome ")  # what the server says does not count
    wait(house, 7)
    assert not transport.disconnecting
    wait(house, 2)
    assert transport.value() == b"welcome bye: first-byte"
    house.lose(connection)
    assert house.counters.ended == {End.FIRST_BYTE: 1}


def test_one_byte_is_enough(make: Make) -> None:
    house = make(first_byte=8.0)
    connection, transport = house.connect()
    wait(house, 7)
    house.feed(connection, b".")
    wait(house, 1000)
    assert not transport.disconnecting


@pytest.mark.parametrize("together", [True, False], ids=["with the handshake", "never"])
def test_behind_tls_the_first_byte_is_one_of_the_protocols(
    localhost: certificates.Made, together: bool
) -> None:
    """ "behind the TLS handshake where there is one": its own bytes do not count, and what came in
    one piece with its end does (RFC 8446 section 2: a client may send data with its Finished)."""
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


def test_a_handshake_has_a_timeout_of_its_own(localhost: certificates.Made) -> None:
    house = House(tls=server_tls(localhost, Clock()), first_byte=2.0, handshake=10.0)
    house.layer.start()
    _, transport = house.connect()
    wait(house, 9)
    assert not transport.aborted
    wait(house, 1)
    assert transport.aborted


def test_a_probe_of_a_tls_listener_is_a_client_that_went(localhost: certificates.Made) -> None:
    """It is no failed handshake: nothing of it was ever said."""
    house = House(tls=server_tls(localhost, Clock()))
    connection, _ = house.connect()
    house.lose(connection)
    assert house.counters.ended == {End.CLIENT: 1}


# --- the session ---


def test_a_session_ends_however_busy(make: Make) -> None:
    """[policy:...] session: "How long a connection may last in all, however busy"."""
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


def test_time_in_which_the_protocol_is_at_work_is_no_silence(make: Make) -> None:
    """IBusy: "Such time is no silence of the client: it does not count towards idle and
    first_byte"; all of the client's own time comes behind it."""
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


def test_a_session_ends_however_busy_the_protocol_is(make: Make) -> None:
    house = make(AtWork, session=80.0)
    _, transport = house.connect()
    wait(house, 91)
    assert transport.disconnecting


# --- a reader that stalls ---


def test_bytes_that_nobody_takes_wait_for_so_long(make: Make) -> None:
    """[policy:...] stalled: "How long bytes may wait for a client that takes none of them". That
    others go on writing to it does not help it, as it does against idle."""
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


def test_who_takes_a_little_now_and_then_is_not_stalled(make: Make) -> None:
    house = make(stalled=16.0, unsent=10 << 20)
    connection, transport = house.connect()
    for _ in range(40):
        connection.write(b"x" * FULL)
    for _ in range(40):
        wait(house, 10, 2)
        assert connection.pending
        transport.empty()
    assert not transport.aborted


def test_nothing_that_waits_is_no_stall(make: Make) -> None:
    house = make(stalled=16.0)
    connection, transport = house.connect()
    connection.write(b"read at once")
    wait(house, 1000)
    assert not transport.disconnecting


# --- how it looks ---


def test_where_no_limit_is_there_is_no_look_at_all() -> None:
    house = House(stalled=0.0)
    house.layer.start()
    assert not house.clock.getDelayedCalls()
    connection, _ = house.connect()
    assert house.layer.idle_for(connection) is None


def test_however_many_there_are_there_is_one_timer(make: Make) -> None:
    """ "found by a sweeper that reads flags, not a timer moved per message" nor per connection."""
    house = make(first_byte=5.0, session=60.0, idle=10.0)
    for _ in range(100):
        house.connect()
    assert len(house.clock.getDelayedCalls()) == 1


def test_a_shorter_limit_makes_an_idle_connection_no_younger(make: Make) -> None:
    """Silence is counted in sweeps, and a reload may change how long one takes."""
    house = make(idle=80.0, stalled=0.0)
    connection, transport = house.connect()
    wait(house, 60, 10)
    assert house.layer.idle_for(connection) == 60
    house.layer.reconfigure(PolicySettings(first_byte=8.0, stalled=0.0), 80.0)
    assert house.layer.idle_for(connection) == 60
    house.layer.reconfigure(PolicySettings(stalled=0.0), 70.0)
    wait(house, 30)
    assert transport.disconnecting


def test_a_reload_begins_and_ends_looking(make: Make) -> None:
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


def test_a_limit_too_short_to_look_for_costs_no_more_than_ten_looks_a_second(make: Make) -> None:
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


def test_thousands_end_in_the_course_of_some_turns() -> None:
    """Issue 14: "All work that peers cause [...] is taken from one fair queue with a bound in time
    for each reactor turn". A millisecond passes at each look at the clock."""
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
