"""BAN, UNBAN and BANS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from tcpd.config.values import DURATION
from tcpd.daemon.control.answer import (
    REFUSED,
    Told,
    counted,
    moment,
    operator_command,
    table,
)
from tcpd.daemon.control.connections import Connections, end_gently, in_network, parse_network
from tcpd.line.command import Command
from tcpd.line.reply import CommandError, WrongArguments
from tcpd.ops import catalogue
from tcpd.ops.amounts import span
from tcpd.policy.bans import Ban
from tcpd.policy.reasons import End

if TYPE_CHECKING:
    from tcpd.daemon.daemon import Daemon

#: The longest reason that is kept, in characters.
_LONGEST_REASON = 200


class Banning:
    """These commands, on a daemon."""

    _log = Logger()

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._connections = Connections(daemon)

    def commands(self) -> list[Command]:
        """All of this group."""
        return [
            operator_command(
                "BAN",
                "network [duration] [reason]",
                "Shuts an address or a network out of all services, and ends its connections.\n"
                "A duration is like 30min, 12h or 7d; without one, or with 0, it is for good.",
                self.ban,
                at_least=1,
                free_text=True,
            ),
            operator_command(
                "UNBAN",
                "network",
                "Takes a ban back; name the network just as BANS shows it.",
                self.unban,
                at_least=1,
                at_most=1,
            ),
            operator_command("BANS", "", "Lists the bans that hold.", self.list, at_most=0),
        ]

    async def ban(self, words: Sequence[str], operator: str) -> Told:
        """BAN."""
        network = parse_network(words[0])
        seconds, reason = 0.0, list(words[1:])
        # a slip, as in 1week, must not shut somebody out for good
        if reason and reason[0][0].isdigit():
            try:
                seconds = DURATION.parse(reason.pop(0))
            except ValueError as error:
                raise WrongArguments(
                    f"{error}; before a reason that begins with a digit write 0, which is for good"
                ) from None
        parts = self._daemon.parts
        now = parts.wall_clock()
        ban = Ban(
            network=network,
            since=now,
            until=now + seconds if seconds else None,
            reason=" ".join(reason)[:_LONGEST_REASON],
            by=operator,
        )
        parts.bans.forget_expired()
        parts.bans.add(ban)
        catalogue.OPERATOR_COMMAND.emit(
            self._log, operator=operator, command=" ".join(["BAN", str(network), *words[1:]])
        )
        ended = in_network(self._connections.everybody(), network)
        end_gently(parts.reactor, ended, End.BANNED)
        fault = await self._daemon.ban_file.save(parts.bans)
        until = f"until {moment(ban.until)}" if ban.until is not None else "for good"
        said = f"{network} is banned {until}; {counted(len(ended), 'connection')} ended"
        return Told(
            f"{said}\n{_warning(fault)}" if fault else said,
            {"ban": _plain(ban), "ended": len(ended), "kept": not fault},
        )

    async def unban(self, words: Sequence[str], operator: str) -> Told:
        """UNBAN."""
        network = parse_network(words[0])
        bans = self._daemon.parts.bans
        ban = bans.remove(network)
        if ban is None:
            wider = bans.find(network.network_address)
            hint = f", but {wider.network} is, which holds it" if wider else "; BANS lists them"
            raise CommandError(REFUSED, f"{network} is not banned{hint}")
        catalogue.OPERATOR_COMMAND.emit(self._log, operator=operator, command=f"UNBAN {network}")
        fault = await self._daemon.ban_file.save(bans)
        said = f"{network} is banned no more"
        return Told(
            f"{said}\n{_warning(fault)}" if fault else said,
            {"ban": _plain(ban), "kept": not fault},
        )

    def list(self, words: Sequence[str], operator: str) -> Told:
        """BANS."""
        parts = self._daemon.parts
        parts.bans.forget_expired()
        bans = list(parts.bans)
        now = parts.wall_clock()
        data = {"bans": [_plain(ban) for ban in bans], "kept": self._daemon.ban_file.keeps}
        if not bans:
            return Told("no bans", data)
        text = table(
            ["NETWORK", ">LEFT", "SINCE", "BY", "REASON"],
            [
                (
                    ban.network,
                    "for good" if ban.until is None else span(ban.until - now),
                    moment(ban.since),
                    ban.by,
                    ban.reason,
                )
                for ban in bans
            ],
        )
        return Told(text, data)


def _warning(fault: str) -> str:
    return f"it will not outlive a restart: {fault}"


def _plain(ban: Ban) -> dict[str, Any]:
    plain = ban.plain()
    plain["since"] = moment(ban.since)
    plain["until"] = None if ban.until is None else moment(ban.until)
    return plain
