"""What is wrong with a configuration, and where."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: Characters that are shown of the beginning and of the end of a line that has more than both.
_HEAD, _TAIL = 700, 300


# a password's hash, wherever it stands by mistake
_HASH = re.compile(r"\$scrypt\$[^\s'\"]*")


def _without_hashes(line: str) -> str:
    return _HASH.sub("$scrypt$(hidden)", line)


def _printable(line: str) -> str:
    if len(line) > _HEAD + _TAIL:
        line = f"{line[:_HEAD]} [...] {line[-_TAIL:]}"
    if line.isprintable():
        return line
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in line
    )


class SettingError(Exception):
    """A value that parses and still cannot be used, such as a file that cannot be read.

    :param key: the key of the section at fault; ``""`` for the section as a whole.
    :param text: what is wrong and what to do, as one sentence without the place.
    """

    def __init__(self, key: str, text: str) -> None:
        super().__init__(key, text)
        self.key = key
        self.text = text

    def __str__(self) -> str:
        return f"{self.key}: {self.text}" if self.key else self.text


class ConfigError(Exception):
    """All that is wrong with a configuration.

    :ivar lines: one sentence each, ``FILE:LINE: [section] key: what is wrong``. What cannot be
        printed of a name or a value is escaped, and what is very long is cut.
    :ivar places: ``FILE:LINE`` alone, each once, for those who may not read the configuration: what
        is wrong there may quote a value.
    """

    def __init__(self, lines: Iterable[str], places: Iterable[str] = ()) -> None:
        self.lines = [_printable(_without_hashes(line)) for line in lines]
        self.places = list(dict.fromkeys(map(_printable, places)))
        super().__init__(*self.lines)

    def __str__(self) -> str:
        return "\n".join(self.lines)
