"""Pictures on the pages, which docs/screenshots.py makes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from docs.commands import PAGES, ROOT

IMAGES = sorted((ROOT / "docs" / "images").iterdir())


def shown() -> dict[str, str]:
    """Return the names of the pictures on all pages, with their alternative texts."""
    text = "\n".join((ROOT / name).read_text("utf-8") for name in PAGES)
    pattern = r"\.\. image:: (?:docs|)/?images/(\S+)\n +:alt: (\S.*)"
    return dict(re.findall(pattern, text))


def test_each_picture_is_on_a_page_with_a_text() -> None:
    """WCAG 2.2, 1.1.1: "All non-text content ... has a text alternative"."""
    assert set(shown()) == {path.name for path in IMAGES}


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.name)
def test_picture_is_a_small_png(path: Path) -> None:
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n")
    assert len(content) < 150_000
