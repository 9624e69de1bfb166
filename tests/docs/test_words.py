"""Words that code, documentation and tests avoid, with a maximum for each.

The vocabulary is that of RFCs and manuals: a server logs, replies, notifies or reports; it does not
"tell". A maximum above 0 is for quotations and for interfaces, such as the command ``/tell``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

THIS = Path(__file__).resolve()
ROOT = THIS.parents[2]

#: Files and directories of each area.
AREAS = {
    "code": ("tcpd", "twisted", "setup.py", "setup.cfg", "ruff.toml"),
    "docs": (
        *("docs", "README.rst", "NEWS.rst", "CONTRIBUTING.rst", "SECURITY.rst"),
        *("etc", "packaging", ".ci", ".pre-commit-config.yaml"),
    ),
    "tests": ("tests", "benchmarks"),
}

#: Generated files, and licenses.
SKIPPED = ("_build", "__pycache__", "copyright", "tcpd.egg-info", ".mypy_cache")

SUFFIXES = frozenset(
    [
        "",
        *[
            ".py",
            ".rst",
            ".ini",
            ".json",
            ".conf",
            ".sh",
            ".sql",
            ".toml",
            ".cfg",
            ".yaml",
            ".yml",
            ".service",
            ".socket",
        ],
    ]
)


class Word(NamedTuple):
    """A word or phrase.

    :ivar pattern: a regular expression for whole words, in lower case.
    :ivar code: the maximum in the area of this name, as the next two.
    """

    pattern: str
    code: int
    docs: int
    tests: int


WORDS = (
    Word("tells?|told|telling", 1, 4, 2),
    Word("whom", 0, 0, 1),
    Word("nor", 0, 0, 2),
    Word("hardly", 0, 0, 1),
    Word("anew", 0, 0, 1),
    Word("hears?|heard", 0, 0, 1),
    Word("doors?", 0, 0, 1),
    Word("what came in", 0, 0, 0),
    Word("as may be", 0, 0, 0),
    Word("for as long", 0, 0, 1),
    Word("of its own", 0, 0, 2),
    Word("such as has", 0, 0, 0),
    Word("it is asked", 0, 0, 0),
    Word("whoever", 0, 0, 1),
    Word("lets? go", 0, 0, 1),
    Word("so long", 0, 0, 1),
    Word("goes on", 0, 1, 1),
    Word("hold(?:s|ing)? up|held up", 0, 0, 1),
    Word("lest", 0, 0, 0),
    Word("somebody", 0, 0, 1),
    Word("all of it or nothing", 0, 0, 0),
    Word("those who", 0, 0, 0),
    Word("so many", 0, 0, 0),
    Word("the other way", 0, 0, 0),
    Word("in any case", 0, 0, 0),
    Word("as a rule", 0, 0, 0),
)

_CAMEL_CASE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NEITHER_NOR = re.compile(r"\bneither\b([^.;]*?)\bnor\b", re.I)
#: White space, which may be a line end and the start of a comment.
_SPACE = r"(?:\s|\s#:?\s|\s\*\s)+"


def words_of(text: str) -> str:
    """Split names into words. Line numbers do not change."""
    text = _CAMEL_CASE.sub(" ", text.replace("_", " "))
    return _NEITHER_NOR.sub(r"\1", text)


def hits(words: str, pattern: str) -> Iterator[int]:
    """Find a pattern in the result of :func:`words_of`; return the line numbers."""
    spaced = rf"\b(?:{pattern})\b".replace(" ", _SPACE)
    for found in re.finditer(spaced, words, re.I):
        yield words.count("\n", 0, found.start()) + 1


def files(area: str) -> Iterator[Path]:
    """Return the text files of an area, without this one."""
    for name in AREAS[area]:
        top = ROOT / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            skipped = any(part in SKIPPED for part in path.relative_to(ROOT).parts)
            if path.is_file() and path.suffix in SUFFIXES and not skipped and path != THIS:
                yield path


@pytest.fixture(scope="module")
def texts() -> dict[str, dict[Path, str]]:
    """The files of each area, their names split into words."""
    return {
        area: {path: words_of(path.read_text("utf-8", "replace")) for path in files(area)}
        for area in AREAS
    }


@pytest.mark.parametrize("area", AREAS)
@pytest.mark.parametrize("word", WORDS, ids=lambda word: word.pattern)
def test_words_are_avoided(word: Word, area: str, texts: dict[str, dict[Path, str]]) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text.splitlines()[line - 1].strip()}"
        for path, text in texts[area].items()
        for line in hits(text, word.pattern)
    ]
    maximum = getattr(word, area)
    assert len(found) <= maximum, (
        f"{word.pattern!r} occurs {len(found)} times in {area}, at most {maximum} are allowed:\n"
        + "\n".join(found)
    )


@pytest.mark.parametrize(
    ("text", "pattern", "lines"),
    [
        ("a\nthe client is told\n", "tells?|told", [2]),
        ("def _tells_all(toldYou): pass", "tells?|told", [1, 1]),
        ("class DoorKeeper: 'behind a door'", "doors?", [1, 1]),
        ("a stellar, untold retelling", "tells?|told|telling", []),
        ("# by a lock\n# of its\n# own", "of its own", [2]),
        ("neither TLS\nnor a socket, nor a file", "nor", [2]),
    ],
)
def test_words_are_found(text: str, pattern: str, lines: list[int]) -> None:
    """In names, strings, comments and over line ends; ``neither ... nor`` is allowed."""
    assert list(hits(words_of(text), pattern)) == lines


def test_areas_have_files() -> None:
    assert all(len(list(files(area))) > 50 for area in AREAS)


#: Names of classes of the code that a helper of tests has too: the daemon as a child process.
SHARED_NAMES = {"Daemon"}


def test_class_names_are_unique() -> None:
    """A name has one meaning in the whole tree, except for classes within a test."""
    found: dict[str, list[str]] = {}
    for area, pattern in (("code", r"^ *class (\w+)"), ("tests", r"^class (\w+)")):
        for path in files(area):
            if path.relative_to(ROOT).parts[0] != "benchmarks":
                for name in re.findall(pattern, path.read_text("utf-8"), re.M):
                    found.setdefault(name, []).append(str(path.relative_to(ROOT)))
    twice = {name: paths for name, paths in found.items() if len(paths) > 1}
    assert twice.keys() == SHARED_NAMES, twice
