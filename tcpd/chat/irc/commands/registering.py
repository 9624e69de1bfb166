"""Completion of a client's registration, and the welcome burst."""

from __future__ import annotations

from functools import partial

from tcpd.chat.irc import numerics
from tcpd.chat.irc.commands.server_facts import (
    nick_refused,
    send_isupport,
    send_lusers,
    send_motd,
)
from tcpd.chat.irc.passwords import check_password, may_send_password, refuse_insecure
from tcpd.chat.irc.reply import IrcReply
from tcpd.chat.irc.user_modes import USER_MODES
from tcpd.chat.people import Profile
from tcpd.chat.refused import Code, Refused
from tcpd.events.chat import LISTS, RANKS, Mode
from tcpd.policy.passwords import PasswordHash

#: Modes of rooms with an argument, for RPL_MYINFO.
_WITH_ARGUMENT = "".join((*LISTS, *RANKS, Mode.KEY, Mode.LIMIT))


def complete(reply: IrcReply) -> None:
    """Register the client once NICK, USER, the password and CAP END are there."""
    client = reply.client
    entry = client.entry
    if client.person is not None or entry.negotiating or not (entry.nick and entry.user):
        return
    server = client.server
    if server.settings.password is not None and not entry.passed:
        _check(reply, server.settings.password)
        return
    profile = Profile(entry.user, entry.real_name, client.address, client.host, client.secure)
    reply.ask(
        server.hub.enter,
        entry.nick,
        profile,
        refused=partial(_not_entered, reply),
        then=partial(_entered, reply),
    )


def _not_entered(reply: IrcReply, refused: Refused) -> None:
    if refused.code is Code.HUB_FULL:
        reply.finish(refused.sentence)
        return
    entry = reply.client.entry
    nick, entry.nick = entry.nick, ""
    nick_refused(reply, nick, refused)


def _entered(reply: IrcReply) -> None:
    client, hub = reply.client, reply.server.hub
    away = client.entry.away
    client.registered()
    if client.host is not None:
        hub.set_host(client, client.host)  # DNS may have answered meanwhile
    if away:
        reply.ask(hub.set_away, away, refused=lambda refused: None)
    _welcome(reply)


def _check(reply: IrcReply, wanted: PasswordHash) -> None:
    """Check the password, and continue registration if it is right."""
    entry = reply.client.entry
    password, entry.password = entry.password, None
    if not may_send_password(reply.client):
        refuse_insecure(reply)
    elif password is None:
        _mismatch(reply, "no password")
    else:
        check_password(reply, wanted, password, partial(_checked, reply))


def _checked(reply: IrcReply, fits: bool | None) -> None:
    if fits is None:
        reply.finish("too many passwords are being checked; try again in a moment")
    elif fits:
        reply.client.entry.passed = True
        complete(reply)
    else:
        _mismatch(reply, "wrong password")


def _mismatch(reply: IrcReply, why: str) -> None:
    """Send ERR_PASSWDMISMATCH and close the connection.

    "If the password supplied does not match the password expected by the server, then the server
    SHOULD send ERR_PASSWDMISMATCH and MAY then close the connection with ERROR."
    """
    reply.server.count["bad-passwords"] += 1
    reply.numeric(numerics.ERR_PASSWDMISMATCH)
    reply.finish(why)


def _welcome(reply: IrcReply) -> None:
    """Send the welcome burst: 001 to 005, LUSERS, MOTD."""
    server = reply.server
    network = server.settings.network
    who = reply.person.identity
    reply.numeric(numerics.RPL_WELCOME, text=f"Welcome to the {network} Network, {who}")
    description = server.settings.server_description
    reply.numeric(
        numerics.RPL_YOURHOST,
        text=f"Your host is {server.name}, running version {server.version}"
        + (f" ({description})" if description else ""),
    )
    reply.numeric(numerics.RPL_CREATED, text=f"This server was created {server.created_text}")
    modes = "".join(sorted(Mode))
    reply.numeric(
        numerics.RPL_MYINFO, server.name, server.version, USER_MODES, modes, _WITH_ARGUMENT
    )
    send_isupport(reply)
    send_lusers(reply)
    send_motd(reply)
