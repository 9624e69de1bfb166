"""Ini files on pages have only sections, keys and values that tcpd knows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from docs.commands import ROOT, Page

from tcpd.config.errors import ConfigError
from tcpd.config.load import load
from tcpd.daemon.compose import SECTIONS
from tcpd.daemon.registry import Kinds

#: Errors for parts that are in another example, or in a plugin.
ELSEWHERE = re.compile(
    r"there is no \[(tls|policy):|no \[service:|no services?\b|protocol 'shout'"
    r"|at least one listener must be given"
)

#: Sections of systemd's units and of setup.cfg.
NOT_OURS = re.compile(r"^\[(Unit|Service|Socket|Install|metadata)\]", re.M)


def examples() -> Iterator[tuple[str, str]]:
    """Yield page and text of each ini file of tcpd."""
    for path in sorted((ROOT / "docs").rglob("*.rst")):
        page = Page(path.relative_to(ROOT).as_posix())
        for block in page.blocks:
            if (
                block.language == "ini"
                and block.text.startswith("[")
                and not NOT_OURS.search(block.text)
            ):
                yield page.name, block.text


EXAMPLES = list(examples())


def test_examples_are_found() -> None:
    pages = {page for page, _ in EXAMPLES}
    assert {f"docs/howto/{name}.rst" for name in ("stunnel", "tuning", "xinetd")} <= pages
    assert len(EXAMPLES) > 30


@pytest.mark.parametrize(("page", "text"), EXAMPLES, ids=[page for page, _ in EXAMPLES])
def test_examples_are_valid(page: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "x.ini").write_text(text)
    faults = []
    try:
        load([str(tmp_path / "x.ini")], "", Kinds(entry_points=()), SECTIONS)
    except ConfigError as error:
        faults = [line for line in str(error).splitlines() if not ELSEWHERE.search(line)]
    assert faults == []
