"""TCPINFO watch: a line of the kernel's figures on the client's connection each second."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tcpd.handshake.sample import sample_line
from tcpd.line.command import ConnectionFacts
from tcpd.line.stream import Stream

#: Seconds between two lines.
_INTERVAL = 1.0


class TcpInfoWatch(Stream):
    """Sends a line at once and then each second.

    While the client does not read, no line is sent and none is buffered; the seconds count.

    :param connection: the client's.
    :param clock: schedules the lines; ``twisted.internet.interfaces.IReactorTime``.
    :param seconds: after this time it ends itself.
    """

    def __init__(self, connection: ConnectionFacts, clock: Any, seconds: int) -> None:
        self._connection = connection
        self._clock = clock
        self._left = seconds
        self._lines = 0
        self._paused = False
        self._over = False
        self._call: Any = None
        self._send: Callable[[str], None] = lambda line: None

    def begin(self, say: Callable[[str], None]) -> None:
        self._send = say
        self._sample()

    def _tick(self) -> None:
        self._call = None
        self._left -= 1
        if self._left > 0:
            self._sample()
            return
        self._over = True
        if not self._paused:
            self.end()

    def _sample(self) -> None:
        self._call = self._clock.callLater(_INTERVAL, self._tick)
        if not self._paused:
            self._lines += 1
            self._send(sample_line(self._connection.tcp_sample() or {}))

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        if self._over:
            self.end()

    def stop(self) -> str:
        if self._call is not None:
            self._call.cancel()
            self._call = None
        return "1 line" if self._lines == 1 else f"{self._lines} lines"
