"""HTTP responses to those who find no WebSocket."""

from __future__ import annotations

_REASONS = {
    400: b"Bad Request",
    403: b"Forbidden",
    426: b"Upgrade Required",
    431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
}


def answer(status: int, words: str, *headers: bytes, body: bool = True) -> bytes:
    """An HTTP response that says something to people, and that nothing comes after.

    :param words: a sentence or two, without line end.
    :param headers: more of them, each ``Name: value``.
    :param body: false where the request was HEAD.
    """
    text = words.encode() + b"\n"
    lines = [
        b"HTTP/1.1 %d %s" % (status, _REASONS[status]),
        b"Content-Type: text/plain; charset=utf-8",
        b"X-Content-Type-Options: nosniff",
        b"Content-Length: %d" % len(text),
        *(headers or (b"Connection: close",)),
    ]
    return b"\r\n".join([*lines, b"", text if body else b""])
