"""The command table: all commands by name."""

from __future__ import annotations

from tcpd.chat.irc.commands import (
    about,
    channels,
    connection,
    gateways,
    handshaking,
    moderation,
    modes,
    monitor,
    multiline,
    names,
    operators,
    presence,
    talking,
    who,
    whois,
)
from tcpd.chat.irc.commands.command import IrcCommand
from tcpd.chat.irc.commands.helping import help_commands

COMMANDS: dict[str, IrcCommand] = {
    **connection.COMMANDS,
    **gateways.COMMANDS,
    **channels.COMMANDS,
    **names.COMMANDS,
    **moderation.COMMANDS,
    **modes.COMMANDS,
    **talking.COMMANDS,
    **multiline.COMMANDS,
    **presence.COMMANDS,
    **who.COMMANDS,
    **whois.COMMANDS,
    **monitor.COMMANDS,
    **about.COMMANDS,
    **handshaking.COMMANDS,
    **operators.COMMANDS,
}
COMMANDS |= help_commands(COMMANDS)
