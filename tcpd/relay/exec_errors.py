"""Logs the standard error of a service's programs, line by line, at a limited rate.

A program may write without end. Reading is rate-limited over all programs of a service: the rest
stays in the pipes, so a program that floods blocks in write(2) and uses no CPU time. The log gets
a limited number of lines; the others are counted.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from tcpd.config.values import Rate
from tcpd.interfaces import IContext
from tcpd.ops import catalogue
from tcpd.policy.buckets import TokenBucket
from tcpd.relay.exec_program import ReadEnd
from tcpd.wire.safe_text import escape_controls

#: Bytes of a line that are logged; longer lines are truncated.
LONGEST = 1024

_READ = 65536

#: Log lines of all programs of a service.
LINES = Rate(10, 50)

#: Reads of all programs of a service, up to 64 KiB each: 3 MiB/s.
READS = Rate(50, 100)

#: Seconds until the next attempt to read when the rate is exceeded.
_PAUSE = 0.1

#: Seconds from the first dropped line to the log event with their number.
_REPORT = 10.0


class ErrorLog:
    """Rate-limits and logs the lines of all programs of a service.

    :param context: the context of the service.
    :param log: the log of the service.
    """

    def __init__(self, context: IContext, log: Logger) -> None:
        self._context = context
        self._log = log
        now = context.clock.seconds()
        self._lines = TokenBucket(LINES, now)
        self._reads = TokenBucket(READS, now)
        self._lost = 0  # lines dropped since the last log event
        self._report: IDelayedCall | None = None

    def may_read(self) -> bool:
        """Take a token for one read; false if the rate is exceeded."""
        return self._reads.take(self._context.clock.seconds())

    @property
    def room(self) -> int:
        """The number of lines that may be logged now."""
        return int(self._lines.refill(self._context.clock.seconds()))

    def line(self, pid: int, peer: str, text: str) -> None:
        """Log a line of a program, or count it as dropped."""
        if not self._lines.take(self._context.clock.seconds()):
            self.left_out(1)
            return
        catalogue.EXEC_STDERR.emit(
            self._log,
            service=self._context.service,
            pid=pid,
            peer=peer,
            line=escape_controls(text),
            lost=self._take_lost(),
        )

    def left_out(self, count: int) -> None:
        """Count dropped lines."""
        if not count:
            return
        self._lost += count
        self._context.counters.events["program-stderr-lost"] += count
        if self._report is None:
            self._report = self._context.clock.callLater(_REPORT, self._log_lost)

    def stop(self) -> None:
        """Log the number of dropped lines now. Called when the service stops."""
        if self._report is not None:
            self._log_lost()

    def _log_lost(self) -> None:
        lost = self._take_lost()
        catalogue.EXEC_STDERR_LOST.emit(self._log, service=self._context.service, lost=lost)

    def _take_lost(self) -> int:
        lost, self._lost = self._lost, 0
        report, self._report = self._report, None
        if report is not None and report.active():
            report.cancel()
        return lost


class ErrorLines:
    """Splits bytes into lines: decoded, not escaped, each of at most :data:`LONGEST` bytes.

    :param on_line: called with each line that is not blank.
    """

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._partial = b""
        self._skipping = False  # to the end of a line that was too long

    def feed(self, data: bytes, most: int) -> int:
        """Feed the next bytes.

        :param most: the most lines to report; further ones are dropped.
        :return: the number of dropped lines.
        """
        *lines, rest = data.split(b"\n", most)
        for line in lines:
            self._end(line)
        left_out = rest.count(b"\n")
        if left_out:
            self._partial = b""
            self._skipping = False
            rest = rest[rest.rindex(b"\n") + 1 :]
        self._take(rest)
        return left_out

    def end(self) -> None:
        """Report the last line, if it has no line end."""
        self._end(b"")

    def _take(self, piece: bytes) -> None:
        if self._skipping:
            return
        self._partial += piece[: LONGEST + 1 - len(self._partial)]
        if len(self._partial) > LONGEST:
            self._emit(self._partial[:LONGEST])
            self._partial = b""
            self._skipping = True

    def _end(self, piece: bytes) -> None:
        self._take(piece)
        line, self._partial = self._partial, b""
        self._skipping = False
        self._emit(line)

    def _emit(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip()
        if text:
            self._on_line(text)


class ErrorPipe:
    """The read end of a program's standard error.

    :param reactor: provides IReactorFDSet and IReactorTime.
    :param fd: non-blocking; owned by this object from now on.
    :param log: the log of the service.
    :param on_line: called with each line.
    """

    def __init__(
        self, reactor: Any, fd: int, log: ErrorLog, on_line: Callable[[str], None]
    ) -> None:
        self._reactor = reactor
        self._log = log
        self._lines = ErrorLines(on_line)
        self._end: ReadEnd | None = ReadEnd(reactor, fd, self._ready)
        self._paused: IDelayedCall | None = None

    def finish(self) -> None:
        """Read the rest and close the pipe. Called when the program has ended."""
        self._read()
        self._close()

    def _ready(self) -> None:
        if self._end is None:
            return
        if self._log.may_read():
            self._read()
        elif self._paused is None:
            self._end.pause()
            self._paused = self._reactor.callLater(_PAUSE, self._resume)

    def _resume(self) -> None:
        self._paused = None
        if self._end is not None:
            self._end.resume()

    def _read(self) -> None:
        if self._end is None:
            return
        try:
            data = os.read(self._end.fileno(), _READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._log.left_out(self._lines.feed(data, self._log.room))
        else:
            self._close()

    def _close(self) -> None:
        if self._end is not None:
            self._end.close()
            self._end = None
            self._lines.end()
        if self._paused is not None:
            self._paused.cancel()
            self._paused = None
