"""The pages of a site: which handler answers which request."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from tcpd.http.request import HTTPRequest
from tcpd.http.response import Response, text

_METHODS = (b"GET", b"HEAD")


@dataclass(frozen=True, slots=True)
class Visit:
    """One request and the connection that it came over.

    :ivar request: the request.
    :ivar connection: a :class:`tcpd.interfaces.IConnection`; ``None`` in a test.
    """

    request: HTTPRequest
    connection: Any = None

    @property
    def path(self) -> str:
        """The path of the target, as sent; empty for a target without path."""
        return _path(self.request.target)

    def header(self, name: str) -> str:
        """Return the values of a field, joined; empty for none.

        :param name: in lower case.
        """
        return ", ".join(
            value.decode("latin-1") for value in self.request.headers.get(name.encode(), ())
        )

    def quality(self, content_type: str) -> float:
        """Return the weight of a media type in Accept (RFC 9110 section 12.5.1), 0 if the client
        does not name it; wildcards do not count."""
        for item in self.header("accept").lower().split(","):
            name, *parameters = (part.strip() for part in item.split(";"))
            if name == content_type:
                weights = [each[2:] for each in parameters if each.startswith("q=")]
                try:
                    return float(weights[0]) if weights else 1.0
                except ValueError:
                    return 0.0
        return 0.0


class EventStream(Protocol):
    """A response of server-sent events (HTML Standard section 9.2)."""

    @abstractmethod
    def start(self, send: Callable[[bytes], bool], finish: Callable[[], None]) -> None:
        """Begin. Called once, after the head is sent.

        :param send: sends bytes. It returns false if the client does not read fast enough; the
            bytes are then dropped.
        :param finish: ends the response; called at most once.
        """

    @abstractmethod
    def stop(self) -> None:
        """The client is gone, or the daemon ends the connection. Called at most once; without
        :meth:`start` before it for a HEAD request."""


@dataclass(frozen=True, slots=True)
class OpenWebSocket:
    """The request opens a WebSocket.

    :ivar factory: makes the protocol; a :class:`tcpd.interfaces.IWebSocketFactory`.
    """

    factory: Any


Answer = Response | EventStream | OpenWebSocket

Handler = Callable[[Visit], Answer]

#: Makes the page of an error: called with the request, the status and a sentence.
ErrorPage = Callable[[Visit, int, str], Response]


def _error_text(visit: Visit, status: int, sentence: str) -> Response:
    return text(status, sentence)


class Site:
    """Finds the handler of a request, and applies what holds for all pages.

    Only GET and HEAD are supported. A path that ends in ``/*`` matches all paths below it.

    :param pages: the handlers, by path.
    :param headers: returns the fields that each response gets on a connection, which is a
        :class:`tcpd.interfaces.IConnection`, or ``None`` in a test.
    :param error_page: makes the pages of errors.
    """

    def __init__(
        self,
        pages: Mapping[str, Handler],
        headers: Callable[[Any], Iterable[tuple[str, str]]] = lambda connection: (),
        error_page: ErrorPage = _error_text,
    ) -> None:
        self._pages = {path: page for path, page in pages.items() if not path.endswith("/*")}
        self._below = [(path[:-1], page) for path, page in pages.items() if path.endswith("/*")]
        self._headers = headers
        self._error_page = error_page

    def headers(self, connection: Any) -> list[tuple[str, str]]:
        """Return the fields of a response on a connection."""
        own = self._headers(connection)
        return [("Server", "tcpd"), ("X-Content-Type-Options", "nosniff"), *own]

    def answer(self, visit: Visit) -> Answer:
        """Answer a request."""
        page = self._find(visit.path)
        if page is None:
            return self._error_page(visit, 404, "there is no such page")
        if visit.request.method not in _METHODS:
            answer = self._error_page(visit, 405, "this page supports GET and HEAD")
            # RFC 9110 section 15.5.6 requires the field
            return replace(answer, headers=(*answer.headers, ("Allow", "GET, HEAD")))
        found = page(visit)
        if (
            isinstance(found, Response)
            and found.status == 200
            and found.etag
            and _matches(visit.header("if-none-match"), found.etag)
        ):
            return replace(found, status=304, body=b"")
        return found

    def _find(self, path: str) -> Handler | None:
        page = self._pages.get(path)
        if page is None:
            page = next((page for top, page in self._below if path.startswith(top)), None)
        return page


def _path(target: bytes) -> str:
    """Return the path of a target in origin or absolute form (RFC 9112 section 3.2)."""
    path = target.partition(b"?")[0].partition(b"#")[0]
    if not path.startswith(b"/"):
        scheme, colon, rest = path.partition(b"://")
        if not colon or scheme.lower() not in (b"http", b"https"):
            return ""
        path = b"/" + rest.partition(b"/")[2]
    return path.decode("latin-1")


def _matches(condition: str, etag: str) -> bool:
    """Whether If-None-Match contains a tag, by weak comparison (RFC 9110 section 13.1.2)."""
    tags = (tag.strip().removeprefix("W/") for tag in condition.split(","))
    return condition.strip() == "*" or etag in tags
