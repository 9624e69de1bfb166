"""BAN, UNBAN and BANS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from tcpd.config.values import DURATION
from tcpd.daemon.banfile import BanFile
from tcpd.daemon.control.command import (
    REFUSED,
    CommandResult,
    counted,
    moment,
    operator_command,
    table,
)
from tcpd.daemon.control.connections import end_gently, in_network, parse_network
from tcpd.daemon.running_services import RunningServices
from tcpd.line.command import Command
from tcpd.line.reply import CommandError, WrongArguments
from tcpd.ops import catalogue
from tcpd.ops.amounts import span
from tcpd.policy.bans import Ban, Bans
from tcpd.policy.reasons import End

#: Maximum length of a reason, in characters.
_LONGEST_REASON = 200


class BanCommands:
    """The commands of this group.

    :param services: the services whose connections from banned addresses are closed.
    :param bans: the bans in force.
    :param ban_file: stores them.
    :param clock: the reactor.
    :param wall_clock: seconds since 1970, UTC.
    """

    _log = Logger()

    def __init__(
        self,
        services: RunningServices,
        bans: Bans,
        ban_file: BanFile,
        clock: IReactorTime,
        wall_clock: Callable[[], float],
    ) -> None:
        self._services = services
        self._bans = bans
        self._ban_file = ban_file
        self._clock = clock
        self._wall_clock = wall_clock

    def commands(self) -> list[Command]:
        """The commands of this group."""
        return [
            operator_command(
                "BAN",
                "network [duration] [reason]",
                "Bans an address or a network from all services, and closes its "
                "connections.\n"
                "A duration is like 30min, 12h or 7d; without one, or with 0, the ban is "
                "permanent.",
                self.ban,
                at_least=1,
                free_text=True,
            ),
            operator_command(
                "UNBAN",
                "network",
                "Removes a ban; name the network as BANS shows it.",
                self.unban,
                at_least=1,
                at_most=1,
            ),
            operator_command("BANS", "", "Lists the bans in force.", self.list, at_most=0),
        ]

    async def ban(self, words: Sequence[str], operator: str) -> CommandResult:
        """Execute BAN."""
        network = parse_network(words[0])
        seconds, reason = 0.0, list(words[1:])
        # a typing error, as in 1week, must not make a permanent ban
        if reason and reason[0][0].isdigit():
            try:
                seconds = DURATION.parse(reason.pop(0))
            except ValueError as error:
                raise WrongArguments(
                    f"{error}; before a reason that begins with a digit write 0 (permanent)"
                ) from None
        now = self._wall_clock()
        ban = Ban(
            network=network,
            since=now,
            until=now + seconds if seconds else None,
            reason=" ".join(reason)[:_LONGEST_REASON],
            by=operator,
        )
        self._bans.forget_expired()
        self._bans.add(ban)
        catalogue.OPERATOR_COMMAND.emit(
            self._log, operator=operator, command=" ".join(["BAN", str(network), *words[1:]])
        )
        ended = in_network(self._services.connections(), network)
        end_gently(self._clock, ended, End.BANNED)
        fault = await self._ban_file.save(self._bans)
        until = f"until {moment(ban.until)}" if ban.until is not None else "permanently"
        text = f"{network} is banned {until}; {counted(len(ended), 'connection')} ended"
        return CommandResult(
            f"{text}\n{_warning(fault)}" if fault else text,
            {"ban": _plain(ban), "ended": len(ended), "kept": not fault},
        )

    async def unban(self, words: Sequence[str], operator: str) -> CommandResult:
        """Execute UNBAN."""
        network = parse_network(words[0])
        bans = self._bans
        ban = bans.remove(network)
        if ban is None:
            wider = bans.find(network.network_address)
            hint = f", but {wider.network} is, which holds it" if wider else "; BANS lists them"
            raise CommandError(REFUSED, f"{network} is not banned{hint}")
        catalogue.OPERATOR_COMMAND.emit(self._log, operator=operator, command=f"UNBAN {network}")
        fault = await self._ban_file.save(bans)
        text = f"{network} is no longer banned"
        return CommandResult(
            f"{text}\n{_warning(fault)}" if fault else text,
            {"ban": _plain(ban), "kept": not fault},
        )

    def list(self, words: Sequence[str], operator: str) -> CommandResult:
        """Execute BANS."""
        self._bans.forget_expired()
        bans = list(self._bans)
        now = self._wall_clock()
        data = {"bans": [_plain(ban) for ban in bans], "kept": self._ban_file.keeps}
        if not bans:
            return CommandResult("no bans", data)
        text = table(
            ["NETWORK", ">LEFT", "SINCE", "BY", "REASON"],
            [
                (
                    ban.network,
                    "permanent" if ban.until is None else span(ban.until - now),
                    moment(ban.since),
                    ban.by,
                    ban.reason,
                )
                for ban in bans
            ],
        )
        return CommandResult(text, data)


def _warning(fault: str) -> str:
    return f"it will not survive a restart: {fault}"


def _plain(ban: Ban) -> dict[str, Any]:
    plain = ban.plain()
    plain["since"] = moment(ban.since)
    plain["until"] = None if ban.until is None else moment(ban.until)
    return plain
