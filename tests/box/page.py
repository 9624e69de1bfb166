"""The commands of docs/howto/install.rst."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "install.rst").read_text(encoding="utf-8")


def commands(title: str) -> list[str]:
    """Those of a section that root is to type, as they stand there, lines that go on joined."""
    head = rf"^{re.escape(title)}\n-+\n"
    found = re.search(rf"{head}((?:.*\n)*?)(?=^.+\n-{{4,}}\n|\Z)", PAGE, re.M)
    assert found, f"the page has no section {title!r}"
    blocks = re.findall(r"::\n\n((?:(?: {4}.*)?\n)+)", found[1])
    lines = textwrap.dedent("\n".join(blocks)).replace("\\\n", " ").splitlines()
    return [line.removeprefix("# ") for line in lines if line.startswith("# ")]
