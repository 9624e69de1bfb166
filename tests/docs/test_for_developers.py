"""CONTRIBUTING.rst, SECURITY.rst, tests/README.rst and the hooks: what they name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from docs.commands import ROOT

PAGES = ["CONTRIBUTING.rst", "SECURITY.rst", "tests/README.rst"]

TESTS = ROOT / "tests"


def _quoted(page: str) -> list[str]:
    return re.findall(r"``([^`\n]+)``", (ROOT / page).read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES)
def test_a_file_that_a_page_names_is_there(page: str) -> None:
    named = [text for text in _quoted(page) if re.fullmatch(r"[\w./-]+(\.(rst|py|ini|cfg))", text)]
    assert named
    for text in named:
        assert any((top / text).exists() for top in (ROOT, TESTS)), text


def test_each_directory_of_tests_has_a_row() -> None:
    """ "tests/README.rst says where a test goes." """
    directories = {
        path.name
        for path in TESTS.iterdir()
        if path.is_dir() and any(path.rglob("*.py")) and path.name != "__pycache__"
    }
    page = (TESTS / "README.rst").read_text(encoding="utf-8")
    rows = re.findall(r"^``(\w+)``  ", page, flags=re.M)
    assert set(rows) == directories
    assert len(rows) == len(directories)


def test_each_package_that_a_row_names_is_there() -> None:
    packages = {text for text in _quoted("tests/README.rst") if re.fullmatch(r"tcpd\.\w+", text)}
    assert packages
    for name in packages:
        assert (ROOT / name.replace(".", "/") / "__init__.py").exists(), name


def test_each_shared_module_is_described() -> None:
    modules = {path.name for path in TESTS.glob("*.py") if not path.name.startswith("test_")}
    page = (TESTS / "README.rst").read_text(encoding="utf-8")
    assert set(re.findall(r"^``(\w+\.py)``  ", page, flags=re.M)) == modules


def test_the_marks_are_those_of_pytest() -> None:
    setup = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    section = setup.partition("markers =\n")[2].partition("filterwarnings")[0]
    marks = re.findall(r"^    (\w+):", section, flags=re.M)
    text = (TESTS / "README.rst").read_text(encoding="utf-8").partition("\nMarks\n")[2]
    assert marks
    assert all(f"``{mark}``" in text for mark in marks)


@pytest.mark.long
def test_the_commands_of_the_hooks_are_there() -> None:
    """pre-commit itself reads the file and runs them all in test_contributing.py."""
    clientlib = pytest.importorskip("pre_commit.clientlib", reason="comes with the extra lint")
    config = clientlib.load_config(ROOT / ".pre-commit-config.yaml")
    hooks = [hook for repository in config["repos"] for hook in repository["hooks"]]
    programs = {Path(hook["entry"].split()[0]) for hook in hooks}
    assert programs == {Path(".venv/bin", name) for name in ("ruff", "mypy", "pytest")}
    for hook in hooks:
        for word in hook["entry"].split()[1:]:
            assert not word.startswith("tests/") or (ROOT / word).exists()
