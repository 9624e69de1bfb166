"""Diffs on pages. They have no line numbers, so they apply after changes elsewhere in a file."""

from __future__ import annotations

import re
from pathlib import Path


def apply(diff: str, root: Path) -> None:
    """Apply a diff; the context of each hunk must occur once in the file.

    :raise AssertionError: if it does not, or occurs several times.
    """
    head, *hunks = re.split(r"^@@\n", diff, flags=re.M)
    found = re.search(r"^\+\+\+ b/(\S+)$", head, re.M)
    assert found is not None
    path = root / found[1]
    code = path.read_text(encoding="utf-8")
    for hunk in hunks:
        lines = hunk.rstrip("\n").split("\n")
        before = "\n".join(line[1:] for line in lines if line[:1] != "+")
        after = "\n".join(line[1:] for line in lines if line[:1] != "-")
        assert code.count(f"{before}\n") == 1, f"not exactly once in {path.name}:\n{before}"
        code = code.replace(f"{before}\n", f"{after}\n")
    path.write_text(code, encoding="utf-8")
