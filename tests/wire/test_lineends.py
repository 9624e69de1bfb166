"""LineEnds: CR, LF, CR LF and any mix of them end a line, independent of segmentation."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tcpd.lines.linebuffer import LineBuffer
from tcpd.wire.lineends import LineEnds


def fed(pieces: list[bytes]) -> list[object]:
    ends, buffer = LineEnds(), LineBuffer(100)
    return [line for piece in pieces for line in buffer.feed(ends.feed(piece))]


@pytest.mark.parametrize(
    ("stream", "lines"),
    [
        (b"", []),
        (b"a\nb\n", [b"a", b"b"]),
        (b"a\r\nb\r\n", [b"a", b"b"]),
        (b"a\rb\r", [b"a", b"b"]),
        (b"a\n\rb\n\r", [b"a", b"", b"b", b""]),
        (b"a\r\r\nb\n\n", [b"a", b"", b"b", b""]),
        (b"a\rb\nc\r\nd", [b"a", b"b", b"c"]),
        (b"\r", [b""]),
        (b"\n\r\n", [b"", b""]),
    ],
)
def test_lines(stream: bytes, lines: list[bytes]) -> None:
    """RFC 2812 section 2.3.1: "The current solution is to designate two characters, CR and LF, as
    message separators. Empty messages are silently ignored"."""
    assert fed([stream]) == lines
    assert fed([bytes([byte]) for byte in stream]) == lines


@given(
    stream=st.lists(st.sampled_from([b"a", b"bcd", b"\r", b"\n", b"\r\n"])).map(b"".join),
    cuts=st.lists(st.integers(0, 60)),
)
@example(stream=b"a\r\n", cuts=[2, 2])
def test_segmentation_does_not_matter(stream: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[a:b] for a, b in itertools.pairwise(places)]
    assert fed(pieces) == re.split(rb"\r\n|\r|\n", stream)[:-1]


def test_stream_without_lone_cr_is_not_copied() -> None:
    """The common path."""
    ends = LineEnds()
    for data in (b"a\nb\n", b"a\r\nb\r\n", b"no end"):
        assert ends.feed(data) is data
