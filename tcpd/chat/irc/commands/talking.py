"""Commands that say something: PRIVMSG and NOTICE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tcpd.chat.irc import numerics
from tcpd.chat.irc.commands.command import Command
from tcpd.chat.irc.commands.refusals import answer
from tcpd.chat.irc.message import Message
from tcpd.chat.split import split_message
from tcpd.events import Kind

if TYPE_CHECKING:
    from tcpd.chat.irc.session import Session


def _privmsg(session: Session, message: Message) -> None:
    member = session.member
    assert member is not None
    if len(message.params) < 2 or not message.params[1]:
        session.numeric(numerics.ERR_NOTEXTTOSEND)
        return
    target, text = message.params[:2]
    kind = Kind.MESSAGE if message.command == "PRIVMSG" else Kind.NOTICE
    for piece in split_message(text):
        if target.startswith("#"):
            refused = session.server.hub.say(member, target, piece, kind)
        else:
            refused = session.server.hub.tell(member, target, piece, kind)
        if refused is not None:
            answer(session, refused, target)
            return


COMMANDS = {
    "PRIVMSG": Command(_privmsg, 1, help=("PRIVMSG <target> :<text>", "Says something.")),
    "NOTICE": Command(_privmsg, 1, help=("NOTICE <target> :<text>", "Says it, for no answer.")),
}
