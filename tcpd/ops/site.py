"""HTTP site for metrics and health checks, on twisted.web.

Without a framework or a thread pool: docs/decisions/0011.

Responses are made in the reactor's thread, which owns the counters. The resources of a client are
bounded: a request must arrive within :data:`REQUEST_SECONDS`, and may have 16 KiB of headers
(twisted.web's limit) and a body of :data:`BODY_BYTES`, which is discarded.

At most :data:`AT_ONCE` requests of all connections are served in a reactor turn, and at most one of
each connection; the next waits for the response. Pipelined requests do not delay others.
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

#: Timeout of a request, from the connection or the previous response. Longer than the usual scrape
#: interval, so that a scraper can keep its connection.
REQUEST_SECONDS = 75.0

#: Maximum bytes of the body of a request. No page uses it.
BODY_BYTES = 64 * 1024

#: Empty lines that may precede a request (RFC 9112 section 2.2: "at least one").
EMPTY_LINES = 8

#: Maximum number of requests per reactor turn; each takes a quarter of a millisecond.
AT_ONCE = 4

_TOO_LARGE = b"HTTP/1.1 413 Content Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"

Answer = tuple[int, str, bytes]
"""Status, content type, body."""

Page = Callable[[str], Answer]
"""Returns the response to a request; called with its Accept header."""

_PLAIN = "text/plain; charset=utf-8"


def text(status: int, body: str) -> Answer:
    """A response of one line of text."""
    return status, _PLAIN, f"{body}\n".encode()


class _Channel(HTTPChannel):
    """One connection. Its timeout is for a whole request; received bytes do not restart it.

    twisted.web holds pipelined requests back until the response is written, and pauses reading when
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
        # twisted.web ignores only one empty line
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
        """Queue a request, after the responses to previous ones are written."""
        self._empty_lines = 0
        if self._full:
            self._next = request
        elif not self._over:
            self.site.answer(request)

    def refuse_body(self) -> None:
        """Close the connection, as the body is too large."""
        if not self._over:
            self._over = True
            self.write(_TOO_LARGE)
            self.loseConnection()

    def timeoutConnection(self) -> None:
        # the connection layer has a timeout for closing
        self.loseConnection()


class _Request(Request):
    """A request; its body is discarded."""

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
            self.path = b"/*"  # prevents twisted.web's response, which has its version
        self.channel.answer(self)

    def process_now(self) -> None:
        """Respond, unless the connection was lost."""
        if self.channel is not None:
            super().process()


class _Pages(Resource):
    """The resource of all pages; paths match exactly."""

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
            request.setHeader(b"allow", b"GET, HEAD")  # RFC 9110 section 15.5.6 requires it
            return text(405, "this page supports GET and HEAD")
        return page((request.getHeader(b"accept") or b"").decode("latin-1"))


class OperatorSite(Site):
    """The factory of the site's connections.

    :param pages: the pages, by path.
    :param clock: schedules the timeouts.
    """

    noisy = False
    protocol = _Channel  # type: ignore[assignment]  # Twisted's default adds HTTP/2

    def __init__(self, pages: dict[str, Page], clock: IReactorTime) -> None:
        super().__init__(
            _Pages(pages), requestFactory=_Request, timeout=REQUEST_SECONDS, reactor=clock
        )
        self._clock = clock
        self._waiting: deque[_Request] = deque()
        self._turn: IDelayedCall | None = None

    def answer(self, request: _Request) -> None:
        """Serve a request in one of the next turns, in order of calls. Called by its connection."""
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
        """Start no access log and no clock for it."""

    def stopFactory(self) -> None:
        """See :meth:`startFactory`."""

    def log(self, request: Any) -> None:
        """Log nothing; the connection layer counts connections and bytes."""
