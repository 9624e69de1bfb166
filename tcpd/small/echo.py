"""Echo, RFC 862: received data is sent back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IHalfCloseableProtocol,
    IPushProducer,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from tcpd.config.fields import option
from tcpd.config.values import RATE, Rate
from tcpd.interfaces import IContext, IDatagramKind, IFarewell, IReconfigurable
from tcpd.policy.reasons import End
from tcpd.small.udprate import NOT_LONGER, UDP_RATE


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoSettings:
    """The keys of an echo service.

    :ivar udp_rate: the rate of replies to one address; ``None`` for no limit.
    """

    udp_rate: Rate | None = option(RATE, NOT_LONGER, UDP_RATE)


def answer(datagram: bytes) -> bytes:
    """Answer a datagram with its payload (RFC 862, "UDP Based Echo Service")."""
    return datagram


@implementer(IHalfCloseableProtocol, IFarewell)
class Echo(Protocol):
    """Sends back received data.

    The transport is its own producer: when its send buffer is full it pauses reading, so a client
    that does not read uses bounded memory.

    A half-closed client (``nc -N``) gets all its data, and then the connection is closed.
    """

    transport: ITCPTransport

    def __init__(self) -> None:
        self._registered = False

    def connectionMade(self) -> None:
        """Pause reading while the send buffer is full."""
        self._registered = True
        transport = cast(IPushProducer, self.transport)
        cast(IConsumer, self.transport).registerProducer(transport, True)

    def dataReceived(self, data: bytes) -> None:
        """Send it back."""
        self.transport.write(data)

    def readConnectionLost(self) -> None:
        """Close after all is sent: the client has half-closed."""
        self._unregister()
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Never called, as the server does not half-close."""

    def connectionLost(self, reason: Failure | None = None) -> None:
        """The transport has unregistered its producer."""
        self._registered = False

    def farewell(self, reason: End) -> bytes:
        """Unregister the producer, which would delay the close; send nothing."""
        self._unregister()
        return b""

    def _unregister(self) -> None:
        if self._registered:
            self._registered = False
            cast(IConsumer, self.transport).unregisterProducer()


@implementer(IReconfigurable)
class EchoFactory(ServerFactory):
    """One echo service."""

    noisy = False

    def reconfigure(self, settings: object) -> None:
        """See :class:`tcpd.interfaces.IReconfigurable`; TCP has no options."""

    def buildProtocol(self, addr: IAddress | None) -> Echo:
        """Make the protocol of one connection."""
        return Echo()


@implementer(IDatagramKind)
class EchoKind:
    """``protocol = echo``."""

    name = "echo"
    summary = "Sends back what it receives (RFC 862)."
    settings = EchoSettings
    words = frozenset({"udp"})
    idle = 600.0
    sample_listen = "127.0.0.1:7007"

    def make_factory(self, settings: EchoSettings, context: IContext) -> EchoFactory:
        """Make the factory of one service."""
        return EchoFactory()

    def make_responder(
        self,
        settings: EchoSettings,
        context: IContext,
    ) -> Callable[[bytes], bytes | None]:
        """See :meth:`tcpd.interfaces.IDatagramKind.make_responder`."""
        return answer


kind = EchoKind()
