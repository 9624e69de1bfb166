"""The text door's edge: a :class:`~tcpd.chat.text.session.Session` on a Twisted transport."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IAddress
from zope.interface import implementer

from tcpd.chat.edge import DoorFactory, DoorProtocol
from tcpd.chat.member import Profile
from tcpd.chat.outbox import Outbox
from tcpd.chat.text.render import TextFormat, encode_lines
from tcpd.chat.text.session import LINE_BYTES, Session
from tcpd.chat.text.settings import TextSettings
from tcpd.interfaces import IContext, IReconfigurable, IRefusing
from tcpd.policy.reasons import Refusal
from tcpd.wire.linebuffer import Fault
from tcpd.wire.telnet import TelnetFilter


class TextProtocol(DoorProtocol):
    """One connection of the text door.

    :param factory: what its connections share.
    """

    def __init__(self, factory: TextFactory) -> None:
        super().__init__(factory)
        self._texts = factory
        self._telnet = TelnetFilter()

    def converse(self, outbox: Outbox, connection: Any) -> Session:
        factory = self._texts
        profile = Profile()
        if connection is not None:
            secure = connection.tls is not None or connection.address is None
            profile = Profile(address=connection.address, secure=secure)
        return Session(
            factory.hub,
            factory.format,
            outbox,
            profile,
            factory.server_name,
            factory.counters.events,
            self.hang_up,
            self.cut,
            self.facts,
            factory.directory,
        )

    def split(self, data: bytes) -> list[bytes | Fault]:
        """The same, with telnet's commands answered and taken out before."""
        data, answers = self._telnet.feed(data)
        if answers:
            self._outbox.put(answers)
        return super().split(data)


@implementer(IReconfigurable, IRefusing)
class TextFactory(DoorFactory):
    """What the connections of one text door share.

    :param settings: the door's.
    :param context: see :class:`tcpd.interfaces.IContext`.
    """

    line_bytes = LINE_BYTES

    def __init__(self, settings: TextSettings, context: IContext) -> None:
        super().__init__(context)
        self.format = TextFormat()
        self.directory = context.directory
        self.reconfigure(settings)

    def reconfigure(self, settings: TextSettings) -> None:
        """See :class:`tcpd.interfaces.IReconfigurable`. Those who are connected keep the old."""
        self.settings = settings
        self.rate = settings.rate
        self.entry_timeout = settings.nick_timeout

    def buildProtocol(self, addr: IAddress | None) -> TextProtocol:
        return TextProtocol(self)

    def refusal(self, reason: Refusal) -> bytes:
        """See :class:`tcpd.interfaces.IRefusing`."""
        return encode_lines((f"! {reason.sentence}",))
