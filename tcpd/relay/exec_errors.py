"""A program's standard error, line by line, on the way to the log."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from tcpd.relay.exec_program import ReadEnd

#: Bytes of a line that are told; what is behind them is not.
LONGEST = 1024

_READ = 65536


class ErrorLines:
    """Bytes in, lines out: decoded, not escaped, each of at most :data:`LONGEST` bytes.

    :param told: called with each line that is not blank.
    """

    def __init__(self, told: Callable[[str], None]) -> None:
        self._told = told
        self._partial = b""
        self._skipping = False  # to the end of a line that was too long

    def feed(self, data: bytes) -> None:
        """Take what was written."""
        *lines, partial = data.split(b"\n")
        for line in lines:
            self._end(line)
        self._take(partial)

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

    :param reactor: provides IReactorFDSet.
    :param fd: does not block; it belongs to this object from now on.
    :param told: called with each line.
    """

    def __init__(self, reactor: Any, fd: int, told: Callable[[str], None]) -> None:
        self._lines = ErrorLines(told)
        self._end: ReadEnd | None = ReadEnd(reactor, fd, self._ready)

    def finish(self) -> None:
        """The program has ended: take what is there, and let go of the pipe."""
        self._ready()
        self._close()

    def _ready(self) -> None:
        if self._end is None:
            return
        try:
            data = os.read(self._end.fileno(), _READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._lines.feed(data)
        else:
            self._close()

    def _close(self) -> None:
        if self._end is not None:
            self._end.close()
            self._end = None
            self._lines.end()
