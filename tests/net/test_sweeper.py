"""Timeouts: first byte, session, idle, stalled."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, cast

import certificates
import pytest
from net.doubles import (
    BOTH_KINDS,
    FULL,
    LayerHarness,
    Make,
    RecordingProtocol,
    flush,
    join,
    server_tls,
    tls_client,
)
from twisted.internet.task import Clock
from zope.interface import implementer

from tcpd.config.settings import PolicySettings
from tcpd.interfaces import IBusy
from tcpd.net.sweeper import Sweeper
from tcpd.policy.reasons import End
from tcpd.policy.workqueue import WorkQueue


@pytest.fixture(**BOTH_KINDS)
def make(request: pytest.FixtureRequest) -> Make:
    """Make a started connection layer, with each kind of connections in turn."""

    def made(*args: Any, **more: Any) -> LayerHarness:
        harness: LayerHarness = request.param(*args, **more)
        harness.layer.start()
        return harness

    return made


def wait(harness: LayerHarness, seconds: float, step: float = 1.0) -> None:
    """Advance the clock in steps, as a reactor does."""
    for _ in range(round(seconds / step)):
        harness.clock.advance(step)


# --- first byte ---


def test_first_byte_timeout_is_logged_and_closes(make: Make) -> None:
    harness = make(first_byte=8.0)
    connection, transport = harness.connect()
    connection.write(b"welcome ")  # output does not count
    wait(harness, 7)
    assert not transport.disconnecting
    wait(harness, 2)
    assert transport.value() == b"welcome bye: first-byte"
    harness.lose(connection)
    assert harness.counters.ended == {End.FIRST_BYTE: 1}


def test_one_byte_satisfies_first_byte(make: Make) -> None:
    harness = make(first_byte=8.0)
    connection, transport = harness.connect()
    wait(harness, 7)
    harness.feed(connection, b".")
    wait(harness, 1000)
    assert not transport.disconnecting


@pytest.mark.parametrize("together", [True, False], ids=["with the handshake", "never"])
def test_first_byte_counts_payload_after_the_tls_handshake(
    localhost: certificates.Made, together: bool
) -> None:
    """RFC 8446 section 2: a client may send data with its Finished."""
    clock = Clock()
    harness = LayerHarness(tls=server_tls(localhost, clock), clock=clock, first_byte=8.0)
    harness.layer.start()
    recorder, client = tls_client(clock)
    if together:
        recorder.makeConnection = lambda transport: transport.write(b"hello")  # type: ignore[method-assign]
    connection, pump = join(harness, client)
    flush(pump, clock)
    assert connection.tls is not None
    assert [made.received for made in harness.application.made] == [b"hello" if together else b""]
    for _ in range(9):
        clock.advance(1)
    flush(pump, clock)
    assert recorder.received == (b"" if together else b"bye: first-byte")
    assert harness.counters.ended == ({} if together else {End.FIRST_BYTE: 1})


def test_first_byte_does_not_apply_to_the_handshake(localhost: certificates.Made) -> None:
    harness = LayerHarness(tls=server_tls(localhost, Clock()), first_byte=2.0, handshake=10.0)
    harness.layer.start()
    _, transport = harness.connect()
    wait(harness, 9)
    assert not transport.aborted
    wait(harness, 1)
    assert transport.aborted


def test_probe_of_a_tls_listener_is_closed_by_client(localhost: certificates.Made) -> None:
    harness = LayerHarness(tls=server_tls(localhost, Clock()))
    connection, _ = harness.connect()
    harness.lose(connection)
    assert harness.counters.ended == {End.CLIENT: 1}


# --- session ---


def test_session_timeout_closes_a_busy_connection(make: Make) -> None:
    harness = make(session=80.0, idle=40.0)
    connection, transport = harness.connect()
    for _ in range(79):
        wait(harness, 1)
        harness.feed(connection, b".")
    assert not transport.disconnecting
    wait(harness, 12)
    assert transport.value() == b"bye: session"
    harness.lose(connection)
    assert harness.counters.ended == {End.SESSION: 1}


@implementer(IBusy)
class AtWork(RecordingProtocol):
    """A busy protocol that does not read."""

    busy = True


def test_busy_time_does_not_count_as_idle(make: Make) -> None:
    """IBusy"""
    for limits in ({"idle": 8.0}, {"first_byte": 8.0}):
        harness = make(AtWork, stalled=0.0, **limits)
        _, transport = harness.connect()
        wait(harness, 100)
        assert not transport.disconnecting
        (protocol,) = harness.application.made
        protocol.busy = False
        wait(harness, 7)
        assert not transport.disconnecting
        wait(harness, 3)
        assert transport.disconnecting


def test_session_timeout_closes_a_busy_protocol(make: Make) -> None:
    harness = make(AtWork, session=80.0)
    _, transport = harness.connect()
    wait(harness, 91)
    assert transport.disconnecting


# --- stalled ---


def test_stalled_timeout_closes_a_client_that_does_not_read(make: Make) -> None:
    """Further writes do not reset it, as they do ``idle``."""
    harness = make(stalled=80.0, unsent=10 << 20)
    connection, transport = harness.connect()
    connection.write(b"x" * FULL)
    for _ in range(79):
        wait(harness, 1)
        connection.write(b"more")
    assert not transport.aborted
    wait(harness, 21)
    assert transport.aborted, "no farewell to a client that does not read"
    harness.lose(connection)
    assert harness.counters.ended == {End.STALLED: 1}


def test_slow_reader_is_not_stalled(make: Make) -> None:
    harness = make(stalled=16.0, unsent=10 << 20)
    connection, transport = harness.connect()
    for _ in range(40):
        connection.write(b"x" * FULL)
    for _ in range(40):
        wait(harness, 10, 2)
        assert connection.pending
        transport.empty()
    assert not transport.aborted


def test_empty_buffer_is_not_stalled(make: Make) -> None:
    harness = make(stalled=16.0)
    connection, transport = harness.connect()
    connection.write(b"read at once")
    wait(harness, 1000)
    assert not transport.disconnecting


# --- sweeps ---


def test_no_timer_without_limits() -> None:
    harness = LayerHarness(stalled=0.0)
    harness.layer.start()
    assert not harness.clock.getDelayedCalls()
    connection, _ = harness.connect()
    assert harness.layer.idle_for(connection) is None


def test_all_connections_share_one_timer(make: Make) -> None:
    harness = make(first_byte=5.0, session=60.0, idle=10.0)
    for _ in range(100):
        harness.connect()
    assert len(harness.clock.getDelayedCalls()) == 1


def test_reload_of_limits_keeps_the_idle_time(make: Make) -> None:
    harness = make(idle=80.0, stalled=0.0)
    connection, transport = harness.connect()
    wait(harness, 60, 10)
    assert harness.layer.idle_for(connection) == 60
    harness.layer.reconfigure(PolicySettings(first_byte=8.0, stalled=0.0), 80.0)
    assert harness.layer.idle_for(connection) == 60
    harness.layer.reconfigure(PolicySettings(stalled=0.0), 70.0)
    wait(harness, 30)
    assert transport.disconnecting


def test_reload_starts_and_stops_the_sweeper(make: Make) -> None:
    harness = make(stalled=0.0)
    _, transport = harness.connect()
    wait(harness, 100)
    harness.layer.reconfigure(PolicySettings(stalled=0.0, session=50.0), 0.0)
    wait(harness, 7)
    assert transport.disconnecting
    harness.layer.reconfigure(PolicySettings(stalled=0.0), 0.0)
    _, later = harness.connect()
    wait(harness, 1000, 100)
    assert not later.disconnecting


def test_sweeps_are_at_most_ten_a_second(make: Make) -> None:
    harness = make(idle=0.001, stalled=0.0)
    looks = harness.clock.getDelayedCalls()
    assert [look.getTime() - harness.clock.seconds() for look in looks] == [pytest.approx(0.1)]


# --- many at once ---


class Silent:
    """A connection, as the sweeper uses it."""

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
