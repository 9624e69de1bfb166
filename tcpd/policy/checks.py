"""Checks of passwords: a few at a time, and shared between the addresses that ask for them.

A check takes tens of milliseconds of a core, so that many of them wait. Each address (of IPv6 each
/64) has a queue, and the queues take turns: however many passwords one address tries, another waits
for no more than one or two of them. Loopback, UNIX sockets and addresses whose last password was
right come first, and let others have one check in four.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from tcpd.policy.addresses import limit_key

#: How many are under way at once: each takes 32 MiB and the better part of a core.
AT_ONCE = 2

#: How many may wait of one address, and of all.
EACH = 64
WAITING = 256

#: How long one may wait, in seconds, and the check that is under way then.
LONGEST = 10.0

#: How many of those that come first are taken one after the other while others wait.
IN_A_ROW = 3

#: Of how many addresses it is known that their last password was right.
REMEMBERED = 1024

#: Does some work elsewhere, and calls with the outcome when it is done.
Run = Callable[[Callable[[], bool], Callable[[bool], None]], None]


def at_once(work: Callable[[], bool], done: Callable[[bool], None]) -> None:
    """Do the work here, where there are no threads."""
    done(work())


class _Check(NamedTuple):
    since: float
    work: Callable[[], bool]
    done: Callable[[bool | None], None]
    is_wanted: Callable[[], bool]


#: Whether an address always comes first; and which it is.
_Key = tuple[bool, int]


class Checks:
    """The checks of one service.

    :param run: does one check.
    :param clock: seconds, monotonic.
    """

    def __init__(self, run: Run, clock: Callable[[], float]) -> None:
        self._run = run
        self._clock = clock
        # by address, in the order of their turns; none is empty
        self._queues: dict[_Key, deque[_Check]] = {}
        self._waiting = 0
        self._under_way: list[_Key] = []
        self._good: OrderedDict[_Key, None] = OrderedDict()
        self._in_a_row = 0

    def ask(
        self,
        address: IPv4Address | IPv6Address | None,
        work: Callable[[], bool],
        done: Callable[[bool | None], None],
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """Have one password checked.

        :param address: where it comes from; ``None`` for a UNIX socket.
        :param work: checks it; called in a thread.
        :param done: called once with the outcome, now or later; with ``None`` if it was not
            checked, for too many wait. Not called for one that nobody wants any more.
        :param is_wanted: whether somebody waits for the outcome still.
        """
        key = (True, 0) if address is None else (address.is_loopback, limit_key(address))
        self._give_up()
        if len(self._queues.get(key, ())) >= EACH:
            self._keep(key, [check for check in self._queues[key] if check.is_wanted()])
        if len(self._queues.get(key, ())) >= EACH or not self._has_room(key):
            done(None)
            return
        check = _Check(self._clock(), work, done, is_wanted)
        self._queues.setdefault(key, deque()).append(check)
        self._waiting += 1
        self._start()

    def _comes_first(self, key: _Key) -> bool:
        return key[0] or key in self._good

    def _has_room(self, key: _Key) -> bool:
        """Whether one more may wait; the last of who has the most waiting gives way to it."""
        if self._waiting < WAITING:
            return True
        first = self._comes_first(key)
        most = max(self._queues, key=lambda k: (not self._comes_first(k), len(self._queues[k])))
        other, own = len(self._queues[most]), len(self._queues.get(key, ()))
        if self._comes_first(most) is first:
            gives_way = other > own + 1
        else:
            gives_way = first
        if gives_way:
            *rest, last = self._queues[most]
            self._keep(most, rest)
            last.done(None)
        return gives_way

    def _keep(self, key: _Key, checks: list[_Check]) -> None:
        """Have these alone wait of an address, in its place among the turns."""
        self._waiting -= len(self._queues[key]) - len(checks)
        if checks:
            self._queues[key] = deque(checks)
        else:
            del self._queues[key]

    def _give_up(self) -> None:
        """Have those wait no longer that have waited for too long."""
        oldest = self._clock() - LONGEST
        late = []
        for key, queue in list(self._queues.items()):
            if queue[0].since <= oldest:
                late += [check for check in queue if check.since <= oldest]
                self._keep(key, [check for check in queue if check.since > oldest])
        for check in late:
            if check.is_wanted():
                check.done(None)

    def _next(self) -> _Key | None:
        """Whose turn it is."""
        first = other = busy = None
        for key in self._queues:
            if key in self._under_way:
                busy = busy or key
            elif self._comes_first(key):
                first = first or key
            else:
                other = other or key
        if first is None and other is None:
            return busy
        if first is not None and (other is None or self._in_a_row < IN_A_ROW):
            self._in_a_row += 1
            return first
        self._in_a_row = 0
        return other

    def _start(self) -> None:
        while len(self._under_way) < AT_ONCE and (key := self._next()) is not None:
            queue = self._queues[key]
            check = queue.popleft()
            self._waiting -= 1
            if not queue:
                del self._queues[key]
            if check.is_wanted():
                self._under_way.append(key)
                self._run(check.work, self._finish(key, check))

    def _finish(self, key: _Key, check: _Check) -> Callable[[bool], None]:
        def finished(fits: bool) -> None:
            self._under_way.remove(key)
            if key in self._queues:  # its next turn is behind all others
                self._queues[key] = self._queues.pop(key)
            if fits:
                self._good[key] = None
                self._good.move_to_end(key)
                if len(self._good) > REMEMBERED:
                    self._good.popitem(last=False)
            else:
                self._good.pop(key, None)
            try:
                check.done(fits)
            finally:
                self._give_up()
                self._start()

        return finished
