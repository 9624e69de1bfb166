"""``protocol = irc``: the chat rooms for IRC clients."""

from __future__ import annotations

from twisted.internet.interfaces import IProtocolFactory
from zope.interface import implementer

from tcpd.chat.irc.protocol import IrcFactory
from tcpd.chat.irc.settings import IrcSettings
from tcpd.interfaces import IContext, IKind


@implementer(IKind)
class IrcKind:
    """Kind of the IRC frontend."""

    name = "irc"
    summary = "The same rooms for IRC clients."
    settings = IrcSettings
    words: frozenset[str] = frozenset({"websocket"})
    idle = 0.0
    sample_listen = "127.0.0.1:7667"
    shows_handshakes = True

    def make_factory(self, settings: IrcSettings, context: IContext) -> IProtocolFactory:
        return IrcFactory(settings, context)


kind = IrcKind()
