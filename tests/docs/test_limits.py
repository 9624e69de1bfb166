"""docs/howto/limits.rst: no reason for a refusal or an end is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tcpd.policy.reasons import End, Refusal

PAGE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "limits.rst"


@pytest.mark.parametrize("refusal", Refusal)
def test_each_refusal_has_its_row(refusal: Refusal) -> None:
    """With the first of the words that its client is told."""
    rows = [line for line in PAGE.read_text("utf-8").split("\n") if line.startswith("``")]
    start = refusal.sentence.partition(",")[0]
    assert any(row.startswith(f"``{refusal}``") and start in row for row in rows)


@pytest.mark.parametrize("end", End)
def test_each_end_is_told(end: End) -> None:
    assert f"``{end}``" in PAGE.read_text("utf-8").partition("Connections that are ended")[2]
