"""Keys of a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpd.ctl.top.keys import Keys


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b"q", ["q"]),
        (b"ab ", ["a", "b", " "]),
        (b"\x1b[A\x1b[B\x1bOC\x1b[D", ["up", "down", "right", "left"]),
        (b"\x1b[5~\x1b[6~\x1b[H\x1b[1~", ["page up", "page down", "home", "home"]),
        (b"\x1b[1;5A", ["up"]),  # with Ctrl
        (b"\x1b", ["escape"]),
        (b"\r\n\x7f\x08", ["enter", "enter", "backspace", "backspace"]),
        (b"\xc3\xa9", ["\u00e9"]),
        (b"\xff", ["\ufffd"]),
        (b"\x00\x01\x1b[15~", []),
    ],
)
def test_keys(data: bytes, keys: list[str]) -> None:
    assert Keys().feed(data) == keys


def test_incomplete_character_is_completed_by_the_next_read() -> None:
    keys = Keys()
    assert keys.feed(b"\xc3") == []
    assert keys.feed(b"\xa9") == ["\u00e9"]


@given(st.lists(st.binary(max_size=20)))
def test_keys_hold_no_control_characters(pieces: list[bytes]) -> None:
    keys = Keys()
    assert all(key.isprintable() for piece in pieces for key in keys.feed(piece))
