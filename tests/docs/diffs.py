"""Diffs that pages show. They have no line numbers, so they still apply when other lines move."""

from __future__ import annotations

import re
from pathlib import Path


def apply(diff: str, root: Path) -> None:
    """Apply a diff. Each hunk stands at the one place where its context is.

    :raise AssertionError: if there is no such place, or more than one.
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
        assert code.count(f"{before}\n") == 1, f"{path.name} has not once:\n{before}"
        code = code.replace(f"{before}\n", f"{after}\n")
    path.write_text(code, encoding="utf-8")
