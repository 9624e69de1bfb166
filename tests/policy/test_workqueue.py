"""The work queue: bounded turns, round robin by address and client."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpd.policy.workqueue import (
    BACKGROUND,
    SECONDS_A_SHARE,
    SECONDS_A_TURN,
    SECONDS_FOR_NEW,
    WorkQueue,
    share_of,
)


class SteppedScheduler:
    """A clock and reactor turns; time passes only while sources work."""

    def __init__(self, seconds: float = SECONDS_A_TURN) -> None:
        self.now = 0.0
        self.failures = 0
        self.due: list[WorkQueue] = []
        self.done: list[tuple[str, int]] = []
        self.queue = WorkQueue(lambda: self.now, self.due.append, self.failed, seconds)

    def failed(self) -> None:
        self.failures += 1

    def turn(self) -> float:
        """End the turn; return the seconds of work in it."""
        begun = self.now
        due = self.due[:]
        self.due.clear()
        for each in due:
            each.flush()
        return self.now - begun

    def client(self, name: str, share: Hashable, *steps: float) -> SteppedSource:
        return SteppedSource(self, name, share, *steps)


class SteppedSource:
    """A source with steps of given durations."""

    def __init__(self, turns: SteppedScheduler, name: str, share: Hashable, *steps: float) -> None:
        self.turns = turns
        self.name = name
        self.share = share
        self.steps = list(steps)
        self.number = 0
        self.runs = 0
        self.meanwhile: Callable[[], object] = lambda: None

    def add(self, *steps: float) -> None:
        self.steps += steps
        self.turns.queue.run(self)

    def wait(self, *steps: float) -> None:
        self.steps += steps
        self.turns.queue.add(self)

    def work(self, deadline: float) -> bool:
        self.runs += 1
        while self.steps:
            self.turns.now += self.steps.pop(0)
            self.number += 1
            self.turns.done.append((self.name, self.number))
            self.meanwhile()
            if self.turns.now >= deadline:
                break
        return bool(self.steps)


def test_work_runs_immediately_while_no_source_waits() -> None:
    """ "immediately if the turn has time left and no source waits" """
    turns = SteppedScheduler()
    for name in "abc":
        turns.client(name, name).add(0.001)
    assert turns.done == [("a", 1), ("b", 1), ("c", 1)]
    assert len(turns.due) == 1
    assert turns.turn() == 0.0
    assert not turns.due


def test_work_beyond_the_turn_waits_until_output_is_flushed() -> None:
    turns = SteppedScheduler()
    flood = turns.client("flood", 1)
    flood.add(*[0.001] * 12)
    assert len(turns.done) == 5
    turns.client("late", 2).wait(0.001)
    assert len(turns.queue) == 2
    assert turns.turn() == 0.0  # transports flush in the same turn
    assert turns.turn() == pytest.approx(SECONDS_A_TURN, abs=0.001)
    assert ("late", 1) in turns.done
    while turns.due:
        turns.turn()
    assert [number for name, number in turns.done if name == "flood"] == list(range(1, 13))


def test_round_robin_by_address_then_by_client() -> None:
    turns = SteppedScheduler()
    turns.client("busy", 0).add(1.0)
    for name in ("a1", "a2", "a3"):
        turns.client(name, "a").wait(*[SECONDS_A_SHARE] * 2)
    turns.client("b1", "b").wait(*[SECONDS_A_SHARE] * 3)
    turns.client("c1", "c").wait(SECONDS_A_SHARE)
    while turns.due:
        turns.turn()
    names = [name for name, _ in turns.done]
    assert names == ["busy", "a1", "b1", "c1", "a2", "b1", "a3", "b1", "a1", "a2", "a3"]


def test_client_with_nothing_queued_is_served_while_others_wait() -> None:
    """ "A client that has nothing in the queue is served at once while a part of the turn's time is
    left" """
    turns = SteppedScheduler()
    flood = turns.client("flood", 1)
    flood.add(*[0.001] * 20)
    begun = turns.now
    ping = turns.client("ping", 1)
    for _ in range(3):
        ping.add(0.0001)
    assert turns.done[-3:] == [("ping", 1), ("ping", 2), ("ping", 3)]
    turns.client("long", 1).add(*[0.0004] * 5)
    assert turns.done[-1] == ("long", 2), "one share of time"
    number = 0
    while turns.now < begun + SECONDS_FOR_NEW:
        number += 1
        turns.client(f"new {number}", 1).add(0.0003)
    late = turns.client("late", 1)
    late.add(0.0001)
    assert late in turns.queue
    turns.turn()
    assert turns.turn() == pytest.approx(SECONDS_A_TURN - SECONDS_FOR_NEW, abs=0.001)
    assert ("late", 1) in turns.done
    ping.add(0.0001)
    assert turns.done[-1] == ("ping", 4), "each turn has time for new clients"


@pytest.mark.parametrize("share", [BACKGROUND, 1])
def test_background_work_and_what_comes_after_it_is_queued(share: Hashable) -> None:
    """ "While background work waits, all wait" """
    turns = SteppedScheduler()
    turns.client("busy", 0).add(1.0, 1.0)
    if share is not BACKGROUND:
        turns.client("departure", BACKGROUND).add(0.0001)
    turns.client("new", share).add(0.0001)
    assert turns.done == [("busy", 1)]
    while turns.due:
        turns.turn()
    assert ("new", 1) in turns.done


def test_single_source_gets_the_whole_turn() -> None:
    turns = SteppedScheduler()
    alone = turns.client("alone", 0)
    alone.add(1.0, *[SECONDS_A_SHARE] * 8)
    turns.turn()
    turns.turn()
    assert not alone.steps
    assert alone.runs == 2


def test_removed_source_does_not_run() -> None:
    turns = SteppedScheduler()
    turns.client("busy", 0).add(1.0)
    gone, other = turns.client("gone", 1), turns.client("other", 1)
    gone.add(0.001)
    other.add(0.001)
    turns.queue.remove(gone)
    turns.queue.remove(gone)
    while turns.due:
        turns.turn()
    assert [name for name, _ in turns.done] == ["busy", "other"]


def test_source_that_raises_does_not_stop_others() -> None:
    class Broken:
        share = 1

        def work(self, deadline: float) -> bool:
            raise ZeroDivisionError

    turns = SteppedScheduler()
    turns.client("busy", 0).add(1.0)
    turns.queue.run(Broken())
    turns.client("other", 2).add(0.001)
    while turns.due:
        turns.turn()
    assert turns.failures == 1
    assert [name for name, _ in turns.done] == ["busy", "other"]

    with pytest.raises(ZeroDivisionError):
        turns.queue.run(Broken())
    turns.client("next", 2).add(0.001)
    assert turns.done[-1] == ("next", 1)


def test_work_caused_by_work_is_queued() -> None:
    turns = SteppedScheduler()
    first, second = turns.client("first", 1), turns.client("second", 2)
    order: list[str] = []

    def cause() -> None:
        second.add(0.001)
        order.append("first")

    first.meanwhile = cause
    second.meanwhile = lambda: order.append("second")
    first.add(0.001)
    while turns.due:
        turns.turn()
    assert order == ["first", "second"]


def test_added_source_does_not_run_within_the_call() -> None:
    """ "it never runs within this call" """
    turns = SteppedScheduler()
    client = turns.client("a", 1, 0.001)
    turns.queue.add(client)
    turns.queue.add(client)
    assert not turns.done
    turns.turn()
    assert turns.done == [("a", 1)]
    assert not turns.due


def test_infinite_turn_runs_everything_immediately() -> None:
    turns = SteppedScheduler(math.inf)
    turns.client("long", 0).add(1.0, 1.0)
    turns.client("other", 1).add(1.0)
    assert len(turns.done) == 3


def test_share_is_the_ipv4_address_or_the_64() -> None:
    """RFC 6177 section 2."""
    one, another = object(), object()
    here, there = ip_address("192.0.2.1"), ip_address("192.0.2.2")
    assert share_of(here, one) == share_of(here, another)
    assert share_of(here, one) != share_of(there, one)
    near = share_of(ip_address("2001:db8::1"), one)
    assert near == share_of(ip_address("2001:db8::ffff:1"), another)
    assert near != share_of(ip_address("2001:db8:0:1::1"), one)
    assert share_of(None, one) != share_of(None, another)
    assert share_of(here, one) != BACKGROUND


STEPS = st.lists(st.sampled_from([0.0, 0.0001, 0.0004, 0.001, 0.004, 0.02]), max_size=30)
LONGEST_STEP = 0.02


@given(
    st.lists(st.tuples(st.integers(0, 3), STEPS), min_size=1, max_size=12),
    st.lists(st.tuples(st.integers(0, 11), STEPS), max_size=12),
)
def test_turn_is_bounded_and_no_client_starves(
    begun: list[tuple[int, list[float]]], more: list[tuple[int, list[float]]]
) -> None:
    turns = SteppedScheduler()
    clients = [
        turns.client(str(number), share, *steps) for number, (share, steps) in enumerate(begun)
    ]
    sizes = [len(client.steps) for client in clients]
    for client in clients:
        turns.queue.run(client)
    later = list(more)
    while turns.due:
        if later:
            number, steps = later.pop(0)
            client = clients[number % len(clients)]
            sizes[number % len(clients)] += len(steps)
            before, waits = turns.now, client in turns.queue
            client.add(*steps)
            assert turns.now < before + SECONDS_A_TURN + LONGEST_STEP
            assert not waits or turns.now == before
        runs = {client: client.runs for client in clients if client in turns.queue}
        drains = turns.queue.runs_next
        # no step starts after the deadline
        assert turns.turn() < SECONDS_A_TURN + LONGEST_STEP
        assert not drains or not runs or any(each.runs > n for each, n in runs.items())
    for client, size in zip(clients, sizes, strict=True):
        assert [n for name, n in turns.done if name == client.name] == list(range(1, size + 1))


@given(st.lists(st.integers(0, 4), min_size=2, max_size=20))
def test_addresses_and_their_clients_get_equal_turns(
    shares: list[int],
) -> None:
    """While all are busy, the turns of addresses differ by at most 1, as do those of the clients
    of an address."""
    turns = SteppedScheduler()
    endless = [SECONDS_A_SHARE] * 10_000
    clients = [turns.client(str(n), share, *endless) for n, share in enumerate(shares)]
    turns.client("busy", "busy").add(1.0)
    for client in clients:
        client.wait()
    for _ in range(40):
        turns.turn()
    by_share: dict[int, list[int]] = {}
    for client in clients:
        by_share.setdefault(client.share, []).append(client.runs)  # type: ignore[arg-type]
    totals = [sum(runs) for runs in by_share.values()]
    assert max(totals) - min(totals) <= 1
    for runs in by_share.values():
        assert max(runs) - min(runs) <= 1
