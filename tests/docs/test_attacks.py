"""docs/explanation/attacks.rst: each row names a test, and each named test exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "explanation" / "attacks.rst").read_text(encoding="utf-8")
NAMED = re.findall(r"``(tests/\S+?\.py)::(\w+)``", PAGE)

#: Directories of tests of a component, not of the live daemon.
NOT_LIVE = {"tests/daemon", "tests/net", "tests/policy", "tests/relay"}


def collected() -> dict[str, set[str]]:
    """Return the tests that pytest collects, with the mark ``live`` and without."""

    def collect(marks: str, files: set[str]) -> set[str]:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"),
                *("-m", marks, *sorted(files)),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return {line.partition("[")[0] for line in done.stdout.splitlines() if "::" in line}

    files = {file for file, _ in NAMED}
    live = {file for file in files if str(Path(file).parent) not in NOT_LIVE}
    return {"live": collect("live", live), "part": collect("not live", files - live)}


def test_named_tests_exist() -> None:
    """ "Each row is a test that runs against the live daemon", except for :data:`NOT_LIVE`."""
    found = collected()
    for file, name in NAMED:
        kind = "part" if str(Path(file).parent) in NOT_LIVE else "live"
        assert (kind == "live") is file.startswith(("tests/live/", "tests/soak/")), file
        assert f"{file}::{name}" in found[kind]


def test_each_row_names_a_test() -> None:
    core = pytest.importorskip("docutils.core", reason="comes with the extra docs")
    nodes = pytest.importorskip("docutils.nodes")
    quiet = {"report_level": 5, "halt_level": 5}
    tree = core.publish_doctree(PAGE, settings_overrides=quiet)
    rows = [row.astext() for body in tree.findall(nodes.tbody) for row in body.children]
    assert len(rows) > 40
    for row in rows:
        assert "::test_" in row, row


def test_each_test_of_the_live_file_is_named() -> None:
    text = (ROOT / "tests" / "live" / "test_attacks.py").read_text(encoding="utf-8")
    written = set(re.findall(r"^def (test_\w+)", text, re.M))
    assert written == {name for file, name in NAMED if file == "tests/live/test_attacks.py"}
