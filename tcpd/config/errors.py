"""What is wrong with a configuration, and where."""

from __future__ import annotations


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

    :ivar lines: one sentence each, ``FILE:LINE: [section] key: what is wrong``.
    """

    def __init__(self, lines: list[str]) -> None:
        super().__init__(*lines)
        self.lines = lines

    def __str__(self) -> str:
        return "\n".join(self.lines)
