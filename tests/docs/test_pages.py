"""Sphinx builds the pages without warnings, docutils those that a forge renders."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.long
def test_sphinx_builds_without_warnings(tmp_path: Path) -> None:
    pytest.importorskip("sphinx", reason="comes with the extra docs")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going"),
            *("-b", "html", "-d", str(tmp_path / "doctrees"), "docs", str(tmp_path / "html")),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "name", ["README.rst", "NEWS.rst", "CONTRIBUTING.rst", "SECURITY.rst", "tests/README.rst"]
)
def test_docutils_renders_without_warnings(name: str, tmp_path: Path) -> None:
    pytest.importorskip("docutils", reason="comes with the extra docs")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "docutils",
            "--report=1",
            "--halt=2",
            name,
            str(tmp_path / "x.html"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
