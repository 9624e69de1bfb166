"""What takes long is done a little in each reactor turn, so that nobody waits for all of it.

To come into a room of ten thousand costs some ten milliseconds: each of them is told, and who comes
is told of each of them. Ten thousand who do so at once would keep everybody else waiting.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

#: Seconds of a reactor turn that such things may take together, before the next has to wait.
SECONDS_A_TURN = 0.01


class Turnstile:
    """Lets calls through, as many in a turn as fit its time; the others in the next ones, in order.

    :param clock: keeps time, and tells when a turn has ended.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: deque[Callable[[], None]] = deque()
        self._spent = 0.0
        self._counting = False

    def run(self, call: Callable[[], None]) -> bool:
        """Let a call through at once, or have it wait.

        :param call: is called once; must not raise.
        :return: whether it was called.
        """
        if self._waiting or self._spent >= SECONDS_A_TURN:
            self._waiting.append(call)
            return False
        self._call(call)
        return True

    def _call(self, call: Callable[[], None]) -> None:
        if not self._counting:
            self._counting = True
            self._clock.callLater(0, self._next_turn)
        begun = self._clock.seconds()
        call()
        self._spent += self._clock.seconds() - begun

    def _next_turn(self) -> None:
        self._counting = False
        self._spent = 0.0
        while self._waiting and self._spent < SECONDS_A_TURN:
            self._call(self._waiting.popleft())
