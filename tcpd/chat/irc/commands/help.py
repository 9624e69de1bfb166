"""HELP and HELPOP.

Source: the Modern IRC Client Protocol, "HELP message"
(https://modern.ircdocs.horse/#help-message).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tcpd.chat.irc import numerics
from tcpd.chat.irc.commands.command import IrcCommand
from tcpd.chat.irc.commands.refusals import middle
from tcpd.chat.irc.commands.wrapping import packed
from tcpd.chat.irc.message import Message
from tcpd.chat.irc.reply import IrcReply

#: Maximum bytes of names in a line of the index.
_INDEX_WIDTH = 70


def help_commands(others: Mapping[str, IrcCommand]) -> dict[str, IrcCommand]:
    """Return HELP and HELPOP, which explain all commands."""
    explained: dict[str, IrcCommand] = dict(others)

    def call(reply: IrcReply, message: Message) -> None:
        subject = message.params[0] if message.params else ""
        if not subject or subject == "*":
            _send(reply, "*", _index(explained))
            return
        command = explained.get(subject.upper())
        if command is None or not command.help:
            reply.numeric(numerics.ERR_HELPNOTFOUND, middle(subject))
            return
        _send(reply, subject.upper(), iter(command.help))

    lines = ("HELP [<command>]", "Lists the commands, or explains one.")
    own = {name: IrcCommand(call, help=lines) for name in ("HELP", "HELPOP")}
    explained.update(own)
    return own


def _index(commands: Mapping[str, IrcCommand]) -> Iterator[str]:
    yield "HELP <command> explains one of these:"
    yield from packed(sorted(commands), _INDEX_WIDTH, " ")


def _send(reply: IrcReply, subject: str, lines: Iterator[str]) -> None:
    """Send lines of help; the first as RPL_HELPSTART."""
    reply.numeric(numerics.RPL_HELPSTART, subject, text=next(lines))
    for line in lines:
        reply.numeric(numerics.RPL_HELPTXT, subject, text=line)
    reply.numeric(numerics.RPL_ENDOFHELP, subject, text="End of help")
