"""The head of an HTTP request; ``test_websocket_upgrade.py`` has more."""

from __future__ import annotations

import pytest

from tcpd.http.request import BadRequest, HTTPRequest, RequestReader

PAGE = b"GET /handshake?x=1 HTTP/1.0\r\nHost: a\r\nAccept: text/html\r\nACCEPT: */*\r\n\r\n"


@pytest.mark.parametrize("cut", range(len(PAGE)))
def test_request_is_parsed_however_it_is_segmented(cut: int) -> None:
    reader = RequestReader()
    assert reader.feed(PAGE[:cut]) is None
    assert reader.feed(PAGE[cut:] + b"rest") == HTTPRequest(
        method=b"GET",
        target=b"/handshake?x=1",
        version=b"1.0",
        headers={b"host": [b"a"], b"accept": [b"text/html", b"*/*"]},
        rest=b"rest",
    )


def test_other_protocols_are_rejected_by_the_first_line() -> None:
    assert RequestReader().feed(b"\x16\x03\x01") is BadRequest.NOT_HTTP
    assert RequestReader().feed(b"NICK ann\r\n") is BadRequest.NOT_HTTP


@pytest.mark.parametrize(
    ("header", "has_body"),
    [
        (b"", False),
        (b"Content-Length: 0\r\n", False),
        (b"Content-Length: 1\r\n", True),
        (b"Transfer-Encoding: chunked\r\n", True),
    ],
)
def test_has_body(header: bytes, has_body: bool) -> None:
    """RFC 9112 section 6: "The presence of a message body in a request is signaled by a
    Content-Length or Transfer-Encoding header field." """
    request = RequestReader().feed(b"POST / HTTP/1.1\r\nHost: a\r\n" + header + b"\r\n")
    assert isinstance(request, HTTPRequest)
    assert request.has_body is has_body
