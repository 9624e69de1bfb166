"""All commands by name."""

from __future__ import annotations

from tcpd.chat.irc.commands import about, channels, connection, modes, operating, talking
from tcpd.chat.irc.commands.command import Command

COMMANDS: dict[str, Command] = {
    **connection.COMMANDS,
    **channels.COMMANDS,
    **operating.COMMANDS,
    **modes.COMMANDS,
    **talking.COMMANDS,
    **about.COMMANDS,
}
