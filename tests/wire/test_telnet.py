"""TelnetFilter: commands are removed, data passes, independent of segmentation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpd.wire.telnet import SUBNEGOTIATION_BYTES, TelnetFilter

IAC, DONT, DO, WONT, WILL, SB, SE = (bytes((n,)) for n in (255, 254, 253, 252, 251, 250, 240))
TIMING_MARK = b"\x06"


def fed(pieces: list[bytes]) -> tuple[bytes, bytes]:
    found = TelnetFilter()
    results = [found.feed(piece) for piece in pieces]
    return b"".join(data for data, _ in results), b"".join(answer for _, answer in results)


CASES = [
    pytest.param(b"hello\r\n", b"hello\r\n", b"", id="plain text"),
    pytest.param(b"a" + IAC + IAC + b"b", b"a\xffb", b"", id="IAC IAC is data 255 (RFC 854)"),
    pytest.param(IAC + DO + b"\x01x", b"x", IAC + WONT + b"\x01", id="DO gets WONT"),
    pytest.param(IAC + WILL + b"\x1fx", b"x", IAC + DONT + b"\x1f", id="WILL gets DONT"),
    pytest.param(IAC + WONT + b"\x01" + IAC + DONT + b"\x03x", b"x", b"", id="no to no"),
    pytest.param(
        b"he" + IAC + b"\xf4" + IAC + DO + TIMING_MARK + b"llo",
        b"hello",
        IAC + WONT + TIMING_MARK,
        id="Ctrl-C: IP, and DO TIMING-MARK, which is answered",
    ),
    pytest.param(
        (IAC + DO + TIMING_MARK) * 3, b"", (IAC + WONT + TIMING_MARK) * 3, id="each is answered"
    ),
    pytest.param(
        b"a" + IAC + SB + b"\x18\x00xterm" + IAC + SE + b"b", b"ab", b"", id="subnegotiation"
    ),
    pytest.param(
        IAC + SB + b"\x1f\x00" + IAC + IAC + b"\x00\x18" + IAC + SE + b"b",
        b"b",
        b"",
        id="IAC IAC in a subnegotiation is part of it (RFC 855)",
    ),
    pytest.param(b"hi\r\0ho\r\0", b"hi\r\nho\r\n", b"", id="CR NUL is the Return key (RFC 1123)"),
    pytest.param(b"hi\r\nho\0", b"hi\r\nho\0", b"", id="other NULs are data"),
    pytest.param(b"a" + IAC + b"\xf1" + IAC + b"\xf6b", b"ab", b"", id="NOP, AYT are skipped"),
    pytest.param(b"a\r" + IAC + b"\xf1\0", b"a\r\n\0", b"", id="a command parts CR and NUL"),
    pytest.param(b"a\rb\r\rc\r\n", b"a\r\nb\r\n\r\nc\r\n", b"", id="CR is a raw Return key"),
    pytest.param(
        b"a" + IAC + b"\xf7" + IAC + b"\xf8" + IAC + b"\xec", b"a\b\x15\x04", b"", id="EC, EL, EOF"
    ),
]


@pytest.mark.parametrize(("stream", "data", "answers"), CASES)
def test_commands_are_removed_and_refused(stream: bytes, data: bytes, answers: bytes) -> None:
    assert fed([stream]) == (data, answers)
    assert fed([stream[i : i + 1] for i in range(len(stream))]) == (data, answers)


def test_long_subnegotiation_ends() -> None:
    """'A longer one is treated as complete.'"""
    stream = IAC + SB + b"x" * SUBNEGOTIATION_BYTES + b"hello"
    assert fed([stream]) == (b"hello", b"")


def test_skipped_bytes_are_not_buffered() -> None:
    found = TelnetFilter()
    found.feed(IAC + SB)
    for _ in range(100):
        found.feed(b"\xff" * 1000)
    assert not hasattr(found, "__dict__")
    assert all(not isinstance(getattr(found, name), bytes) for name in found.__slots__)


PIECES = st.one_of(
    st.binary(max_size=4),
    st.sampled_from([IAC, DO, WILL, SB, SE, IAC + SB, IAC + SE, IAC + DO, b"\r", b"\0", b"\n"]),
    st.just(b"y" * (SUBNEGOTIATION_BYTES - 1)),
)


@given(st.lists(PIECES, max_size=30))
def test_telnet_segmentation_does_not_matter(pieces: list[bytes]) -> None:
    """'Data and replies do not depend on segmentation.'"""
    stream = b"".join(pieces)
    whole = fed([stream])
    assert fed(pieces) == whole
    assert len(whole[1]) <= len(stream), "replies are no longer than the input"
    data, answers = whole
    assert len(data) <= 2 * len(stream)
    assert len(answers) % 3 == 0


@given(st.text().map(lambda text: text.encode()))
def test_utf8_text_passes(data: bytes) -> None:
    """UTF-8 has no byte 255."""
    lines = data.replace(b"\r\n", b"\r").replace(b"\r\0", b"\r")
    assert fed([data]) == (lines.replace(b"\r", b"\r\n"), b"")


def test_cr_ends_the_line_immediately() -> None:
    """'So does CR alone, the Return key of a raw terminal', without waiting for LF."""
    found = TelnetFilter()
    assert found.feed(b"hi\r") == (b"hi\r\n", b"")
    assert found.feed(b"\n") == (b"", b"")
    assert found.feed(b"ho\r") == (b"ho\r\n", b"")
    assert found.feed(b"\0") == (b"", b"")
