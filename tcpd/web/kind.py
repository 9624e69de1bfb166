"""``protocol = web``."""

from __future__ import annotations

from twisted.internet.interfaces import IProtocolFactory
from zope.interface import implementer

from tcpd.interfaces import IContext, IKind
from tcpd.web.settings import WebSettings


@implementer(IKind)
class WebKind:
    """The pages as a kind of service."""

    name = "web"
    summary = "Pages: your connection's handshake drawn and explained, the chat rooms, the status."
    settings = WebSettings
    words: frozenset[str] = frozenset()
    #: HTTP has its own timeouts.
    idle = 0.0
    sample_listen = "127.0.0.1:7800"
    shows_handshakes = True

    def make_factory(self, settings: WebSettings, context: IContext) -> IProtocolFactory:
        # jinja2 and h11 take a part of a start
        from tcpd.web.pages import web_factory

        return web_factory(settings, context)


kind = WebKind()
