"""HANDSHAKE: shows a client its own connection. Not in any specification."""

from __future__ import annotations

import json

from tcpd.chat.irc import numerics
from tcpd.chat.irc.commands.command import IrcCommand
from tcpd.chat.irc.commands.refusals import middle
from tcpd.chat.irc.message import Message
from tcpd.chat.irc.reply import IrcReply
from tcpd.handshake.as_json import handshake_json
from tcpd.handshake.page import drawing_and_steps
from tcpd.handshake.report import build
from tcpd.handshake.text import REPLY_WIDTH, layers_lines

#: Characters of JSON in a line, all ASCII.
JSON_PIECE = 350


def _handshake(reply: IrcReply, message: Message) -> None:
    """Reply with numerics of INFO: clients may open a window or beep for a NOTICE."""
    form = message.params[0].lower() if message.params else ""
    facts = reply.client.facts()
    if facts is None:
        reply.fail("HANDSHAKE", "UNKNOWN", text="The handshake of your connection is not known")
        return
    report = build(facts)
    match form:
        case "":
            lines = drawing_and_steps(report, True, REPLY_WIDTH)
        case "layers":
            lines = layers_lines(report, True, REPLY_WIDTH)
        case "json":
            text = json.dumps(handshake_json(report), separators=(",", ":"))
            lines = [text[at : at + JSON_PIECE] for at in range(0, len(text), JSON_PIECE)]
        case _:
            reply.fail(
                "HANDSHAKE", "UNKNOWN_FORM", middle(form), text="HANDSHAKE takes layers or json"
            )
            return
    reply.stream(reply.numeric_line(numerics.RPL_INFO, text=line) for line in lines)
    reply.stream([reply.numeric_line(numerics.RPL_ENDOFINFO, text="End of HANDSHAKE")])


COMMANDS = {
    "HANDSHAKE": IrcCommand(
        _handshake,
        help=(
            "HANDSHAKE [layers|json]",
            "Draws your connection's three-way handshake and explains it step by step, with",
            "anomalies; or shows your connection layer by layer; or the handshake as JSON,",
            f"in lines of {JSON_PIECE} characters, to be joined.",
        ),
    ),
}
