"""A fair queue for work that clients cause (docs/decisions/0005).

A client may cause work that takes milliseconds: a long reply, a report, a message to thousands. A
limit per connection does not bound the work of a thousand connections. All connections therefore
share one limit: the seconds that a reactor turn may spend on this work. The rest waits for the next
turn. Scheduling is round robin by address, then by client of the address.

A client that has nothing in the queue is served at once while a part of the turn's time is left,
even if others wait. Otherwise a PING would wait for ten thousand JOINs that other clients sent
before. fq_codel (RFC 8290 section 4.2, "new flows") gives new flows priority for the same reason.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, Protocol, TypeVar

from tcpd.policy.addresses import IPAddress, limit_key

T = TypeVar("T")

#: Seconds of work in a reactor turn.
SECONDS_A_TURN = 0.005

#: Time slice of one client while others wait, in seconds.
SECONDS_A_SHARE = 0.0005

#: The part of SECONDS_A_TURN for clients that have nothing in the queue, while others wait.
SECONDS_FOR_NEW = 0.002

#: The share of background work, such as leaving rooms after a disconnect. It is scheduled like the
#: work of one address.
BACKGROUND: Hashable = None


class WorkSource(Protocol):
    """An object with work to do, usually one connection."""

    @property
    def share(self) -> Hashable:
        """The scheduling key; see :func:`share_of`. Read while other sources wait."""

    def work(self, deadline: float) -> bool:
        """Do at least one step of the work, and start no step after the deadline.

        :param deadline: seconds of the queue's clock.
        :return: whether there is more work.
        """


def share_of(address: IPAddress | None, client: Hashable) -> Hashable:
    """Return a client's scheduling key: its IPv4 address, or its IPv6 /64 (RFC 6177 section 2).

    :param address: ``None`` for a client of a UNIX socket, which has a share to itself.
    :param client: the key of such a client.
    """
    return client if address is None else limit_key(address)


class WorkQueue:
    """Runs sources: immediately if the turn has time left for them, else in order.

    While sources wait, but no background work, :data:`SECONDS_FOR_NEW` of the turn is for sources
    that do not wait.

    A source is in the queue at most once. A waiting source that raises is removed and reported.

    :param now: the monotonic clock, in seconds; also an attribute.
    :param soon: called with this object; calls its :meth:`flush` once, at the end of the current
        reactor turn or in the next one. See :class:`tcpd.net.turns.TurnScheduler`.
    :param report: called in the ``except`` block for an exception of a waiting source.
    :param seconds: the limit of work per turn; infinity, in tests, disables it.
    """

    __slots__ = (
        "_counting",
        "_deadline",
        "_draining",
        "_for_new",
        "_report",
        "_running",
        "_seconds",
        "_shares",
        "_soon",
        "_used_by_new",
        "_waiting",
        "now",
    )

    def __init__(
        self,
        now: Callable[[], float],
        soon: Callable[[WorkQueue], object],
        report: Callable[[], object],
        seconds: float = SECONDS_A_TURN,
    ) -> None:
        self.now = now
        self._soon = soon
        self._report = report
        self._seconds = seconds
        self._for_new = min(SECONDS_FOR_NEW, seconds)
        self._deadline = 0.0
        self._counting = False  # a call of flush is scheduled
        self._draining = False  # and it will run sources
        self._running = False
        self._used_by_new = 0.0  # seconds of this turn, for new sources while others wait
        # the sources of each share, in round robin order, without empty shares
        self._shares: OrderedDict[Hashable, OrderedDict[WorkSource, None]] = OrderedDict()
        #: the share of each waiting source
        self._waiting: dict[WorkSource, Hashable] = {}

    def __len__(self) -> int:
        """The number of waiting sources."""
        return len(self._waiting)

    def __contains__(self, source: object) -> bool:
        """Whether a source waits."""
        return source in self._waiting

    @property
    def runs_next(self) -> bool:
        """Whether the next flush runs sources; otherwise it only begins a new turn."""
        return self._draining

    def run(self, source: WorkSource) -> bool:
        """Run a source immediately, or queue it. Exceptions of an immediate run propagate.

        :return: whether it ran immediately.
        """
        now = self.now()
        others_wait = bool(self._waiting)
        if not self._counting:
            self._counting = True
            self._deadline = now + self._seconds
            self._soon(self)
        elif self._running or (self._must_wait(source) if others_wait else now >= self._deadline):
            self._put(source)
            return False
        self._running = True
        try:
            if source.work(now + SECONDS_A_SHARE if others_wait else self._deadline):
                self._put(source)
        finally:
            self._running = False
            if others_wait:
                self._used_by_new += self.now() - now
        return True

    def _must_wait(self, source: WorkSource) -> bool:
        """Whether a source cannot run before those that wait.

        While background work waits, all wait, so that the nickname of a client that reconnects is
        free.
        """
        return (
            self._used_by_new >= self._for_new
            or source in self._waiting
            or BACKGROUND in self._shares
            or source.share is BACKGROUND
        )

    def add(self, source: WorkSource) -> None:
        """Queue a source; it never runs within this call."""
        if not self._counting:
            self._counting = self._draining = True
            self._deadline = self.now() + self._seconds
            self._soon(self)
        self._put(source)

    def remove(self, source: WorkSource) -> None:
        """Remove a source, if it is queued."""
        if source in self._waiting:
            share = self._waiting.pop(source)
            sources = self._shares[share]
            del sources[source]
            if not sources:
                del self._shares[share]

    def flush(self) -> None:
        """End a reactor turn. Called by the scheduler after ``soon``.

        Sources run at every second call, so that their output is flushed in between. tcpd's
        reactor calls this before and after it polls, so sources run once a turn.
        """
        draining = self._draining
        if draining:
            self._drain()
        self._counting = bool(self._waiting)
        self._draining = self._counting and not draining
        if self._counting:
            self._soon(self)

    def _put(self, source: WorkSource) -> None:
        if source not in self._waiting:
            share = self._waiting[source] = source.share
            sources = self._shares.get(share)
            if sources is None:
                sources = self._shares[share] = OrderedDict()
            sources[source] = None

    def _drain(self) -> None:
        """Run at least one source, and more until the deadline of the turn."""
        shares = self._shares
        now = self.now()
        self._deadline = deadline = now + self._seconds - min(self._for_new, self._used_by_new)
        self._used_by_new = 0.0
        self._running = True
        try:
            while shares:
                share, sources = shares.popitem(last=False)
                source, _ = sources.popitem(last=False)
                del self._waiting[source]
                if sources:
                    shares[share] = sources
                end = min(deadline, now + SECONDS_A_SHARE) if shares else deadline
                try:
                    if source.work(end):
                        self._put(source)
                except Exception:  # isolates the other sources
                    self._report()
                now = self.now()
                if now >= deadline:
                    break
        finally:
            self._running = False


class Walk(Generic[T]):
    """Calls a function with each of many objects, as background work.

    :param queue: ``None`` to call it for all objects immediately.
    :param act: called with each object; never raises.
    """

    __slots__ = ("_act", "_left", "_queue")

    share = BACKGROUND

    def __init__(self, queue: WorkQueue | None, act: Callable[[T], object]) -> None:
        self._queue = queue
        self._act = act
        self._left: deque[T] = deque()

    @property
    def under_way(self) -> bool:
        """Whether objects are left."""
        return bool(self._left)

    def begin(self, objects: Iterable[T]) -> None:
        """Start with these objects. Must not be called while a walk is under way."""
        self._left.extend(objects)
        if self._queue is not None:
            self._queue.run(self)
            return
        while self._left:
            self._act(self._left.popleft())

    def stop(self) -> None:
        """Drop the remaining objects."""
        self._left.clear()
        if self._queue is not None:
            self._queue.remove(self)

    def work(self, deadline: float) -> bool:
        """See :class:`WorkSource`."""
        left, queue = self._left, self._queue
        assert queue is not None
        while left:
            self._act(left.popleft())
            if queue.now() >= deadline:
                break
        return bool(left)
