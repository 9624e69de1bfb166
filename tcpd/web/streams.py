"""Event streams of the pages: a limited number, all driven by one timer."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

#: Seconds between two events of a stream.
INTERVAL = 1.0

#: Streams of one share: an IPv4 address or an IPv6 /64.
PER_SHARE = 8

_log = Logger()


def event(name: str, data: Any) -> bytes:
    """Encode an event (HTML Standard section 9.2.6).

    :param name: its type.
    :param data: an object for JSON.
    """
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


class Streams:
    """The open streams of a service.

    :param clock: for the timer, which runs while a stream is open.
    :param most: the maximum number of streams.
    """

    def __init__(self, clock: IReactorTime, most: int) -> None:
        self.most = most
        self._clock = clock
        self._open: dict[SecondStream, None] = {}
        self._shares: Counter[Hashable] = Counter()
        self._timer: IDelayedCall | None = None

    def __len__(self) -> int:
        """The number of open streams."""
        return len(self._open)

    def has_room(self, share: Hashable) -> bool:
        """Whether another stream of a client's share may open; see
        :func:`tcpd.policy.workqueue.share_of`."""
        return len(self._open) < self.most and self._shares[share] < PER_SHARE

    def add(self, stream: SecondStream) -> None:
        """Begin to call a stream's ``tick`` each second."""
        self._open[stream] = None
        self._shares[stream.share] += 1
        if self._timer is None:
            self._timer = self._clock.callLater(INTERVAL, self._tick)

    def remove(self, stream: SecondStream) -> None:
        """Stop that."""
        if stream in self._open:
            del self._open[stream]
            self._shares[stream.share] -= 1
            if not self._shares[stream.share]:
                del self._shares[stream.share]
        if not self._open and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._timer = self._clock.callLater(INTERVAL, self._tick)
        for stream in list(self._open):
            try:
                stream.tick()
            except Exception:
                _log.failure("an event stream failed")
                stream.finish()


class SecondStream:
    """A response of events, one each second. See :class:`tcpd.http.site.EventStream`.

    :param streams: the open streams of the service.
    :param share: the client's, for the limit; see :meth:`Streams.has_room`.
    :param read: returns the next event; empty for none.
    :param events: the number of events after which the stream ends; ``None`` for no end.
    :param stopped: called when it has ended.
    """

    def __init__(
        self,
        streams: Streams,
        share: Hashable,
        read: Callable[[], bytes],
        events: int | None = None,
        stopped: Callable[[], object] = lambda: None,
    ) -> None:
        self.share = share
        self._streams = streams
        self._read = read
        self._left = events
        self._stopped = stopped
        self._send: Callable[[bytes], bool] = lambda data: False
        self._finish: Callable[[], None] = lambda: None

    def start(self, send: Callable[[bytes], bool], finish: Callable[[], None]) -> None:
        self._send, self._finish = send, finish
        self._streams.add(self)
        # a browser that loses the connection opens it again after this time
        send(b"retry: 5000\n\n")
        self.tick()

    def stop(self) -> None:
        self._streams.remove(self)
        self._stopped()

    def tick(self) -> None:
        """Send the next event. Called each second."""
        if not self._send(b""):
            return  # the client does not read fast enough: nothing is lost, and the end waits
        if self._left is not None:
            self._left -= 1
        data = self._read()
        if data:
            self._send(data)
        if self._left == 0:
            self._send(event("end", {}))
            self.finish()

    def finish(self) -> None:
        """End the response; :meth:`stop` follows."""
        self._finish()
