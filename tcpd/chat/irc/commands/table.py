"""All commands by name."""

from __future__ import annotations

from tcpd.chat.irc.commands import (
    about,
    channels,
    connection,
    gateways,
    handshaking,
    modes,
    monitor,
    multiline,
    names,
    operating,
    operators,
    presence,
    talking,
    who,
    whois,
)
from tcpd.chat.irc.commands.command import Command
from tcpd.chat.irc.commands.helping import help_commands

COMMANDS: dict[str, Command] = {
    **connection.COMMANDS,
    **gateways.COMMANDS,
    **channels.COMMANDS,
    **names.COMMANDS,
    **operating.COMMANDS,
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
