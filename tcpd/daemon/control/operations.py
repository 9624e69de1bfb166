"""RELOAD, CHECK, LOG, REOPEN, DRAIN and RESUME: changes how the daemon runs."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.logger import Logger

from tcpd.config.errors import ConfigError
from tcpd.daemon.control.command import REFUSED, CommandResult, counted, operator_command
from tcpd.daemon.draining import Draining
from tcpd.daemon.log_control import LogControl
from tcpd.daemon.logs import LogFault
from tcpd.daemon.reload import Reloader, ReloadResult
from tcpd.daemon.running_services import RunningServices, is_own
from tcpd.line.command import Command
from tcpd.line.reply import CommandError, WrongArguments
from tcpd.net.listeners import ListenError
from tcpd.ops import catalogue
from tcpd.ops.levels import LEVELS
from tcpd.wire.safe_text import escape_controls


class OperationCommands:
    """The commands of this group.

    :param services: the running services.
    :param draining: drains services and resumes them.
    :param reloader: reads the configuration.
    :param log: sets the level of the log and reopens its file.
    """

    _log = Logger()

    def __init__(
        self,
        services: RunningServices,
        draining: Draining,
        reloader: Reloader,
        log: LogControl,
    ) -> None:
        self._services = services
        self._draining = draining
        self._reloader = reloader
        self._log_control = log

    def commands(self) -> list[Command]:
        """The commands of this group."""
        return [
            operator_command(
                "RELOAD",
                "",
                "Reads the configuration and applies it, as a whole or not at all; reports the "
                "changes or the errors.",
                self.reload,
                at_most=0,
            ),
            operator_command(
                "CHECK",
                "",
                "Reads the configuration and all files that it names, reports errors, and changes "
                "nothing.",
                self.check,
                at_most=0,
            ),
            operator_command(
                "LOG",
                "[level]",
                f"Shows or changes the log level, until the next reload that changes it or a "
                f"restart: {', '.join(LEVELS)}.",
                self.log,
                at_most=1,
            ),
            operator_command(
                "REOPEN",
                "",
                "Opens the log file again, by its name, after logrotate or another program has "
                "moved it.",
                self.reopen,
                at_most=0,
            ),
            operator_command(
                "DRAIN",
                "service",
                "Closes the ports of a service and lets its connections end. It stays drained, "
                "through reloads too, until RESUME or a restart.",
                self.drain,
                at_least=1,
                at_most=1,
            ),
            operator_command(
                "RESUME",
                "service",
                "Opens a drained service again, with the settings of the last reload.",
                self.resume,
                at_least=1,
                at_most=1,
            ),
        ]

    def reload(self, words: Sequence[str], operator: str) -> CommandResult:
        """Execute RELOAD."""
        catalogue.OPERATOR_COMMAND.emit(self._log, operator=operator, command="RELOAD")
        return self._result(self._reloader.reload(), "refused, nothing has changed:")

    def check(self, words: Sequence[str], operator: str) -> CommandResult:
        """Execute CHECK."""
        return self._result(self._reloader.check(), "")

    def log(self, words: Sequence[str], operator: str) -> CommandResult:
        """Execute LOG."""
        log = self._log_control
        if words:
            level = words[0].lower()
            if level not in LEVELS:
                raise WrongArguments(
                    f"{words[0][:32]!r} is not a log level; there are {', '.join(LEVELS)}"
                )
            catalogue.OPERATOR_COMMAND.emit(self._log, operator=operator, command=f"LOG {level}")
            log.level = level
        return CommandResult(f"the log level is {log.level}", {"log_level": log.level})

    def reopen(self, words: Sequence[str], operator: str) -> CommandResult:
        """Execute REOPEN."""
        try:
            path = self._log_control.reopen()
        except LogFault as error:
            raise CommandError(REFUSED, str(error)) from None
        # logged in the new file, which shows that it is written
        catalogue.OPERATOR_COMMAND.emit(self._log, operator=operator, command="REOPEN")
        return CommandResult(f"the log continues in {escape_controls(path)}", {"log": path})

    def drain(self, words: Sequence[str], operator: str) -> CommandResult:
        """Execute DRAIN."""
        services, name = self._services, words[0]
        if name in services.drained:
            raise CommandError(REFUSED, f"service {name} is drained already")
        if is_own(name):
            raise CommandError(REFUSED, f"{name} is the daemon's own and cannot be drained")
        if name not in services.units:
            raise CommandError(REFUSED, f"there is no service {name}; SERVICES lists them")
        catalogue.OPERATOR_COMMAND.emit(self._log, operator=operator, command=f"DRAIN {name}")
        left = self._draining.drain(name)
        return CommandResult(
            f"service {name}: ports closed, {counted(left, 'connection')} to end within "
            f"{services.settings.tcpd.drain:g} seconds",
            {"service": name, "connections": left},
        )

    def resume(self, words: Sequence[str], operator: str) -> CommandResult:
        """Execute RESUME."""
        services, name = self._services, words[0]
        if name not in services.drained:
            raise CommandError(REFUSED, f"service {name} is not drained; SERVICES lists them")
        catalogue.OPERATOR_COMMAND.emit(self._log, operator=operator, command=f"RESUME {name}")
        try:
            self._draining.resume(name)
        except (ConfigError, ListenError) as error:
            raise CommandError(REFUSED, f"service {name} stays drained: {error}") from None
        listeners = [str(each) for each in services.units[name].listening]
        return CommandResult(
            f"service {name}: listening on {', '.join(listeners)}",
            {"service": name, "listeners": listeners},
        )

    @staticmethod
    def _result(outcome: ReloadResult, head: str) -> CommandResult:
        data = {"ok": outcome.ok, "lines": list(outcome.lines)}
        if outcome.ok:
            return CommandResult("\n".join(outcome.lines), data)
        return CommandResult("\n".join([*([head] if head else []), *outcome.lines]), data, REFUSED)
