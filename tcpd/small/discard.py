"""Discard, RFC 863: what is sent is thrown away."""

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
    """Discard has no keys: it never answers, so there is no rate to set.

    :cvar udp_rate: what the listener asks of every datagram kind; no limit.
    """

    udp_rate: ClassVar[Rate | None] = None


def answer(datagram: bytes) -> None:
    """Answer a datagram with nothing (RFC 863, "UDP Based Discard Service")."""


class Discard(Protocol):
    """Throws away what it receives, until the client closes.

    RFC 863: "This continues until the calling user terminates the connection." A client that has
    closed its sending side has nothing more to throw away, so the connection is closed.
    """

    def dataReceived(self, data: bytes) -> None:
        """Throw it away."""


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
        """Give the function that answers a datagram."""
        return answer


kind = DiscardKind()
