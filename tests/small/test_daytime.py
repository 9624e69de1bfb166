"""Daytime, RFC 867."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpd.small.daytime import daytime, kind


@pytest.mark.parametrize(
    ("when", "line"),
    [
        # the RFC's example, whose weekday is wrong there: that day was a Monday
        ((1982, 2, 22, 17, 37, 43), b"Monday, February 22, 1982 17:37:43-UTC\r\n"),
        ((2022, 2, 22, 0, 0, 0), b"Tuesday, February 22, 2022 00:00:00-UTC\r\n"),
        ((2024, 2, 29, 23, 59, 59), b"Thursday, February 29, 2024 23:59:59-UTC\r\n"),
        ((2036, 2, 7, 6, 28, 16), b"Thursday, February 7, 2036 06:28:16-UTC\r\n"),
        ((1969, 12, 31, 23, 59, 59), b"Wednesday, December 31, 1969 23:59:59-UTC\r\n"),
    ],
)
def test_format(when: tuple[int, int, int, int, int, int], line: bytes) -> None:
    """RFC 867: "One popular syntax is: Weekday, Month Day, Year Time-Zone. Example: Tuesday,
    February 22, 1982 17:37:43-PST"."""
    assert daytime(datetime(*when, tzinfo=UTC).timestamp()) == line


@given(st.floats(-62_135_596_800, 253_402_300_799))
def test_any_time_is_one_ascii_line(now: float) -> None:
    """RFC 867: "It is recommended that it be limited to the ASCII printing characters, space,
    carriage return, and line feed. The daytime should be just one line"."""
    line = daytime(now)
    assert re.fullmatch(rb"[A-Z][a-z]+day, [A-Z][a-z]+ \d+, \d+ \d\d:\d\d:\d\d-UTC\r\n", line)


def test_locale_and_time_zone_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    import locale
    import time

    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    before = locale.setlocale(locale.LC_ALL)
    try:
        for name in ("de_DE.UTF-8", "fr_FR.UTF-8", "C.UTF-8"):
            try:
                locale.setlocale(locale.LC_ALL, name)
            except locale.Error:
                continue  # not installed
            assert daytime(0) == b"Thursday, January 1, 1970 00:00:00-UTC\r\n"
    finally:
        locale.setlocale(locale.LC_ALL, before)
        monkeypatch.undo()
        time.tzset()


def test_clock_of_the_context_is_used(context) -> None:
    respond = kind.make_responder(kind.settings(), context)
    assert respond(b"") == b"Tuesday, February 22, 2022 17:37:43-UTC\r\n"
    context.wall_clock = lambda: 0.0
    respond = kind.make_responder(kind.settings(), context)
    assert respond(b"") == b"Thursday, January 1, 1970 00:00:00-UTC\r\n"
