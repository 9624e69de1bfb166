"""Commands about the connection itself: registration, capabilities, PING, QUIT."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from tcpd.chat.irc import caps, numerics, passwords
from tcpd.chat.irc.commands.command import Command
from tcpd.chat.irc.commands.refusals import middle
from tcpd.chat.irc.isupport import lines, written
from tcpd.chat.irc.message import LINE_BYTES, Message, write
from tcpd.chat.quitting import SAID_GOODBYE
from tcpd.chat.refused import Code, Refused

if TYPE_CHECKING:
    from tcpd.chat.irc.session import Session

#: From this version on of CAP LS clients are told values, and have cap-notify.
_VALUES = 302

_ISUPPORT_BATCH = "draft/isupport"

# what would make nick!user@host read as something else
_NOT_IN_USER = frozenset("!@ ")


def _cap(session: Session, message: Message) -> None:
    subcommand, *rest = message.params
    call = _CAP.get(subcommand.upper())
    if call is None:
        session.numeric(numerics.ERR_INVALIDCAPCMD, middle(subcommand))
        return
    # the colon before several names is easily forgotten; the specifications' examples do, too
    call(session, " ".join(rest))


def _cap_ls(session: Session, argument: str) -> None:
    session.entry.negotiates(session)
    version = int(argument) if argument.isascii() and argument.isdigit() else 0
    if version >= _VALUES:
        # "This capability MUST be implicitly enabled if the client requests CAP LS with a version
        # of 302 or newer"
        session.version_302 = True
        session.enable(session.caps | {caps.CAP_NOTIFY})
    latest = version >= _VALUES
    # one that is told no values has no use for the policy
    there_are = session.server.capabilities(_speaks_tls(session) if latest else None).items()
    words = [f"{name}={value}" if value and latest else name for name, value in there_are]
    _cap_list_of(session, "LS", words, latest)


def _speaks_tls(session: Session) -> bool | None:
    """Whether a client does; ``None`` for one on a UNIX socket, which has no use for it."""
    return None if session.address is None else session.secure


def tell_capabilities(session: Session, before: Mapping[bool | None, Mapping[str, str]]) -> None:
    """Tell a client of the capabilities, and the values, that a reload has changed.

    "When enabled, the server MUST notify the client about all new capabilities and about existing
    capabilities that are no longer available." Those that are gone are switched off for all.

    :param before: what there was, by the parameter of
        :meth:`tcpd.chat.irc.server.IrcServer.capabilities`.
    """
    secure = _speaks_tls(session)
    now, then = session.server.capabilities(secure), before[secure]
    # of sts, "Servers MUST NOT send CAP DEL to disable this capability"
    gone = [name for name in then if name not in now and name != caps.STS]
    if session.version_302:
        words = [f"{name}={now[name]}" for name in now if now[name] and now[name] != then.get(name)]
        new = [*words, *(name for name in now if not now[name] and name not in then)]
    else:
        # without values it has no use for the policy, nor for another value
        new = [name for name in now if name not in then and name != caps.STS]
    if caps.CAP_NOTIFY in session.caps:
        for subcommand, names in (("DEL", gone), ("NEW", new)):
            if names:
                line = " ".join(names)
                session.from_server("CAP", session.name, subcommand, line, colon=True)
    session.enable(session.caps - set(gone))


def _cap_list(session: Session, argument: str) -> None:
    enabled = [name for name in caps.CAPABILITIES if name in session.caps]
    _cap_list_of(session, "LIST", enabled, session.version_302)


def _cap_list_of(session: Session, subcommand: str, words: list[str], several: bool) -> None:
    room = _cap_room(session, subcommand, "*")
    *first, last = caps.listed(words, room)
    if not several and first:
        # "If a client has not indicated support for CAP LS 302 features, the server MUST NOT send
        # these new features": such a client gets what fits
        first, last = [], first[0]
    for piece in first:
        session.from_server("CAP", session.name, subcommand, "*", piece, colon=True)
    session.from_server("CAP", session.name, subcommand, last, colon=True)


def _cap_room(session: Session, *words: str) -> int:
    """How many bytes the names may have in a line."""
    source = session.server.name
    return LINE_BYTES - len(write("CAP", session.name, *words, "", source=source, colon=True))


def _cap_req(session: Session, argument: str) -> None:
    session.entry.negotiates(session)
    words = argument.split()
    enabled = caps.requested(words, session.caps, session.server.capabilities(None))
    if enabled is None:
        session.from_server("CAP", session.name, "NAK", argument, colon=True)
        return
    if session.version_302:
        # "servers MUST NOT disable the cap-notify capability if the client requests CAP LS with a
        # version of 302 or newer"
        enabled |= {caps.CAP_NOTIFY}
    room = _cap_room(session, "ACK")
    fits = len(argument.encode()) <= room
    for piece in [argument] if fits else caps.listed(words, room):
        # "a server MUST NOT change the capabilities of the client until the last ACK of the set
        # has been sent"
        session.from_server("CAP", session.name, "ACK", piece, colon=True)
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
    if session.server.settings.password is None:
        return
    if passwords.may_be_said(session):
        session.entry.password = message.params[0]
    else:
        passwords.refuse(session)


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
        session.fail(
            "NICK", "RATE_LIMITED", middle(nick), text="You change your nickname too often, wait"
        )
        return
    refused = session.server.hub.rename(member, nick)
    if refused is not None:
        nick_refused(session, nick, refused)


def nick_refused(session: Session, nick: str, refused: Refused) -> None:
    """Answer a nickname that cannot be had."""
    shown = middle(nick)
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
        # "If it is empty, the server SHOULD reject the command with ERR_NEEDMOREPARAMS (even if an
        # empty parameter is provided)"
        session.numeric(numerics.ERR_NEEDMOREPARAMS, "USER")
        return
    if not user.isprintable() or _NOT_IN_USER & set(user):
        session.numeric(numerics.ERR_INVALIDUSERNAME)
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
    said = f"{SAID_GOODBYE}{reason}"
    session.finish(said if reason else "Client Quit", said)


def _isupport(session: Session, message: Message) -> None:
    # "When the draft/extended-isupport capability is enabled by the client, the server MUST accept
    # ISUPPORT commands before connection registration completes"
    if session.member is None and caps.EXTENDED_ISUPPORT not in session.caps:
        session.numeric(numerics.ERR_NOTREGISTERED)
        return
    tell_isupport(session)


def tell_isupport(session: Session) -> None:
    """Tell what there is here."""
    tell_tokens(session, written(session.server.tokens()))


def tell_tokens(session: Session, words: Iterable[str]) -> None:
    """Tell tokens.

    "The server MUST group all RPL_ISUPPORT messages inside a draft/isupport batch when the batch
    and draft/extended-isupport capabilities are enabled."

    :param words: from :mod:`tcpd.chat.irc.isupport`.
    """
    batch = {caps.EXTENDED_ISUPPORT, caps.BATCH} <= session.caps
    told = lines(words, session.server.name, session.name)
    session.send_all(told, _ISUPPORT_BATCH if batch else "")


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
