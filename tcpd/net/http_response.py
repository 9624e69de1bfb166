"""Plain-text HTTP responses, for requests that do not open a WebSocket."""

from __future__ import annotations

_REASONS = {
    400: b"Bad Request",
    403: b"Forbidden",
    426: b"Upgrade Required",
    431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
}


def text_response(status: int, sentence: str, *headers: bytes, body: bool = True) -> bytes:
    """Make an HTTP response, after which the connection is closed.

    :param status: a key of the table above.
    :param sentence: the body, without line end.
    :param headers: further fields, each ``Name: value``.
    :param body: false if the request was HEAD.
    """
    text = sentence.encode() + b"\n"
    lines = [
        b"HTTP/1.1 %d %s" % (status, _REASONS[status]),
        b"Content-Type: text/plain; charset=utf-8",
        b"X-Content-Type-Options: nosniff",
        b"Content-Length: %d" % len(text),
        *(headers or (b"Connection: close",)),
    ]
    return b"\r\n".join([*lines, b"", text if body else b""])
