"""Discard, RFC 863: received data is discarded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Protocol, ServerFactory
from zope.interface import implementer

from tcpd.config.values import Rate
from tcpd.interfaces import IContext, IDatagramKind, IReconfigurable


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscardSettings:
    """Discard has no keys, as it sends no replies to limit.

    :cvar udp_rate: required for a datagram kind; no limit.
    """

    udp_rate: ClassVar[Rate | None] = None


def answer(datagram: bytes) -> None:
    """Answer a datagram with nothing (RFC 863, "UDP Based Discard Service")."""


class Discard(Protocol):
    """Discards received data until the client closes.

    RFC 863: "This continues until the calling user terminates the connection." A half-closed client
    sends nothing more, so the connection is closed.
    """

    def dataReceived(self, data: bytes) -> None:
        """Discard it."""


@implementer(IReconfigurable)
class DiscardFactory(ServerFactory):
    """One discard service."""

    noisy = False

    def reconfigure(self, settings: object) -> None:
        """See :class:`tcpd.interfaces.IReconfigurable`; TCP has no options."""

    def buildProtocol(self, addr: IAddress | None) -> Discard:
        """Make the protocol of one connection."""
        return Discard()


@implementer(IDatagramKind)
class DiscardKind:
    """``protocol = discard``."""

    name = "discard"
    summary = "Discards what it receives (RFC 863)."
    settings = DiscardSettings
    words = frozenset({"udp"})
    idle = 600.0
    sample_listen = "127.0.0.1:7009"

    def make_factory(
        self,
        settings: DiscardSettings,
        context: IContext,
    ) -> DiscardFactory:
        """Make the factory of one service."""
        return DiscardFactory()

    def make_responder(
        self,
        settings: DiscardSettings,
        context: IContext,
    ) -> Callable[[bytes], bytes | None]:
        """See :meth:`tcpd.interfaces.IDatagramKind.make_responder`."""
        return answer


kind = DiscardKind()
