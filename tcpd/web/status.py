"""The data of the page ``/status``: the daemon's state each second, and its events."""

from __future__ import annotations

import math
from collections import deque

from tcpd.interfaces import IContext
from tcpd.ops.follow import RECENT
from tcpd.web.streams import event

#: Seconds for which the state is the same for all watchers: those of one tick.
_FRESH = 0.5


class StatusFeed:
    """Reads the status once a second for all clients that watch.

    :param context: of the service.
    """

    def __init__(self, context: IContext) -> None:
        self._context = context
        self._read_at = -math.inf
        self._status = b""

    def watch(self) -> StatusWatcher:
        """Begin to watch."""
        return StatusWatcher(self, self._context)

    def status(self) -> bytes:
        """Return the event with the state of the daemon."""
        now = self._context.clock.seconds()
        if now - self._read_at >= _FRESH:
            self._read_at = now
            self._status = event("status", self._context.status())
        return self._status


class StatusWatcher:
    """One client of the page. It receives recent events first.

    :param feed: the state.
    :param context: of the service.
    """

    def __init__(self, feed: StatusFeed, context: IContext) -> None:
        self._feed = feed
        self._events: deque[str] = deque(maxlen=RECENT)  # not received yet, as JSON
        self._follower = context.follow(self._events.append, recent=True)

    def read(self) -> bytes:
        """Return the state, and the events of the last second, encoded."""
        lines = ",".join(self._events)
        self._events.clear()
        log = f"event: log\ndata: [{lines}]\n\n".encode() if lines else b""
        return self._feed.status() + log

    def leave(self) -> None:
        """Stop watching. May be called again."""
        self._follower.stop()
