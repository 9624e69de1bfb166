"""Commands about the connection itself: registration, capabilities, PING, QUIT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tcpd.chat.irc import caps, numerics
from tcpd.chat.irc.commands.command import Command
from tcpd.chat.irc.isupport import lines, written
from tcpd.chat.irc.message import LINE_BYTES, Message
from tcpd.chat.refused import Code, Refused

if TYPE_CHECKING:
    from tcpd.chat.irc.session import Session

#: From this version on of CAP LS clients are told values, and have cap-notify.
_VALUES = 302

#: What CAP LS takes of a line besides the capabilities: names, numeric-like prefix and asterisks.
_CAP_HEAD = 120


def _cap(session: Session, message: Message) -> None:
    subcommand, *rest = message.params
    word = subcommand.upper()
    call = _CAP.get(word)
    if call is None:
        session.numeric(numerics.ERR_INVALIDCAPCMD, subcommand)
        return
    call(session, rest[0] if rest else "")


def _cap_ls(session: Session, argument: str) -> None:
    session.entry.negotiates(session)
    version = int(argument) if argument.isascii() and argument.isdigit() else 0
    if version >= _VALUES:
        # "the client implicitly enables cap-notify"
        session.version_302 = True
        session.enable(session.caps | {caps.CAP_NOTIFY})
    _cap_list_of(session, "LS", session.server.capabilities, version >= _VALUES)


def _cap_list(session: Session, argument: str) -> None:
    enabled = {name: "" for name in session.server.capabilities if name in session.caps}
    _cap_list_of(session, "LIST", enabled, False)


def _cap_list_of(
    session: Session, subcommand: str, capabilities: dict[str, str], values: bool
) -> None:
    *first, last = caps.listed(capabilities, values, LINE_BYTES - _CAP_HEAD)
    if not session.version_302 and first:
        # "the multiline format is for clients of version 302": others get what fits
        first, last = [], first[0]
    for piece in first:
        session.from_server("CAP", session.name, subcommand, "*", piece, colon=True)
    session.from_server("CAP", session.name, subcommand, last, colon=True)


def _cap_req(session: Session, argument: str) -> None:
    session.entry.negotiates(session)
    enabled = caps.requested(argument, session.caps, session.server.capabilities)
    if enabled is None:
        session.from_server("CAP", session.name, "NAK", argument, colon=True)
        return
    if session.version_302:
        enabled |= {caps.CAP_NOTIFY}
    # by the capabilities from before: the answer is the last line of them
    session.from_server("CAP", session.name, "ACK", argument, colon=True)
    session.enable(enabled)


def _cap_end(session: Session, argument: str) -> None:
    if session.member is None:
        session.entry.negotiating = False
        session.entry.complete(session)


_CAP = {"LS": _cap_ls, "LIST": _cap_list, "REQ": _cap_req, "END": _cap_end}


def _pass(session: Session, message: Message) -> None:
    if session.member is not None:
        session.numeric(numerics.ERR_ALREADYREGISTERED)
        return
    session.entry.password = message.params[0]


def _nick(session: Session, message: Message) -> None:
    nick = message.params[0] if message.params else ""
    if not nick:
        session.numeric(numerics.ERR_NONICKNAMEGIVEN)
        return
    member = session.member
    if member is None:
        checked = session.server.hub.free_nick(nick)
        if isinstance(checked, Refused):
            nick_refused(session, nick, checked)
            return
        session.entry.nick = checked
        session.entry.complete(session)
        return
    if nick != member.nick and not session.may_rename():
        session.fail("NICK", "RATE_LIMITED", nick, text="You change your nickname too often, wait")
        return
    refused = session.server.hub.rename(member, nick)
    if refused is not None:
        nick_refused(session, nick, refused)


def nick_refused(session: Session, nick: str, refused: Refused) -> None:
    """Answer a nickname that cannot be had."""
    shown = nick.split(" ")[0].lstrip(":") or "*"
    if refused.code is Code.NICK_TAKEN:
        session.numeric(numerics.ERR_NICKNAMEINUSE, shown)
    else:
        session.numeric(
            numerics.ERR_ERRONEUSNICKNAME, shown, text=f"Erroneus nickname: {refused.sentence}"
        )


def _user(session: Session, message: Message) -> None:
    if session.member is not None:
        session.numeric(numerics.ERR_ALREADYREGISTERED)
        return
    user, _, _, real_name = message.params[:4]
    if not user or not real_name:
        # "If the server ... the parameter is empty, it SHOULD reply ERR_NEEDMOREPARAMS"
        session.numeric(numerics.ERR_NEEDMOREPARAMS, "USER")
        return
    session.entry.introduce(user, real_name)
    session.entry.complete(session)


def _ping(session: Session, message: Message) -> None:
    token = message.params[0] if message.params else ""
    if not token:
        session.numeric(numerics.ERR_NOORIGIN)
        return
    session.from_server("PONG", session.server.name, token, colon=True)


def _pong(session: Session, message: Message) -> None:
    """Every line shows that the client is there."""


def _quit(session: Session, message: Message) -> None:
    reason = message.params[0] if message.params else ""
    session.finish("Client Quit" if not reason else f"Quit: {reason}", f"Quit: {reason}")


def _isupport(session: Session, message: Message) -> None:
    if caps.EXTENDED_ISUPPORT not in session.caps:
        session.unknown(message)
        return
    tell_isupport(session)


def tell_isupport(session: Session) -> None:
    """Tell what there is here: in a batch, for those who know it."""
    told = lines(written(session.server.tokens()), session.server.name, session.name)
    batch = {caps.EXTENDED_ISUPPORT, caps.BATCH} <= session.caps
    session.send_all(told, caps.EXTENDED_ISUPPORT if batch else "")


COMMANDS = {
    "CAP": Command(
        _cap, 1, True, ("CAP LS|LIST|REQ|END", "Tells and changes what a client can more than IRC.")
    ),
    "PASS": Command(_pass, 1, True, ("PASS <password>", "The server's password, before NICK.")),
    "NICK": Command(_nick, 0, True, ("NICK <nickname>", "Takes a nickname.")),
    "USER": Command(
        _user,
        4,
        True,
        ("USER <name> 0 * :<real name>", "Says who you are, once, at the beginning."),
    ),
    "PING": Command(_ping, 0, True, ("PING <token>", "Is answered with PONG and the token.")),
    "PONG": Command(_pong, 0, True, ("PONG <token>", "The answer to the server's PING.")),
    "QUIT": Command(_quit, 0, True, ("QUIT [:<reason>]", "Ends the connection.")),
    "ISUPPORT": Command(_isupport, 0, True, ("ISUPPORT", "Tells what there is on this server.")),
}
