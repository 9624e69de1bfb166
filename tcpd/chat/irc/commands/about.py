"""Queries about the server: VERSION, ADMIN, INFO, TIME, STATS and others.

Sources: the Modern IRC Client Protocol, "Server Queries and Commands"
(https://modern.ircdocs.horse/#server-queries-and-commands); RFC 2812 section 4.6 for USERS.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from tcpd.chat.irc import numerics
from tcpd.chat.irc.commands.command import IrcCommand
from tcpd.chat.irc.commands.refusals import middle
from tcpd.chat.irc.commands.server_facts import is_here, send_isupport, send_lusers, send_motd
from tcpd.chat.irc.message import Message
from tcpd.chat.irc.reply import IrcReply
from tcpd.chat.masks import glob


def _of_server(
    send: Callable[[IrcReply], None], index: int = 0, end: str | None = None
) -> Callable[[IrcReply, Message], None]:
    """Return a command with an optional server parameter, which must mean this server.

    :param index: the index of the parameter.
    :param end: numeric that ends the reply, even after ERR_NOSUCHSERVER; ``None`` if there is none.
    """

    def call(reply: IrcReply, message: Message) -> None:
        name = message.params[index] if len(message.params) > index else ""
        if name and not is_here(reply, name):
            reply.numeric(numerics.ERR_NOSUCHSERVER, middle(name))
        else:
            send(reply)
        if end is not None:
            reply.numeric(end)

    return call


def _version(reply: IrcReply) -> None:
    server = reply.server
    reply.numeric(numerics.RPL_VERSION, server.version, server.name, text=server.description)
    send_isupport(reply)


def _admin(reply: IrcReply) -> None:
    server = reply.server
    lines = server.settings.admin
    if not lines:
        reply.numeric(numerics.ERR_NOADMININFO, server.name)
        return
    reply.numeric(numerics.RPL_ADMINME, server.name)
    for number, line in zip(_ADMIN, lines, strict=False):
        reply.numeric(number, text=line)


_ADMIN = (numerics.RPL_ADMINLOC1, numerics.RPL_ADMINLOC2, numerics.RPL_ADMINEMAIL)


def _info(reply: IrcReply) -> None:
    server = reply.server
    description = server.settings.server_description
    for line in (
        *((description,) if description else ()),
        f"{server.version}: the same rooms for IRC clients and for users of nc",
        f"Running since {server.created_text}.",
        "HELP lists the commands.",
    ):
        reply.numeric(numerics.RPL_INFO, text=line)


def _time(reply: IrcReply) -> None:
    server = reply.server
    now = time.strftime("%A %B %d %Y -- %H:%M:%S UTC", time.gmtime(server.wall_clock()))
    reply.numeric(numerics.RPL_TIME, server.name, text=now)


def _users(reply: IrcReply) -> None:
    """Refuse to list the users logged in to the machine."""
    reply.numeric(numerics.ERR_USERSDISABLED)


def _links(reply: IrcReply, message: Message) -> None:
    """Send LINKS [[<server>] <mask>], which lists this server only."""
    server = reply.server
    *asked, mask = message.params[:2] or ("*",)
    if asked and not is_here(reply, asked[0]):
        reply.numeric(numerics.ERR_NOSUCHSERVER, middle(asked[0]))
    elif glob(mask, server.name):
        name = server.name
        reply.numeric(numerics.RPL_LINKS, name, name, text=f"0 {server.description}")
    reply.numeric(numerics.RPL_ENDOFLINKS, middle(mask))


def _stats(reply: IrcReply, message: Message) -> None:
    """Send STATS <query> [<server>]: ``u`` is the uptime; other queries are empty."""
    query, *asked = message.params[:2]
    letter = middle(query)[:1]
    if asked and not is_here(reply, asked[0]):
        reply.numeric(numerics.ERR_NOSUCHSERVER, middle(asked[0]))
    elif letter == "u":
        server = reply.server
        minutes, seconds = divmod(int(server.clock() - server.started), 60)
        hours, minutes = divmod(minutes, 60)
        days, hours = divmod(hours, 24)
        reply.numeric(
            numerics.RPL_STATSUPTIME,
            text=f"Server Up {days} days {hours}:{minutes:02}:{seconds:02}",
        )
    reply.numeric(numerics.RPL_ENDOFSTATS, letter)


COMMANDS = {
    "LUSERS": IrcCommand(
        # LUSERS [<mask> [<server>]]
        _of_server(send_lusers, index=1),
        help=("LUSERS", "Shows the numbers of users and rooms."),
    ),
    "MOTD": IrcCommand(
        _of_server(send_motd), help=("MOTD [<server>]", "Shows the message of the day.")
    ),
    "VERSION": IrcCommand(
        _of_server(_version),
        help=("VERSION [<server>]", "Shows the server's version, features and limits."),
    ),
    "ADMIN": IrcCommand(
        _of_server(_admin),
        help=("ADMIN [<server>]", "Shows the administrator's contact."),
    ),
    "INFO": IrcCommand(
        _of_server(_info, end=numerics.RPL_ENDOFINFO),
        help=("INFO [<server>]", "Shows information about the server."),
    ),
    "TIME": IrcCommand(_of_server(_time), help=("TIME [<server>]", "Shows the server's time.")),
    "USERS": IrcCommand(
        _of_server(_users),
        help=("USERS [<server>]", "Disabled: would list users logged in to the machine."),
    ),
    "LINKS": IrcCommand(_links, help=("LINKS [[<server>] <mask>]", "Lists the servers: this one.")),
    "STATS": IrcCommand(
        _stats, 1, help=("STATS <query> [<server>]", "With u, shows the server's uptime.")
    ),
}
