"""Checks of passwords, with threads that do nothing before a test says so."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcpd.policy.checks import (
    AT_ONCE,
    EACH,
    IN_A_ROW,
    LONGEST,
    REMEMBERED,
    WAITING,
    Checks,
    at_once,
)


class House:
    """Checks, a clock, and the threads that do them."""

    def __init__(self) -> None:
        self.now = 0.0
        self.working: list[tuple[str, Callable[[bool], None]]] = []
        self.checks = Checks(self._run, lambda: self.now)
        self.outcomes: dict[str, list[bool | None]] = {}
        self.gone: set[str] = set()

    def _run(self, work: Callable[[], Any], done: Callable[[bool], None]) -> None:
        self.working.append((work(), done))

    def ask(self, name: str, address: str | None) -> None:
        """Ask for one check; ``name`` tells them apart."""
        outcomes = self.outcomes.setdefault(name, [])
        self.checks.ask(
            None if address is None else ipaddress.ip_address(address),
            lambda: name,  # type: ignore[arg-type, return-value]
            outcomes.append,
            lambda: name not in self.gone,
        )

    @property
    def under_way(self) -> list[str]:
        return [name for name, _ in self.working]

    def work(self, fits: bool = False, count: int = 1) -> list[str]:
        """Finish the oldest checks that are under way; their names."""
        finished = []
        for _ in range(count):
            name, done = self.working.pop(0)
            finished.append(name)
            done(fits)
        return finished


ATTACKER, HONEST = "192.0.2.1", "198.51.100.1"


def besieged() -> House:
    """One address has as many checks waiting as it may."""
    house = House()
    for number in range(AT_ONCE + EACH):
        house.ask(f"wrong{number}", ATTACKER)
    return house


def test_so_many_at_once() -> None:
    house = besieged()
    assert house.under_way == ["wrong0", "wrong1"]
    house.work()
    assert house.under_way == ["wrong1", "wrong2"]
    assert house.outcomes["wrong0"] == [False]


def test_one_address_does_not_lock_out_another() -> None:
    """However many wait of one address, a newcomer from another is next but one at the latest."""
    house = besieged()
    house.ask("right", HONEST)
    house.work()
    assert "right" in house.under_way
    # and again, with all places of the attacker taken anew
    house.work(count=2)
    for number in range(100):
        house.ask(f"more{number}", ATTACKER)
        house.ask("again", HONEST) if number == 50 else None
    house.work(count=2)
    assert "again" in house.under_way or house.outcomes["again"] == [False]


def test_addresses_take_turns() -> None:
    house = House()
    for address in range(1, 5):
        for number in range(3):
            house.ask(f"{address}-{number}", f"192.0.2.{address}")
    order = house.work(count=12)
    # two were begun before anybody else was there
    assert order[:2] == ["1-0", "1-1"]
    assert [name[0] for name in order[2:5]] == ["2", "3", "4"]
    assert sorted(order) == sorted(house.outcomes)
    for address in "1234":
        assert [name for name in order if name[0] == address] == [f"{address}-{n}" for n in "012"]


def test_an_ipv6_client_is_its_network() -> None:
    """A host has as many addresses in its /64 as it likes."""
    house = House()
    for number in range(AT_ONCE + EACH):
        house.ask(f"wrong{number}", f"2001:db8::{number:x}")
    house.ask("more", "2001:db8::ffff")
    assert house.outcomes["more"] == [None]
    house.ask("neighbour", "2001:db8:0:1::1")
    house.work()
    assert "neighbour" in house.under_way


@pytest.mark.parametrize("address", [None, "127.0.0.1", "::1", "127.9.9.9"])
def test_loopback_and_unix_sockets_come_first(address: str | None) -> None:
    house = House()
    for number in range(20):
        house.ask(f"wrong{number}", f"192.0.2.{number}")
    house.ask("own", address)
    assert house.work(count=1) == ["wrong0"]
    assert "own" in house.under_way


def test_loopback_is_shared_by_address_too() -> None:
    house = House()
    for number in range(AT_ONCE + EACH):
        house.ask(f"wrong{number}", "127.0.0.2")
    house.ask("right", "127.0.0.1")
    house.work()
    assert "right" in house.under_way


def test_whose_last_password_was_right_comes_first() -> None:
    house = House()
    house.ask("first", HONEST)
    house.work(fits=True)
    for number in range(20):
        house.ask(f"wrong{number}", f"192.0.2.{number}")
    house.ask("again", HONEST)
    house.work()
    assert "again" in house.under_way
    house.work(fits=True, count=1)
    # a wrong one makes it an address like any other
    house = House()
    house.ask("right", HONEST)
    house.work(fits=True)
    house.ask("wrong", HONEST)
    house.work(fits=False)
    for number in range(20):
        house.ask(f"wrong{number}", f"192.0.2.{number}")
    house.ask("again", HONEST)
    house.work(count=18)
    assert house.outcomes["again"] == []


def test_those_who_come_first_leave_some_for_others() -> None:
    """One check in four: an honest crowd keeps out no newcomer, nor does an attack by loopback."""
    house = House()
    for address in range(1, 30):
        for number in range(3):
            house.ask(f"own{address}-{number}", f"127.0.0.{address}")
    house.ask("newcomer", HONEST)
    done = 0
    while "newcomer" not in house.under_way:
        house.work(fits=True)
        done += 1
    assert done <= IN_A_ROW + 1


def test_an_address_has_so_many_places() -> None:
    house = besieged()
    house.ask("more", ATTACKER)
    assert house.outcomes["more"] == [None]
    house.work()
    house.ask("now", ATTACKER)
    assert house.outcomes["now"] == []


def test_who_has_gone_gives_back_the_place() -> None:
    house = besieged()
    house.gone |= {f"wrong{number}" for number in range(2, 12)}
    house.ask("more", ATTACKER)
    assert house.outcomes["more"] == []
    order = house.work(count=2) + house.work(count=2)
    assert order == ["wrong0", "wrong1", "wrong12", "wrong13"]
    assert all(house.outcomes[name] == [] for name in house.gone), "and is told nothing"


def test_what_is_under_way_is_told_even_then() -> None:
    """Who has tried a password, has tried it."""
    house = House()
    house.ask("wrong", ATTACKER)
    house.gone.add("wrong")
    house.work()
    assert house.outcomes["wrong"] == [False]


def crowded() -> House:
    """As many wait as there is place for, of as few addresses as can be."""
    house = House()
    for address in range(WAITING // EACH):
        for number in range(EACH + (AT_ONCE if address == 0 else 0)):
            house.ask(f"wrong{address}-{number}", f"192.0.2.{address}")
    return house


def test_who_has_the_most_waiting_gives_way() -> None:
    house = crowded()
    assert not any(house.outcomes.values())
    house.ask("right", HONEST)
    assert house.outcomes["right"] == []
    displaced = [name for name, outcome in house.outcomes.items() if outcome == [None]]
    assert displaced == [f"wrong0-{EACH + AT_ONCE - 1}"]
    house.ask("own", "127.0.0.1")
    assert house.outcomes["own"] == []
    house.ask("one more", "192.0.2.3")
    assert house.outcomes["one more"] == [None]


def test_where_all_have_as_few_only_those_who_come_first_find_a_place() -> None:
    house = House()
    for number in range(AT_ONCE + WAITING):
        house.ask(f"wrong{number}", str(ipaddress.ip_address("10.0.0.0") + number))
    house.ask("right", HONEST)
    assert house.outcomes["right"] == [None]
    house.ask("own", "127.0.0.1")
    assert house.outcomes["own"] == []
    house.work()
    assert "own" in house.under_way


def test_nobody_waits_for_longer_than_stated() -> None:
    """And for the check that is under way then, which tells of the time."""
    house = besieged()
    house.now = LONGEST / 2
    house.work()
    house.ask("late", ATTACKER)
    house.now = LONGEST
    house.work()
    assert house.outcomes["wrong5"] == [None]
    assert house.under_way == ["wrong2", "late"]
    house.now = 2 * LONGEST
    house.ask("new", HONEST)
    assert house.outcomes["new"] == []
    house.work(count=2)
    assert house.outcomes["late"] == [False], "what is under way is not given up"
    assert house.under_way == ["new"]


def test_what_is_remembered_of_addresses_is_bounded() -> None:
    house = House()
    for number in range(REMEMBERED + 100):
        house.ask("right", str(ipaddress.ip_address("10.0.0.0") + number))
        house.work(fits=True)
    assert len(house.checks._good) == REMEMBERED
    assert not house.checks._queues
    assert not house.checks._under_way


def test_without_threads_it_is_done_at_once() -> None:
    found: list[bool | None] = []
    checks = Checks(at_once, lambda: 0.0)
    for fits in (True, False):
        checks.ask(None, lambda fits=fits: fits, found.append)  # type: ignore[misc]
    assert found == [True, False]


def test_what_is_done_with_an_outcome_may_fail_or_ask_again() -> None:
    house = House()

    def broken(fits: bool | None) -> None:
        house.ask("again", HONEST)
        raise ZeroDivisionError

    house.checks.ask(ipaddress.ip_address(HONEST), lambda: "broken", broken)  # type: ignore[arg-type, return-value]
    house.ask("other", ATTACKER)
    house.ask("third", ATTACKER)
    with pytest.raises(ZeroDivisionError):
        house.work()
    assert house.work(count=2) == ["other", "again"]
    assert house.under_way == ["third"]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.sampled_from([None, "127.0.0.1", *"abcdefgh"])),
        st.tuples(st.just("work"), st.booleans()),
        st.tuples(st.just("leave"), st.integers(0, 200)),
        st.tuples(st.just("wait"), st.floats(0, LONGEST)),
    ),
    max_size=200,
)


@settings(deadline=None)
@given(STEPS)
def test_each_is_told_once_and_the_bounds_hold(steps: list[tuple[str, Any]]) -> None:
    house = House()
    for number, (what, word) in enumerate(steps):
        if what == "ask":
            house.ask(str(number), f"192.0.2.{ord(word)}" if word and len(word) == 1 else word)
        elif what == "work" and house.working:
            house.work(word)
        elif what == "leave":
            house.gone.add(str(word))
        elif what == "wait":
            house.now += word
        checks = house.checks
        assert checks._waiting == sum(map(len, checks._queues.values())) <= WAITING
        assert all(0 < len(queue) <= EACH for queue in checks._queues.values())
        assert len(house.working) == len(checks._under_way) <= AT_ONCE
        assert len(house.working) == AT_ONCE or not checks._queues
    while house.working:
        house.work()
    for name, outcome in house.outcomes.items():
        assert len(outcome) == 1 or (not outcome and name in house.gone)
