"""The commands of IRC, a module a subject; :mod:`tcpd.chat.irc.commands.table` has all of them."""
