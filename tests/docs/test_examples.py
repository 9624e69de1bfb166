"""Ini files that pages show have no section, key or value that tcpd does not know."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tcpd.config.errors import ConfigError
from tcpd.config.load import load
from tcpd.daemon.compose import SECTIONS
from tcpd.daemon.registry import Kinds

DOCS = Path(__file__).resolve().parents[2] / "docs"

#: What stands in another example, or in a package of the reader's own.
ELSEWHERE = re.compile(
    r"there is no \[(tls|policy):|no \[service:|no services?\b|protocol 'shout'"
    r"|at least one listener must be given"
)

#: Sections of units of systemd's, and of setup.cfg.
NOT_OURS = re.compile(r"^\[(Unit|Service|Socket|Install|metadata)\]", re.M)


def examples() -> Iterator[tuple[str, str]]:
    """The page and the text of each that is tcpd's; units of systemd's are ini files, too."""
    for page in sorted(DOCS.rglob("*.rst")):
        blocks = re.findall(
            r"^( *)(?:   - )?(?:\* - )?\.\. code-block:: ini\n\n((?:\1 +.*\n|\n)+)",
            page.read_text("utf-8"),
            re.M,
        )
        for _, block in blocks:
            text = textwrap.dedent(block).strip() + "\n"
            if text.startswith("[") and not NOT_OURS.search(text):
                yield page.relative_to(DOCS).as_posix(), text


EXAMPLES = list(examples())


def test_there_are_examples() -> None:
    pages = {page for page, _ in EXAMPLES}
    assert {"howto/stunnel.rst", "howto/tuning.rst", "howto/xinetd.rst"} <= pages
    assert len(EXAMPLES) > 30


@pytest.mark.parametrize(("page", "text"), EXAMPLES, ids=[page for page, _ in EXAMPLES])
def test_an_example_is_understood(page: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "x.ini").write_text(text)
    faults = []
    try:
        load([str(tmp_path / "x.ini")], "", Kinds(entry_points=()), SECTIONS)
    except ConfigError as error:
        faults = [line for line in str(error).splitlines() if not ELSEWHERE.search(line)]
    assert faults == []
