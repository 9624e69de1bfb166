"""When a reload may be, and what a signal has to do with it."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from typing import NoReturn

import pytest
from daemon.house import House, service, settings

from tcpd.daemon.reload import Reloader


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Puts back who handles the signals."""
    numbers = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def reloader_of(house: House) -> Reloader:
    (reloader,) = (child for child in house.daemon if isinstance(child, Reloader))
    return reloader


def test_a_reload_while_the_daemon_stops_opens_nothing(logged_failures: object) -> None:
    house = House(service("a", "1"), read=lambda: settings(service("a", "1, 2")))
    reloader = reloader_of(house)
    assert reloader.reload().ok
    assert house.open == {"tcp 127.0.0.1:1", "tcp 127.0.0.1:2"}
    house.daemon.stopService()
    outcome = reloader.reload()
    assert (outcome.ok, outcome.lines) == (False, ("the daemon is stopping",))
    assert house.open == set()
    logged_failures.expect("reload refused")  # type: ignore[attr-defined]


def test_a_hang_up_before_the_start_is_over_is_heard() -> None:
    """It would end the process else: its default is to (signal(7))."""
    house = House(service("a", "1"), read=lambda: settings(service("a", "1")), start=False)
    house.daemon.privilegedStartService()
    assert signal.getsignal(signal.SIGHUP) == reloader_of(house)._hang_up


def test_a_service_may_ask_for_a_reload() -> None:
    """It comes in another turn, for the service itself may be another then."""
    house = House(service("a", "1"), read=lambda: settings(service("a", "1, 2")))
    told: list[tuple[bool, Sequence[str]]] = []
    house.services.contexts["a"].reload(lambda ok, lines: told.append((ok, lines)))
    assert told == []
    assert house.open == {"tcp 127.0.0.1:1"}
    house.reactor.advance(0)
    assert house.open == {"tcp 127.0.0.1:1", "tcp 127.0.0.1:2"}
    assert told == [(True, ("service a: listening on 127.0.0.1:2",))]


def test_a_service_gets_an_answer_to_a_reload_that_breaks() -> None:
    """A client of the service may wait for it."""

    def broken() -> NoReturn:
        raise RuntimeError("a bug")

    house = House(service("a", "1"), read=broken)
    told: list[tuple[bool, Sequence[str]]] = []
    house.services.contexts["a"].reload(lambda ok, lines: told.append((ok, lines)))
    with pytest.raises(RuntimeError, match="a bug"):
        house.reactor.advance(0)
    assert told == [(False, ())]
