"""The log as text and as JSON lines, written to a file or to standard output."""

from __future__ import annotations

import errno
import functools
import math
import os
import threading
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
"""Makes a line of an event, without its end; ``None`` for one that says nothing."""


class Sink:
    """Takes whole lines, and may fail to: a disk is full, a pipe has no reader.

    A subclass has :meth:`_write`.

    :ivar ends_line: whether the last byte there is a line end; a line that was cut short is ended
        before the next, so that no reader takes the two for one.
    :ivar error: why the last line is not there, in the system's words.
    """

    ends_line = True
    error = ""

    def _write(self, data: bytes) -> int | None:
        """As :meth:`io.RawIOBase.write`: how many bytes were taken; ``None`` if that would wait.

        :raise OSError: if nothing can be written.
        """
        raise NotImplementedError

    def write_line(self, line: str) -> bool:
        """Write a line, as UTF-8.

        :param line: without its end.
        :return: whether it is there as a whole.
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
            return written == len(data) - 1  # its end comes with the next
        self.ends_line = True
        return True


class Stream(Sink):
    """Standard output, without its buffer: that would keep what cannot be written.

    :param stream: ``sys.stdout``, or what stands for it.
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
    """A time as Twisted's log has it, to the second; made once for all lines of one."""
    return formatTime(float(since_1970))


def _line(event: LogEvent) -> str:
    """As :func:`twisted.logger.eventAsText` has it without the traceback, in less time."""
    moment = event.get("log_time")
    if "log_system" in event or not isinstance(moment, float) or event.get("log_level") is None:
        return eventAsText(event, includeTraceback=False)
    namespace = event.get("log_namespace", "-")
    when = _second(math.floor(moment))
    return f"{when} [{namespace}#{level_of(event)}] {sentence_of(event)}"


def as_text(event: LogEvent, escape: Escape) -> str | None:
    """As Twisted itself writes it, one line an event; a traceback follows in lines of its own.

    Those begin with a tab, and no other line does. ``None`` for an event that says nothing.
    """
    traceback = traceback_of(event, escape)
    if not (event.get("log_format") or traceback):
        return None
    line = escape(_line(event).rstrip())
    return "\n\t".join([bounded(line, LONGEST_MESSAGE), *traceback])


def as_json(event: LogEvent, escape: Escape) -> str | None:
    """One JSON object, in one line: see :func:`tcpd.ops.records.json_line`."""
    return json_line(event, escape)


@implementer(ILogObserver)
class Output:
    """Writes the log to one place.

    A line that cannot be written is lost, and counted. The first line that can be written after
    that says how many were.

    :param sink: where to.
    :param render: :func:`as_text` or :func:`as_json`.
    :param escape: makes text safe to print; see :mod:`tcpd.ops.records`.

    :ivar lost: lines, in all.
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
