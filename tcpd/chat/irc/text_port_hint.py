"""Hint for users of nc or telnet who connect to the IRC port."""

from __future__ import annotations

from tcpd.chat.irc.message import Message
from tcpd.chat.irc.reply import IrcReply

# sent by programs before registration: IRCv3's tls and sasl, and servers (RFC 2813 section 4.1)
_OF_PROGRAMS = frozenset({"AUTHENTICATE", "ERROR", "PROTOCTL", "SERVER", "SERVICE", "STARTTLS"})


def send_text_port_hint(reply: IrcReply, message: Message) -> None:
    """Send the port of the text frontend, unless the client has sent any command of IRC.

    :param message: a message with an unknown command, before registration.
    """
    entry = reply.client.entry
    if entry.nick or entry.user or entry.negotiating or message.command in _OF_PROGRAMS:
        return
    port = reply.server.text_port()
    if port is not None:
        sentence = f"This port is for IRC clients; with nc or telnet, use port {port}"
        reply.from_server("NOTICE", "*", sentence, colon=True)
