"""Parser of ini files: sections and values with file and line (docs/decisions/0017)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tcpd.config.files import from_system


@dataclass(frozen=True, slots=True)
class SourceLine:
    """A line of a file.

    :ivar file: the name as given by the operator; shown, never opened.
    :ivar line: the line number, from 1; 0 for the whole file.
    """

    file: str
    line: int

    def __str__(self) -> str:
        file = from_system(self.file)
        return f"{file}:{self.line}" if self.line else file


@dataclass(frozen=True, slots=True)
class IniValue:
    """The value of a key.

    :ivar lines: the lines without comments and empty lines, each with its source.
    :ivar source: the line of the key.
    """

    lines: list[tuple[str, SourceLine]]
    source: SourceLine

    @property
    def text(self) -> str:
        """The lines, joined by newlines."""
        return "\n".join(line for line, _ in self.lines)


@dataclass(slots=True)
class IniSection:
    """One section.

    :ivar source: the line of its first header.
    :ivar values: the values, by key.
    """

    source: SourceLine
    values: dict[str, IniValue] = field(default_factory=dict)


Document = dict[str, IniSection]


@dataclass(frozen=True, slots=True)
class ConfigFault:
    """An error in a configuration.

    :ivar source: the line.
    :ivar text: one sentence, without the source.
    """

    source: SourceLine
    text: str

    def __str__(self) -> str:
        return f"{self.source}: {self.text}"


# a section's name, and the text after the bracket
_HEADER = re.compile(r"\[([^\[\]]+)\]\s*(.*)")

_COMMENT = ("#", ";")


# a byte that is not UTF-8, as the error handler surrogateescape decodes it
_NO_UTF_8 = re.compile("[\ud800-\udfff]")


def _unreadable(line: str) -> str:
    """Why a line cannot be parsed; ``""`` if it can."""
    if _NO_UTF_8.search(line):
        return "this line is not UTF-8 text"
    if "\0" in line:
        return "this line has a NUL character; a configuration is UTF-8 text"
    return ""


class _Parser:
    """Parses the lines of one file, and collects the errors.

    The syntax is that of configparser, with ``=`` as the only delimiter. A line that starts with
    ``#`` or ``;`` is a comment. Lines that are indented deeper than a key continue its value. Text
    after a header, which configparser ignores, is an error.
    """

    def __init__(self, name: str) -> None:
        self.document: Document = {}
        self.faults: list[ConfigFault] = []
        self._name = name
        self._section: IniSection | None = None
        self._title = ""
        self._depth = 0
        # the lines of the current value; None after a header
        self._lines: list[tuple[str, SourceLine]] | None = None

    def line(self, number: int, line: str) -> None:
        """Parse the next line."""
        bare = line.strip()
        if not bare or (bare.startswith(_COMMENT) and not _NO_UTF_8.search(bare)):
            return
        source = SourceLine(self._name, number)
        indent = len(line) - len(line.lstrip())
        continues = self._lines is not None and indent > self._depth
        if unreadable := _unreadable(bare):
            self._wrong(source, unreadable)
            if bare.startswith("[") and not continues:
                # the keys that follow belong to an unknown section
                self._title, self._section, self._lines = "", IniSection(source), None
            return
        if self._lines is not None and continues:
            self._lines.append((bare, source))
            return
        self._depth = indent
        if bare.startswith("["):
            self._header(bare, source)
        else:
            self._key(bare, source)

    def _header(self, bare: str, source: SourceLine) -> None:
        self._lines = None
        found = _HEADER.fullmatch(bare)
        if found is None:
            self._wrong(source, "a section begins with its name in brackets, like [service:echo]")
            # the keys that follow belong to this section, named as far as it can be parsed
            self._title = bare.strip("[]").partition("]")[0]
        else:
            self._title, behind = found[1], found[2]
            if behind and not behind.startswith(_COMMENT):
                # the value may be a secret
                key, equals, _ = behind.partition("=")
                shown = f"{key.rstrip()} = ..." if equals and key.strip() else "it"
                self._wrong(
                    source,
                    f"[{self._title}]: only a comment may follow the name of a section; "
                    f"write {shown} on a separate line",
                )
            elif self._title in self.document:
                self._wrong(source, f"[{self._title}]: this section occurs twice in this file")
        if not self._title.isprintable():
            self._wrong(source, f"[{self._title}]: a section's name has no control characters")
        elif self._title:
            self._section = self.document.setdefault(self._title, IniSection(source))
            return
        self._section = IniSection(source)

    def _key(self, bare: str, source: SourceLine) -> None:
        key, equals, value = bare.partition("=")
        key, value = key.rstrip(), value.strip()
        # lines that continue an invalid one are skipped
        self._lines = []
        if not equals or not key:
            self._wrong(
                source,
                "this line is not a [section] or key = value; indent it if it continues a value",
            )
            return
        if self._section is None:
            self._wrong(source, "a [section] must come before the first key")
            self._section = IniSection(source)
            return
        if key in self._section.values:
            self._wrong(source, f"[{self._title}] {key}: this key occurs twice in this section")
        if value:
            self._lines.append((value, source))
        self._section.values[key] = IniValue(self._lines, source)

    def _wrong(self, source: SourceLine, text: str) -> None:
        self.faults.append(ConfigFault(source, text))


def read(name: str, text: str) -> tuple[Document, list[ConfigFault]]:
    """Parse one file.

    :param name: the file's name in sources and errors.
    :param text: the content of the file; lines with bytes decoded by ``surrogateescape`` are
        errors.
    :return: the sections, and the errors. The sections contain all valid lines, so that these can
        be checked, too.
    """
    reader = _Parser(name)
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        reader.line(number, line)
    return reader.document, reader.faults


def merge(documents: list[Document]) -> Document:
    """Merge documents key by key; later ones win."""
    merged: Document = {}
    for document in documents:
        for title, section in document.items():
            merged.setdefault(title, IniSection(section.source)).values.update(section.values)
    return merged
