"""Plugin protocols with WebSocket for a live daemon: the text frontend, and one that floods.

Neither protocol knows its transport.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol
from zope.interface import implementer

from tcpd.api import (
    IRCV3,
    IKind,
    IWebSocketFactory,
    WebSocketOptions,
    origins_option,
    ping_option,
)
from tcpd.chat.text.kind import ChatKind
from tcpd.chat.text.protocol import TextFactory
from tcpd.chat.text.settings import TextSettings

ENTRY_POINTS = """\
[tcpd.protocols]
talk = over_websocket:talk
much = over_websocket:much
"""


def installed(site: Path) -> str:
    """Register the entry points of this module as an installed package would.

    :param site: an empty directory.
    :return: what to put into ``PYTHONPATH``.
    """
    info = site / "over_websocket-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: over-websocket\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    (site / "over_websocket.py").symlink_to(Path(__file__).resolve())
    return str(site)


@dataclass(frozen=True, kw_only=True, slots=True)
class TalkSettings(TextSettings):
    """Keys of the text frontend and of WebSocket."""

    websocket_origins: tuple[str, ...] = origins_option()
    websocket_ping: float = ping_option()


@implementer(IWebSocketFactory)
class TalkFactory(TextFactory):
    """Factory of the text frontend, with WebSocket."""

    @property
    def websocket(self) -> WebSocketOptions:
        settings: Any = self.settings
        return WebSocketOptions(
            longest=2000,
            subprotocols=IRCV3,
            origins=settings.websocket_origins,
            ping=settings.websocket_ping,
        )


@implementer(IKind)
class TalkKind(ChatKind):
    """``protocol = talk``: the rooms of ``protocol = chat``."""

    name = "talk"
    settings = TalkSettings
    words = frozenset({"websocket"})
    sample_listen: Any = None

    def make_factory(self, settings: Any, context: Any) -> TalkFactory:
        return TalkFactory(settings, context)


@dataclass(frozen=True, kw_only=True, slots=True)
class MuchSettings:
    """The keys of a service."""

    websocket_origins: tuple[str, ...] = origins_option()
    websocket_ping: float = ping_option()


class Much(Protocol):
    """Writes each line a hundred times, without flow control."""

    transport: Any

    def dataReceived(self, data: bytes) -> None:
        for line in data.splitlines(keepends=True):
            self.transport.write(line * 100)


@implementer(IWebSocketFactory)
class MuchFactory(Factory):
    """Makes one Much for each client."""

    noisy = False

    def __init__(self, settings: MuchSettings) -> None:
        self.websocket = WebSocketOptions(
            longest=2000,
            subprotocols=IRCV3,
            origins=settings.websocket_origins,
            ping=settings.websocket_ping,
        )

    def buildProtocol(self, addr: IAddress | None) -> Much:
        return Much()


@implementer(IKind)
class MuchKind:
    """``protocol = much``: floods its client."""

    name = "much"
    summary = "Floods its client."
    settings = MuchSettings
    words = frozenset({"websocket"})
    idle = 0.0
    sample_listen = None

    def make_factory(self, settings: Any, context: Any) -> MuchFactory:
        return MuchFactory(settings)


talk = TalkKind()
much = MuchKind()
