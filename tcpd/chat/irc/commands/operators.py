"""Commands for server operators: OPER, KILL, WALLOPS, REHASH.

Source: the Modern IRC Client Protocol, "Operator Messages"
(https://modern.ircdocs.horse/#operator-messages).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.logger import Logger

from tcpd.chat.irc import numerics
from tcpd.chat.irc.client import IrcClient
from tcpd.chat.irc.commands.command import IrcCommand
from tcpd.chat.irc.commands.messages import too_long
from tcpd.chat.irc.commands.refusals import middle, refuse, refusing
from tcpd.chat.irc.message import Message
from tcpd.chat.irc.passwords import check_password, may_send_password
from tcpd.chat.irc.reply import IrcReply
from tcpd.chat.refused import Code, Refused
from tcpd.ops import catalogue
from tcpd.policy.passwords import PasswordHash
from tcpd.wire.safe_text import escape_controls

_log = Logger()

#: Failed attempts of OPER after which the connection is closed.
ATTEMPTS = 3

#: Maximum number of changes or errors of a reload that REHASH shows.
REHASH_LINES = 20

#: Checked for an unknown name, so that the time of the reply does not reveal which names exist.
_DECOY = PasswordHash(15, 8, 1, bytes(16), bytes(32))


def address_of(client: IrcClient) -> str:
    """Return the address of a client for the log."""
    return "unix" if client.address is None else str(client.address)


def _oper(reply: IrcReply, message: Message) -> None:
    name, password = message.params[:2]
    operators = {each.name: each for each in reply.server.settings.operators}
    if not operators:
        reply.numeric(numerics.ERR_NOOPERHOST)
        return
    if not may_send_password(reply.client):
        reply.numeric(numerics.ERR_NOOPERHOST, text="Passwords are accepted over TLS only")
        return
    operator = operators.get(name)

    def tried(fits: bool) -> None:
        # logged even if the client has disconnected
        if not (fits and operator is not None):
            _log_refused(reply, "" if operator is None else operator.name)

    def checked(fits: bool | None) -> None:
        if fits is None:
            reply.numeric(numerics.RPL_TRYAGAIN, "OPER")
        elif fits and operator is not None:
            _become_operator(reply, operator.name)
        else:
            _refuse_operator(reply)

    hash = _DECOY if operator is None else operator.hash
    check_password(reply, hash, password, checked, tried)


def _become_operator(reply: IrcReply, name: str) -> None:
    def become() -> None:
        reply.server.count["operators"] += 1
        _log_command(reply, f"OPER {name}")
        reply.numeric(numerics.RPL_YOUREOPER)

    if reply.person.server_operator:
        reply.numeric(numerics.RPL_YOUREOPER)
    else:
        refused = refusing(reply, name)
        reply.ask(reply.server.hub.set_user_modes, "o", "", refused=refused, then=become)


def _log_refused(reply: IrcReply, name: str) -> None:
    reply.server.count["operators-refused"] += 1
    catalogue.CHAT_OPERATOR_REFUSED.emit(
        _log, service=reply.server.service, name=name, address=address_of(reply.client)
    )


def _refuse_operator(reply: IrcReply) -> None:
    reply.numeric(numerics.ERR_PASSWDMISMATCH)
    reply.client.wrong_passwords += 1
    if reply.client.wrong_passwords >= ATTEMPTS:
        reply.finish("Too many wrong passwords")


def _log_command(reply: IrcReply, command: str) -> None:
    """Log a command of a server operator."""
    client = reply.client
    operator = f"{client.name} at {address_of(client)} by {reply.server.service}"
    catalogue.OPERATOR_COMMAND.emit(_log, operator=operator, command=command)


def _privileged(
    call: Callable[[IrcReply, Message], None],
) -> Callable[[IrcReply, Message], None]:
    """Restrict a command to server operators."""

    def checked(reply: IrcReply, message: Message) -> None:
        if reply.person.server_operator:
            call(reply, message)
        else:
            reply.numeric(numerics.ERR_NOPRIVILEGES)

    return checked


def _kill(reply: IrcReply, message: Message) -> None:
    nick, *rest = message.params
    server = reply.server
    target = server.hub.person(nick)
    if target is None:
        if nick.lower() == server.name.lower():
            reply.numeric(numerics.ERR_CANTKILLSERVER)
        else:
            reply.numeric(numerics.ERR_NOSUCHNICK, middle(nick))
        return
    reason = rest[0] if rest and rest[0] else "No reason"
    _log_command(reply, f"KILL {target.nick} {reason}")

    reply.ask(server.hub.kill, target, reason, refused=refusing(reply, nick))


def _wallops(reply: IrcReply, message: Message) -> None:
    text = message.params[0]
    if not text:
        reply.numeric(numerics.ERR_NEEDMOREPARAMS, "WALLOPS")
        return

    def refused(refused: Refused) -> None:
        if refused.code is Code.TOO_LONG:
            too_long(reply)
        else:
            refuse(reply, refused, "WALLOPS")

    reply.ask(reply.server.hub.announce, text, refused=refused)


def _rehash(reply: IrcReply, message: Message) -> None:
    _log_command(reply, "REHASH")
    reply.numeric(numerics.RPL_REHASHING, "tcpd.ini")
    release = reply.hold()

    def reloaded(ok: bool, lines: Sequence[str]) -> None:
        try:
            if not reply.client.gone:
                _send_result(reply, ok, lines)
        finally:
            release()

    reply.server.reload(reloaded)


def _send_result(reply: IrcReply, ok: bool, lines: Sequence[str]) -> None:
    """Send the changes of a reload, or the locations of errors."""
    shown = [escape_controls(line) for line in lines[:REHASH_LINES]]
    if not ok:
        # locations only: an error may quote the configuration
        shown = [f"error at {location}" for location in shown]
    if len(lines) > REHASH_LINES:
        shown.append(f"and {len(lines) - REHASH_LINES} more")
    if not ok:
        shown.append("see the log, or run tcpd-ctl check")
    head = "Reloaded" if ok else "Refused, nothing has changed"
    for line in shown:
        reply.from_server("NOTICE", reply.client.name, f"{head}: {line}", colon=True)


COMMANDS = {
    "OPER": IrcCommand(_oper, 2, help=("OPER <name> <password>", "Makes you a server operator.")),
    "KILL": IrcCommand(
        _privileged(_kill),
        1,
        help=("KILL <nickname> [:<reason>]", "Disconnects a user. For server operators."),
    ),
    "WALLOPS": IrcCommand(
        _privileged(_wallops),
        1,
        help=(
            "WALLOPS :<text>",
            "Sends a text to all users with mode w. For server operators.",
        ),
    ),
    "REHASH": IrcCommand(
        _privileged(_rehash),
        help=(
            "REHASH",
            "Reloads the configuration, and shows the changes or the lines with errors. For server",
            "operators.",
        ),
    ),
}
