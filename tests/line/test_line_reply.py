"""Rendering of replies."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpd.line.reply import CommandError, Reply, WrongArguments, split_lines

any_text = st.text(st.characters(min_codepoint=0, max_codepoint=0x10FFFF))


@pytest.mark.parametrize(
    ("reply", "sent"),
    [
        (Reply(250, ("ok",)), b"250 ok\r\n"),
        (Reply(250, ("",)), b"250 \r\n"),
        (Reply(250, ("a", "b", "c")), b"250-a\r\n250-b\r\n250 c\r\n"),
        (Reply(250, ("a\r\n500 b",)), b"250-a\r\n250 500 b\r\n"),
        (Reply.of(250, "a\nb\rc\r\nd\n"), b"250-a\r\n250-b\r\n250-c\r\n250 d\r\n"),
        (Reply.of(250, "a\n\nb"), b"250-a\r\n250-\r\n250 b\r\n"),
        (Reply.of(250, ""), b"250 \r\n"),
        (Reply.of(250, "tab\tstays, \x1b[31m does not"), b"250 tab\tstays, \\x1b[31m does not\r\n"),
        (Reply.of(250, "a\u2028b\x85c\x0bd"), b"250 a\\u2028b\\x85c\\x0bd\r\n"),
        (Reply.of(250, "Gr\xfc\xdfe \ud83d"), "250 Grüße \\ud83d\r\n".encode()),
    ],
)
def test_rendering(reply: Reply, sent: bytes) -> None:
    """RFC 5321 section 4.2.1: "every line, except the last, begins with the reply code, followed
    immediately by a hyphen"."""
    assert reply.encode() == sent


@given(code=st.integers(200, 599), lines=st.lists(any_text, min_size=1, max_size=4))
def test_text_cannot_break_the_framing(code: int, lines: list[str]) -> None:
    """ "Text of several lines becomes a reply of several lines." """
    sent = Reply(code, tuple(lines)).encode().decode()
    *before, last, end = sent.split("\r\n")
    assert end == ""
    assert all(line.startswith(f"{code}-") for line in before)
    assert last.startswith(f"{code} ")
    assert re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", sent) is None
    assert sent.count("\r") == sent.count("\n") == len(before) + 1


@given(any_text)
def test_split_lines_has_no_line_ends(text: str) -> None:
    lines = split_lines(text)
    assert lines
    assert not any("\r" in line or "\n" in line for line in lines)


@pytest.mark.parametrize("code", [0, 100, 199, 600, -1])
def test_code_out_of_range_is_rejected(code: int) -> None:
    with pytest.raises(ValueError, match="not a reply code"):
        Reply(code, ("x",))


def test_reply_without_lines_is_rejected() -> None:
    with pytest.raises(ValueError, match="at least one line"):
        Reply(250, ())


def test_error_code_below_400_is_rejected() -> None:
    with pytest.raises(ValueError, match="not an error code"):
        CommandError(250, "fine")


def test_wrong_arguments_show_the_usage() -> None:
    """Code 501: "Wrong arguments; the last line shows the usage"."""
    assert WrongArguments().reply("PING [token]").lines == ("usage: PING [token]",)
    assert WrongArguments("too many\nwords").reply("PING [token]").lines == (
        "too many",
        "words",
        "usage: PING [token]",
    )
