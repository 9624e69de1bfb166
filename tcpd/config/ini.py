"""Ini text to sections of values that know where they stand."""

from __future__ import annotations

import configparser
import re
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file.

    :ivar file: as the operator named it; shown, never opened.
    :ivar line: from 1; 0 for the file as a whole.
    """

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Value:
    """What a key was given.

    :ivar lines: its lines that are neither empty nor a comment, each with its place.
    :ivar place: where the key stands.
    """

    lines: tuple[tuple[str, Place], ...]
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

_HEADER = re.compile(r"\[(?P<name>.+)\]")


def _scan(name: str, text: str) -> tuple[dict[str, Place], dict[tuple[str, str], list[Place]]]:
    """Find the line of each section, and of each line of each value, as configparser takes them.

    configparser reads files well and tells lines only in its errors. Its rules in the form we use
    (``=`` only, comments on lines of their own, a value goes on while lines are indented deeper
    than its key) are few.
    """
    sections: dict[str, Place] = {}
    lines: dict[tuple[str, str], list[Place]] = {}
    section = ""
    current: list[Place] | None = None
    depth = 0
    for number, line in enumerate(text.split("\n"), 1):
        bare = line.strip()
        if not bare or bare[0] in "#;":
            continue
        place = Place(name, number)
        indent = len(line) - len(line.lstrip())
        if current is not None and indent > depth:
            current.append(place)
            continue
        depth = indent
        header = _HEADER.match(bare)
        if header is not None:
            section = header["name"]
            sections.setdefault(section, place)
            current = None
            continue
        key, equals, _value = bare.partition("=")
        if equals and section:
            # the key's own line comes first, whether or not anything stands behind the sign
            current = lines.setdefault((section, key.rstrip()), [])
            current.append(place)
    return sections, lines


def read(name: str, text: str) -> tuple[Document, list[str]]:
    """Read one file.

    :param name: what to call it in places and errors.
    :param text: its content.
    :return: the sections, and what is wrong as ``FILE:LINE: sentence``; the document
        is empty then.
    """
    parser = configparser.ConfigParser(
        delimiters=("=",), interpolation=None, strict=True, default_section="\0"
    )
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    # other ways to end a line would let configparser and an editor count lines differently
    text = text.replace("\r\n", "\n")
    try:
        parser.read_file(text.split("\n"), name)
    except configparser.DuplicateSectionError as error:
        return {}, [f"{name}:{error.lineno}: [{error.section}]: this section stands here twice"]
    except configparser.DuplicateOptionError as error:
        return {}, [
            f"{name}:{error.lineno}: [{error.section}] {error.option}: this key stands here twice"
        ]
    except configparser.MissingSectionHeaderError as error:
        return {}, [f"{name}:{error.lineno}: a [section] must come before the first key"]
    except configparser.ParsingError as error:
        return {}, [
            f"{name}:{line}: neither a [section] nor key = value; "
            "a value that goes on in the next line is indented"
            for line, _ in error.errors
        ]
    sections, places = _scan(name, text)
    document: Document = {}
    for title in parser.sections():
        section = document[title] = Section(sections[title])
        for key, whole in parser.items(title):
            lines = places[title, key]
            head, *more = whole.split("\n")
            pieces = [(head.strip(), lines[0])] if head.strip() else []
            pieces += zip((line.strip() for line in more if line.strip()), lines[1:], strict=True)
            section.values[key] = Value(tuple(pieces), lines[0])
    return document, []


def merge(documents: list[Document]) -> Document:
    """Lay documents over each other, key by key; later ones win."""
    merged: Document = {}
    for document in documents:
        for title, section in document.items():
            merged.setdefault(title, Section(section.place)).values.update(section.values)
    return merged
