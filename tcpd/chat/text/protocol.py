"""The Twisted protocol and factory of the text frontend."""

from __future__ import annotations

from twisted.internet.interfaces import IAddress
from zope.interface import implementer

from tcpd.chat.edge import ChatFactory, ChatProtocol
from tcpd.chat.outbox import Outbox
from tcpd.chat.people import Profile
from tcpd.chat.text.conversation import LINE_BYTES, TextConversation
from tcpd.chat.text.render import TextFormat, encode_lines
from tcpd.chat.text.server import TextServer
from tcpd.chat.text.settings import TextSettings
from tcpd.interfaces import IConnection, IContext, IReconfigurable, IRefusing
from tcpd.lines.linebuffer import LineFault
from tcpd.policy.reasons import Refusal
from tcpd.wire.telnet import TelnetFilter


class TextProtocol(ChatProtocol):
    """One connection of the text frontend.

    :param factory: the factory of the service.
    """

    __slots__ = ("_telnet", "_texts")

    def __init__(self, factory: TextFactory) -> None:
        super().__init__(factory)
        self._texts = factory
        self._telnet = TelnetFilter()

    def converse(self, outbox: Outbox, connection: IConnection | None) -> TextConversation:
        profile = Profile()
        if connection is not None:
            secure = connection.tls is not None or connection.address is None
            profile = Profile(address=connection.address, secure=secure)
        return TextConversation(self._texts.server, outbox, profile, self)

    def split(self, data: bytes) -> list[bytes | LineFault]:
        """Split into lines, after answering and removing telnet commands."""
        data, answers = self._telnet.feed(data)
        if answers:
            self._outbox.put(answers)
        return super().split(data)


@implementer(IReconfigurable, IRefusing)
class TextFactory(ChatFactory):
    """State that the connections of one text service share.

    :param settings: the settings of the service.
    :param context: see :class:`tcpd.interfaces.IContext`.
    """

    line_bytes = LINE_BYTES

    def __init__(self, settings: TextSettings, context: IContext) -> None:
        super().__init__(context)
        self.server = TextServer(
            self.hub, TextFormat(), self.server_name, self.counters.events, context.directory
        )
        self.reconfigure(settings)

    def reconfigure(self, settings: TextSettings) -> None:
        """See :class:`tcpd.interfaces.IReconfigurable`. Open connections keep the old settings."""
        self.settings = settings
        self.rate = settings.rate
        self.entry_timeout = settings.nick_timeout

    def buildProtocol(self, addr: IAddress | None) -> TextProtocol:
        return TextProtocol(self)

    def refusal(self, reason: Refusal) -> bytes:
        """See :class:`tcpd.interfaces.IRefusing`."""
        return encode_lines((f"! {reason.sentence}",))
