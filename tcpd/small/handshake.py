"""Handshake: sends each client a report on its own connection, and closes.

Not one of the classic small services; usable with nothing but ``nc``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Protocol, ServerFactory
from zope.interface import implementer

from tcpd.config.fields import option
from tcpd.config.values import choice
from tcpd.handshake.as_json import as_json
from tcpd.handshake.facts import Absence, Facts, NoServerIsn, Transport
from tcpd.handshake.page import page
from tcpd.handshake.report import build
from tcpd.interfaces import IConnection, IContext, IKind, IReconfigurable


@dataclass(frozen=True, slots=True, kw_only=True)
class HandshakeSettings:
    """The keys of a handshake service.

    :ivar format: ``text`` or ``json``.
    :ivar drawing: ``ascii`` or ``utf8``.
    """

    format: str = option(
        choice("text", "json"),
        "text",
        "Format of the report: text, for people, or json, one object on one line.",
    )
    drawing: str = option(
        choice("ascii", "utf8"),
        "ascii",
        "Characters of the drawing: ascii, which every terminal shows, or utf8, with "
        "box-drawing characters and arrows.",
    )


def report(facts: Facts, settings: HandshakeSettings) -> bytes:
    """Render the report for a client, 6 to 15 KiB.

    :return: lines with CRLF; ASCII, unless ``drawing = utf8``.
    """
    made = build(facts)
    if settings.format == "json":
        return json.dumps(as_json(made), separators=(",", ":")).encode("ascii") + b"\r\n"
    lines = page(made, settings.drawing == "utf8")
    return "".join(f"{line}\r\n" for line in lines).encode()


class HandshakeProtocol(Protocol):
    """Sends the report, and closes.

    :param factory: shared by the connections.
    """

    def __init__(self, factory: HandshakeFactory) -> None:
        self._factory = factory

    def connectionMade(self) -> None:
        """Send the report; the connection layer limits the time for reading it."""
        transport: Any = self.transport
        connection = IConnection(transport, None)
        facts = _UNKNOWN if connection is None else connection.facts()
        transport.write(report(facts, self._factory.settings))
        transport.loseConnection()


_UNKNOWN = Facts(
    transport=Transport.OTHER,
    no_saved_syn=Absence.NOT_TCP,
    no_server_isn=NoServerIsn.NOT_TCP,
)


@implementer(IReconfigurable)
class HandshakeFactory(ServerFactory):
    """One service.

    :param settings: the settings of the service.
    """

    noisy = False

    def __init__(self, settings: HandshakeSettings) -> None:
        self.settings = settings

    def reconfigure(self, settings: HandshakeSettings) -> None:
        """See :class:`tcpd.interfaces.IReconfigurable`."""
        self.settings = settings

    def buildProtocol(self, addr: IAddress | None) -> HandshakeProtocol:
        """Make the protocol of one connection."""
        return HandshakeProtocol(self)


@implementer(IKind)
class HandshakeKind:
    """``protocol = handshake``."""

    name = "handshake"
    summary = (
        "Shows clients their own TCP handshake, drawn and step by step, and their connection "
        "layer by layer, and closes."
    )
    settings = HandshakeSettings
    words: frozenset[str] = frozenset()
    idle = 600.0
    sample_listen = "127.0.0.1:7080"
    shows_handshakes = True

    def make_factory(self, settings: HandshakeSettings, context: IContext) -> HandshakeFactory:
        """Make the factory of one service."""
        return HandshakeFactory(settings)


kind = HandshakeKind()
