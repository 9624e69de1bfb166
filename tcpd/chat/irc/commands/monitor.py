"""MONITOR: be told when people come and go.

Source: https://ircv3.net/specs/extensions/monitor; what more is told of those who are watched is
in https://ircv3.net/specs/extensions/extended-monitor and done by the hub.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from tcpd.chat.irc import numerics
from tcpd.chat.irc.commands.command import Command
from tcpd.chat.irc.commands.refusals import middle
from tcpd.chat.irc.commands.wrapping import packed, wrapped
from tcpd.chat.irc.message import LINE_BYTES, Message
from tcpd.chat.names import BadName, nickname
from tcpd.chat.refused import Refused

if TYPE_CHECKING:
    from tcpd.chat.irc.session import Session


def _monitor(session: Session, message: Message) -> None:
    word, *rest = message.params
    call = _SUBCOMMANDS.get(word.upper())
    if call is None:
        session.fail(
            "MONITOR",
            "UNKNOWN_SUBCOMMAND",
            middle(word),
            text="MONITOR takes +, -, C, L and S",
        )
        return
    call(session, [target for target in rest[0].split(",") if target] if rest else [])


def _add(session: Session, targets: list[str]) -> None:
    member = session.member
    assert member is not None
    watched: list[str] = []
    left_out: list[str] = []
    for target in targets:
        # "'target' MUST be a valid nick as determined by the IRC daemon": nobody has another
        if not _is_nickname(target):
            continue
        if left_out or isinstance(session.server.hub.watch(member, target), Refused):
            left_out.append(target)
        else:
            watched.append(target)
    _tell_status(session, watched)
    most = str(session.server.hub.settings.watched)
    space = LINE_BYTES - len(session.numeric_line(numerics.ERR_MONLISTFULL, most, "*")) + 1
    for piece in packed(left_out, space, ","):
        session.numeric(numerics.ERR_MONLISTFULL, most, piece)


def _remove(session: Session, targets: list[str]) -> None:
    member = session.member
    assert member is not None
    for target in targets:
        session.server.hub.unwatch(member, target)


def _clear(session: Session, targets: list[str]) -> None:
    _remove(session, _watched(session))


def _list(session: Session, targets: list[str]) -> None:
    lines = wrapped(session, numerics.RPL_MONLIST, words=_watched(session), between=",")
    session.tell(lines)
    session.tell([session.numeric_line(numerics.RPL_ENDOFMONLIST)])


def _status(session: Session, targets: list[str]) -> None:
    _tell_status(session, _watched(session))


def _watched(session: Session) -> list[str]:
    member = session.member
    assert member is not None
    return list((member.watched or {}).values())


def _tell_status(session: Session, targets: Iterable[str]) -> None:
    """Tell who is here and who is not."""
    here, gone = [], []
    for target in dict.fromkeys(targets):
        whom = session.server.hub.member(target)
        if whom is None:
            gone.append(target)
        else:
            here.append(str(whom.who))
    session.tell(wrapped(session, numerics.RPL_MONONLINE, words=here, between=","))
    session.tell(wrapped(session, numerics.RPL_MONOFFLINE, words=gone, between=","))


def _is_nickname(text: str) -> bool:
    try:
        nickname(text)
    except BadName:
        return False
    return True


_SUBCOMMANDS: dict[str, Callable[[Session, list[str]], None]] = {
    "+": _add,
    "-": _remove,
    "C": _clear,
    "L": _list,
    "S": _status,
}

COMMANDS = {
    "MONITOR": Command(
        _monitor,
        1,
        help=(
            "MONITOR +|- <nickname>{,<nickname>} | C | L | S",
            "Has you told when people come and go, or no more; C forgets all, L lists them, and",
            "S tells which of them are here.",
        ),
    ),
}
