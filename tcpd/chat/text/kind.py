"""``protocol = chat``: rooms for nc, telnet and openssl s_client."""

from __future__ import annotations

from twisted.internet.interfaces import IProtocolFactory
from zope.interface import implementer

from tcpd.chat.text.protocol import TextFactory
from tcpd.chat.text.settings import TextSettings
from tcpd.interfaces import IContext, IKind


@implementer(IKind)
class ChatKind:
    """The kind of the text frontend."""

    name = "chat"
    summary = "Chat rooms for nc and telnet."
    settings = TextSettings
    words: frozenset[str] = frozenset()
    idle = 0.0
    sample_listen = "127.0.0.1:7200"
    shows_handshakes = True

    def make_factory(self, settings: TextSettings, context: IContext) -> IProtocolFactory:
        return TextFactory(settings, context)


kind = ChatKind()
