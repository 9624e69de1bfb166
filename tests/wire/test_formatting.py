"""IRC formatting codes, and the editing keys of a raw terminal."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpd.wire.formatting import plain, tidy, typed
from tcpd.wire.safe_text import offends


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("\x02bold\x02 \x1ditalics\x1d", "bold italics"),
        ("\x1funder\x1f \x1estruck\x1e \x11mono\x11 \x16reverse\x16", "under struck mono reverse"),
        ("\x0304red\x03", "red"),
        ("\x034,12red on blue\x0f", "red on blue"),
        ("\x03042", "2"),
        ("\x034,", ","),
        ("\x034,five", ",five"),
        ("\x03,5", ",5"),
        ("\x0312,345", "5"),
        ("\x03\u0664", "\u0664"),
        ("\x04ff0000red\x04", "red"),
        ("\x04FF0000,00ff00red\x04", "red"),
        ("\x04ff00red", "ff00red"),
        ("\x01VERSION\x01", "VERSION"),
        ("plain, 50 % off", "plain, 50 % off"),
        ("a\tb\x07", "a\tb\x07"),
    ],
)
def test_formatting_is_removed(sent: str, shown: str) -> None:
    """https://modern.ircdocs.horse/formatting: "If there are two ASCII digits available where a
    <COLOR> is allowed, then two characters MUST always be read for it" """
    assert plain(sent) == shown


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ("helo\blo", "hello"),
        ("helo\x7flo", "hello"),
        ("\x7f\x7fab\x7f\x7f\x7fc", "c"),
        ("caf\u00e9\x7fe", "cafe"),
        ("wrong\x15right", "right"),
        ("one two  \x17three", "one three"),
        ("\x17\x15\x7fa", "a"),
        ("hel\x04lo\x04", "hello"),
        ("\x04hello", "hello"),
        ("\x04", None),
        ("\x04\x04", None),
        ("oops\x15\x04", None),
        ("\x15", ""),
        ("\x1b[Aup\x1b[D\x1b[1;5C", "up"),
        ("\x1bOA\x1bOP", ""),
        ("\x1b[3~\x1b[15~", ""),
        ("\x1b[[A", ""),
        ("\x1b[200~pasted\x1b[201~", "pasted"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]0;title\x1b\\text", "text"),
        ("\x1b", ""),
        ("\x1bhello", "hello"),
        ("\x1b]hello", "]hello"),
        ("\x01hello\x01\x0c\x1a\0\x07", "hello"),
        ("a\tb", "a\tb"),
        ("\x02b\x02 \x034,5c\x03 \x04ff0000d\x0f", "\x02b\x02 \x034,5c\x03 \x04ff0000d\x0f"),
        ("", ""),
        ("\x03", ""),  # Ctrl-C
        ("\x02\x0f \x0304", ""),
        ("abc\x17\x02", ""),
    ],
)
def test_editing_keys_are_applied(keys: str, line: str | None) -> None:
    """'Backspace and Delete erase a character, Ctrl-W a word, Ctrl-U the line', and 'empty if only
    formatting codes are left'."""
    assert typed(keys) == line


PIECES = st.one_of(
    st.text(max_size=5),
    st.sampled_from(["\x04", "\x08", "\x7f", "\x15", "\x17", "\x1b", "[", "A", "a"]),
)


@given(st.lists(PIECES, max_size=20).map("".join))
def test_result_has_no_editing_keys(keys: str) -> None:
    line = typed(keys)
    if line is None:
        assert "\x04" in keys
    else:
        assert len(line) <= len(keys)
        assert not {"\x1b", "\b", "\x7f", "\x15", "\x17"} & set(line)
        assert typed(line) == line or "\x04" in keys


@pytest.mark.parametrize("unit", ["\x1b]", "\x1b[1", "a\x17", "a b\x17", "\x04f", "\x7f", "\x031,"])
def test_long_line_takes_linear_time(unit: str) -> None:
    """'The time is linear in the length of the line': 1 MB, 250 times the longest line."""
    line = unit * (1_000_000 // len(unit))
    plain(line)
    typed(line)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("\x02b\x02 \x0312,4c\x03 \x04ff0000d\x04", "\x02b\x02 \x0312,4c\x03 \x04ff0000d\x04"),
        ("\x1b[1m\x02x", "\ufffd[1m\x02x"),
        ("\x02\u202e\x9b\x00", "\x02\ufffd\ufffd\ufffd"),
        ("\x03\x1b4", "\x03\ufffd4"),
        ("", ""),
    ],
)
def test_tidy_keeps_formatting_codes(text: str, shown: str) -> None:
    assert tidy(text) == shown


@given(st.text(st.characters(exclude_categories=[])))
def test_tidy_removes_other_control_characters(text: str) -> None:
    shown = tidy(text)
    assert len(shown) == len(text)
    assert tidy(shown) == shown
    assert not any(map(offends, re.sub("[\x02\x03\x04\x0f\x11\x16\x1d\x1e\x1f]", "", shown)))
