"""CONNECTIONS, CONNECTION, HANDSHAKE and KICK: lists connections and ends them."""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from tcpd.config.values import NETWORKS
from tcpd.daemon.control.command import (
    REFUSED,
    CommandResult,
    counted,
    moment,
    operator_command,
    pairs,
    table,
)
from tcpd.daemon.running_services import RunningServices
from tcpd.handshake.as_json import as_json
from tcpd.handshake.page import page
from tcpd.handshake.report import build
from tcpd.handshake.text import REPLY_WIDTH
from tcpd.line.command import Command
from tcpd.line.reply import CommandError, WrongArguments
from tcpd.net.connection import Connection
from tcpd.ops import catalogue
from tcpd.ops.amounts import size, span
from tcpd.policy.addresses import IPNetwork
from tcpd.policy.reasons import End
from tcpd.wire.safe_text import escape_controls

#: The default and the maximum number of rows.
_ROWS = 50
_MOST_ROWS = 1000

#: Rows made in one reactor turn, at about 10 microseconds each.
_ROWS_A_TURN = 100

#: Connections closed in one reactor turn; a farewell takes about 50 microseconds.
_ENDED_A_TURN = 50

_SORTS: dict[str, Callable[[Connection], float]] = {
    "age": lambda each: -each.opened,
    "new": lambda each: each.opened,
    "in": lambda each: each.bytes_in,
    "out": lambda each: each.bytes_out,
    "bytes": lambda each: each.bytes_in + each.bytes_out,
    "idle": lambda each: each.idle_sweeps,
}


def parse_network(word: str) -> IPNetwork:
    """Parse an address or a network. :raise WrongArguments: if it is neither."""
    try:
        networks = NETWORKS.parse(word)
    except ValueError as error:
        raise WrongArguments(str(error)) from None
    if len(networks) != 1:
        raise WrongArguments(f"{word!r} is not one network")
    return networks[0]


def in_network(connections: Iterable[Connection], network: IPNetwork) -> list[Connection]:
    """Return the connections whose client is in a network."""
    version, shift = network.version, network.max_prefixlen - network.prefixlen
    prefix = int(network.network_address) >> shift
    return [
        each
        for each in connections
        # as numbers: the operator `in` costs three times as much
        if (address := each.address) is not None
        and address.version == version
        and int(address) >> shift == prefix
    ]


def end_gently(clock: IReactorTime, connections: Sequence[Connection], reason: End) -> None:
    """End connections with their protocol's farewell, a few in each turn of the reactor.

    They start in the next turn, so that an operator among them gets the reply first.
    """
    if connections:
        clock.callLater(0, _end_some, clock, list(connections), reason)


def _end_some(clock: IReactorTime, connections: list[Connection], reason: End) -> None:
    for _ in range(min(_ENDED_A_TURN, len(connections))):
        connections.pop().end(reason)
    if connections:
        clock.callLater(0, _end_some, clock, connections, reason)


class ConnectionCommands:
    """The commands of this group.

    :param services: the running services.
    :param clock: the reactor.
    :param wall_clock: seconds since 1970, UTC.
    """

    _log = Logger()

    def __init__(
        self, services: RunningServices, clock: IReactorTime, wall_clock: Callable[[], float]
    ) -> None:
        self._services = services
        self._clock = clock
        self._wall_clock = wall_clock

    def commands(self) -> list[Command]:
        """The commands of this group."""
        return [
            operator_command(
                "CONNECTIONS",
                "[SERVICE=name] [ADDRESS=network] [SORT=key] [LIMIT=rows]",
                "Lists connections, the oldest first.\n"
                f"SORT is {', '.join(_SORTS)}, each with the greatest first; new is the youngest "
                f"first.\nLIMIT is {_ROWS} if it is not given, and {_MOST_ROWS} at most.",
                self.list,
            ),
            operator_command(
                "CONNECTION",
                "id",
                "Shows one connection in detail.",
                self.show,
                at_least=1,
                at_most=1,
            ),
            operator_command(
                "HANDSHAKE",
                "id",
                "Shows one connection's three-way handshake and its layers.",
                self.handshake,
                at_least=1,
                at_most=1,
            ),
            operator_command(
                "KICK",
                "id|network [reason]",
                "Closes a connection, or all from an address or a network; each client gets the "
                "farewell of its protocol.\nThe reason goes to the log.",
                self.kick,
                at_least=1,
                free_text=True,
            ),
        ]

    async def list(self, words: Sequence[str], operator: str) -> CommandResult:
        """CONNECTIONS; many rows are made in several turns of the reactor."""
        asked = _options(words, ("SERVICE", "ADDRESS", "SORT", "LIMIT"))
        sort = asked.get("SORT", "age").lower()
        if sort not in _SORTS:
            raise WrongArguments(f"{sort!r} is not a sort key; there are {', '.join(_SORTS)}")
        limit = _number(asked.get("LIMIT", str(_ROWS)), 1, _MOST_ROWS)
        service = asked.get("SERVICE")
        found = list(self._services.connections(service))
        if service is not None and not found and service not in self._services.known():
            raise CommandError(REFUSED, f"there is no service {service}; SERVICES lists them")
        if "ADDRESS" in asked:
            found = in_network(found, parse_network(asked["ADDRESS"]))
        if limit <= _ROWS_A_TURN:
            shown = heapq.nlargest(limit, found, key=_SORTS[sort])
        else:
            shown = sorted(found, key=_SORTS[sort], reverse=True)[:limit]
        data: list[dict[str, Any]] = []
        for start in range(0, len(shown), _ROWS_A_TURN):
            if start:
                await deferLater(self._clock, 0)
            data += map(self._brief, shown[start : start + _ROWS_A_TURN])
        return CommandResult(
            lambda: _listing(data, len(found)), {"total": len(found), "connections": data}
        )

    def show(self, words: Sequence[str], operator: str) -> CommandResult:
        """Execute CONNECTION."""
        connection = self._find(words[0])
        data = self._brief(connection)
        tls = connection.tls
        data["cipher"] = tls.cipher if tls else None
        data["client_fingerprint"] = tls.fingerprint if tls else None
        data["client_subject"] = tls.subject if tls else None
        data["client_names"] = list(tls.client_names) if tls else []
        who = connection.credentials
        data["credentials"] = who and {"uid": who.uid, "gid": who.gid, "pid": who.pid}
        data["policy"] = self._services.policy_of(connection.service)
        data["ending"] = connection.disconnecting
        rows = [
            ("id", data["id"]),
            ("service", data["service"]),
            ("peer", data["peer"]),
            ("credentials", str(who) if who else "-"),
            ("proxy", str(connection.proxy).removeprefix("proxy ") if connection.proxy else "-"),
            ("opened", f"{data['opened']}, {span(data['seconds'])} ago"),
            ("quiet", "-" if data["quiet"] is None else span(data["quiet"])),
            ("bytes in", data["bytes_in"]),
            ("bytes out", data["bytes_out"]),
            ("tls", escape_controls(str(tls)) if tls else "none"),
            ("policy", data["policy"] or "-"),
            ("ending", "yes" if data["ending"] else "no"),
        ]
        return CommandResult(pairs(rows), {"connection": data})

    def handshake(self, words: Sequence[str], operator: str) -> CommandResult:
        """Execute HANDSHAKE."""
        report = build(self._find(words[0]).facts())
        return CommandResult("\n".join(page(report, width=REPLY_WIDTH)), as_json(report))

    def kick(self, words: Sequence[str], operator: str) -> CommandResult:
        """Execute KICK."""
        who, *reason = words
        if re.fullmatch(r"[0-9]+", who):
            found = [self._find(who)]
        else:
            found = in_network(self._services.connections(), parse_network(who))
            if not found:
                raise CommandError(REFUSED, f"there is no connection from {who}")
        catalogue.OPERATOR_COMMAND.emit(
            self._log, operator=operator, command=" ".join(["KICK", who, *reason])
        )
        end_gently(self._clock, found, End.KICKED)
        return CommandResult(f"{counted(len(found), 'connection')} ended", {"ended": len(found)})

    def _find(self, id: str) -> Connection:
        for connection in self._services.connections():
            if connection.id == id:
                return connection
        raise CommandError(REFUSED, f"there is no connection {id[:32]}; it may have ended")

    def _brief(self, connection: Connection) -> dict[str, Any]:
        seconds = self._clock.seconds() - connection.opened
        quiet = connection.layer.idle_for(connection)
        return {
            "id": connection.id,
            "service": connection.service,
            "peer": connection.peer,
            "opened": moment(self._wall_clock() - seconds),
            "seconds": round(seconds, 3),
            "quiet": None if quiet is None else round(quiet, 3),
            "bytes_in": connection.bytes_in,
            "bytes_out": connection.bytes_out,
            "tls": connection.tls.version if connection.tls else None,
            "proxy": connection.proxy.to_json() if connection.proxy else None,
        }


def _listing(briefs: Sequence[dict[str, Any]], total: int) -> str:
    if not briefs:
        return "no connections"
    headings = ["ID", "SERVICE", "PEER", ">AGE", ">QUIET", ">IN", ">OUT", "TLS"]
    text = table(headings, [_row(each) for each in briefs])
    if len(briefs) < total:
        text += f"\n{len(briefs)} of {counted(total, 'connection')}, LIMIT= shows more"
    return text


def _row(brief: dict[str, Any]) -> tuple[str, ...]:
    return (
        brief["id"],
        brief["service"],
        brief["peer"],
        span(brief["seconds"]),
        "-" if brief["quiet"] is None else span(brief["quiet"]),
        size(brief["bytes_in"]),
        size(brief["bytes_out"]),
        brief["tls"] or "-",
    )


def _options(words: Iterable[str], known: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not value or name.upper() not in known:
            raise WrongArguments(f"{word[:64]!r} is not one of {', '.join(f'{k}=' for k in known)}")
        found[name.upper()] = value
    return found


def _number(text: str, low: int, high: int) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
        raise WrongArguments(f"{text[:32]!r} is not a number from {low} to {high}")
    return int(text)
