"""The reply to a line that cannot be read."""

from __future__ import annotations

from tcpd.chat.irc import numerics
from tcpd.chat.irc.message import ParseError, ParseFault
from tcpd.chat.irc.reply import IrcReply


def send_parse_error(reply: IrcReply, error: ParseError) -> None:
    """Send what is wrong. "A NOTICE message is never answered automatically" (RFC 2812 section
    3.3.2), except where the specification UTF8ONLY has a reply to it."""
    reply.server.count["bad-lines"] += 1
    if error.fault is ParseFault.NOT_UTF8:
        text = "That line is not UTF-8, which is all that is spoken here"
        reply.fail(error.command, "INVALID_UTF8", text=text, known=True)
    elif error.command == "NOTICE":
        return
    elif error.fault is ParseFault.TOO_LONG:
        reply.numeric(numerics.ERR_INPUTTOOLONG)
    elif error.fault is ParseFault.CONTROL:
        text = "There is a NUL in that line"
        reply.fail(error.command, "INVALID_MESSAGE", text=text)
