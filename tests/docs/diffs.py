"""Diffs on pages. They have no line numbers, so they apply after changes elsewhere in a file."""

from __future__ import annotations

import re
from pathlib import Path


def apply(diff: str, root: Path) -> None:
    """Apply a diff of one or several files; the context of each hunk must occur once in its file.

    :raise AssertionError: if it does not, or occurs several times.
    """
    files = re.split(r"^(?=--- a/)", diff, flags=re.M)
    assert files.pop(0) == ""
    for each in files:
        _apply_to_file(each, root)


def _apply_to_file(diff: str, root: Path) -> None:
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
