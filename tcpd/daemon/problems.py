"""What is wrong with a configuration, collected to be reported at once."""

from __future__ import annotations

from tcpd.config.errors import ConfigError, SettingError
from tcpd.config.settings import Settings


class SettingProblems:
    """Settings that are well formed and cannot be used, such as a file that is missing.

    :param settings: for the places of sections and keys.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lines: list[str] = []
        self._sources: list[str] = []

    def add(self, section: str, error: SettingError) -> None:
        """Add a problem.

        :param section: title of the section.
        :param error: what is wrong with which of its keys.
        """
        source = self._settings.source(section, error.key)
        self._lines.append(f"{source}: [{section}] {error}")
        self._sources.append(str(source))

    def check(self) -> None:
        """Fail if there are any.

        :raise ConfigError: with all of them.
        """
        if self._lines:
            raise ConfigError(self._lines, self._sources)
