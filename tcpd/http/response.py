"""HTTP responses (RFC 9110)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus

PLAIN = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Response:
    """A complete response.

    :ivar status: the status code.
    :ivar content_type: such as :data:`PLAIN`.
    :ivar body: the content.
    :ivar headers: further fields.
    :ivar etag: the entity tag of the content, with its quotes; empty for none.
    :ivar is_last: the connection is closed after it.
    """

    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    etag: str = ""
    is_last: bool = False

    def encode(self, headers: Iterable[tuple[str, str]] = (), *, body: bool = True) -> bytes:
        """Encode it for the wire.

        :param headers: fields in addition; those of the response with the same name win.
        :param body: false for the response to HEAD.
        """
        content = self.status != HTTPStatus.NOT_MODIFIED
        fields = {name.lower(): (name, value) for name, value in headers}
        if content:
            fields["content-type"] = ("Content-Type", self.content_type)
            fields["content-length"] = ("Content-Length", str(len(self.body)))
        if self.etag:
            fields["etag"] = ("ETag", self.etag)
        fields.update((name.lower(), (name, value)) for name, value in self.headers)
        head = _head(self.status, fields.values())
        return head + self.body if body and content else head


def stream_head(content_type: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """Encode the head of a response whose end is the end of the connection (RFC 9112 section 6.3).

    :param content_type: the type of the content that follows.
    :param headers: further fields.
    """
    return _head(200, [("Content-Type", content_type), *headers, ("Connection", "close")])


def _head(status: int, fields: Iterable[tuple[str, str]]) -> bytes:
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        *(f"{name}: {value}" for name, value in fields),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def text(status: int, sentence: str, *headers: tuple[str, str]) -> Response:
    """Make a response of one line of text.

    :param sentence: the body, without line end.
    """
    return Response(status, PLAIN, f"{sentence}\n".encode(), headers)


def closing(status: int, sentence: str, *headers: tuple[str, str], body: bool = True) -> bytes:
    """Encode a response of one line of text, after which the connection is closed.

    :param headers: further fields; without them, ``Connection: close``.
    :param body: false if the request was HEAD.
    """
    fields = headers or (("Connection", "close"),)
    return text(status, sentence, *fields).encode(
        [("X-Content-Type-Options", "nosniff")], body=body
    )


def etag_of(content: bytes) -> str:
    """Return the strong entity tag of a content (RFC 9110 section 8.8.3)."""
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'
