"""NEWS.rst: headings with version and date, in order, up to the version of setup.cfg."""

from __future__ import annotations

import configparser
import re
from datetime import date
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

HEADINGS = re.findall(r"^(\d.*)\n-+\n", (ROOT / "NEWS.rst").read_text(encoding="utf-8"), flags=re.M)


def _entries() -> list[tuple[tuple[int, ...], str]]:
    """Return version and date of each heading."""
    found = [re.fullmatch(r"(\d+\.\d+\.\d+) \((.+)\)", heading) for heading in HEADINGS]
    return [
        (tuple(map(int, match[1].split("."))), match[2]) for match in found if match is not None
    ]


def test_headings_have_version_and_date() -> None:
    """``0.1.0 (2026-11-29)``; only the top one may be ``(unreleased)``."""
    entries = _entries()
    assert len(entries) == len(HEADINGS) > 1
    dated = entries[1:] if entries[0][1] == "unreleased" else entries
    days = [date.fromisoformat(day) for _, day in dated]
    assert days == sorted(days, reverse=True)


def test_latest_version_is_first() -> None:
    assert all(above > below for (above, _), (below, _) in pairwise(_entries()))


def test_version_of_the_package_has_an_entry() -> None:
    """The top heading, or the one below it while the top one is unreleased."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", "utf-8")
    version = tuple(map(int, setup["metadata"]["version"].split(".")))
    (top, day), (below, _) = _entries()[:2]
    assert version in ({top, below} if day == "unreleased" else {top})
