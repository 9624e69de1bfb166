"""What takes long is done a little in each turn."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from chat.texting import House

from tcpd.net.turnstile import SECONDS_A_TURN, Turnstile


class Slow:
    """Calls that take their time, on a clock that moves with them and knows of turns."""

    def __init__(self, seconds: float) -> None:
        self.turnstile = Turnstile(self)  # type: ignore[arg-type]
        self.done: list[int] = []
        self._now = 0.0
        self._later: list[Callable[[], None]] = []
        self._seconds = seconds

    def seconds(self) -> float:
        return self._now

    def callLater(self, seconds: float, call: Callable[[], None]) -> None:
        assert seconds == 0
        self._later.append(call)

    def turn(self) -> None:
        """The next turn of the reactor."""
        due, self._later = self._later, []
        for call in due:
            call()

    def ask(self, number: int) -> bool:
        return self.turnstile.run(partial(self._work, number))

    def _work(self, number: int) -> None:
        self._now += self._seconds
        self.done.append(number)


def test_quick_calls_are_let_through_at_once() -> None:
    slow = Slow(0.0)
    assert all(slow.ask(number) for number in range(1000))
    assert slow.done == list(range(1000))


def test_of_slow_calls_as_many_as_fit_a_turn_and_the_others_in_order() -> None:
    """ "As many in a turn as fit its time; the others in the next ones, in order." """
    slow = Slow(SECONDS_A_TURN / 2)
    assert [slow.ask(number) for number in range(7)] == [True, True, *[False] * 5]
    for turn in range(2, 5):
        slow.turn()
        assert slow.done == list(range(min(2 * turn, 7)))


def test_nobody_overtakes_who_waits() -> None:
    slow = Slow(SECONDS_A_TURN)
    slow.ask(0)
    slow.ask(1)
    assert slow.ask(2) is False
    slow.turn()
    assert slow.ask(3) is False
    slow.turn()
    slow.turn()
    assert slow.done == [0, 1, 2, 3]


def test_who_waits_to_come_in_is_read_no_further_and_nothing_is_lost() -> None:
    """ "Nothing that was received is lost": what stands behind a line that waits."""
    house = House()
    bob, ann = house.client("bob"), house.client()

    def take_long() -> None:
        house.clock.rightNow += 1.0

    assert house.factory.turnstile.run(take_long)
    ann.send(b"ann\r\nhello\r\n")
    assert ann.paused
    assert len(house.hub.lobby.members) == 1
    house.clock.advance(0)
    assert not ann.paused
    assert bob.screen()[-2:] == ["* ann joined #lobby", "#lobby <ann> hello"]
