"""Text set into a number of columns of a terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from tcpd.ctl.top.tables import Column

_BETWEEN = 2

#: Stands where something was cut off.
_CUT = "+"


def cells(text: str) -> int:
    """How many columns of a terminal a text takes (UAX #11: wide characters take two)."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def _cells(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, width: int) -> str:
    """A text, or as much of its beginning as has room, marked as cut."""
    if cells(text) <= width:
        return text
    kept = ""
    left = width - len(_CUT)
    for character in text:
        left -= _cells(character)
        if left < 0:
            break
        kept += character
    return kept + _CUT if width > 0 else ""


def set_in(text: str, width: int, to_right: bool) -> str:
    """A text with spaces before or behind it, cut if need be."""
    text = cut(text, width)
    spaces = " " * (width - cells(text))
    return spaces + text if to_right else text + spaces


def laid_out(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None
) -> list[str]:
    """A table as lines, its headings first.

    Where the width does not do, columns that can be missed are left out, then those that give are
    cut.

    :param columns: from the left.
    :param rows: as many cells each as there are columns.
    :param width: of the terminal; ``None`` for as wide as it takes.
    """
    full = [
        max([column.width, len(column.heading), *(cells(row[place]) for row in rows)])
        for place, column in enumerate(columns)
    ]
    kept = list(range(len(columns)))

    def least(place: int) -> int:
        return columns[place].width if columns[place].gives else full[place]

    def short(widths: Sequence[int]) -> int:
        return sum(widths) + _BETWEEN * (len(widths) - 1) - (width or 0)

    widths = {place: full[place] for place in kept}
    if width is not None:
        while short([least(place) for place in kept]) > 0:
            goes = max(kept, key=lambda place: columns[place].leaves)
            if not columns[goes].leaves:
                break
            kept.remove(goes)
        over = max(0, short([full[place] for place in kept]))
        for place in sorted(kept, key=lambda place: least(place) - full[place]):
            given = min(over, full[place] - least(place))
            widths[place] -= given
            over -= given
    lines = [[column.heading for column in columns], *rows]
    made = [
        (" " * _BETWEEN)
        .join(set_in(line[place], widths[place], not columns[place].is_text) for place in kept)
        .rstrip()
        for line in lines
    ]
    return made if width is None else [cut(line, width) for line in made]
