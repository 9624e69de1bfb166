"""What a client is told of a line that cannot be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tcpd.chat.irc import numerics
from tcpd.chat.irc.message import Fault, ParseError

if TYPE_CHECKING:
    from tcpd.chat.irc.session import Session


def tell_unreadable(session: Session, error: ParseError) -> None:
    """Tell it. "A NOTICE message is never answered automatically" (RFC 2812 section 3.3.2), but for
    what its specification, UTF8ONLY, has answered."""
    session.server.hub.settle()
    session.server.count["bad-lines"] += 1
    if error.fault is Fault.NOT_UTF8:
        text = "That line is not UTF-8, which is all that is spoken here"
        session.fail(error.command, "INVALID_UTF8", text=text, known=True)
    elif error.command == "NOTICE":
        return
    elif error.fault is Fault.TOO_LONG:
        session.numeric(numerics.ERR_INPUTTOOLONG)
    elif error.fault is Fault.CONTROL:
        text = "There is a NUL in that line"
        session.fail(error.command, "INVALID_MESSAGE", text=text)
