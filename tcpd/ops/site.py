"""The small web site of the daemon's operator: metrics and health, on twisted.web.

Everything is answered at once, in the reactor's thread, which is the one that counts. Whoever is
served gets bounded resources: a request has :data:`REQUEST_SECONDS` to come, however slowly its
bytes drop in, 16 KiB of headers (twisted.web's own bound), and its body is thrown away unread.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

#: Seconds that a request may take to come, counted from the connection or the answer before.
#: Longer than a scraper usually waits between two scrapes, so that it may keep its connection.
REQUEST_SECONDS = 75.0

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
    they do for a file that is uploaded."""

    def resetTimeout(self) -> None:
        pass

    def timeoutConnection(self) -> None:
        # the connection layer bounds the close; and there is nothing to tell
        self.loseConnection()


class _Request(Request):
    """A request whose body, if it has one, goes nowhere."""

    def gotLength(self, length: int | None) -> None:
        self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        pass

    def process(self) -> None:
        if self.path == b"*":
            self.path = b"/*"  # or twisted.web would answer by itself, and tell its version
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

    def startFactory(self) -> None:
        """No access log of its own, and so no clock for one."""

    def stopFactory(self) -> None:
        """There is nothing to stop."""

    def log(self, request: Any) -> None:
        """Requests are counted as connections and bytes are."""
