"""CONTRIBUTING.rst: its commands run in a copy of the checkout, or in CI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import installing
import pytest
from docs.commands import ROOT, Page
from docs.diffs import apply
from wires import need

PAGE = Page("CONTRIBUTING.rst")

#: Commands that are not run here: the file that runs each, and its text there.
ELSEWHERE = {
    "python3 -m venv .venv": ("README.rst", "python3 -m venv .venv"),
    ".venv/bin/pip install -e '.[test]'": ("README.rst", ".venv/bin/pip install -e '.[test]'"),
    ".venv/bin/pip install -e '.[lint]'": (
        ".ci/run",
        ".venv/bin/pip install --quiet -e '.[lint]'",
    ),
    ".venv/bin/pytest -n 4": ("README.rst", ".venv/bin/pytest -n 4"),
    ".venv/bin/pytest -n 4 -m 'not live and not long and not box and not soak'": (
        ".ci/run",
        "-m 'not live and not long and not box and not soak'",
    ),
    ".venv/bin/pytest -n 2 -m 'long or soak'": (
        ".ci/run",
        ".venv/bin/pytest -n 2 -m 'long or soak'",
    ),
    ".venv/bin/pytest -m box": (".ci/run", ".venv/bin/pytest -m box"),
    "TCPD_TEST_REACTOR=select .venv/bin/pytest -m 'reactor and not soak'": (
        ".ci/run",
        "TCPD_TEST_REACTOR=select .venv/bin/pytest -q -m 'reactor and not soak'",
    ),
    ".venv/bin/sphinx-build -W -b html docs docs/_build": (
        "tests/docs/test_pages.py",
        '"-m", "sphinx", "-q", "-W"',
    ),
    ".ci/run": (".ci/run", "#!/usr/bin/env bash"),
}

#: Timeout in seconds of a command: mypy starts without a cache.
PATIENCE = 300.0


def test_commands_not_run_here_are_run_elsewhere() -> None:
    shown = {command.text for command in PAGE.commands}
    for command, (file, text) in ELSEWHERE.items():
        assert command in shown
        assert text in (ROOT / file).read_text(encoding="utf-8"), command


def test_commands_in_sentences_are_in_blocks() -> None:
    shown = [command.text for command in PAGE.commands]
    assert all(any(text in each for each in shown) for text in PAGE.inline)


def test_diffs_apply(tmp_path: Path) -> None:
    checkout = installing.copy_checkout(tmp_path / "tcpd")
    for block in PAGE.blocks:
        if block.language == "diff":
            apply(block.text, checkout)


@pytest.mark.long
def test_first_change(tmp_path: Path) -> None:
    """The diffs apply, the tests pass, and the hooks accept the commit."""
    pytest.importorskip("pre_commit", reason="comes with the extra lint")
    need("git")
    checkout = installing.copy_checkout(tmp_path / "tcpd")
    (checkout / ".venv").symlink_to(sys.prefix)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    environment |= {
        "HOME": str(tmp_path),
        "PYTHONPATH": str(checkout),
        "PRE_COMMIT_HOME": str(tmp_path / "pre-commit"),
        **{f"GIT_{who}_NAME": "ann" for who in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{who}_EMAIL": "ann@example.org" for who in ("AUTHOR", "COMMITTER")},
    }

    def run(command: str) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=checkout,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        return done.stdout

    # .gitignore has the directory, which does not match a symlink
    run("git init -q -b main && echo .venv >>.git/info/exclude")
    run("git add -A && git commit -q -m 'as it is'")
    for block in PAGE.blocks:
        if block.language == "diff":
            apply(block.text, checkout)
        for command in block.commands:
            if command.text not in ELSEWHERE:
                run(command.text)
    assert run("git status --porcelain") == ""
    assert run("git log --format=%s main..").startswith("Line: REVERSE")
    loaded = "import tcpd.line.builtin as module; print(module.__file__, module.reverse.name)"
    assert run(f".venv/bin/python -c '{loaded}'") == (f"{checkout}/tcpd/line/builtin.py REVERSE\n")
