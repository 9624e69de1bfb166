"""Commands about the server: LUSERS, MOTD."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tcpd.chat.irc import numerics
from tcpd.chat.irc.commands.command import Command
from tcpd.chat.irc.message import Message

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
    session.numeric(numerics.RPL_LUSERCHANNELS, str(hub.room_count))
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


def _lusers(session: Session, message: Message) -> None:
    tell_lusers(session)


def _motd(session: Session, message: Message) -> None:
    tell_motd(session)


COMMANDS = {
    "LUSERS": Command(_lusers, help=("LUSERS", "Tells how many people and rooms there are.")),
    "MOTD": Command(_motd, help=("MOTD", "Tells the message of the day.")),
}
