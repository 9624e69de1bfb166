"""Reading the configuration again, and what a signal has to do with it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any

from twisted.application.service import Service
from twisted.logger import Logger

from tcpd.config.errors import ConfigError
from tcpd.config.listen import UnixSocket
from tcpd.config.settings import Settings
from tcpd.daemon.check import check
from tcpd.daemon.control.running import RELOADER
from tcpd.daemon.daemon import Daemon
from tcpd.daemon.surroundings import Surroundings
from tcpd.net.listeners import ListenError
from tcpd.ops import catalogue


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a reload went.

    :ivar ok: whether the new configuration is in force; if not, the old one is, whole.
    :ivar lines: what was done, or what is wrong; for the log and for operators of the host.
    :ivar places: where something is wrong, ``FILE:LINE``; empty if that cannot be told.
    """

    ok: bool
    lines: tuple[str, ...]
    places: tuple[str, ...] = ()


class Reloader(Service):
    """Reloads on SIGHUP and when asked to.

    :param daemon: what is to be reconfigured.
    :param read: reads the configuration anew; raises :class:`~tcpd.config.errors.ConfigError`.
    :param reactor: calls back in its own thread, from wherever a signal arrived.
    """

    _log = Logger()

    def __init__(self, daemon: Daemon, read: Callable[[], Settings], reactor: Any) -> None:
        self.setName(RELOADER)  # whom operators ask for
        self._daemon = daemon
        self._read = read
        self._reactor = reactor

    def privilegedStartService(self) -> None:
        """Take over SIGHUP before anything is served: until then it would end the process."""
        super().privilegedStartService()
        signal.signal(signal.SIGHUP, self._hang_up)

    def reload(self) -> Outcome:
        """Read the configuration and take it over, all of it or nothing. Called by operators."""
        if not self.running:
            # a stop that has begun would not close what a reload opens now
            return self._told(Outcome(False, ("the daemon is stopping",)))
        try:
            lines = self._daemon.reconfigure(self._read())
        except ConfigError as error:
            return self._told(Outcome(False, tuple(error.lines), tuple(error.places)))
        except ListenError as error:
            return self._told(Outcome(False, (str(error),)))
        return self._told(Outcome(True, tuple(lines or ["nothing has changed"])))

    def check(self) -> Outcome:
        """Read the configuration and all files that it names, and change nothing.

        Called by operators.
        """
        parts = self._daemon.parts
        settings = self._daemon.settings
        known = {
            place.path
            for service in settings.services.values()
            for listener in service.listen
            if isinstance(place := listener.place, UnixSocket)
        }
        known.add(settings.tcpd.state)
        surroundings = Surroundings(os.environ, os.geteuid())
        try:
            remarks = check(self._read(), parts.kinds, parts.wall_clock, surroundings, known)
        except ConfigError as error:
            return Outcome(False, tuple(error.lines))
        return Outcome(True, (*remarks, "nothing is wrong"))

    def _told(self, outcome: Outcome) -> Outcome:
        self._daemon.parts.counters.reloads["ok" if outcome.ok else "refused"] += 1
        for line in outcome.lines:
            if outcome.ok:
                catalogue.RELOAD_DONE.emit(self._log, line=line)
            else:
                catalogue.RELOAD_REFUSED.emit(self._log, line=line)
        return outcome

    def _hang_up(self, _number: int, _frame: FrameType | None) -> None:
        self._reactor.callFromThread(self.reload)
