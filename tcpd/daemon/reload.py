"""Reloads of the configuration, on SIGHUP and on request."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

from twisted.application.service import Service
from twisted.logger import Logger

from tcpd.config.errors import ConfigError
from tcpd.config.settings import Settings
from tcpd.net.listeners import ListenError
from tcpd.ops import catalogue


@dataclass(frozen=True, slots=True)
class ReloadResult:
    """The result of a reload.

    :ivar ok: whether the new configuration is in force; otherwise the old one remains, unchanged.
    :ivar lines: the changes, or the errors; for the log and for operators of the host.
    :ivar sources: the lines with errors, as ``FILE:LINE``; empty if unknown.
    """

    ok: bool
    lines: tuple[str, ...]
    sources: tuple[str, ...] = ()


class Reloader(Service):
    """Reloads the configuration on SIGHUP and on request.

    :param read: reads the configuration; raises :class:`~tcpd.config.errors.ConfigError`.
    :param reconfigure: applies the configuration atomically, and returns a line for each change;
        raises :class:`~tcpd.config.errors.ConfigError` and
        :class:`~tcpd.net.listeners.ListenError`.
    :param check: reads all files that settings name, changes nothing, and returns remarks; raises
        :class:`~tcpd.config.errors.ConfigError`.
    :param outcomes: counts reloads by ``ok`` and ``refused``.
    :param reactor: runs a reload in its own thread, also after a signal.
    """

    _log = Logger()

    def __init__(
        self,
        read: Callable[[], Settings],
        reconfigure: Callable[[Settings], list[str]],
        check: Callable[[Settings], list[str]],
        outcomes: Counter[str],
        reactor: Any,
    ) -> None:
        self._read = read
        self._reconfigure = reconfigure
        self._check = check
        self._outcomes = outcomes
        self._reactor = reactor

    def privilegedStartService(self) -> None:
        """Handle SIGHUP before any client is served: its default action ends the process."""
        super().privilegedStartService()
        signal.signal(signal.SIGHUP, self._hang_up)

    def reload(self) -> ReloadResult:
        """Read and apply the configuration atomically. Called by operators."""
        if not self.running:
            # stopping would not close ports that a reload opened now
            return self._report(ReloadResult(False, ("the daemon is stopping",)))
        try:
            lines = self._reconfigure(self._read())
        except ConfigError as error:
            return self._report(ReloadResult(False, tuple(error.lines), tuple(error.sources)))
        except ListenError as error:
            return self._report(ReloadResult(False, (str(error),)))
        return self._report(ReloadResult(True, tuple(lines or ["nothing has changed"])))

    def reload_soon(self, callback: Callable[[bool, Sequence[str]], None]) -> None:
        """Reload in a later turn of the reactor. For services, which the reload may replace.

        :param callback: called with whether the configuration was applied, and with the changes or
            the sources of the errors. The errors themselves may quote secrets.
        """

        def reload() -> None:
            try:
                outcome = self.reload()
            except Exception:
                callback(False, ())
                raise
            callback(outcome.ok, outcome.lines if outcome.ok else outcome.sources)

        self._reactor.callLater(0, reload)

    def check(self) -> ReloadResult:
        """Read the configuration and all files that it names, and change nothing.

        Called by operators.
        """
        try:
            remarks = self._check(self._read())
        except ConfigError as error:
            return ReloadResult(False, tuple(error.lines))
        return ReloadResult(True, (*remarks, "nothing is wrong"))

    def _report(self, outcome: ReloadResult) -> ReloadResult:
        self._outcomes["ok" if outcome.ok else "refused"] += 1
        for line in outcome.lines:
            if outcome.ok:
                catalogue.RELOAD_DONE.emit(self._log, line=line)
            else:
                catalogue.RELOAD_REFUSED.emit(self._log, line=line)
        return outcome

    def _hang_up(self, _number: int, _frame: FrameType | None) -> None:
        self._reactor.callFromThread(self.reload)
