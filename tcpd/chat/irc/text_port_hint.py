"""People at the port of IRC who mean the text frontend."""

from __future__ import annotations

from tcpd.chat.irc.message import Message
from tcpd.chat.irc.reply import IrcReply

# programs send these before they register, and nobody types them: the tls and sasl extensions of
# IRCv3, and what servers open with (RFC 2813 section 4.1)
_OF_PROGRAMS = frozenset({"AUTHENTICATE", "ERROR", "PROTOCTL", "SERVER", "SERVICE", "STARTTLS"})


def send_text_port_hint(reply: IrcReply, message: Message) -> None:
    """Show a person with nc or telnet, who has sent nothing of IRC, which port to use.

    :param message: with an unknown command, before registration.
    """
    entry = reply.client.entry
    if entry.nick or entry.user or entry.negotiating or message.command in _OF_PROGRAMS:
        return
    port = reply.server.text_port()
    if port is not None:
        sentence = f"This port is for IRC clients; with nc or telnet, use port {port}"
        reply.from_server("NOTICE", "*", sentence, colon=True)
