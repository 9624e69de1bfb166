"""Broadcasts events to followers, such as ``tcpd-ctl events``.

Each event of the catalogue is rendered once as a JSON line (:func:`tcpd.ops.records.json_line`), if
there are followers. A follower that cannot take more calls :meth:`Follower.pause`. Its events then
wait in a bounded queue; events that do not fit are counted and reported as ``events.dropped`` when
the follower resumes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.logger import ILogObserver, LogEvent, Logger
from zope.interface import implementer

from tcpd.ops.catalogue import EVENT_ID, EVENTS_DROPPED
from tcpd.ops.records import Escape, json_line

#: Lines that may wait for one follower.
LINES_HELD = 1000

#: Recent events, for followers that want them.
RECENT = 50


class Follower:
    """One follower. Made by :meth:`Followers.follow`.

    :ivar dropped: the events that it has missed.
    """

    def __init__(self, followers: Followers, callback: Callable[[str], object], held: int) -> None:
        self._followers = followers
        self._callback = callback
        self._held = held
        self._waiting: deque[str] = deque()
        self._paused = False
        self._missed = 0
        self.dropped = 0

    def pause(self) -> None:
        """Pause callbacks until :meth:`resume`. May be called from the callback."""
        self._paused = True

    def resume(self) -> None:
        """Resume callbacks, first for the waiting lines. May be called from the callback."""
        self._paused = False
        while self._waiting and not self._paused:
            self._callback(self._waiting.popleft())
        if self._missed and not self._paused:
            count, self._missed = self._missed, 0
            self._callback(self._followers.render(EVENTS_DROPPED.make(count=count)))

    def stop(self) -> None:
        """Stop following. May be called from the callback, and repeatedly."""
        self._paused = True
        self._waiting.clear()
        self._missed = 0
        self._followers.forget(self)

    @property
    def full(self) -> bool:
        """Whether the next event will be dropped.

        After the first dropped event all events are dropped until :meth:`resume`, to keep the
        order.
        """
        return bool(self._missed) or (self._paused and len(self._waiting) >= self._held)

    def miss(self) -> None:
        """Count a dropped event. Called by :class:`Followers` if :attr:`full`."""
        self._missed += 1
        self.dropped += 1
        self._followers.dropped += 1

    def push(self, line: str) -> None:
        """Deliver or queue an event. Called by :class:`Followers`."""
        if self._paused or self._waiting:
            self._waiting.append(line)
        else:
            self._callback(line)


@implementer(ILogObserver)
class Followers:
    """Broadcasts the events of the catalogue; an observer of the global log publisher.

    :param escape: escapes control characters; see :mod:`tcpd.ops.records`.

    :ivar dropped: events that followers missed, counted once for each follower.
    """

    _log = Logger()

    def __init__(self, escape: Escape) -> None:
        self._escape = escape
        self._all: list[Follower] = []
        # rendered when a follower wants them: that takes as long as a line of the access log
        self._recent: deque[LogEvent | str] = deque(maxlen=RECENT)
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._all)

    def follow(
        self,
        callback: Callable[[str], object],
        held: int = LINES_HELD,
        *,
        recent: bool = False,
    ) -> Follower:
        """Call back for each further event, regardless of the log level.

        :param callback: called with a JSON line, ASCII, without its line end; must not block. If it
            raises, the exception is logged and the follower stopped.
        :param held: lines that may wait while the follower is paused.
        :param recent: call back for the last :data:`RECENT` events first, within this call.
        """
        follower = Follower(self, callback, held)
        self._all.append(follower)
        for event in list(self._recent) if recent else ():
            self._push(follower, event if isinstance(event, str) else self.render(event))
        return follower

    def forget(self, follower: Follower) -> None:
        """Remove a follower. Called by :meth:`Follower.stop`."""
        if follower in self._all:
            self._all.remove(follower)

    def render(self, event: LogEvent) -> str:
        """Render an event for followers."""
        return json_line(event, self._escape)

    def __call__(self, event: LogEvent) -> None:
        if EVENT_ID not in event:
            return
        line = ""
        for follower in list(self._all):
            if follower.full:
                follower.miss()
                continue
            line = line or self.render(event)
            self._push(follower, line)
        if not line and "log_failure" in event:
            line = self.render(event)  # its traceback would keep connections alive
        self._recent.append(line or {**event, "log_source": None, "log_logger": None})

    def _push(self, follower: Follower, line: str) -> None:
        try:
            follower.push(line)
        except Exception:  # isolates other followers
            follower.stop()
            self._log.failure("a follower of events failed and was removed")
