"""LineBuffer: lines and faults do not depend on segmentation; memory is bounded."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpd.lines.linebuffer import LineBuffer, LineFault

LIMIT = 8


def fed(pieces: list[bytes], *, strict: bool = False) -> list[bytes | LineFault]:
    buffer = LineBuffer(LIMIT, strict_crlf=strict)
    return [found for piece in pieces for found in buffer.feed(piece)]


def reference(stream: bytes, *, strict: bool) -> list[bytes | LineFault]:
    """Split a whole stream, in the simplest way."""
    *lines, rest = stream.split(b"\n")
    found: list[bytes | LineFault] = []
    for line in lines:
        bare = line.removesuffix(b"\r")
        if len(bare) > LIMIT:
            found.append(LineFault.TOO_LONG)
        elif strict and bare == line:
            found.append(LineFault.BARE_LF)
        else:
            found.append(bare)
    if len(rest.removesuffix(b"\r")) > LIMIT:
        found.append(LineFault.TOO_LONG)
    return found


@pytest.mark.parametrize(
    ("stream", "lines"),
    [
        (b"", []),
        (b"a\n", [b"a"]),
        (b"a\r\n", [b"a"]),
        (b"a\r\r\n", [b"a\r"]),
        (b"\n\r\n", [b"", b""]),
        (b"a\rb\n", [b"a\rb"]),
        (b"unended", []),
        (b"12345678\n", [b"12345678"]),
        (b"12345678\r\n", [b"12345678"]),
        (b"123456789\n", [LineFault.TOO_LONG]),
        (b"123456789\r\nok\n", [LineFault.TOO_LONG, b"ok"]),
        (b"12345678\r", []),
        (b"12345678\rx\nok\n", [LineFault.TOO_LONG, b"ok"]),
    ],
)
def test_lines(stream: bytes, lines: list[bytes | LineFault]) -> None:
    assert fed([stream]) == lines
    assert fed([bytes([byte]) for byte in stream]) == lines


def test_strict_reports_a_bare_lf() -> None:
    assert fed([b"a\nb\r\n"], strict=True) == [LineFault.BARE_LF, b"b"]


def test_an_empty_piece_changes_nothing() -> None:
    """The CR before the empty piece may exceed the limit by one byte."""
    assert fed([b"x" * LIMIT + b"\r", b"", b"\n"]) == [b"x" * LIMIT]


@given(
    stream=st.lists(st.sampled_from([b"a", b"bcd", b"\r", b"\n", b"\r\n", b"x" * 9])).map(b"".join),
    cuts=st.lists(st.integers(0, 60)),
    strict=st.booleans(),
)
def test_segmentation_does_not_matter(stream: bytes, cuts: list[int], strict: bool) -> None:
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[a:b] for a, b in itertools.pairwise(places)]
    assert fed(pieces, strict=strict) == reference(stream, strict=strict)


def test_line_without_end_is_reported_once_and_dropped() -> None:
    buffer = LineBuffer(LIMIT)
    assert buffer.feed(b"x" * LIMIT) == []
    assert buffer.feed(b"x") == [LineFault.TOO_LONG]
    for _ in range(1000):
        assert buffer.feed(b"x" * 1000) == []
    assert buffer.feed(b"end\nnext\n") == [b"next"]


def test_clear_drops_an_unfinished_line() -> None:
    buffer = LineBuffer(LIMIT)
    buffer.feed(b"half")
    buffer.clear()
    assert buffer.feed(b"whole\n") == [b"whole"]
    buffer.feed(b"x" * 100)
    buffer.clear()
    assert buffer.feed(b"whole\n") == [b"whole"]
