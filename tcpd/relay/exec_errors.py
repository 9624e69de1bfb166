"""The standard error of a service's programs, line by line, on the way to the log.

A program may write without end. What is read of all programs together is bounded by rate: the rest
waits in the pipes, so that a program that floods is held up by its own write(2), and costs neither
the daemon nor the machine a processor. Of what was read, the log gets a bounded number of lines;
the others are counted.
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

#: Bytes of a line that are told; what is behind them is not.
LONGEST = 1024

_READ = 65536

#: Lines that a service's programs together get into the log.
LINES = Rate(10, 50)

#: Times that they are read from, up to 64 KiB each: 3 MiB/s.
READS = Rate(50, 100)

#: Seconds that a program waits to be read from when there were too many reads.
_PAUSE = 0.1

#: Seconds from a line that is left out to a line of the log that says how many were.
_REPORT = 10.0


class ErrorLog:
    """What a service's programs together write to the log.

    :param context: of the service.
    :param log: of the service.
    """

    def __init__(self, context: IContext, log: Logger) -> None:
        self._context = context
        self._log = log
        now = context.clock.seconds()
        self._lines = TokenBucket(LINES, now)
        self._reads = TokenBucket(READS, now)
        self._lost = 0  # and not told yet
        self._report: IDelayedCall | None = None

    def may_read(self) -> bool:
        """Whether a program may be read from now."""
        return self._reads.take(self._context.clock.seconds())

    @property
    def room(self) -> int:
        """How many lines the log takes now."""
        return int(self._lines.refill(self._context.clock.seconds()))

    def line(self, pid: int, peer: str, text: str) -> None:
        """A program wrote a line."""
        if not self._lines.take(self._context.clock.seconds()):
            self.left_out(1)
            return
        catalogue.EXEC_STDERR.emit(
            self._log,
            service=self._context.service,
            pid=pid,
            peer=peer,
            line=escape_controls(text),
            lost=self._taken(),
        )

    def left_out(self, count: int) -> None:
        """Count lines that programs wrote and that are not in the log."""
        if not count:
            return
        self._lost += count
        self._context.counters.events["program-stderr-lost"] += count
        if self._report is None:
            self._report = self._context.clock.callLater(_REPORT, self._tell)

    def stop(self) -> None:
        """The service stops: say now what would be said later."""
        if self._report is not None:
            self._tell()

    def _tell(self) -> None:
        lost = self._taken()
        catalogue.EXEC_STDERR_LOST.emit(self._log, service=self._context.service, lost=lost)

    def _taken(self) -> int:
        lost, self._lost = self._lost, 0
        report, self._report = self._report, None
        if report is not None and report.active():
            report.cancel()
        return lost


class ErrorLines:
    """Bytes in, lines out: decoded, not escaped, each of at most :data:`LONGEST` bytes.

    :param told: called with each line that is not blank.
    """

    def __init__(self, told: Callable[[str], None]) -> None:
        self._told = told
        self._partial = b""
        self._skipping = False  # to the end of a line that was too long

    def feed(self, data: bytes, most: int) -> int:
        """Take what was written.

        :param most: lines to end; those behind are not looked at.
        :return: how many those are.
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
        """Nothing more comes: a line without an end is one, too."""
        self._end(b"")

    def _take(self, piece: bytes) -> None:
        if self._skipping:
            return
        self._partial += piece[: LONGEST + 1 - len(self._partial)]
        if len(self._partial) > LONGEST:
            self._tell(self._partial[:LONGEST])
            self._partial = b""
            self._skipping = True

    def _end(self, piece: bytes) -> None:
        self._take(piece)
        line, self._partial = self._partial, b""
        self._skipping = False
        self._tell(line)

    def _tell(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip()
        if text:
            self._told(text)


class Errors:
    """The end of the pipe that a program writes its errors to.

    :param reactor: provides IReactorFDSet and IReactorTime.
    :param fd: does not block; it belongs to this object from now on.
    :param log: the service's.
    :param told: called with each line for the log.
    """

    def __init__(self, reactor: Any, fd: int, log: ErrorLog, told: Callable[[str], None]) -> None:
        self._reactor = reactor
        self._log = log
        self._lines = ErrorLines(told)
        self._end: ReadEnd | None = ReadEnd(reactor, fd, self._ready)
        self._paused: IDelayedCall | None = None

    def finish(self) -> None:
        """The program has ended: take what is there, and let go of the pipe."""
        self._read()
        self._close()

    def _ready(self) -> None:
        if self._end is None:
            return
        if self._log.may_read():
            self._read()
        elif self._paused is None:
            self._end.pause()
            self._paused = self._reactor.callLater(_PAUSE, self._go_on)

    def _go_on(self) -> None:
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
