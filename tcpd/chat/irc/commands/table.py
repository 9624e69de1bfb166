"""The command table: all commands by name."""

from __future__ import annotations

from tcpd.chat.irc.commands import (
    about,
    channels,
    connection,
    gateways,
    handshake,
    history,
    messages,
    moderation,
    modes,
    monitor,
    multiline,
    names,
    operators,
    presence,
    who,
    whois,
)
from tcpd.chat.irc.commands.command import IrcCommand
from tcpd.chat.irc.commands.help import help_commands

COMMANDS: dict[str, IrcCommand] = {
    **connection.COMMANDS,
    **gateways.COMMANDS,
    **channels.COMMANDS,
    **names.COMMANDS,
    **moderation.COMMANDS,
    **modes.COMMANDS,
    **messages.COMMANDS,
    **multiline.COMMANDS,
    **history.COMMANDS,
    **presence.COMMANDS,
    **who.COMMANDS,
    **whois.COMMANDS,
    **monitor.COMMANDS,
    **about.COMMANDS,
    **handshake.COMMANDS,
    **operators.COMMANDS,
}
COMMANDS |= help_commands(COMMANDS)
