"""The drawing in docs/explanation/structure.rst: its packages are there, on their floors."""

from __future__ import annotations

import re

from docs.commands import ROOT
from test_floors import FLOORS

PAGE = (ROOT / "docs" / "explanation" / "structure.rst").read_text(encoding="utf-8")


def _drawn() -> dict[int, set[str]]:
    """By floor, the words that stand in it."""
    drawing = PAGE.partition("\nThe house, ")[2].partition("::\n\n")[2].partition("\n\n")[0]
    found: dict[int, set[str]] = {}
    floor = -1
    for line in drawing.splitlines():
        label, _, inside = line.strip().partition("|")
        if label.strip().isdecimal():
            floor = int(label)
        if floor >= 0:
            found.setdefault(floor, set()).update(re.findall(r"\w+", inside))
    return found


def test_each_package_stands_on_its_floor() -> None:
    drawn = _drawn()
    assert sorted(drawn) == sorted(set(FLOORS.values()))
    for floor, words in drawn.items():
        packages = {name for name, number in FLOORS.items() if number == floor} - {"__main__"}
        assert words & set(FLOORS) == packages, floor


def test_the_ways_pass_modules_that_are_there() -> None:
    words = _drawn()[4]
    for package, names in {"chat": ("hub", "state", "fanout"), "small": ("echo",)}.items():
        for name in names:
            assert name in words
            assert (ROOT / "tcpd" / package / f"{name}.py").exists()
