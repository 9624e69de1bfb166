"""Controls the log while the daemon runs: level, file, lost lines."""

from __future__ import annotations

from typing import Any

from twisted.logger import Logger

from tcpd.daemon.logs import LogFault, Logs
from tcpd.ops import catalogue
from tcpd.ops.levels import Threshold


class LogControl:
    """Controls the log.

    :param threshold: the level.
    :param logs: the destination; ``None`` if another program sets it.
    """

    _log = Logger()

    def __init__(self, threshold: Threshold, logs: Logs | None) -> None:
        self._threshold = threshold
        self._logs = logs

    def install(self, application: Any) -> None:
        """Have twistd's application log here. Called before twistd opens the log.

        :raise LogFault: if the log file cannot be opened.
        """
        if self._logs is not None:
            self._logs.install(application)

    @property
    def level(self) -> str:
        """The level below which nothing is logged, by name. It can be set.

        :raise ValueError: if set to a name that is not in :data:`tcpd.ops.levels.LEVELS`.
        """
        return self._threshold.name

    @level.setter
    def level(self, name: str) -> None:
        if name != self._threshold.name:
            self._threshold.name = name
            catalogue.DAEMON_LOG_LEVEL.emit(self._log, threshold=name)

    @property
    def lost(self) -> int:
        """The number of log lines that could not be written."""
        return 0 if self._logs is None else self._logs.lost

    def reopen(self) -> str:
        """Open the log file again by its name, after it was moved. Called by operators.

        :return: its path.
        :raise LogFault: if the log does not go to a file, or that cannot be opened.
        """
        if self._logs is None:
            raise LogFault("the daemon does not control its log here")
        return self._logs.reopen()
