"""Ini text to sections of values that know where they stand (docs/decisions/0017)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tcpd.config.files import from_system


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file.

    :ivar file: as the operator named it; shown, never opened.
    :ivar line: from 1; 0 for the file as a whole.
    """

    file: str
    line: int

    def __str__(self) -> str:
        file = from_system(self.file)
        return f"{file}:{self.line}" if self.line else file


@dataclass(frozen=True, slots=True)
class Value:
    """What a key was given.

    :ivar lines: its lines that are neither empty nor a comment, each with its place.
    :ivar place: where the key stands.
    """

    lines: list[tuple[str, Place]]
    place: Place

    @property
    def text(self) -> str:
        """The whole value; its lines joined by a newline."""
        return "\n".join(line for line, _ in self.lines)


@dataclass(slots=True)
class Section:
    """One section.

    :ivar place: where it was first opened.
    :ivar values: by key.
    """

    place: Place
    values: dict[str, Value] = field(default_factory=dict)


Document = dict[str, Section]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is wrong with a configuration.

    :ivar place: where.
    :ivar text: what, as one sentence without the place.
    """

    place: Place
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


# a section's name, and what stands behind the bracket
_HEADER = re.compile(r"\[([^\[\]]+)\]\s*(.*)")

_COMMENT = ("#", ";")


# a byte that is not UTF-8, as the error handler surrogateescape decodes it
_NO_UTF_8 = re.compile("[\ud800-\udfff]")


def _unreadable(line: str) -> str:
    """What keeps a line from being read; ``""`` if nothing does."""
    if _NO_UTF_8.search(line):
        return "this line is not UTF-8 text"
    if "\0" in line:
        return "this line has a NUL character; a configuration is UTF-8 text"
    return ""


class _Reader:
    """Takes the lines of one file, and keeps all that is wrong with them.

    The rules are configparser's, with ``=`` alone between key and value: a line whose first
    character is ``#`` or ``;`` is a comment, and a value goes on while lines are indented deeper
    than its key. What configparser passes over in silence behind a header is an error here.
    """

    def __init__(self, name: str) -> None:
        self.document: Document = {}
        self.faults: list[Fault] = []
        self._name = name
        self._section: Section | None = None
        self._title = ""
        self._depth = 0
        # where lines go that go on a value
        self._lines: list[tuple[str, Place]] | None = None  # None behind a header

    def line(self, number: int, line: str) -> None:
        """Take the next line."""
        bare = line.strip()
        if not bare or (bare.startswith(_COMMENT) and not _NO_UTF_8.search(bare)):
            return
        place = Place(self._name, number)
        indent = len(line) - len(line.lstrip())
        goes_on = self._lines is not None and indent > self._depth
        if unreadable := _unreadable(bare):
            self._wrong(place, unreadable)
            if bare.startswith("[") and not goes_on:
                # the keys that follow belong to no section that is known
                self._title, self._section, self._lines = "", Section(place), None
            return
        if self._lines is not None and goes_on:
            self._lines.append((bare, place))
            return
        self._depth = indent
        if bare.startswith("["):
            self._header(bare, place)
        else:
            self._key(bare, place)

    def _header(self, bare: str, place: Place) -> None:
        self._lines = None
        found = _HEADER.fullmatch(bare)
        if found is None:
            self._wrong(place, "a section begins with its name in brackets, like [service:echo]")
            # the keys that follow are its, as far as its name can be known
            self._title = bare.strip("[]").partition("]")[0]
        else:
            self._title, behind = found[1], found[2]
            if behind and not behind.startswith(_COMMENT):
                # without the value, which may be a secret
                key, equals, _ = behind.partition("=")
                shown = f"{key.rstrip()} = ..." if equals and key.strip() else "it"
                self._wrong(
                    place,
                    f"[{self._title}]: only a comment may stand behind the name of a section; "
                    f"write {shown} on a line of its own",
                )
            elif self._title in self.document:
                self._wrong(place, f"[{self._title}]: this section stands here twice")
        if not self._title.isprintable():
            self._wrong(place, f"[{self._title}]: a section's name has no control characters")
        elif self._title:
            self._section = self.document.setdefault(self._title, Section(place))
            return
        self._section = Section(place)

    def _key(self, bare: str, place: Place) -> None:
        key, equals, value = bare.partition("=")
        key, value = key.rstrip(), value.strip()
        # lines that go on a faulty one are not looked at
        self._lines = []
        if not equals or not key:
            self._wrong(
                place,
                "neither a [section] nor key = value; "
                "a value that goes on in the next line is indented",
            )
            return
        if self._section is None:
            self._wrong(place, "a [section] must come before the first key")
            self._section = Section(place)
            return
        if key in self._section.values:
            self._wrong(place, f"[{self._title}] {key}: this key stands here twice")
        if value:
            self._lines.append((value, place))
        self._section.values[key] = Value(self._lines, place)

    def _wrong(self, place: Place, text: str) -> None:
        self.faults.append(Fault(place, text))


def read(name: str, text: str) -> tuple[Document, list[Fault]]:
    """Read one file.

    :param name: what to call it in places and errors.
    :param text: its content; lines with bytes decoded by ``surrogateescape`` are faults.
    :return: the sections, and all that is wrong. Where something is, the sections are what can be
        made of the rest, so that it can be checked as well.
    """
    reader = _Reader(name)
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        reader.line(number, line)
    return reader.document, reader.faults


def merge(documents: list[Document]) -> Document:
    """Lay documents over each other, key by key; later ones win."""
    merged: Document = {}
    for document in documents:
        for title, section in document.items():
            merged.setdefault(title, Section(section.place)).values.update(section.values)
    return merged
