"""Commands about the server: what it is called, who runs it, how long, and for how many.

Sources: the Modern IRC Client Protocol, "Server Queries and Commands"
(https://modern.ircdocs.horse/#server-queries-and-commands); RFC 2812 section 4.6 for USERS.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from tcpd.chat.irc import numerics
from tcpd.chat.irc.commands.command import Command
from tcpd.chat.irc.commands.connection import tell_isupport
from tcpd.chat.irc.commands.refusals import middle
from tcpd.chat.irc.message import Message
from tcpd.chat.masks import glob

if TYPE_CHECKING:
    from tcpd.chat.irc.session import Session


def tell_lusers(session: Session) -> None:
    """Tell how many people and rooms there are."""
    server, hub = session.server, session.server.hub
    seen = hub.member_count - hub.invisible_count
    session.numeric(
        numerics.RPL_LUSERCLIENT,
        text=f"There are {seen} users and {hub.invisible_count} invisible on 1 servers",
    )
    session.numeric(numerics.RPL_LUSEROP, str(hub.operator_count))
    session.numeric(numerics.RPL_LUSERUNKNOWN, str(server.entering))
    # a lobby that nobody is in is no channel that has formed
    empty = hub.lobby is not None and not hub.lobby.members
    session.numeric(numerics.RPL_LUSERCHANNELS, str(hub.room_count - empty))
    session.numeric(numerics.RPL_LUSERME, text=f"I have {hub.member_count} clients and 0 servers")
    for number, which in (
        (numerics.RPL_LOCALUSERS, "local"),
        (numerics.RPL_GLOBALUSERS, "global"),
    ):
        now, most = str(hub.member_count), str(hub.most_members)
        session.numeric(number, now, most, text=f"Current {which} users {now}, max {most}")


def tell_motd(session: Session) -> None:
    """Tell the message of the day, or that there is none."""
    server = session.server
    if server.motd is None:
        session.numeric(numerics.ERR_NOMOTD)
        return
    session.numeric(numerics.RPL_MOTDSTART, text=f"- {server.name} Message of the day - ")
    for line in server.motd:
        session.numeric(numerics.RPL_MOTD, text=f"- {line}")
    session.numeric(numerics.RPL_ENDOFMOTD)


def is_here(session: Session, name: str) -> bool:
    """Whether a server that a command names is this one: by its name, a mask of it, or the nickname
    of somebody who is here."""
    server = session.server
    return glob(name, server.name) or server.hub.member(name) is not None


def _of_server(
    tell: Callable[[Session], None], place: int = 0, end: str | None = None
) -> Callable[[Session, Message], None]:
    """A command that may name a server, and there is but this one.

    :param place: which parameter names it.
    :param end: the numeric that ends the answer in any case; ``None`` where ERR_NOSUCHSERVER
        stands for all of it.
    """

    def call(session: Session, message: Message) -> None:
        name = message.params[place] if len(message.params) > place else ""
        if name and not is_here(session, name):
            session.numeric(numerics.ERR_NOSUCHSERVER, middle(name))
        else:
            tell(session)
        if end is not None:
            session.numeric(end)

    return call


def _version(session: Session) -> None:
    server = session.server
    session.numeric(numerics.RPL_VERSION, server.version, server.name, text=server.description)
    tell_isupport(session)


def _admin(session: Session) -> None:
    server = session.server
    lines = server.settings.admin
    if not lines:
        session.numeric(numerics.ERR_NOADMININFO, server.name)
        return
    session.numeric(numerics.RPL_ADMINME, server.name)
    for number, line in zip(_ADMIN, lines, strict=False):
        session.numeric(number, text=line)


_ADMIN = (numerics.RPL_ADMINLOC1, numerics.RPL_ADMINLOC2, numerics.RPL_ADMINEMAIL)


def _info(session: Session) -> None:
    server = session.server
    description = server.settings.server_description
    for line in (
        *((description,) if description else ()),
        f"{server.version}: the same rooms for IRC clients and for people with nc",
        f"It runs since {server.created_text}.",
        "HELP lists the commands.",
    ):
        session.numeric(numerics.RPL_INFO, text=line)


def _time(session: Session) -> None:
    server = session.server
    now = time.strftime("%A %B %d %Y -- %H:%M:%S UTC", time.gmtime(server.wall_clock()))
    session.numeric(numerics.RPL_TIME, server.name, text=now)


def _users(session: Session) -> None:
    """Who is logged in at the machine is nobody's business."""
    session.numeric(numerics.ERR_USERSDISABLED)


def _links(session: Session, message: Message) -> None:
    """LINKS [[<server>] <mask>]: this server alone, for there is no other."""
    server = session.server
    *asked, mask = message.params[:2] or ("*",)
    if asked and not is_here(session, asked[0]):
        session.numeric(numerics.ERR_NOSUCHSERVER, middle(asked[0]))
    elif glob(mask, server.name):
        name = server.name
        session.numeric(numerics.RPL_LINKS, name, name, text=f"0 {server.description}")
    session.numeric(numerics.RPL_ENDOFLINKS, middle(mask))


def _stats(session: Session, message: Message) -> None:
    """STATS <query> [<server>]: ``u``, how long the server runs. The rest is the operator's."""
    query, *asked = message.params[:2]
    letter = middle(query)[:1]
    if asked and not is_here(session, asked[0]):
        session.numeric(numerics.ERR_NOSUCHSERVER, middle(asked[0]))
    elif letter == "u":
        server = session.server
        minutes, seconds = divmod(int(server.clock() - server.started), 60)
        hours, minutes = divmod(minutes, 60)
        days, hours = divmod(hours, 24)
        session.numeric(
            numerics.RPL_STATSUPTIME,
            text=f"Server Up {days} days {hours}:{minutes:02}:{seconds:02}",
        )
    session.numeric(numerics.RPL_ENDOFSTATS, letter)


COMMANDS = {
    "LUSERS": Command(
        # LUSERS [<mask> [<server>]]
        _of_server(tell_lusers, place=1),
        help=("LUSERS", "Tells how many people and rooms there are."),
    ),
    "MOTD": Command(
        _of_server(tell_motd), help=("MOTD [<server>]", "Tells the message of the day.")
    ),
    "VERSION": Command(
        _of_server(_version),
        help=("VERSION [<server>]", "Tells the version of the server, and what there is here."),
    ),
    "ADMIN": Command(_of_server(_admin), help=("ADMIN [<server>]", "Tells who runs the server.")),
    "INFO": Command(
        _of_server(_info, end=numerics.RPL_ENDOFINFO),
        help=("INFO [<server>]", "Tells what the server is."),
    ),
    "TIME": Command(_of_server(_time), help=("TIME [<server>]", "Tells the server's time.")),
    "USERS": Command(
        _of_server(_users),
        help=("USERS [<server>]", "Would tell who is logged in at the machine, and does not."),
    ),
    "LINKS": Command(_links, help=("LINKS [[<server>] <mask>]", "Lists the servers: this one.")),
    "STATS": Command(
        _stats, 1, help=("STATS <query> [<server>]", "With u it tells how long the server runs.")
    ),
}
