"""Logs to systemd's journal by its native protocol.

Source: https://systemd.io/JOURNAL_NATIVE_PROTOCOL/. A record is one datagram to a UNIX socket. A
field is ``NAME=value`` and a line feed if the value has no line feed; else it is ``NAME``, a line
feed, the length as 64 bits, little-endian, the value and a line feed. Names have upper-case ASCII
letters, digits and underscores, start with a letter, and have at most 64 characters.

Records are bounded (:mod:`tcpd.ops.records`), so that they fit into a datagram, and the protocol's
other way, a file, is not needed. If a record does not fit (by default a datagram holds about
200 KB) its message is sent without fields, and marked.
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

#: The journal's socket.
JOURNAL = "/run/systemd/journal/socket"

#: The identifier of records: ``journalctl -t tcpd``.
IDENTIFIER = "tcpd"

# syslog severities (RFC 5424 section 6.2.1) by Twisted's levels
_PRIORITIES = {"debug": 7, "info": 6, "warn": 4, "error": 3, "critical": 2}

_LONGEST_NAME = 64

_SLOW = "journald did not take them in time"


def field_name(name: str) -> str:
    """Return the journal's name of an event's field: ``TCPD_BYTES_IN`` for ``bytes_in``."""
    return f"TCPD_{re.sub(r'[^A-Z0-9_]', '_', name.upper())}"[:_LONGEST_NAME]


def encode(fields: Iterable[tuple[str, str]]) -> bytes:
    """Encode one record by the native protocol."""
    pieces = []
    for name, value in fields:
        data = value.encode("utf-8", "backslashreplace")
        if b"\n" in data:
            pieces.append(b"%s\n%s%s\n" % (name.encode(), struct.pack("<Q", len(data)), data))
        else:
            pieces.append(b"%s=%s\n" % (name.encode(), data))
    return b"".join(pieces)


def record(event: LogEvent, escape: Escape) -> bytes:
    """Encode a log event. The traceback is a field and also part of the message, which
    ``journalctl`` shows."""
    traceback = traceback_of(event, escape)
    fields = _head(event, "\n".join(filter(None, [message_of(event, escape), *traceback])))
    for name, value in fields_of(event, escape).items():
        fields.append((field_name(name), "" if value is None else str(value)))
    if traceback:
        fields.append(("TCPD_TRACEBACK", "\n".join(traceback)))
    return encode(fields)


def short_record(event: LogEvent, escape: Escape) -> bytes:
    """Encode a log event without fields and traceback."""
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
    """A log observer that sends events to the journal without blocking.

    If the socket's buffer is full, records are lost and counted, and the number is logged when the
    journal accepts records again.

    :param escape: escapes control characters; see :mod:`tcpd.ops.records`.
    :param fallback: the observer to use while the journal cannot be reached.
    :param path: the journal's socket.

    :ivar lost: the number of lost records.
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
        """Close the socket."""
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
        """Send an event to the journal or the fallback; ``False`` if the buffer is full."""
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
        # by path each time, as a restarted journal has another socket
        self._socket.sendto(data, self._path)
