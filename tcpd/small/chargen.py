"""Character generator, RFC 864: an endless pattern."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IDelayedCall,
    IHalfCloseableProtocol,
    IPushProducer,
    IReactorTime,
    ITransport,
)
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from tcpd.config.fields import option
from tcpd.config.values import RATE, Rate
from tcpd.interfaces import IContext, IDatagramKind, IFarewell, IReconfigurable
from tcpd.policy.reasons import End
from tcpd.small.udprate import NOT_LONGER, UDP_RATE

_RING = bytes(range(0x20, 0x7F))
_WIDTH = 72

#: One period of RFC 864's pattern: 95 lines of 72 characters and CRLF, each starting one character
#: later in the ring of the 95 printing ASCII characters; 7,030 bytes.
PATTERN = b"".join((_RING + _RING)[start : start + _WIDTH] + b"\r\n" for start in range(len(_RING)))

#: RFC 864: the answer to a datagram has "a random number (between 0 and 512) of characters".
MOST_IN_DATAGRAM = 512

#: The size of a write. Twisted's transports pause their producer above 65,536 buffered bytes, so a
#: client that does not read has one chunk buffered.
CHUNK = PATTERN * 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargenSettings:
    """The keys of a chargen service.

    :ivar udp_rate: the rate of replies to one address; ``None`` for no limit.
    """

    udp_rate: Rate | None = option(RATE, NOT_LONGER, UDP_RATE)


def answer(datagram: bytes) -> bytes:
    """Answer a datagram (RFC 864, "UDP Based Character Generator Service").

    The RFC leaves the length to the server. The reply is as long as the datagram, up to 512
    characters, so that forged source addresses give no amplification (CVE-1999-0103).

    :return: the start of the pattern, never longer than the datagram.
    """
    return PATTERN[: min(len(datagram), MOST_IN_DATAGRAM)]


@implementer(IPushProducer, IHalfCloseableProtocol, IFarewell)
class Chargen(Protocol):
    """Sends the pattern while the client reads, and discards received data.

    RFC 864: "This continues until the calling user terminates the connection." A client that has
    half-closed (``nc -N``) still reads, so sending continues.

    It writes at most one chunk in a reactor turn, to be fair to other clients, and none while
    paused.

    :param clock: schedules the next chunk.
    """

    transport: ITransport

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._paused = False
        self._registered = False
        self._next: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """Start sending."""
        self._registered = True
        cast(IConsumer, self.transport).registerProducer(self, True)
        self.resumeProducing()

    def dataReceived(self, data: bytes) -> None:
        """Discard it."""

    def pauseProducing(self) -> None:
        """Pause. Called by the transport when its buffer is full."""
        self._paused = True
        self._cancel()

    def resumeProducing(self) -> None:
        """Continue in the next reactor turn. Called by the transport when its buffer is empty."""
        self._paused = False
        if self._registered and self._next is None:
            self._next = self._clock.callLater(0, self._write)

    def stopProducing(self) -> None:
        """Stop. Called by the transport when the connection is lost."""
        self._registered = False
        self._cancel()

    def readConnectionLost(self) -> None:
        """Keep sending: the client has half-closed."""

    def writeConnectionLost(self) -> None:
        """Never called, as the server does not half-close."""

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Stop. The transport has unregistered its producer."""
        self.stopProducing()

    def farewell(self, reason: End) -> bytes:
        """Unregister the producer, which would delay the close; send nothing."""
        if self._registered:
            self.stopProducing()
            cast(IConsumer, self.transport).unregisterProducer()
        return b""

    def _write(self) -> None:
        self._next = None
        if getattr(self.transport, "disconnecting", False):
            return  # closing: further data would be lost or delay the close
        self.transport.write(CHUNK)
        if not self._paused:
            self.resumeProducing()

    def _cancel(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None


@implementer(IReconfigurable)
class ChargenFactory(ServerFactory):
    """One chargen service.

    :param clock: schedules chunks.
    """

    noisy = False

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock

    def reconfigure(self, settings: object) -> None:
        """See :class:`tcpd.interfaces.IReconfigurable`; TCP has no options."""

    def buildProtocol(self, addr: IAddress | None) -> Chargen:
        """Make the protocol of one connection."""
        return Chargen(self._clock)


@implementer(IDatagramKind)
class ChargenKind:
    """``protocol = chargen``."""

    name = "chargen"
    summary = "Sends text without end while the client reads (RFC 864)."
    settings = ChargenSettings
    words = frozenset({"udp"})
    idle = 600.0
    sample_listen = "127.0.0.1:7019"

    def make_factory(
        self,
        settings: ChargenSettings,
        context: IContext,
    ) -> ChargenFactory:
        """Make the factory of one service."""
        return ChargenFactory(context.clock)

    def make_responder(
        self,
        settings: ChargenSettings,
        context: IContext,
    ) -> Callable[[bytes], bytes | None]:
        """See :meth:`tcpd.interfaces.IDatagramKind.make_responder`."""
        return answer


kind = ChargenKind()
