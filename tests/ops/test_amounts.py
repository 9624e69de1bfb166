"""Short formats of durations and sizes."""

from __future__ import annotations

import pytest

from tcpd.ops.amounts import size, span


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.9, "59s"), (192, "3m12s"), (18060, "5h01m"), (1047600, "12d03h"), (-1, "0s")],
)
def test_duration_formats(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (999, "999"), (1000, "1.0K"), (20 << 20, "20M"), (5 << 40, "5.0T")],
)
def test_size_formats(count: int, text: str) -> None:
    assert size(count) == text
