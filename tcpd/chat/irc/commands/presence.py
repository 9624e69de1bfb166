"""AWAY and SETNAME.

Sources: the Modern IRC Client Protocol, "AWAY message"; the IRCv3 specifications away-notify,
pre-away and setname.
"""

from __future__ import annotations

from tcpd.chat.irc import caps, numerics
from tcpd.chat.irc.commands.command import IrcCommand
from tcpd.chat.irc.commands.refusals import refusing
from tcpd.chat.irc.message import Message
from tcpd.chat.irc.reply import IrcReply
from tcpd.chat.refused import Refused


def _away(reply: IrcReply, message: Message) -> None:
    text = message.params[0] if message.params else ""
    number = numerics.RPL_NOWAWAY if text else numerics.RPL_UNAWAY
    if reply.client.person is not None:
        reply.ask(
            reply.server.hub.set_away,
            text,
            refused=refusing(reply, "AWAY"),
            then=lambda: reply.numeric(number),
        )
    elif caps.PRE_AWAY in reply.caps:
        # "If the capability has been negotiated, servers MUST accept the AWAY command before
        # connection registration has completed."
        reply.client.entry.away = text
        reply.numeric(number)
    else:
        reply.numeric(numerics.ERR_NOTREGISTERED)


def _setname(reply: IrcReply, message: Message) -> None:
    def refused(refused: Refused) -> None:
        reply.fail("SETNAME", "INVALID_REALNAME", text=refused.sentence, known=True)

    reply.ask(reply.server.hub.set_real_name, message.params[0], refused=refused)


COMMANDS = {
    "AWAY": IrcCommand(
        _away,
        0,
        True,
        help=("AWAY [:<message>]", "Marks you as away, or without a message as back."),
    ),
    "SETNAME": IrcCommand(_setname, 1, help=("SETNAME :<real name>", "Changes the real name.")),
}
