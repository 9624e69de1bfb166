"""Detection of HTTP and TLS in the first bytes of a connection."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpd.wire.opening import METHODS, Foreign, Opening


def found(pieces: list[bytes], **how: object) -> Foreign | None:
    opening = Opening(**how)  # type: ignore[arg-type]
    for piece in pieces:
        foreign = opening.feed(piece)
        if foreign is not None:
            assert opening.over
            return foreign
        if opening.over:
            return None
    return None


def bytewise(stream: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in stream]


def found_in(stream: bytes, **how: object) -> Foreign | None:
    whole = found([stream], **how)
    assert found(bytewise(stream), **how) is whole
    return whole


@pytest.mark.parametrize(
    "line",
    [
        *(f"{method} / HTTP/1.1".encode() for method in sorted(METHODS)),
        b"PRI * HTTP/2.0",
        b"OPTIONS * HTTP/1.1",
        b"CONNECT irc.example.net:7667 HTTP/1.1",
        b"GET http://irc.example.net:7667/ HTTP/1.0",
        b"POST /" + b"x" * 20_000 + b" HTTP/1.1",
        b"PROPFIND / HTTP/1.1",
        b"patch /lower HTTP/1.1",
        b"NICK /by-dns-rebinding HTTP/1.1",
        b"PING /" + b"x" * 20_000 + b" HTTP/1.1",
        b"get\t/\tHTTP/1.1",
        b"GET /",
        b"get /",
        b"GET",
        b"POST something",
        b"GET / HTTP/3",
    ],
)
@pytest.mark.parametrize("before", [b"", b"\r\n", b"\r\n\r\n", b"  \t", b"\n \r"])
@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r"])
def test_http(line: bytes, before: bytes, end: bytes) -> None:
    """RFC 9112 section 3: "request-line = method SP request-target SP HTTP-version"; section 2.2: a
    server "SHOULD ignore at least one empty line (CRLF) received prior to the request-line"."""
    assert found_in(before + line + end + b"Host: irc.example.net\r\n\r\n") is Foreign.HTTP


@pytest.mark.parametrize(
    "line",
    [
        b"\x0b",
        b"\x0c\x0b",
        b"NICK ann",
        b"CAP LS 302",
        b"USER ann 0 * :a friend of HTTP/1.1",
        b"PASS HTTP/1.1",
        b"ann",
        b"get",
        b"patch",
        b"head of tea",
        b"Post",
        b"GETTING / there",
        b"PING /",
        b"@label=x NICK ann",
        "größe / HTTP/1.1".encode(),
        b"\xff\xfd\x01ann",
        b"\x16",
        b"\x16ann",
        b"x" * 20_000,
        b"ECHO " + b"x" * 20_000,
        b"ECHO /" + b"x y" * 10_000,
    ],
)
def test_other_lines_are_not_detected(line: bytes) -> None:
    assert found_in(line + b"\r\nmore\r\n") is None


@pytest.mark.parametrize("line", [b"get", b"Post something", b"options", b"CONNECT"])
def test_any_case_detects_methods_alone(line: bytes) -> None:
    """ "for protocols without a command of that name" """
    assert found_in(line + b"\r\n", any_case=True) is Foreign.HTTP


def test_command_named_like_a_method_is_not_http() -> None:
    """ "is HTTP only in a line with an HTTP version" """
    how = {"knows": lambda word: word.upper() in ("GET", "PUT")}
    assert found_in(b"GET key\r\n", **how) is None
    assert found_in(b"PUT /key value\r\n", **how) is None
    assert found_in(b"GET /key HTTP/1.1\r\n", **how) is Foreign.HTTP
    assert found_in(b"POST key\r\n", **how) is Foreign.HTTP


@pytest.mark.parametrize("version", [0, 1, 3, 4])
def test_tls(version: int) -> None:
    """RFC 8446 section 5.1: a record begins with its type, 22 for handshakes, and the version 3.x.
    A session ticket in it may contain lines of a web page."""
    hello = bytes([22, 3, version, 2, 0, 1, 0, 1, 252, 3, 3]) + b"\r\nNICK x\r\nUSER x 0 * :x\r\n"
    assert found_in(hello) is Foreign.TLS


def test_only_the_first_line_counts() -> None:
    opening = Opening()
    assert opening.feed(b"NICK ann\r\nPOST / HTTP/1.1\r\n") is None
    assert opening.over


@given(
    line=st.sampled_from(
        [b"POST / HTTP/1.1", b"NICK ann", b"\x16\x03\x01\x02", b" get /", b"\x16"]
    ),
    cuts=st.lists(st.integers(0, 40)),
)
def test_segmentation_does_not_matter(line: bytes, cuts: list[int]) -> None:
    stream = b"\r\n" + line + b"\r\nmore\r\n"
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[a:b] for a, b in itertools.pairwise(places)]
    assert found(pieces) is found([stream])


def test_first_line_without_end_is_not_buffered() -> None:
    opening = Opening()
    for _ in range(100):
        if opening.over:
            break
        opening.feed(b"x" * 1000)
    assert opening.over
