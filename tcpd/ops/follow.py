"""Events for those who want them as they happen, none of whom can hold up anybody.

Each event of the catalogue becomes one JSON line (:func:`tcpd.ops.records.json_line`), made once
however many follow, and not at all while nobody does. A follower who cannot take more says
:meth:`Follower.pause`; what then comes waits in a bounded queue, and what does not fit there is
counted, and told as ``events.dropped`` when the follower goes on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.logger import ILogObserver, LogEvent, Logger
from zope.interface import implementer

from tcpd.ops.catalogue import EVENT_ID, EVENTS_DROPPED
from tcpd.ops.records import Escape, json_line

#: How many lines may wait for one follower.
LINES_HELD = 1000


class Follower:
    """One who follows. Made by :meth:`Followers.follow`.

    :ivar dropped: how many events this one has missed, all in all.
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
        """Call back no more, until :meth:`resume`. May be called from the callback."""
        self._paused = True

    def resume(self) -> None:
        """Call back again, at once with what has waited. May be called from the callback."""
        self._paused = False
        while self._waiting and not self._paused:
            self._callback(self._waiting.popleft())
        if self._missed and not self._paused:
            count, self._missed = self._missed, 0
            self._callback(self._followers.render(EVENTS_DROPPED.make(count=count)))

    def stop(self) -> None:
        """Follow no more. May be called from the callback, and again."""
        self._paused = True
        self._waiting.clear()
        self._missed = 0
        self._followers.forget(self)

    @property
    def full(self) -> bool:
        """Whether the next event is to be missed.

        Once there is a gap everything up to its end is in it, or the order would not be true.
        """
        return bool(self._missed) or (self._paused and len(self._waiting) >= self._held)

    def miss(self) -> None:
        """Called by :class:`Followers` for an event that one who is :attr:`full` does not get."""
        self._missed += 1
        self.dropped += 1
        self._followers.dropped += 1

    def push(self, line: str) -> None:
        """Called by :class:`Followers` for any other event."""
        if self._paused or self._waiting:
            self._waiting.append(line)
        else:
            self._callback(line)


@implementer(ILogObserver)
class Followers:
    """Hands the events of the catalogue on; an observer of the global log publisher.

    :param escape: makes text safe to print; see :mod:`tcpd.ops.records`.

    :ivar dropped: how many events those who followed have missed, counted for each.
    """

    _log = Logger()

    def __init__(self, escape: Escape) -> None:
        self._escape = escape
        self._all: list[Follower] = []
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._all)

    def follow(self, callback: Callable[[str], object], held: int = LINES_HELD) -> Follower:
        """Call back for each event from now on, whatever the log level.

        :param callback: gets one JSON line, ASCII, without its line end. It must not wait. If it
            raises, that is logged and ends the following.
        :param held: how many lines may wait while the follower is paused.
        """
        follower = Follower(self, callback, held)
        self._all.append(follower)
        return follower

    def forget(self, follower: Follower) -> None:
        """Called by :meth:`Follower.stop`."""
        if follower in self._all:
            self._all.remove(follower)

    def render(self, event: LogEvent) -> str:
        """An event as followers see it."""
        return json_line(event, self._escape)

    def __call__(self, event: LogEvent) -> None:
        if not self._all or EVENT_ID not in event:
            return
        line = ""
        for follower in list(self._all):
            if follower.full:
                follower.miss()
                continue
            line = line or self.render(event)
            try:
                follower.push(line)
            except Exception:  # the boundary to whoever follows
                follower.stop()
                self._log.failure("a follower of events failed, and follows no more")
