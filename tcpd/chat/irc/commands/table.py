"""All commands by name."""

from __future__ import annotations

from tcpd.chat.irc.commands import about, channels, connection, multiline, presence, talking
from tcpd.chat.irc.commands.command import Command

COMMANDS: dict[str, Command] = {
    **connection.COMMANDS,
    **channels.COMMANDS,
    **talking.COMMANDS,
    **multiline.COMMANDS,
    **presence.COMMANDS,
    **about.COMMANDS,
}
