"""Errors of a configuration."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Characters that are shown of the start and the end of a long line.
_HEAD, _TAIL = 700, 300


# a password hash, which may be in any line by mistake
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
    """A valid value cannot be used, such as a file that cannot be read.

    :param key: the key; ``""`` for the whole section.
    :param text: one sentence, the error and the remedy, without the source.
    """

    def __init__(self, key: str, text: str) -> None:
        super().__init__(key, text)
        self.key = key
        self.text = text

    def __str__(self) -> str:
        return f"{self.key}: {self.text}" if self.key else self.text


class ConfigError(Exception):
    """All errors of a configuration.

    :ivar lines: one sentence each, ``FILE:LINE: [section] key: error``. Unprintable characters are
        escaped, and long lines shortened.
    :ivar sources: ``FILE:LINE`` only, without duplicates, for users who may not read the
        configuration, since ``lines`` may quote values.
    """

    def __init__(self, lines: Iterable[str], sources: Iterable[str] = ()) -> None:
        self.lines = [_printable(_without_hashes(line)) for line in lines]
        self.sources = list(dict.fromkeys(map(_printable, sources)))
        super().__init__(*self.lines)

    def __str__(self) -> str:
        return "\n".join(self.lines)
