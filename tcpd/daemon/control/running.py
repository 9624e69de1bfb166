"""RELOAD, CHECK, LOG, REOPEN, DRAIN and RESUME: what changes how the daemon runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from twisted.logger import Logger

from tcpd.config.errors import ConfigError
from tcpd.daemon.control.answer import REFUSED, Told, counted, operator_command
from tcpd.daemon.logs import LogFault
from tcpd.line.command import Command
from tcpd.line.reply import CommandError, WrongArguments
from tcpd.net.listeners import ListenError
from tcpd.ops import catalogue
from tcpd.ops.levels import LEVELS
from tcpd.wire.safe_text import escape_controls

if TYPE_CHECKING:
    from tcpd.daemon.daemon import Daemon
    from tcpd.daemon.reload import Outcome, Reloader

#: What the reloader is called among the daemon's children.
RELOADER = "reloader"


class Running:
    """These commands, on a daemon."""

    _log = Logger()

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def commands(self) -> list[Command]:
        """All of this group."""
        return [
            operator_command(
                "RELOAD",
                "",
                "Reads the configuration and takes it over, all of it or nothing; tells what was "
                "done, or what is wrong.",
                self.reload,
                at_most=0,
            ),
            operator_command(
                "CHECK",
                "",
                "Reads the configuration and all that it names, tells what is wrong, and changes "
                "nothing.",
                self.check,
                at_most=0,
            ),
            operator_command(
                "LOG",
                "[level]",
                f"Tells or changes the log level, until the next reload that changes it or a "
                f"restart: {', '.join(LEVELS)}.",
                self.log,
                at_most=1,
            ),
            operator_command(
                "REOPEN",
                "",
                "Opens the log file anew, by its name, after somebody such as logrotate has moved "
                "it.",
                self.reopen,
                at_most=0,
            ),
            operator_command(
                "DRAIN",
                "service",
                "Closes the ports of a service and lets its connections end. It stays out, "
                "through reloads too, until RESUME or a restart.",
                self.drain,
                at_least=1,
                at_most=1,
            ),
            operator_command(
                "RESUME",
                "service",
                "Brings back a service that was drained, as the last reload left it.",
                self.resume,
                at_least=1,
                at_most=1,
            ),
        ]

    def reload(self, words: Sequence[str], operator: str) -> Told:
        """RELOAD."""
        catalogue.OPERATOR_COMMAND.emit(self._log, operator=operator, command="RELOAD")
        return self._told(self._reloader().reload(), "refused, nothing has changed:")

    def check(self, words: Sequence[str], operator: str) -> Told:
        """CHECK."""
        return self._told(self._reloader().check(), "")

    def log(self, words: Sequence[str], operator: str) -> Told:
        """LOG."""
        daemon = self._daemon
        if words:
            level = words[0].lower()
            if level not in LEVELS:
                raise WrongArguments(
                    f"{words[0][:32]!r} is no level; there are {', '.join(LEVELS)}"
                )
            catalogue.OPERATOR_COMMAND.emit(self._log, operator=operator, command=f"LOG {level}")
            daemon.log_level = level
        return Told(f"the log level is {daemon.log_level}", {"log_level": daemon.log_level})

    def reopen(self, words: Sequence[str], operator: str) -> Told:
        """REOPEN."""
        try:
            path = self._daemon.reopen_log()
        except LogFault as error:
            raise CommandError(REFUSED, str(error)) from None
        # told in the new file, so that it is seen to be written
        catalogue.OPERATOR_COMMAND.emit(self._log, operator=operator, command="REOPEN")
        return Told(f"the log goes on in {escape_controls(path)}", {"log": path})

    def drain(self, words: Sequence[str], operator: str) -> Told:
        """DRAIN."""
        daemon, name = self._daemon, words[0]
        if name in daemon.drained.services:
            raise CommandError(REFUSED, f"service {name} is drained already")
        if name in daemon.internals:
            raise CommandError(REFUSED, f"{name} is the daemon's own and cannot be drained")
        if name not in daemon.units:
            raise CommandError(REFUSED, f"there is no service {name}; SERVICES lists them")
        catalogue.OPERATOR_COMMAND.emit(self._log, operator=operator, command=f"DRAIN {name}")
        left = daemon.drained.drain(name)
        return Told(
            f"service {name}: ports closed, {counted(left, 'connection')} to end within "
            f"{daemon.settings.tcpd.drain:g} seconds",
            {"service": name, "connections": left},
        )

    def resume(self, words: Sequence[str], operator: str) -> Told:
        """RESUME."""
        daemon, name = self._daemon, words[0]
        if name not in daemon.drained.services:
            raise CommandError(REFUSED, f"service {name} is not drained; SERVICES lists them")
        catalogue.OPERATOR_COMMAND.emit(self._log, operator=operator, command=f"RESUME {name}")
        try:
            daemon.drained.resume(name)
        except (ConfigError, ListenError) as error:
            raise CommandError(REFUSED, f"service {name} stays drained: {error}") from None
        listeners = [str(each) for each in daemon.units[name].listening]
        return Told(
            f"service {name}: listening on {', '.join(listeners)}",
            {"service": name, "listeners": listeners},
        )

    def _reloader(self) -> Reloader:
        found: Reloader = self._daemon.getServiceNamed(RELOADER)
        return found

    @staticmethod
    def _told(outcome: Outcome, head: str) -> Told:
        data = {"ok": outcome.ok, "lines": list(outcome.lines)}
        if outcome.ok:
            return Told("\n".join(outcome.lines), data)
        return Told("\n".join([*([head] if head else []), *outcome.lines]), data, REFUSED)
