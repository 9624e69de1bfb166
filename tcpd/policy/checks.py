"""Fair queue of password checks.

A check takes tens of milliseconds of a core, so checks are queued. Each address (each /64 of IPv6)
has a queue, and the queues are served round robin: an address that tries many passwords delays
another by one or two checks. Loopback, UNIX sockets and addresses whose last password was right
have priority; the others get one check in four.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from tcpd.policy.addresses import limit_key

#: Concurrent checks; each takes 32 MiB and most of a core.
CONCURRENT = 2

#: Maximum numbers of waiting checks: of one address, and of all addresses.
QUEUED_PER_ADDRESS = 64
QUEUED = 256

#: Seconds that a check may wait.
TIMEOUT = 10.0

#: Consecutive checks with priority while others wait.
IN_A_ROW = 3

#: Remembered addresses whose last password was right.
REMEMBERED = 1024

#: Runs the first argument, as in a thread, and calls the second with its result.
Run = Callable[[Callable[[], bool], Callable[[bool], None]], None]


def run_inline(work: Callable[[], bool], done: Callable[[bool], None]) -> None:
    """Run the work without a thread, for tests."""
    done(work())


class _Check(NamedTuple):
    since: float
    work: Callable[[], bool]
    done: Callable[[bool | None], None]
    is_wanted: Callable[[], bool]


#: Whether the address always has priority, and its :func:`limit_key`.
_Key = tuple[bool, int]


class Checks:
    """The password checks of one service.

    :param run: runs one check.
    :param clock: seconds, monotonic.
    """

    def __init__(self, run: Run, clock: Callable[[], float]) -> None:
        self._run = run
        self._clock = clock
        # by address, in the order of their turns, without empty ones
        self._queues: dict[_Key, deque[_Check]] = {}
        self._waiting = 0
        self._under_way: list[_Key] = []
        self._good: OrderedDict[_Key, None] = OrderedDict()
        self._in_a_row = 0

    @property
    def queued(self) -> int:
        """The number of checks that wait."""
        return self._waiting

    @property
    def running(self) -> int:
        """The number of checks that run."""
        return len(self._under_way)

    @property
    def remembered(self) -> int:
        """The number of addresses that have priority for a correct password."""
        return len(self._good)

    def submit(
        self,
        address: IPv4Address | IPv6Address | None,
        work: Callable[[], bool],
        done: Callable[[bool | None], None],
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """Queue one check.

        :param address: the address of the client; ``None`` for a UNIX socket.
        :param work: checks the password; called in a thread.
        :param done: called once with the result, now or later; with ``None`` if too many checks
            wait. Not called for a check that is no longer wanted.
        :param is_wanted: whether the client still waits for the result.
        """
        key = (True, 0) if address is None else (address.is_loopback, limit_key(address))
        self._expire()
        if len(self._queues.get(key, ())) >= QUEUED_PER_ADDRESS:
            self._keep(key, [check for check in self._queues[key] if check.is_wanted()])
        if len(self._queues.get(key, ())) >= QUEUED_PER_ADDRESS or not self._make_room(key):
            done(None)
            return
        check = _Check(self._clock(), work, done, is_wanted)
        self._queues.setdefault(key, deque()).append(check)
        self._waiting += 1
        self._start()

    def _has_priority(self, key: _Key) -> bool:
        return key[0] or key in self._good

    def _make_room(self, key: _Key) -> bool:
        """Whether one more check may wait; may drop the last check of the longest queue."""
        if self._waiting < QUEUED:
            return True
        first = self._has_priority(key)
        most = max(self._queues, key=lambda k: (not self._has_priority(k), len(self._queues[k])))
        other, own = len(self._queues[most]), len(self._queues.get(key, ()))
        if self._has_priority(most) is first:
            gives_way = other > own + 1
        else:
            gives_way = first
        if gives_way:
            *rest, last = self._queues[most]
            self._keep(most, rest)
            last.done(None)
        return gives_way

    def _keep(self, key: _Key, checks: list[_Check]) -> None:
        """Replace the queue of an address, without changing its turn."""
        self._waiting -= len(self._queues[key]) - len(checks)
        if checks:
            self._queues[key] = deque(checks)
        else:
            del self._queues[key]

    def _expire(self) -> None:
        """Drop the checks that have waited for too long."""
        oldest = self._clock() - TIMEOUT
        late = []
        for key, queue in list(self._queues.items()):
            if queue[0].since <= oldest:
                late += [check for check in queue if check.since <= oldest]
                self._keep(key, [check for check in queue if check.since > oldest])
        for check in late:
            if check.is_wanted():
                check.done(None)

    def _next(self) -> _Key | None:
        """The address whose turn it is."""
        first = other = busy = None
        for key in self._queues:
            if key in self._under_way:
                busy = busy or key
            elif self._has_priority(key):
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
        while len(self._under_way) < CONCURRENT and (key := self._next()) is not None:
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
            if key in self._queues:  # its next turn comes after all others
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
                self._expire()
                self._start()

        return finished
