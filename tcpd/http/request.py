"""Reads the head of one HTTP request from a connection (RFC 9112). Sans-IO.

This module finds the end of the head and rejects input that is not HTTP; h11 parses the head.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

import h11

#: The maximum size of a head in bytes; h11 and Node.js have the same. Most of a head is cookies.
MAX_HEAD = 16384

#: Empty lines that may precede the request (RFC 9112 section 2.2: "at least one").
_MAX_EMPTY_LINES = 8

_LINE_END = re.compile(rb"\r?\n")
_END = re.compile(rb"\n\r?\n")
_REQUEST_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ [!-~]+ HTTP/[0-9]\.[0-9]\r?\n")


class BadRequest(Enum):
    """A fault of a request."""

    NOT_HTTP = auto()
    MALFORMED = auto()
    TOO_LONG = auto()


@dataclass(frozen=True, slots=True)
class HTTPRequest:
    """The head of a request.

    :ivar method: such as ``GET``.
    :ivar target: as the client sent it, such as ``/``.
    :ivar version: the HTTP version: ``1.0`` or ``1.1``.
    :ivar headers: the values of each field, by its name in lower case, in the order received.
    :ivar rest: the bytes received after the head.
    """

    method: bytes
    target: bytes
    version: bytes
    headers: Mapping[bytes, Sequence[bytes]]
    rest: bytes

    @property
    def has_body(self) -> bool:
        """Whether a body follows, by the fields of the head."""
        length = self.headers.get(b"content-length", [b"0"])
        return b"transfer-encoding" in self.headers or length != [b"0"]


class RequestReader:
    """Reads the head of one request."""

    __slots__ = ("_buffer", "_empty_lines", "_line_known", "_looked")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._looked = 0
        self._line_known = False
        self._empty_lines = 0

    def feed(self, data: bytes) -> HTTPRequest | BadRequest | None:
        """Feed the next bytes. Not called again after a result.

        :return: ``None`` while the head is incomplete.
        """
        buffer = self._buffer
        buffer += data
        if not self._line_known and not self._is_request():
            # a client of IRC or TLS may never send an empty line
            return BadRequest.NOT_HTTP
        end = _END.search(buffer, max(0, self._looked - 2))
        if end is not None and end.end() <= MAX_HEAD:
            head, rest = bytes(buffer[: end.end()]), bytes(buffer[end.end() :])
            buffer.clear()
            return _parse(head, rest)
        if len(buffer) > MAX_HEAD:
            return BadRequest.TOO_LONG
        self._looked = len(buffer)
        return None

    def _is_request(self) -> bool:
        """Whether the bytes so far can be the start of a request line."""
        while self._empty_lines < _MAX_EMPTY_LINES and (found := _LINE_END.match(self._buffer)):
            del self._buffer[: found.end()]
            self._empty_lines += 1
        at = self._buffer.find(b"\n", 0, MAX_HEAD)
        if at < 0:
            return self._buffer[:1].isalpha() or bytes(self._buffer[:2]) in (b"", b"\r")
        self._line_known = True
        return _REQUEST_LINE.fullmatch(self._buffer, 0, at + 1) is not None


def _parse(head: bytes, rest: bytes) -> HTTPRequest | BadRequest:
    http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
    http.receive_data(head)
    try:
        request = http.next_event()
    except h11.RemoteProtocolError:
        return BadRequest.MALFORMED
    if not isinstance(request, h11.Request):
        return BadRequest.MALFORMED
    headers: dict[bytes, list[bytes]] = {}
    for name, value in request.headers:
        headers.setdefault(name, []).append(value)
    return HTTPRequest(request.method, request.target, request.http_version, headers, rest)
