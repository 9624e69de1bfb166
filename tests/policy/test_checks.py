"""Queue of password checks, with threads that the test advances."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcpd.policy.checks import (
    CONCURRENT,
    IN_A_ROW,
    QUEUED,
    QUEUED_PER_ADDRESS,
    REMEMBERED,
    TIMEOUT,
    Checks,
    run_inline,
)


class ChecksHarness:
    """Checks with a clock and threads under the test's control."""

    def __init__(self) -> None:
        self.now = 0.0
        self.working: list[tuple[str, Callable[[bool], None]]] = []
        self.checks = Checks(self._run, lambda: self.now)
        self.outcomes: dict[str, list[bool | None]] = {}
        self.gone: set[str] = set()

    def _run(self, work: Callable[[], Any], done: Callable[[bool], None]) -> None:
        self.working.append((work(), done))

    def submit(self, name: str, address: str | None) -> None:
        """Submit one check under a unique name."""
        outcomes = self.outcomes.setdefault(name, [])
        self.checks.submit(
            None if address is None else ipaddress.ip_address(address),
            lambda: name,  # type: ignore[arg-type, return-value]
            outcomes.append,
            lambda: name not in self.gone,
        )

    @property
    def under_way(self) -> list[str]:
        return [name for name, _ in self.working]

    def work(self, fits: bool = False, count: int = 1) -> list[str]:
        """Finish the oldest running checks; return their names."""
        finished = []
        for _ in range(count):
            name, done = self.working.pop(0)
            finished.append(name)
            done(fits)
        return finished


ATTACKER, HONEST = "192.0.2.1", "198.51.100.1"


def flooded() -> ChecksHarness:
    """The queue of one address is full."""
    harness = ChecksHarness()
    for number in range(CONCURRENT + QUEUED_PER_ADDRESS):
        harness.submit(f"wrong{number}", ATTACKER)
    return harness


def test_concurrent_checks_are_limited() -> None:
    harness = flooded()
    assert harness.under_way == ["wrong0", "wrong1"]
    harness.work()
    assert harness.under_way == ["wrong1", "wrong2"]
    assert harness.outcomes["wrong0"] == [False]


def test_flooding_address_does_not_delay_another() -> None:
    """ "an address that tries many passwords delays another by one or two checks" """
    harness = flooded()
    harness.submit("right", HONEST)
    harness.work()
    assert "right" in harness.under_way
    # once more, with a full queue
    harness.work(count=2)
    for number in range(100):
        harness.submit(f"more{number}", ATTACKER)
        harness.submit("again", HONEST) if number == 50 else None
    harness.work(count=2)
    assert "again" in harness.under_way or harness.outcomes["again"] == [False]


def test_addresses_take_turns() -> None:
    harness = ChecksHarness()
    for address in range(1, 5):
        for number in range(3):
            harness.submit(f"{address}-{number}", f"192.0.2.{address}")
    order = harness.work(count=12)
    # two started before the others were submitted
    assert order[:2] == ["1-0", "1-1"]
    assert [name[0] for name in order[2:5]] == ["2", "3", "4"]
    assert sorted(order) == sorted(harness.outcomes)
    for address in "1234":
        assert [name for name in order if name[0] == address] == [f"{address}-{n}" for n in "012"]


def test_ipv6_checks_are_queued_per_64() -> None:
    """A host can use any address in its /64."""
    harness = ChecksHarness()
    for number in range(CONCURRENT + QUEUED_PER_ADDRESS):
        harness.submit(f"wrong{number}", f"2001:db8::{number:x}")
    harness.submit("more", "2001:db8::ffff")
    assert harness.outcomes["more"] == [None]
    harness.submit("neighbour", "2001:db8:0:1::1")
    harness.work()
    assert "neighbour" in harness.under_way


@pytest.mark.parametrize("address", [None, "127.0.0.1", "::1", "127.9.9.9"])
def test_loopback_and_unix_sockets_have_priority(address: str | None) -> None:
    harness = ChecksHarness()
    for number in range(20):
        harness.submit(f"wrong{number}", f"192.0.2.{number}")
    harness.submit("own", address)
    assert harness.work(count=1) == ["wrong0"]
    assert "own" in harness.under_way


def test_loopback_addresses_take_turns() -> None:
    harness = ChecksHarness()
    for number in range(CONCURRENT + QUEUED_PER_ADDRESS):
        harness.submit(f"wrong{number}", "127.0.0.2")
    harness.submit("right", "127.0.0.1")
    harness.work()
    assert "right" in harness.under_way


def test_address_with_correct_last_password_has_priority() -> None:
    harness = ChecksHarness()
    harness.submit("first", HONEST)
    harness.work(fits=True)
    for number in range(20):
        harness.submit(f"wrong{number}", f"192.0.2.{number}")
    harness.submit("again", HONEST)
    harness.work()
    assert "again" in harness.under_way
    harness.work(fits=True, count=1)
    # a wrong password ends the priority
    harness = ChecksHarness()
    harness.submit("right", HONEST)
    harness.work(fits=True)
    harness.submit("wrong", HONEST)
    harness.work(fits=False)
    for number in range(20):
        harness.submit(f"wrong{number}", f"192.0.2.{number}")
    harness.submit("again", HONEST)
    harness.work(count=18)
    assert harness.outcomes["again"] == []


def test_priority_leaves_one_check_in_four() -> None:
    """ "the others get one check in four" """
    harness = ChecksHarness()
    for address in range(1, 30):
        for number in range(3):
            harness.submit(f"own{address}-{number}", f"127.0.0.{address}")
    harness.submit("newcomer", HONEST)
    done = 0
    while "newcomer" not in harness.under_way:
        harness.work(fits=True)
        done += 1
    assert done <= IN_A_ROW + 1


def test_queue_of_an_address_is_bounded() -> None:
    harness = flooded()
    harness.submit("more", ATTACKER)
    assert harness.outcomes["more"] == [None]
    harness.work()
    harness.submit("now", ATTACKER)
    assert harness.outcomes["now"] == []


def test_unwanted_checks_leave_a_full_queue() -> None:
    harness = flooded()
    harness.gone |= {f"wrong{number}" for number in range(2, 12)}
    harness.submit("more", ATTACKER)
    assert harness.outcomes["more"] == []
    order = harness.work(count=2) + harness.work(count=2)
    assert order == ["wrong0", "wrong1", "wrong12", "wrong13"]
    assert all(harness.outcomes[name] == [] for name in harness.gone), "no callback"


def test_running_check_reports_though_unwanted() -> None:
    """A submitted guess counts."""
    harness = ChecksHarness()
    harness.submit("wrong", ATTACKER)
    harness.gone.add("wrong")
    harness.work()
    assert harness.outcomes["wrong"] == [False]


def crowded() -> ChecksHarness:
    """All queues are full, with as few addresses as possible."""
    harness = ChecksHarness()
    for address in range(QUEUED // QUEUED_PER_ADDRESS):
        for number in range(QUEUED_PER_ADDRESS + (CONCURRENT if address == 0 else 0)):
            harness.submit(f"wrong{address}-{number}", f"192.0.2.{address}")
    return harness


def test_longest_queue_loses_its_last_check() -> None:
    harness = crowded()
    assert not any(harness.outcomes.values())
    harness.submit("right", HONEST)
    assert harness.outcomes["right"] == []
    displaced = [name for name, outcome in harness.outcomes.items() if outcome == [None]]
    assert displaced == [f"wrong0-{QUEUED_PER_ADDRESS + CONCURRENT - 1}"]
    harness.submit("own", "127.0.0.1")
    assert harness.outcomes["own"] == []
    harness.submit("one more", "192.0.2.3")
    assert harness.outcomes["one more"] == [None]


def test_full_queue_accepts_only_priority() -> None:
    harness = ChecksHarness()
    for number in range(CONCURRENT + QUEUED):
        harness.submit(f"wrong{number}", str(ipaddress.ip_address("10.0.0.0") + number))
    harness.submit("right", HONEST)
    assert harness.outcomes["right"] == [None]
    harness.submit("own", "127.0.0.1")
    assert harness.outcomes["own"] == []
    harness.work()
    assert "own" in harness.under_way


def test_waiting_checks_expire() -> None:
    """A finished check removes the expired ones."""
    harness = flooded()
    harness.now = TIMEOUT / 2
    harness.work()
    harness.submit("late", ATTACKER)
    harness.now = TIMEOUT
    harness.work()
    assert harness.outcomes["wrong5"] == [None]
    assert harness.under_way == ["wrong2", "late"]
    harness.now = 2 * TIMEOUT
    harness.submit("new", HONEST)
    assert harness.outcomes["new"] == []
    harness.work(count=2)
    assert harness.outcomes["late"] == [False], "a running check is not dropped"
    assert harness.under_way == ["new"]


def test_remembered_addresses_are_bounded() -> None:
    harness = ChecksHarness()
    for number in range(REMEMBERED + 100):
        harness.submit("right", str(ipaddress.ip_address("10.0.0.0") + number))
        harness.work(fits=True)
    assert harness.checks.remembered == REMEMBERED
    assert (harness.checks.queued, harness.checks.running) == (0, 0)


def test_run_inline_reports_immediately() -> None:
    found: list[bool | None] = []
    checks = Checks(run_inline, lambda: 0.0)
    for fits in (True, False):
        checks.submit(None, lambda fits=fits: fits, found.append)  # type: ignore[misc]
    assert found == [True, False]


def test_callback_may_raise_or_submit() -> None:
    harness = ChecksHarness()

    def broken(fits: bool | None) -> None:
        harness.submit("again", HONEST)
        raise ZeroDivisionError

    harness.checks.submit(ipaddress.ip_address(HONEST), lambda: "broken", broken)  # type: ignore[arg-type, return-value]
    harness.submit("other", ATTACKER)
    harness.submit("third", ATTACKER)
    with pytest.raises(ZeroDivisionError):
        harness.work()
    assert harness.work(count=2) == ["other", "again"]
    assert harness.under_way == ["third"]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.sampled_from([None, "127.0.0.1", *"abcdefgh"])),
        st.tuples(st.just("work"), st.booleans()),
        st.tuples(st.just("leave"), st.integers(0, 200)),
        st.tuples(st.just("wait"), st.floats(0, TIMEOUT)),
    ),
    max_size=200,
)


@settings(deadline=None)
@given(STEPS)
def test_each_check_reports_once_within_the_bounds(steps: list[tuple[str, Any]]) -> None:
    harness = ChecksHarness()
    for number, (what, word) in enumerate(steps):
        if what == "ask":
            harness.submit(str(number), f"192.0.2.{ord(word)}" if word and len(word) == 1 else word)
        elif what == "work" and harness.working:
            harness.work(word)
        elif what == "leave":
            harness.gone.add(str(word))
        elif what == "wait":
            harness.now += word
        checks = harness.checks
        assert checks.queued <= QUEUED
        assert len(harness.working) == checks.running <= CONCURRENT
        assert checks.running == CONCURRENT or not checks.queued
    while harness.working:
        harness.work()
    for name, outcome in harness.outcomes.items():
        assert len(outcome) == 1 or (not outcome and name in harness.gone)
