"""The data of the page ``/status``: the daemon's state each second, and its recent events."""

from __future__ import annotations

import json
import math
from collections import deque
from typing import Any

from tcpd.interfaces import IContext
from tcpd.web.streams import event

#: Events that the page shows when it opens, and that may wait for one second.
RECENT = 50

#: Seconds for which the state is the same for all watchers: those of one tick.
_FRESH = 0.5


class StatusFeed:
    """Reads the status once a second for all clients that watch, and collects events.

    :param context: of the service.
    """

    def __init__(self, context: IContext) -> None:
        self._context = context
        self._read_at = -math.inf
        self._status = b""
        self._recent: deque[Any] = deque(maxlen=RECENT)
        self._waiting: dict[StatusWatcher, None] = {}
        self._follower: Any = None

    def start(self) -> None:
        """Collect events. Called when the service starts."""
        self._follower = self._context.follow(self._happened)

    def stop(self) -> None:
        """End that. Called when the service stops."""
        if self._follower is not None:
            self._follower.stop()
            self._follower = None

    def watch(self) -> StatusWatcher:
        """Begin to watch."""
        watcher = StatusWatcher(self, list(self._recent))
        self._waiting[watcher] = None
        return watcher

    def leave(self, watcher: StatusWatcher) -> None:
        """End it. May be called again."""
        self._waiting.pop(watcher, None)

    def status(self) -> bytes:
        """Return the event with the state of the daemon."""
        now = self._context.clock.seconds()
        if now - self._read_at >= _FRESH:
            self._read_at = now
            self._status = event("status", self._context.status())
        return self._status

    def _happened(self, line: str) -> None:
        found = json.loads(line)
        self._recent.append(found)
        for watcher in self._waiting:
            watcher.events.append(found)


class StatusWatcher:
    """One client of the page.

    :ivar events: events that it has not received yet.
    """

    def __init__(self, feed: StatusFeed, recent: list[Any]) -> None:
        self.events: deque[Any] = deque(recent, maxlen=RECENT)
        self._feed = feed

    def read(self) -> bytes:
        """Return the events of the last second and the state, encoded."""
        found: list[Any] = []
        while self.events:
            found.append(self.events.popleft())
        return self._feed.status() + (event("log", found) if found else b"")

    def leave(self) -> None:
        """See :meth:`StatusFeed.leave`."""
        self._feed.leave(self)
