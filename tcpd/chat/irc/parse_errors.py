"""Replies to lines that cannot be parsed."""

from __future__ import annotations

from tcpd.chat.irc import numerics
from tcpd.chat.irc.message import ParseError, ParseFault
from tcpd.chat.irc.reply import IrcReply


def send_parse_error(reply: IrcReply, error: ParseError) -> None:
    """Reply to a line that cannot be parsed. A NOTICE gets no reply (RFC 2812 section 3.3.2)
    except INVALID_UTF8, which UTF8ONLY requires."""
    reply.server.count["bad-lines"] += 1
    if error.fault is ParseFault.NOT_UTF8:
        text = "The line is not UTF-8; this server accepts UTF-8 only"
        reply.fail(error.command, "INVALID_UTF8", text=text, known=True)
    elif error.command == "NOTICE":
        return
    elif error.fault is ParseFault.TOO_LONG:
        reply.numeric(numerics.ERR_INPUTTOOLONG)
    elif error.fault is ParseFault.CONTROL:
        text = "The line contains a NUL"
        reply.fail(error.command, "INVALID_MESSAGE", text=text)
