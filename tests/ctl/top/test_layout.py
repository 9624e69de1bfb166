"""Text in columns of a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpd.ctl.top.layout import cells, cut, laid_out, set_in
from tcpd.ctl.top.tables import Column


@pytest.mark.parametrize(
    ("text", "count"),
    [("", 0), ("abc", 3), ("h\u00e9", 2), ("he\u0301", 2), ("\u6f22\u5b57", 4), ("\u200d", 0)],
)
def test_how_many_columns_a_text_takes(text: str, count: int) -> None:
    """UAX #11: "wide characters take two"; what combines takes none."""
    assert cells(text) == count


def test_what_is_cut_is_marked() -> None:
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdef", 5) == "abcd+"
    assert cut("\u6f22\u5b57\u6f22", 4) == "\u6f22+"
    assert cut("abc", 1) == "+"
    assert cut("abc", 0) == ""


@given(st.text(), st.integers(0, 30), st.booleans())
def test_what_is_set_fills_its_width_and_no_more(text: str, width: int, to_right: bool) -> None:
    assert cells(set_in(text, width, to_right)) == width


def column(heading: str, width: int, leaves: int = 0, gives: bool = False) -> Column:
    return Column(heading, lambda row: row, str, width, not leaves, gives, leaves)


COLUMNS = [column("NAME", 4, gives=True), column("A", 3, 1), column("B", 3, 2), column("C", 3, 1)]
ROWS = [["long name", "1", "2", "3"], ["x", "1234", "5", "6"]]


def test_wide_enough_it_is_as_wide_as_it_takes() -> None:
    assert (
        laid_out(COLUMNS, ROWS, None)
        == laid_out(COLUMNS, ROWS, 80)
        == [
            "NAME          A    B    C",
            "long name     1    2    3",
            "x          1234    5    6",
        ]
    )


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        # what gives is cut first, then B goes, then one of A and C
        (22, ["NAME       A    B    C", "long +     1    2    3"]),
        (20, ["NAME     A    B    C", "lon+     1    2    3"]),
        (19, ["NAME         A    C", "long na+     1    3"]),
        (9, ["NAME    C", "lon+    3"]),
        (3, ["NA+", "lo+"]),
    ],
)
def test_where_room_is_short(width: int, lines: list[str]) -> None:
    made = laid_out(COLUMNS, ROWS, width)
    assert all(cells(line) <= width for line in made)
    assert made[:2] == lines


@given(st.integers(1, 100))
def test_no_line_is_longer_than_the_screen(width: int) -> None:
    assert all(cells(line) <= width for line in laid_out(COLUMNS, ROWS, width))
