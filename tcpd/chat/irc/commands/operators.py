"""Commands of who runs the server: OPER, KILL, WALLOPS, REHASH.

Source: the Modern IRC Client Protocol, "Operator Messages"
(https://modern.ircdocs.horse/#operator-messages).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from twisted.logger import Logger

from tcpd.chat.irc import numerics
from tcpd.chat.irc.commands.command import Command
from tcpd.chat.irc.commands.refusals import answer, middle
from tcpd.chat.irc.commands.talking import too_long
from tcpd.chat.irc.labels import later
from tcpd.chat.irc.message import Message, write
from tcpd.chat.irc.passwords import check, may_be_said
from tcpd.chat.refused import Code
from tcpd.ops import catalogue
from tcpd.policy.passwords import PasswordHash
from tcpd.wire.safe_text import escape_controls

if TYPE_CHECKING:
    from tcpd.chat.irc.session import Session

_log = Logger()

#: How often one connection may be wrong about an operator's password before it is ended.
ATTEMPTS = 3

#: How many lines of what a reload has done, or of where something is wrong, REHASH shows.
REHASH_LINES = 20

#: Checked where there is no operator of a name: whether there is one is not told by the time that
#: the answer takes. Nobody knows its password.
_DECOY = PasswordHash(15, 8, 1, bytes(16), bytes(32))


def address_of(session: Session) -> str:
    """Where a client is, for the log."""
    return "unix" if session.address is None else str(session.address)


def _oper(session: Session, message: Message) -> None:
    name, password = message.params[:2]
    server = session.server
    operators = {each.name: each for each in server.settings.operators}
    if not operators:
        session.numeric(numerics.ERR_NOOPERHOST)
        return
    if not may_be_said(session):
        session.numeric(
            numerics.ERR_NOOPERHOST, text="Operators' passwords are taken over TLS alone"
        )
        return
    operator = operators.get(name)
    give = later(session)

    def checked(fits: bool | None) -> None:
        if fits is None:
            give(lambda: session.numeric(numerics.RPL_TRYAGAIN, "OPER"))
        elif fits and operator is not None:
            give(lambda: _become_operator(session, operator.name))
        else:
            # even if the client has gone meanwhile: it has tried
            _note_refused(session, "" if operator is None else operator.name)
            give(lambda: _refuse_operator(session))

    hash = _DECOY if operator is None else operator.hash
    check(session, hash, password, checked)


def _become_operator(session: Session, name: str) -> None:
    member = session.member
    if member is None or member.gone:
        return
    if not member.server_operator:
        session.server.hub.set_server_operator(member, True)
        session.send(write("MODE", member.nick, "+o", source=str(member.who)))
        session.server.count["operators"] += 1
        _note(session, f"OPER {name}")
    session.numeric(numerics.RPL_YOUREOPER)


def _note_refused(session: Session, name: str) -> None:
    session.server.count["operators-refused"] += 1
    catalogue.CHAT_OPERATOR_REFUSED.emit(
        _log, service=session.server.service, name=name, address=address_of(session)
    )


def _refuse_operator(session: Session) -> None:
    session.numeric(numerics.ERR_PASSWDMISMATCH)
    session.refused += 1
    if session.refused >= ATTEMPTS:
        session.finish("Too many wrong passwords")


def _note(session: Session, command: str) -> None:
    """Tell the log what an operator did."""
    operator = f"{session.name} at {address_of(session)} by {session.server.service}"
    catalogue.OPERATOR_COMMAND.emit(_log, operator=operator, command=command)


def _privileged(
    call: Callable[[Session, Message], None],
) -> Callable[[Session, Message], None]:
    """A command that operators of the daemon alone may use."""

    def checked(session: Session, message: Message) -> None:
        member = session.member
        assert member is not None
        if member.server_operator:
            call(session, message)
        else:
            session.numeric(numerics.ERR_NOPRIVILEGES)

    return checked


def _kill(session: Session, message: Message) -> None:
    nick, *rest = message.params
    server, member = session.server, session.member
    assert member is not None
    whom = server.hub.member(nick)
    if whom is None:
        if nick.lower() == server.name.lower():
            session.numeric(numerics.ERR_CANTKILLSERVER)
        else:
            session.numeric(numerics.ERR_NOSUCHNICK, middle(nick))
        return
    reason = rest[0] if rest and rest[0] else "No reason"
    _note(session, f"KILL {whom.nick} {reason}")
    server.hub.put_out(member, whom, reason)


def _wallops(session: Session, message: Message) -> None:
    member = session.member
    assert member is not None
    text = message.params[0]
    if not text:
        session.numeric(numerics.ERR_NEEDMOREPARAMS, "WALLOPS")
        return
    refused = session.server.hub.announce(member, text)
    if refused is not None and refused.code is Code.TOO_LONG:
        too_long(session)
    else:
        answer(session, refused, "WALLOPS")


def _rehash(session: Session, message: Message) -> None:
    _note(session, "REHASH")
    session.numeric(numerics.RPL_REHASHING, "tcpd.ini")

    def told(ok: bool, lines: Sequence[str]) -> None:
        if session.member is None or session.member.gone:
            return
        shown = [escape_controls(line) for line in lines[:REHASH_LINES]]
        if not ok:
            # the places alone: operators of the chat may not read the configuration's secrets
            shown = [f"something is wrong at {place}" for place in shown]
        if len(lines) > REHASH_LINES:
            shown.append(f"and {len(lines) - REHASH_LINES} more")
        if not ok:
            shown.append("what is wrong is in the log, and tcpd-ctl check shows it")
        head = "Reloaded" if ok else "Refused, nothing has changed"
        for line in shown:
            session.from_server("NOTICE", session.name, f"{head}: {line}", colon=True)

    session.server.reload(told)


COMMANDS = {
    "OPER": Command(
        _oper, 2, help=("OPER <name> <password>", "Makes you an operator of the server.")
    ),
    "KILL": Command(
        _privileged(_kill),
        1,
        help=("KILL <nickname> [:<reason>]", "Puts somebody out. For operators of the server."),
    ),
    "WALLOPS": Command(
        _privileged(_wallops),
        1,
        help=(
            "WALLOPS :<text>",
            "Tells all who want to hear it (MODE +w). For operators of the server.",
        ),
    ),
    "REHASH": Command(
        _privileged(_rehash),
        help=(
            "REHASH",
            "Has the configuration read again, all of it or nothing, and tells what was done, or",
            "where something is wrong. For operators of the server.",
        ),
    ),
}
