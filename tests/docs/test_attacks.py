"""docs/explanation/attacks.rst: every test that it names is there, and is live where it says so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "explanation" / "attacks.rst").read_text(encoding="utf-8")
NAMED = re.findall(r"``(tests/\S+?\.py)::(\w+)``", PAGE)

#: Shown on the part that keeps the bound, and not on the running daemon.
NOT_LIVE = {"tests/daemon", "tests/net", "tests/policy", "tests/relay"}


def collected() -> dict[str, set[str]]:
    """By file, the tests that pytest finds in it with the mark ``live``, or that need none."""

    def ask(marks: str, files: set[str]) -> set[str]:
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
    return {"live": ask("live", live), "part": ask("not live", files - live)}


def test_the_tests_that_the_table_names_are_there() -> None:
    """ "Each row is a test that runs against the live daemon", but for those that say otherwise."""
    found = collected()
    for file, name in NAMED:
        kind = "part" if str(Path(file).parent) in NOT_LIVE else "live"
        assert (kind == "live") is file.startswith(("tests/live/", "tests/soak/")), file
        assert f"{file}::{name}" in found[kind]


def test_every_row_names_one() -> None:
    rows = PAGE.split("   * - ")[1:]
    assert len(rows) > 40
    for row in rows:
        assert "::test_" in row or row.startswith("attack or fault"), row


def test_every_attack_of_the_live_file_has_a_row() -> None:
    text = (ROOT / "tests" / "live" / "test_attacks.py").read_text(encoding="utf-8")
    written = set(re.findall(r"^def (test_\w+)", text, re.M))
    assert written == {name for file, name in NAMED if file == "tests/live/test_attacks.py"}
