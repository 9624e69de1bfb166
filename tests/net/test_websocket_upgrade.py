"""The opening handshake of WebSocket."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, RejectConnection, Request

from tcpd.http.request import MAX_HEAD
from tcpd.net.websocket_settings import IRCV3, Frames, WebSocketOptions
from tcpd.net.websocket_upgrade import Accepted, Upgrade, UpgradeRefused

OPTIONS = WebSocketOptions(longest=100, subprotocols=IRCV3)


def is_own(host: str) -> bool:
    return host == "chat.example"


KEY = "dGhlIHNhbXBsZSBub25jZQ=="

#: RFC 6455 section 1.3: the accept value for that key.
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

HEADERS = {
    "Host": "chat.example",
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}


def request(line: str = "GET / HTTP/1.1", *more: str, **changed: str | None) -> bytes:
    """Make a request; headers are changed or removed by names with ``_`` for ``-``."""
    headers: dict[str, str | None] = dict(HEADERS)
    headers.update({name.replace("_", "-"): value for name, value in changed.items()})
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join([line, *lines, *more, "", ""]).encode()


def result_of(data: bytes, options: WebSocketOptions = OPTIONS) -> Accepted | UpgradeRefused:
    answer = Upgrade(options, is_own).feed(data)
    assert answer is not None
    return answer


def refused(data: bytes, options: WebSocketOptions = OPTIONS) -> tuple[int, str, bytes]:
    """Return status, word and the whole response."""
    answer = result_of(data, options)
    assert isinstance(answer, UpgradeRefused)
    head, _, body = answer.response.partition(b"\r\n\r\n")
    length = [line for line in head.split(b"\r\n") if line.startswith(b"Content-Length: ")]
    assert not body or length == [b"Content-Length: %d" % len(body)]
    return int(head.split(b" ")[1]), answer.why, answer.response


def test_example_of_the_rfc() -> None:
    """RFC 6455 section 1.3"""
    answer = result_of(request())
    assert answer == Accepted(
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n",
        None,
        b"",
    )


@pytest.mark.parametrize(
    ("offered", "chosen", "frames"),
    [
        (["text.ircv3.net"], "text.ircv3.net", Frames.TEXT),
        (["binary.ircv3.net"], "binary.ircv3.net", Frames.BINARY),
        # "respecting the client's order of preference"
        (["binary.ircv3.net", "text.ircv3.net"], "binary.ircv3.net", Frames.BINARY),
        (["text.ircv3.net", "binary.ircv3.net"], "text.ircv3.net", Frames.TEXT),
        (["mqtt", "binary.ircv3.net"], "binary.ircv3.net", Frames.BINARY),
        # "If no subprotocol can be agreed on, the server MAY continue connection establishment
        # without sending the Sec-WebSocket-Protocol header."
        ([], None, None),
        (["mqtt"], None, None),
        (["TEXT.ircv3.net"], None, None),
    ],
)
def test_subprotocol_is_selected(
    offered: list[str], chosen: str | None, frames: Frames | None
) -> None:
    """https://ircv3.net/specs/extensions/websocket; wsproto's client is the judge."""
    client = WSConnection(ConnectionType.CLIENT)
    data = client.send(Request(host="chat.example", target="/", subprotocols=offered))
    answer = result_of(data)
    assert isinstance(answer, Accepted)
    assert answer.frames is frames
    client.receive_data(answer.response)
    (event,) = client.events()
    assert isinstance(event, AcceptConnection)
    assert event.subprotocol == chosen


def test_list_in_several_fields_is_joined() -> None:
    """RFC 6455 section 11.3.4: "MAY appear multiple times in an HTTP request"."""
    answer = result_of(
        request(
            "GET / HTTP/1.1",
            "Connection: Upgrade",
            "Sec-WebSocket-Protocol: mqtt",
            "Sec-WebSocket-Protocol: binary.ircv3.net",
            Connection="keep-alive",
        )
    )
    assert isinstance(answer, Accepted)
    assert answer.frames is Frames.BINARY


def test_no_extension_is_negotiated() -> None:
    answer = result_of(request("GET / HTTP/1.1", "Sec-WebSocket-Extensions: permessage-deflate"))
    assert b"Extensions" not in answer.response


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        request("GET / HTTP/1.1", Upgrade="h2c"),
        request("GET / HTTP/1.1", Upgrade=None),
        request("GET / HTTP/1.1", Connection="close"),
        # "A server MUST ignore an Upgrade header field that is received in an HTTP/1.0 request."
        request("GET / HTTP/1.0"),
        request("GET / HTTP/2.0"),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n",
        # RFC 6455 section 4.4: "a server MUST respond with all versions it supports"
        request(Sec_WebSocket_Version="8"),
        request(Sec_WebSocket_Version=None),
    ],
)
def test_plain_http_request_gets_426(data: bytes) -> None:
    """RFC 9110 section 15.5.22: "The server MUST send an Upgrade header field" with it."""
    status, _, response = refused(data)
    assert status == 426
    assert b"\r\nUpgrade: websocket\r\n" in response
    assert b"\r\nConnection: Upgrade, close\r\n" in response
    assert b"\r\nSec-WebSocket-Version: 13\r\n" in response
    assert response.endswith(b".\n")


def test_response_to_head_has_no_body() -> None:
    """RFC 9110 section 9.3.2."""
    status, _, response = refused(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert status == 426
    assert response.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("data", "status", "why"),
    [
        (b"NICK joe\r\n", 400, "not-http"),
        (b"\x16\x03\x01\x02\x00", 400, "not-http"),
        (b"GET  / HTTP/1.1\r\n", 400, "not-http"),
        (b"GET / HTTP/1.1\r\nnonsense\r\n\r\n", 400, "bad-request"),
        (request(Host=None), 400, "bad-request"),
        (request("GET / HTTP/1.1", "Host: other"), 400, "bad-request"),
        (request("POST / HTTP/1.1"), 400, "bad-request"),
        (request("GET / HTTP/1.1", "Content-Length: 5"), 400, "bad-request"),
        (request("GET / HTTP/1.1", "Transfer-Encoding: chunked"), 400, "bad-request"),
        (request(Sec_WebSocket_Key=None), 400, "bad-request"),
        (request(Sec_WebSocket_Key="c2hvcnQ="), 400, "bad-request"),
        (request(Sec_WebSocket_Key="no base64 at all"), 400, "bad-request"),
        (request("GET / HTTP/1.1", f"Sec-WebSocket-Key: {KEY}"), 400, "bad-request"),
        (request(Origin="https://evil.example"), 403, "origin"),
        (request("GET / HTTP/1.1", "Origin: https://chat.example", Origin="x"), 403, "origin"),
        (request(Origin="\xff"), 403, "origin"),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * MAX_HEAD, 431, "bad-request"),
        (b"G" * (MAX_HEAD + 1), 431, "bad-request"),
        (request("GET / HTTP/1.1", "x: " + "y" * MAX_HEAD), 431, "bad-request"),
    ],
)
def test_invalid_request_is_refused(data: bytes, status: int, why: str) -> None:
    assert refused(data)[:2] == (status, why)
    assert b"\r\nConnection: close\r\n" in refused(data)[2]


@pytest.mark.parametrize(
    "more",
    [
        {"Host": "bücher.example"},
        {"Connection": "Upgrade, ü"},
        {"Upgrade": "WebSocket"},
        {"Sec_WebSocket_Protocol": "ü"},
    ],
)
def test_unusual_headers_are_accepted(more: dict[str, str]) -> None:
    assert isinstance(result_of(request(**more)), Accepted)


def test_empty_lines_before_the_request_are_ignored() -> None:
    """RFC 9112 section 2.2: "a server that is expecting to receive and parse a request-line SHOULD
    ignore at least one empty line (CRLF) received prior to the request-line." """
    for empty in (b"\r\n", b"\n", b"\r\n" * 8):
        assert result_of(empty + request()) == result_of(request())
    assert refused(b"\r\n" * 9 + request())[:2] == (400, "not-http"), "limited number"


def test_same_origin_and_no_origin_are_accepted() -> None:
    assert isinstance(result_of(request(Origin="https://chat.example")), Accepted)
    assert isinstance(result_of(request()), Accepted)


def test_refusal_is_a_valid_http_response() -> None:
    client = WSConnection(ConnectionType.CLIENT)
    data = client.send(
        Request(host="chat.example", target="/", extra_headers=[(b"Origin", b"null")])
    )
    client.receive_data(refused(data)[2])
    event = next(iter(client.events()))
    assert isinstance(event, RejectConnection)
    assert event.status_code == 403


def fed(pieces: Iterable[bytes]) -> tuple[Any, bytes]:
    """Return the result and the bytes after the request."""
    upgrade = Upgrade(OPTIONS, is_own)
    answer: Accepted | UpgradeRefused | None = None
    rest = b""
    for piece in pieces:
        if answer is not None:
            rest += piece
            continue
        answer = upgrade.feed(piece)
        if isinstance(answer, Accepted):
            rest = answer.rest
    if isinstance(answer, Accepted):
        return (answer.response, answer.frames), rest
    return answer, b""


@given(
    data=st.sampled_from(
        [
            request() + b"frames",
            request("GET / HTTP/1.1", "Sec-WebSocket-Protocol: text.ircv3.net") + b"\n\r\n\n",
            request().replace(b"\r\n", b"\n") + b"\r\n",
            b"\r\n\n\r\n" + request() + b"frames",
            b"\n" * 9 + request(),
            b"\r\r\n" + request(),
            request(Origin="https://evil.example"),
            b"GET / HTTP/1.1\r\n\r\n",
            b"NICK joe\r\nUSER joe 0 * :Joe\r\n",
            b"GET / HTTP/1.1\r\nx: " + b"y" * MAX_HEAD + b"\r\n\r\n",
        ]
    ),
    cuts=st.lists(st.integers(0, 400), max_size=8),
)
def test_any_segmentation_gives_the_same_result(data: bytes, cuts: list[int]) -> None:
    ends = [0, *sorted(cuts), len(data)]
    pieces = [data[a:b] for a, b in pairwise(ends) if a < b]
    assert fed(pieces) == fed([data])


@given(st.binary(max_size=400))
def test_any_request_is_accepted_or_refused(data: bytes) -> None:
    for whole in (data, b"GET / HTTP/1.1\r\n" + data + b"\r\n\r\n"):
        answer = Upgrade(OPTIONS, is_own).feed(whole)
        assert answer is None or isinstance(answer, UpgradeRefused)


def test_request_byte_by_byte_takes_linear_time() -> None:
    upgrade = Upgrade(OPTIONS, is_own)
    data = request("GET / HTTP/1.1", "x: " + "y" * 16000)
    answers = [upgrade.feed(data[at : at + 1]) for at in range(len(data))]
    assert answers[:-1] == [None] * (len(data) - 1)
    assert isinstance(answers[-1], Accepted)
