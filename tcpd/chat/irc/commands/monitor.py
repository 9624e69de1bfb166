"""MONITOR: notifications when users connect and disconnect.

Sources: https://ircv3.net/specs/extensions/monitor, and
https://ircv3.net/specs/extensions/extended-monitor, which the hub implements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tcpd.chat.irc import numerics
from tcpd.chat.irc.commands.command import IrcCommand
from tcpd.chat.irc.commands.refusals import middle
from tcpd.chat.irc.commands.wrapping import packed, wrapped
from tcpd.chat.irc.message import LINE_BYTES, Message
from tcpd.chat.irc.reply import IrcReply
from tcpd.chat.names import BadName, nickname
from tcpd.chat.refused import Refused


def _monitor(reply: IrcReply, message: Message) -> None:
    word, *rest = message.params
    call = _SUBCOMMANDS.get(word.upper())
    if call is None:
        reply.fail(
            "MONITOR",
            "UNKNOWN_SUBCOMMAND",
            middle(word),
            text="MONITOR takes +, -, C, L and S",
        )
        return
    call(reply, [target for target in rest[0].split(",") if target] if rest else [])


def _add(reply: IrcReply, targets: list[str]) -> None:
    hub = reply.server.hub
    added: list[str] = []
    left_out: list[str] = []
    for target in targets:
        # "'target' MUST be a valid nick as determined by the IRC daemon"
        if not _is_nickname(target):
            continue
        if left_out or isinstance(hub.monitor(reply.client, target), Refused):
            left_out.append(target)
        else:
            added.append(target)
    _send_status(reply, added)
    most = str(hub.settings.watched)
    space = LINE_BYTES - len(reply.numeric_line(numerics.ERR_MONLISTFULL, most, "*")) + 1
    for piece in packed(left_out, space, ","):
        reply.numeric(numerics.ERR_MONLISTFULL, most, piece)


def _remove(reply: IrcReply, targets: list[str]) -> None:
    for target in targets:
        reply.server.hub.unmonitor(reply.client, target)


def _clear(reply: IrcReply, targets: list[str]) -> None:
    _remove(reply, _monitored(reply))


def _list(reply: IrcReply, targets: list[str]) -> None:
    lines = wrapped(reply, numerics.RPL_MONLIST, words=_monitored(reply), between=",")
    reply.stream(lines)
    reply.stream([reply.numeric_line(numerics.RPL_ENDOFMONLIST)])


def _status(reply: IrcReply, targets: list[str]) -> None:
    _send_status(reply, _monitored(reply))


def _monitored(reply: IrcReply) -> list[str]:
    return list((reply.client.monitored or {}).values())


def _send_status(reply: IrcReply, targets: Iterable[str]) -> None:
    """Send which nicknames are online and which are not."""
    here, gone = [], []
    for target in dict.fromkeys(targets):
        person = reply.server.hub.person(target)
        if person is None:
            gone.append(target)
        else:
            here.append(str(person.identity))
    reply.stream(wrapped(reply, numerics.RPL_MONONLINE, words=here, between=","))
    reply.stream(wrapped(reply, numerics.RPL_MONOFFLINE, words=gone, between=","))


def _is_nickname(text: str) -> bool:
    try:
        nickname(text)
    except BadName:
        return False
    return True


_SUBCOMMANDS: dict[str, Callable[[IrcReply, list[str]], None]] = {
    "+": _add,
    "-": _remove,
    "C": _clear,
    "L": _list,
    "S": _status,
}

COMMANDS = {
    "MONITOR": IrcCommand(
        _monitor,
        1,
        help=(
            "MONITOR +|- <nickname>{,<nickname>} | C | L | S",
            "Notifies you when users connect and disconnect (+), or no longer (-). C clears the",
            "list, L lists it, and S shows which of them are online.",
        ),
    ),
}
