"""The small web site of the daemon's operator: metrics and health, on twisted.web.

Why no framework, and no thread pool: docs/decisions/0011.

Requests are answered in the reactor's thread, which counts what they ask for. A client gets bounded
resources: a request has :data:`REQUEST_SECONDS` to arrive, however slowly its bytes drop in, 16 KiB
of headers (twisted.web's bound), and :data:`BODY_BYTES` of a body, which is thrown away unread.

:data:`AT_ONCE` requests of all connections together are answered in a turn of the reactor. A
connection has one of them at most, and the next when that answer is written: pipelined requests
hold up nobody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from io import BytesIO
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

#: Seconds that a request may take to come, counted from the connection or the answer before.
#: Longer than a scraper usually waits between two scrapes, so that it may keep its connection.
REQUEST_SECONDS = 75.0

#: Bytes that the body of a request may have. No page wants one.
BODY_BYTES = 64 * 1024

#: Empty lines that may stand before a request (RFC 9112 section 2.2: "at least one").
EMPTY_LINES = 8

#: Requests that are answered in a turn of the reactor. One takes a quarter of a millisecond.
AT_ONCE = 4

_TOO_LARGE = b"HTTP/1.1 413 Content Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"

Answer = tuple[int, str, bytes]
"""Status, content type, body."""

Page = Callable[[str], Answer]
"""Answers a request; called with its Accept header."""

_PLAIN = "text/plain; charset=utf-8"


def text(status: int, body: str) -> Answer:
    """An answer for people, of one line."""
    return status, _PLAIN, f"{body}\n".encode()


class _Channel(HTTPChannel):
    """One connection. Its timer runs from request to request: more bytes do not put it off, as
    they do for a file that is uploaded.

    twisted.web itself keeps later requests back while one is not answered, and stops reading when
    more than 16 KiB of them wait.
    """

    site: OperatorSite
    _full = False
    _over = False
    _next: _Request | None = None
    _empty_lines = 0

    def resetTimeout(self) -> None:
        pass

    def dataReceived(self, data: bytes) -> None:
        if not self._over:
            super().dataReceived(data)

    def lineReceived(self, line: bytes) -> None:
        # twisted.web ignores one
        if not line and not self.requests and self._empty_lines < EMPTY_LINES - 1:
            self._empty_lines += 1
            return
        super().lineReceived(line)

    def pauseProducing(self) -> None:
        self._full = True
        super().pauseProducing()

    def resumeProducing(self) -> None:
        self._full = False
        super().resumeProducing()
        request, self._next = self._next, None
        if request is not None:
            self.site.answer(request)

    def answer(self, request: _Request) -> None:
        """Have a request answered in its turn, and not before the answers before are written."""
        self._empty_lines = 0
        if self._full:
            self._next = request
        elif not self._over:
            self.site.answer(request)

    def refuse_body(self) -> None:
        """Close without reading on: more came than a body may have."""
        if not self._over:
            self._over = True
            self.write(_TOO_LARGE)
            self.loseConnection()

    def timeoutConnection(self) -> None:
        # the connection layer bounds the close; and there is nothing to tell
        self.loseConnection()


class _Request(Request):
    """A request whose body, if it has one, goes nowhere."""

    channel: Any
    _body_left = BODY_BYTES

    def gotLength(self, length: int | None) -> None:
        self.content = BytesIO()
        if length is not None and length > BODY_BYTES:
            self.channel.refuse_body()

    def handleContentChunk(self, data: bytes) -> None:
        self._body_left -= len(data)
        if self._body_left < 0:
            self.channel.refuse_body()

    def process(self) -> None:
        if self.path == b"*":
            self.path = b"/*"  # or twisted.web would answer by itself, and tell its version
        self.channel.answer(self)

    def process_now(self) -> None:
        """Answer, unless the connection is gone meanwhile."""
        if self.channel is not None:
            super().process()


class _Pages(Resource):
    """All pages. Only a path that is there, as it is written, is answered."""

    isLeaf = True

    def __init__(self, pages: dict[str, Page]) -> None:
        super().__init__()
        self._pages = {path.encode("ascii"): page for path, page in pages.items()}

    def render(self, request: Any) -> bytes:
        request.setHeader(b"server", b"tcpd")
        request.setHeader(b"cache-control", b"no-store")
        request.setHeader(b"x-content-type-options", b"nosniff")
        status, content_type, body = self._answer(request)
        request.setResponseCode(status)
        request.setHeader(b"content-type", content_type.encode("ascii"))
        request.setHeader(b"content-length", b"%d" % len(body))
        return b"" if request.method == b"HEAD" else body

    def _answer(self, request: Any) -> Answer:
        page = self._pages.get(request.path)
        if page is None:
            return text(404, "there is no such page")
        if request.method not in (b"GET", b"HEAD"):
            request.setHeader(b"allow", b"GET, HEAD")  # RFC 9110 section 15.5.6: it must be there
            return text(405, "this page is only read")
        return page((request.getHeader(b"accept") or b"").decode("latin-1"))


class OperatorSite(Site):
    """Makes the connections of the site.

    :param pages: by path.
    :param clock: for the time that requests may take.
    """

    noisy = False
    protocol = _Channel  # type: ignore[assignment]  # Twisted's own adds HTTP/2, not wanted

    def __init__(self, pages: dict[str, Page], clock: IReactorTime) -> None:
        super().__init__(
            _Pages(pages), requestFactory=_Request, timeout=REQUEST_SECONDS, reactor=clock
        )
        self._clock = clock
        self._waiting: deque[_Request] = deque()
        self._turn: IDelayedCall | None = None

    def answer(self, request: _Request) -> None:
        """Answer a request in one of the next turns, in the order of this call. Called by its
        connection, which waits for the answer."""
        self._waiting.append(request)
        if self._turn is None:
            self._turn = self._clock.callLater(0, self._answer)

    def _answer(self) -> None:
        self._turn = None
        for _ in range(min(AT_ONCE, len(self._waiting))):
            self._waiting.popleft().process_now()
        if self._waiting and self._turn is None:
            self._turn = self._clock.callLater(0, self._answer)

    def startFactory(self) -> None:
        """No access log of its own, and so no clock for one."""

    def stopFactory(self) -> None:
        """There is nothing to stop."""

    def log(self, request: Any) -> None:
        """Requests are counted as connections and bytes are."""
