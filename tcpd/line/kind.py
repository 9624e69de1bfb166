"""``protocol = line``."""

from __future__ import annotations

from zope.interface import implementer

from tcpd.interfaces import IContext, IKind
from tcpd.line.factory import LineFactory
from tcpd.line.loading import load_commands
from tcpd.line.settings import LineSettings


@implementer(IKind)
class LineKind:
    """The line protocol as a kind of service."""

    name = "line"
    summary = "Command lines and numbered replies, by hand or by program; extensible."
    settings = LineSettings
    words = frozenset({"starttls"})
    idle = 600.0
    sample_listen = "127.0.0.1:7100"
    shows_handshakes = True

    def make_factory(self, settings: LineSettings, context: IContext) -> LineFactory:
        """See :meth:`tcpd.interfaces.IKind.make_factory`."""
        return LineFactory(settings, context, load_commands())


kind = LineKind()
