"""Collects the problems of a configuration, to report them together."""

from __future__ import annotations

from tcpd.config.errors import ConfigError, SettingError
from tcpd.config.settings import Settings


class SettingProblems:
    """Valid settings that cannot be used, such as a missing file.

    :param settings: provides the line numbers of sections and keys.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lines: list[str] = []
        self._sources: list[str] = []

    def add(self, section: str, error: SettingError) -> None:
        """Add a problem.

        :param section: title of the section.
        :param error: the error with its key.
        """
        source = self._settings.source(section, error.key)
        self._lines.append(f"{source}: [{section}] {error}")
        self._sources.append(str(source))

    def check(self) -> None:
        """Raise if there are any problems.

        :raise ConfigError: with all of them.
        """
        if self._lines:
            raise ConfigError(self._lines, self._sources)
