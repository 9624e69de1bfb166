"""Commands about oneself: AWAY and SETNAME.

Sources: the Modern IRC Client Protocol, "AWAY message"; the IRCv3 specifications away-notify,
pre-away and setname.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tcpd.chat.irc import caps, numerics
from tcpd.chat.irc.commands.command import Command
from tcpd.chat.irc.message import Message

if TYPE_CHECKING:
    from tcpd.chat.irc.session import Session


def _away(session: Session, message: Message) -> None:
    text = message.params[0] if message.params else ""
    if session.member is not None:
        session.server.hub.set_away(session.member, text)
    elif caps.PRE_AWAY in session.caps:
        # "If the capability has been negotiated, servers MUST accept the AWAY command before
        # connection registration has completed."
        session.entry.away = text
    else:
        session.numeric(numerics.ERR_NOTREGISTERED)
        return
    session.numeric(numerics.RPL_NOWAWAY if text else numerics.RPL_UNAWAY)


def _setname(session: Session, message: Message) -> None:
    assert session.member is not None
    refused = session.server.hub.set_real_name(session.member, message.params[0])
    if refused is not None:
        session.fail("SETNAME", "INVALID_REALNAME", text=refused.sentence, known=True)


COMMANDS = {
    "AWAY": Command(
        _away, 0, True, ("AWAY [:<message>]", "Is away, with a message; is back, without one.")
    ),
    "SETNAME": Command(_setname, 1, help=("SETNAME :<real name>", "Changes the real name.")),
}
