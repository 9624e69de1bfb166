"""docs/decisions: sections and numbers of the records, and their numbers in the code."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

RECORDS = sorted((ROOT / "docs" / "decisions").glob("*.rst"))

SECTIONS = ["Context", "Decision", "Consequences"]


@pytest.mark.parametrize("path", RECORDS, ids=[path.stem for path in RECORDS])
def test_record_has_its_sections(path: Path) -> None:
    """ "context, decision, consequences", under a title with its number."""
    lines = path.read_text().split("\n")
    number, _, title = lines[0].partition(": ")
    assert re.fullmatch(r"\d{4}", number)
    assert title
    assert path.stem.partition("-")[0] == number
    underlined = [line for line, below in pairwise(lines) if set(below) in ({"-"}, {"="})]
    assert underlined[1:] == SECTIONS


def test_numbers_are_unique() -> None:
    numbers = [path.stem.partition("-")[0] for path in RECORDS]
    assert len(set(numbers)) == len(numbers)


def test_records_named_in_the_code_exist() -> None:
    """ "the comment names its number": ``docs/decisions/0001``."""
    named = {
        number
        for path in (ROOT / "tcpd").rglob("*.py")
        for number in re.findall(r"docs/decisions/(\d{4})", path.read_text())
    }
    assert named
    assert named <= {path.stem.partition("-")[0] for path in RECORDS}
