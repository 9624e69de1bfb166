"""Writes the log as text or JSON lines to a file or standard output."""

from __future__ import annotations

import errno
import functools
import math
import os
import threading
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from twisted.logger import ILogObserver, LogEvent, eventAsText, formatTime
from zope.interface import implementer

from tcpd.ops.catalogue import LOG_LOST
from tcpd.ops.records import (
    LONGEST_MESSAGE,
    Escape,
    bounded,
    json_line,
    level_of,
    sentence_of,
    traceback_of,
)

Render = Callable[[LogEvent, Escape], str | None]
"""Renders an event as a line without its end; ``None`` for an event without text."""


class Sink:
    """Writes lines to a file or pipe, which may fail: a disk is full, a pipe has no reader.

    A subclass implements :meth:`_write`.

    :ivar ends_line: whether the last written byte is a line end. A truncated line is ended before
        the next line.
    :ivar error: the system's error of the last line, if it was not written.
    """

    ends_line = True
    error = ""

    @abstractmethod
    def _write(self, data: bytes) -> int | None:
        """As :meth:`io.RawIOBase.write`: return the bytes written; ``None`` if it would block.

        :raise OSError: if nothing can be written.
        """

    def write_line(self, line: str) -> bool:
        """Write a line, as UTF-8.

        :param line: a line without its line end.
        :return: whether it was written completely.
        """
        data = f"{line}\n".encode("utf-8", "backslashreplace")
        if not self.ends_line:
            data = b"\n" + data
        written = 0
        try:
            while written < len(data):
                taken = self._write(data[written:])
                if not taken:
                    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
                written += taken
        except OSError as error:
            self.error = error.strerror or str(error)
            if written:
                self.ends_line = data[written - 1 : written] == b"\n"
            return written == len(data) - 1  # its line end is written with the next line
        self.ends_line = True
        return True


class StandardOutput(Sink):
    """Standard output without its buffer, which would retain lines that cannot be written.

    :param stream: ``sys.stdout`` or a replacement.
    """

    def __init__(self, stream: Any) -> None:
        stream.flush()
        buffer = getattr(stream, "buffer", stream)
        self._file = getattr(buffer, "raw", buffer)

    def _write(self, data: bytes) -> int | None:
        taken: int | None = self._file.write(data)
        return taken


@functools.lru_cache(1)
def _second(since_1970: int) -> str:
    """Format a time as Twisted's log does, to the second; cached."""
    return formatTime(float(since_1970))


def _line(event: LogEvent) -> str:
    """:func:`twisted.logger.eventAsText` without the traceback, optimized."""
    moment = event.get("log_time")
    if "log_system" in event or not isinstance(moment, float) or event.get("log_level") is None:
        return eventAsText(event, includeTraceback=False)
    namespace = event.get("log_namespace", "-")
    when = _second(math.floor(moment))
    return f"{when} [{namespace}#{level_of(event)}] {sentence_of(event)}"


def as_text(event: LogEvent, escape: Escape) -> str | None:
    """Render an event in Twisted's text format; the lines of a traceback follow, each with a tab.

    :return: ``None`` for an event without text.
    """
    traceback = traceback_of(event, escape)
    if not (event.get("log_format") or traceback):
        return None
    line = escape(_line(event).rstrip())
    return "\n\t".join([bounded(line, LONGEST_MESSAGE), *traceback])


def as_json(event: LogEvent, escape: Escape) -> str | None:
    """Render an event as a JSON line; see :func:`tcpd.ops.records.json_line`."""
    return json_line(event, escape)


@implementer(ILogObserver)
class LogOutput:
    """A log observer that writes to a sink.

    Lines that cannot be written are lost and counted; their number is logged when writing succeeds
    again.

    :param sink: the destination.
    :param render: :func:`as_text` or :func:`as_json`.
    :param escape: escapes control characters; see :mod:`tcpd.ops.records`.

    :ivar lost: the number of lost lines.
    """

    def __init__(
        self,
        sink: Sink,
        render: Render,
        escape: Escape,
    ) -> None:
        self._sink = sink
        self._render = render
        self._escape = escape
        self._lock = threading.RLock()
        self._unreported = 0
        self.lost = 0

    def __call__(self, event: LogEvent) -> None:
        line = self._render(event, self._escape)
        if line is None:
            return
        with self._lock:
            if self._unreported:
                self._report()
            if not self._sink.write_line(line):
                self._unreported += 1
                self.lost += 1

    def _report(self) -> None:
        event = LOG_LOST.make(count=self._unreported, error=self._sink.error)
        line = self._render(event, self._escape)
        if line is not None and self._sink.write_line(line):
            self._unreported = 0
