"""IRC commands by subject; :mod:`tcpd.chat.irc.commands.table` collects them."""
