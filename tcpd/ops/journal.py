"""The log to systemd's journal, by its native protocol.

The protocol, as https://systemd.io/JOURNAL_NATIVE_PROTOCOL/ has it: one datagram a record to a UNIX
socket; in it a field after the other, as ``NAME=value`` and a line feed where the value has no line
feed itself, else as ``NAME``, a line feed, the length as 64 bits, little-endian, the value and a
line feed. Names have upper-case ASCII letters, digits and underscores, begin with a letter, and are
at most 64 characters long.

What is in a record is bounded (:mod:`tcpd.ops.records`), so that it fits into a datagram and needs
no file of its own, which the protocol would also allow. Should one not fit after all (by default a
datagram holds some 200 KB) its message alone is sent, and marked.
"""

from __future__ import annotations

import errno
import re
import socket
import struct
from collections.abc import Iterable

from twisted.logger import ILogObserver, LogEvent
from zope.interface import implementer

from tcpd.ops.catalogue import EVENT_ID, LOG_FALLBACK, LOG_LOST
from tcpd.ops.records import CUT, Escape, fields_of, level_of, message_of, traceback_of

#: Where the journal listens.
JOURNAL = "/run/systemd/journal/socket"

#: What records are filed under: ``journalctl -t tcpd``.
IDENTIFIER = "tcpd"

#: syslog's severities (RFC 5424 section 6.2.1) of Twisted's levels.
_PRIORITIES = {"debug": 7, "info": 6, "warn": 4, "error": 3, "critical": 2}

_LONGEST_NAME = 64

_SLOW = "journald did not take them in time"


def field_name(name: str) -> str:
    """The journal's name of an event's field: ``bytes_in`` is ``TCPD_BYTES_IN``."""
    return f"TCPD_{re.sub(r'[^A-Z0-9_]', '_', name.upper())}"[:_LONGEST_NAME]


def encode(fields: Iterable[tuple[str, str]]) -> bytes:
    """One record, as the native protocol has it."""
    pieces = []
    for name, value in fields:
        data = value.encode("utf-8", "backslashreplace")
        if b"\n" in data:
            pieces.append(b"%s\n%s%s\n" % (name.encode(), struct.pack("<Q", len(data)), data))
        else:
            pieces.append(b"%s=%s\n" % (name.encode(), data))
    return b"".join(pieces)


def record(event: LogEvent, escape: Escape) -> bytes:
    """A log event as a record. The traceback is a field of its own, and also part of the message,
    for that is what ``journalctl`` shows."""
    traceback = traceback_of(event, escape)
    fields = _head(event, "\n".join(filter(None, [message_of(event, escape), *traceback])))
    for name, value in fields_of(event, escape).items():
        fields.append((field_name(name), "" if value is None else str(value)))
    if traceback:
        fields.append(("TCPD_TRACEBACK", "\n".join(traceback)))
    return encode(fields)


def short_record(event: LogEvent, escape: Escape) -> bytes:
    """The same without fields and traceback, for what does not fit."""
    return encode(_head(event, f"{message_of(event, escape)} {CUT}"))


def _head(event: LogEvent, message: str) -> list[tuple[str, str]]:
    head = [
        ("MESSAGE", message),
        ("PRIORITY", str(_PRIORITIES[level_of(event)])),
        ("SYSLOG_IDENTIFIER", IDENTIFIER),
        ("TCPD_LOGGER", str(event.get("log_namespace", ""))),
    ]
    if event.get(EVENT_ID):
        head.append(("TCPD_EVENT", str(event[EVENT_ID])))
    return head


@implementer(ILogObserver)
class Journal:
    """Sends the log to the journal, and never waits for it.

    What the journal does not take at once is lost, counted, and told of when it takes records
    again. While it cannot be reached at all the log goes elsewhere.

    :param escape: makes text safe to print; see :mod:`tcpd.ops.records`.
    :param fallback: gets the log while the journal cannot be reached.
    :param path: the journal's socket.

    :ivar lost: records, in all.
    """

    def __init__(self, escape: Escape, fallback: ILogObserver, path: str = JOURNAL) -> None:
        self._escape = escape
        self._fallback = fallback
        self._path = path
        self._away = False
        self._unreported = 0
        self.lost = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    def __call__(self, event: LogEvent) -> None:
        if self._unreported:
            count, self._unreported = self._unreported, 0
            if not self._send(LOG_LOST.make(count=count, error=_SLOW)):
                self._unreported += count
        if not self._send(event):
            self._unreported += 1
            self.lost += 1

    def _send(self, event: LogEvent) -> bool:
        """Send it on, wherever it can go; ``False`` if the journal is there and takes nothing."""
        try:
            try:
                self._put(record(event, self._escape))
            except OSError as error:
                if error.errno != errno.EMSGSIZE:
                    raise
                self._put(short_record(event, self._escape))
        except BlockingIOError:
            return False
        except OSError as error:
            if not self._away:
                self._away = True
                self._fallback(LOG_FALLBACK.make(error=error.strerror or str(error)))
            self._fallback(event)
        else:
            self._away = False
        return True

    def _put(self, data: bytes) -> None:
        # by path each time: a journal that was started again has another socket there
        self._socket.sendto(data, self._path)
