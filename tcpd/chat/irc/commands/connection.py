"""Connection commands: registration, capabilities, PING, QUIT, ISUPPORT."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from tcpd.chat.irc import caps, numerics, passwords
from tcpd.chat.irc.commands.command import IrcCommand
from tcpd.chat.irc.commands.refusals import middle
from tcpd.chat.irc.commands.registering import complete
from tcpd.chat.irc.commands.server_facts import nick_refused, send_isupport
from tcpd.chat.irc.commands.wrapping import packed
from tcpd.chat.irc.message import LINE_BYTES, Message, write
from tcpd.chat.irc.reply import IrcReply
from tcpd.chat.quitting import SAID_GOODBYE
from tcpd.chat.refused import Refused

#: Version of CAP LS from which clients get values and cap-notify.
_VERSION_WITH_VALUES = 302

# these characters would make nick!user@host ambiguous
_NOT_IN_USER = frozenset("!@ ")


def _cap(reply: IrcReply, message: Message) -> None:
    subcommand, *rest = message.params
    call = _CAP.get(subcommand.upper())
    if call is None:
        reply.numeric(numerics.ERR_INVALIDCAPCMD, middle(subcommand))
        return
    # clients, and examples in the specifications, omit the colon before several names
    call(reply, " ".join(rest))


def _delay_registration(reply: IrcReply) -> None:
    """Delay registration until CAP END."""
    if reply.client.person is None:
        reply.client.entry.negotiating = True


def _cap_ls(reply: IrcReply, argument: str) -> None:
    _delay_registration(reply)
    version = int(argument) if argument.isascii() and argument.isdigit() else 0
    if version >= _VERSION_WITH_VALUES:
        # "This capability MUST be implicitly enabled if the client requests CAP LS with a version
        # of 302 or newer"
        reply.client.version_302 = True
        reply.client.enable(reply.caps | {caps.CAP_NOTIFY})
    latest = version >= _VERSION_WITH_VALUES
    # sts requires its value
    available = reply.server.capabilities(_speaks_tls(reply) if latest else None).items()
    words = [f"{name}={value}" if value and latest else name for name, value in available]
    _cap_list_of(reply, "LS", words, latest)


def _speaks_tls(reply: IrcReply) -> bool | None:
    """Return whether the client uses TLS; ``None`` on a UNIX socket, where sts is useless."""
    return None if reply.client.address is None else reply.client.secure


def send_capabilities(reply: IrcReply, before: Mapping[bool | None, Mapping[str, str]]) -> None:
    """Announce capabilities and values that a reload has changed, and disable removed ones.

    "When enabled, the server MUST notify the client about all new capabilities and about existing
    capabilities that are no longer available."

    :param before: the old capabilities, by the parameter of
        :meth:`tcpd.chat.irc.server.IrcServer.capabilities`.
    """
    secure = _speaks_tls(reply)
    now, then = reply.server.capabilities(secure), before[secure]
    # of sts, "Servers MUST NOT send CAP DEL to disable this capability"
    gone = [name for name in then if name not in now and name != caps.STS]
    if reply.client.version_302:
        words = [f"{name}={now[name]}" for name in now if now[name] and now[name] != then.get(name)]
        new = [*words, *(name for name in now if not now[name] and name not in then)]
    else:
        # such a client gets no values, so sts and changed values do not apply to it
        new = [name for name in now if name not in then and name != caps.STS]
    if caps.CAP_NOTIFY in reply.caps:
        for subcommand, names in (("DEL", gone), ("NEW", new)):
            if names:
                line = " ".join(names)
                reply.from_server("CAP", reply.client.name, subcommand, line, colon=True)
    reply.client.enable(reply.caps - set(gone))


def _cap_list(reply: IrcReply, argument: str) -> None:
    enabled = [name for name in caps.CAPABILITIES if name in reply.caps]
    _cap_list_of(reply, "LIST", enabled, reply.client.version_302)


def _cap_list_of(reply: IrcReply, subcommand: str, words: list[str], several: bool) -> None:
    room = _cap_room(reply, subcommand, "*")
    *first, last = list(packed(words, room, " ")) or [""]
    if not several and first:
        # "If a client has not indicated support for CAP LS 302 features, the server MUST NOT send
        # these new features": such a client gets one line
        first, last = [], first[0]
    for piece in first:
        reply.from_server("CAP", reply.client.name, subcommand, "*", piece, colon=True)
    reply.from_server("CAP", reply.client.name, subcommand, last, colon=True)


def _cap_room(reply: IrcReply, *words: str) -> int:
    """Return the bytes that a line has for names."""
    source = reply.server.name
    return LINE_BYTES - len(write("CAP", reply.client.name, *words, "", source=source, colon=True))


def _cap_req(reply: IrcReply, argument: str) -> None:
    _delay_registration(reply)
    words = argument.split()
    enabled = caps.requested(words, reply.caps, reply.server.capabilities(None))
    if enabled is None:
        reply.from_server("CAP", reply.client.name, "NAK", argument, colon=True)
        return
    if reply.client.version_302:
        # "servers MUST NOT disable the cap-notify capability if the client requests CAP LS with a
        # version of 302 or newer"
        enabled |= {caps.CAP_NOTIFY}
    room = _cap_room(reply, "ACK")
    fits = len(argument.encode()) <= room
    for piece in [argument] if fits else packed(words, room, " "):
        # "a server MUST NOT change the capabilities of the client until the last ACK of the set
        # has been sent"
        reply.from_server("CAP", reply.client.name, "ACK", piece, colon=True)
    reply.client.enable(enabled)


def _cap_end(reply: IrcReply, argument: str) -> None:
    if reply.client.person is None:
        reply.client.entry.negotiating = False
        complete(reply)


_CAP = {"LS": _cap_ls, "LIST": _cap_list, "REQ": _cap_req, "END": _cap_end}


def _pass(reply: IrcReply, message: Message) -> None:
    if reply.client.person is not None:
        reply.numeric(numerics.ERR_ALREADYREGISTERED)
        return
    if reply.server.settings.password is None:
        return
    if passwords.may_send_password(reply.client):
        reply.client.entry.password = message.params[0]
    else:
        passwords.refuse_insecure(reply)


def _nick(reply: IrcReply, message: Message) -> None:
    nick = message.params[0] if message.params else ""
    if not nick:
        reply.numeric(numerics.ERR_NONICKNAMEGIVEN)
        return
    person = reply.client.person
    if person is None:
        checked = reply.server.hub.free_nick(nick)
        if isinstance(checked, Refused):
            nick_refused(reply, nick, checked)
            return
        reply.client.entry.nick = checked
        complete(reply)
        return
    if nick != person.nick and not reply.client.may_rename():
        reply.fail(
            "NICK", "RATE_LIMITED", middle(nick), text="You change your nickname too often; wait"
        )
        return
    reply.ask(reply.server.hub.rename, nick, refused=partial(nick_refused, reply, nick))


def _user(reply: IrcReply, message: Message) -> None:
    if reply.client.person is not None:
        reply.numeric(numerics.ERR_ALREADYREGISTERED)
        return
    user, _, _, real_name = message.params[:4]
    if not user or not real_name:
        # "If it is empty, the server SHOULD reject the command with ERR_NEEDMOREPARAMS (even if an
        # empty parameter is provided)"
        reply.numeric(numerics.ERR_NEEDMOREPARAMS, "USER")
        return
    if not user.isprintable() or _NOT_IN_USER & set(user):
        reply.numeric(numerics.ERR_INVALIDUSERNAME)
        return
    reply.client.entry.set_user(user, real_name)
    complete(reply)


def _ping(reply: IrcReply, message: Message) -> None:
    token = message.params[0] if message.params else ""
    if not token:
        reply.numeric(numerics.ERR_NOORIGIN)
        return
    reply.from_server("PONG", reply.server.name, token, colon=True)


def _pong(reply: IrcReply, message: Message) -> None:
    """Do nothing: any line shows that the client is alive."""


def _quit(reply: IrcReply, message: Message) -> None:
    reason = message.params[0] if message.params else ""
    said = f"{SAID_GOODBYE}{reason}"
    reply.finish(said if reason else "Client Quit", said)


def _isupport(reply: IrcReply, message: Message) -> None:
    # "When the draft/extended-isupport capability is enabled by the client, the server MUST accept
    # ISUPPORT commands before connection registration completes"
    if reply.client.person is None and caps.EXTENDED_ISUPPORT not in reply.caps:
        reply.numeric(numerics.ERR_NOTREGISTERED)
        return
    send_isupport(reply)


COMMANDS = {
    "CAP": IrcCommand(
        _cap, 1, True, help=("CAP LS|LIST|REQ|END", "Lists or requests capabilities.")
    ),
    "PASS": IrcCommand(
        _pass, 1, True, help=("PASS <password>", "The server's password, before NICK.")
    ),
    "NICK": IrcCommand(_nick, 0, True, help=("NICK <nickname>", "Sets your nickname.")),
    "USER": IrcCommand(
        _user,
        4,
        True,
        help=(
            "USER <name> 0 * :<real name>",
            "Sets your user and real name, at registration.",
        ),
    ),
    "PING": IrcCommand(_ping, 0, True, help=("PING <token>", "Requests PONG with the token.")),
    "PONG": IrcCommand(_pong, 0, True, help=("PONG <token>", "Replies to the server's PING.")),
    "QUIT": IrcCommand(_quit, 0, True, help=("QUIT [:<reason>]", "Closes the connection.")),
    "ISUPPORT": IrcCommand(
        _isupport, 0, True, help=("ISUPPORT", "Lists features and limits of the server.")
    ),
}
