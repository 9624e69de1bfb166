"""README.rst: its commands are run by test_commands.py, but for the one that runs the tests."""

from __future__ import annotations

import re
from pathlib import Path

README = (Path(__file__).resolve().parents[2] / "README.rst").read_text(encoding="utf-8")


def test_the_command_that_tests_stands_where_it_is_looked_for() -> None:
    """.ci/run finds it behind a comment."""
    found = re.search(r"^\.\. test-command\n\n::\n\n    (.+)\n\n", README, re.M)
    assert found
    assert ".venv/bin/pytest" in found[1]
