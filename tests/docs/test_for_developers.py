"""CONTRIBUTING.rst, SECURITY.rst, tests/README.rst and the hooks: what they name exists."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest
from docs.commands import ROOT

PAGES = ["CONTRIBUTING.rst", "SECURITY.rst", "tests/README.rst"]

TESTS = ROOT / "tests"


def _quoted(page: str) -> list[str]:
    return re.findall(r"``([^`\n]+)``", (ROOT / page).read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES)
def test_named_files_exist(page: str) -> None:
    named = [text for text in _quoted(page) if re.fullmatch(r"[\w./-]+(\.(rst|py|ini|cfg))", text)]
    assert named
    for text in named:
        assert any((top / text).exists() for top in (ROOT, TESTS)), text


def test_each_directory_of_tests_is_described() -> None:
    """ "tests/README.rst says where a test goes." """
    directories = {
        path.name
        for path in TESTS.iterdir()
        if path.is_dir() and any(path.rglob("*.py")) and path.name != "__pycache__"
    }
    assert directories <= set(_quoted("tests/README.rst"))


def test_each_package_is_in_the_table_of_directories() -> None:
    named = {text for text in _quoted("tests/README.rst") if re.fullmatch(r"tcpd\.\w+", text)}
    assert named == {f"tcpd.{path.parent.name}" for path in ROOT.glob("tcpd/*/__init__.py")}


def test_each_shared_module_is_described() -> None:
    modules = {path.name for path in TESTS.glob("*.py") if not path.name.startswith("test_")}
    assert modules <= set(_quoted("tests/README.rst"))


def test_each_mark_is_described() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", "utf-8")
    lines = setup["tool:pytest"]["markers"].strip().splitlines()
    marks = {line.partition(":")[0] for line in lines}
    assert "live" in marks
    assert marks <= set(_quoted("tests/README.rst"))


@pytest.mark.long
def test_programs_and_files_of_the_hooks_exist() -> None:
    """test_contributing.py runs the hooks by pre-commit."""
    clientlib = pytest.importorskip("pre_commit.clientlib", reason="comes with the extra lint")
    config = clientlib.load_config(ROOT / ".pre-commit-config.yaml")
    hooks = [hook for repository in config["repos"] for hook in repository["hooks"]]
    programs = {Path(hook["entry"].split()[0]) for hook in hooks}
    assert programs == {Path(".venv/bin", name) for name in ("ruff", "mypy", "pytest")}
    for hook in hooks:
        for word in hook["entry"].split()[1:]:
            assert not word.startswith("tests/") or (ROOT / word).exists()
