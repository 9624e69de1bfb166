"""One fair queue of the work that clients cause.

A client may cause work that takes milliseconds: a long reply, a report, a message to thousands. A
bound for each connection is no bound for a thousand of them, so all of them share one bound: the
seconds that a turn of the reactor may spend on such work. What does not fit waits for the next
turn, round robin by address, then by client of the address.

No clock is read here but the one that is passed in, which must be monotonic.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, Protocol, TypeVar

from tcpd.policy.addresses import IPAddress, limit_key

T = TypeVar("T")

#: Seconds of work in a turn of the reactor.
SECONDS_A_TURN = 0.005

#: Seconds of work for one client at a time, as long as others wait.
SECONDS_A_SHARE = 0.0005

#: The share of work for which no client waits, such as leaving rooms after a disconnect. All of it
#: together is served as one address is.
BACKGROUND: Hashable = None


class Source(Protocol):
    """What has work to do, as a rule one connection."""

    @property
    def share(self) -> Hashable:
        """With whom it shares its turns; see :func:`share_of`. Read each time it starts to wait."""

    def work(self, deadline: float) -> bool:
        """Do some of the work: at least one step, and no further one after the deadline.

        :param deadline: seconds of the queue's clock.
        :return: whether there is more to do now.
        """


def share_of(address: IPAddress | None, client: Hashable) -> Hashable:
    """With whom a client shares its turns: its IPv4 address, or its /64 (RFC 6177 section 2).

    :param address: ``None`` for a client of a UNIX socket, which has a share to itself.
    :param client: the client.
    """
    return client if address is None else limit_key(address)


class WorkQueue:
    """Runs sources: at once if the turn has time left and nobody waits, else in order.

    A source is in the queue at most once. One that raises is dropped; its owner is expected to
    catch what it can name, so such an exception is only reported.

    :param now: the monotonic clock, in seconds; it is an attribute, too.
    :param soon: called with this object; calls its :meth:`flush` once, at the end of the current
        turn of the reactor, or in the next one. See :class:`tcpd.net.turns.TurnScheduler`.
    :param report: called while an exception of a waiting source is handled.
    :param seconds: of work in a turn. Infinite, no work ever waits for its turn: for tests.
    """

    __slots__ = (
        "_counting",
        "_deadline",
        "_draining",
        "_report",
        "_running",
        "_seconds",
        "_shares",
        "_soon",
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
        self._deadline = 0.0
        self._counting = False  # flush will be called
        self._draining = False  # and does work then
        self._running = False
        # by share, in the order of their turns, none empty; and the share of each source in it
        self._shares: OrderedDict[Hashable, OrderedDict[Source, None]] = OrderedDict()
        self._waiting: dict[Source, Hashable] = {}

    def __len__(self) -> int:
        """How many sources wait."""
        return len(self._waiting)

    def run(self, source: Source) -> bool:
        """Have a source work: at once, or when its turn comes. What it raises at once is raised.

        :return: whether it worked at once; otherwise it waits.
        """
        now = self.now()
        if not self._counting:
            self._counting = True
            self._deadline = now + self._seconds
            self._soon(self)
        elif self._waiting or self._running or now >= self._deadline:
            self._put(source)
            return False
        self._running = True
        try:
            if source.work(self._deadline):
                self._put(source)
        finally:
            self._running = False
        return True

    def add(self, source: Source) -> None:
        """Have a source work when its turn comes, and never within this call."""
        if not self._counting:
            self._counting = self._draining = True
            self._deadline = self.now() + self._seconds
            self._soon(self)
        self._put(source)

    def remove(self, source: Source) -> None:
        """Take a source out, which need not be in the queue."""
        if source in self._waiting:
            share = self._waiting.pop(source)
            sources = self._shares[share]
            del sources[source]
            if not sources:
                del self._shares[share]

    def flush(self) -> None:
        """A turn of the reactor has ended. Called as ``soon`` promises.

        Sources are run at every second call: in between, what they have written leaves. tcpd's
        reactor calls this before and after it waits for events, so that is once a turn.
        """
        draining = self._draining
        if draining:
            self._drain()
        self._counting = bool(self._waiting)
        self._draining = self._counting and not draining
        if self._counting:
            self._soon(self)

    def _put(self, source: Source) -> None:
        if source not in self._waiting:
            share = self._waiting[source] = source.share
            sources = self._shares.get(share)
            if sources is None:
                sources = self._shares[share] = OrderedDict()
            sources[source] = None

    def _drain(self) -> None:
        """Run sources until the time of a turn is used up: one at least."""
        shares = self._shares
        now = self.now()
        self._deadline = deadline = now + self._seconds
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
                except Exception:  # the boundary to sources: the others have their turns
                    self._report()
                now = self.now()
                if now >= deadline:
                    break
        finally:
            self._running = False


class Walk(Generic[T]):
    """Calls a function with each of many objects, when the queue has time.

    A :class:`Source` of the share :data:`BACKGROUND`.

    :param queue: ``None``: all is done at once.
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
        """Deal with objects. Called when no walk is under way."""
        self._left.extend(objects)
        if self._queue is not None:
            self._queue.run(self)
            return
        while self._left:
            self._act(self._left.popleft())

    def stop(self) -> None:
        """Forget the objects that are left."""
        self._left.clear()
        if self._queue is not None:
            self._queue.remove(self)

    def work(self, deadline: float) -> bool:
        """See :class:`Source`."""
        left, queue = self._left, self._queue
        assert queue is not None
        while left:
            self._act(left.popleft())
            if queue.now() >= deadline:
                break
        return bool(left)
