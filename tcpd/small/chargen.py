"""Character generator, RFC 864: text without end."""

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

#: The pattern of RFC 864 once round: 95 lines of 72 characters, each starting one character further
#: in the ring of the 95 printing ASCII characters, ended by CRLF: 7,030 bytes, over and over.
PATTERN = b"".join((_RING + _RING)[start : start + _WIDTH] + b"\r\n" for start in range(len(_RING)))

#: RFC 864: the answer to a datagram has "a random number (between 0 and 512) of characters".
MOST_IN_DATAGRAM = 512

#: What is written at once. Stock transports pause their producer when more than 65,536 bytes wait,
#: so this is one write for each time that a client has caught up, and all that is kept for one that
#: does not read.
CHUNK = PATTERN * 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargenSettings:
    """The keys of a chargen service.

    :ivar udp_rate: answers that one address gets; ``None`` for no limit.
    """

    udp_rate: Rate | None = option(RATE, NOT_LONGER, UDP_RATE)


def answer(datagram: bytes) -> bytes:
    """Answer a datagram (RFC 864, "UDP Based Character Generator Service").

    The RFC has the server choose how much to say. We choose as much as was sent, up to 512
    characters: whoever asks in another's name gains nothing by it (CVE-1999-0103, and many
    amplification attacks since).

    :return: the pattern's beginning, never longer than the datagram.
    """
    return PATTERN[: min(len(datagram), MOST_IN_DATAGRAM)]


@implementer(IPushProducer, IHalfCloseableProtocol, IFarewell)
class Chargen(Protocol):
    """Sends the pattern for as long as the client reads, and throws away what it receives.

    RFC 864: "This continues until the calling user terminates the connection." One that has closed
    only its sending side (``nc -N``) still wants to read, so it is sent to until it is gone.

    It writes one chunk a reactor turn at most, so that many of these leave time for others, and
    none while the transport has it paused.

    :param clock: to go on in the next reactor turn.
    """

    transport: ITransport

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._paused = False
        self._registered = False
        self._next: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """Begin."""
        self._registered = True
        cast(IConsumer, self.transport).registerProducer(self, True)
        self.resumeProducing()

    def dataReceived(self, data: bytes) -> None:
        """Throw it away."""

    def pauseProducing(self) -> None:
        """Write no more for now. Called by the transport when enough waits to be sent."""
        self._paused = True
        self._cancel()

    def resumeProducing(self) -> None:
        """Write on in the next reactor turn. Called by the transport when all has been sent."""
        self._paused = False
        if self._registered and self._next is None:
            self._next = self._clock.callLater(0, self._write)

    def stopProducing(self) -> None:
        """Write no more at all. Called by the transport when the connection is lost."""
        self._registered = False
        self._cancel()

    def readConnectionLost(self) -> None:
        """The client sends no more, and is still sent to."""

    def writeConnectionLost(self) -> None:
        """Nothing to do: only who closes the sending side alone is told this, and we don't."""

    def connectionLost(self, reason: Failure | None = None) -> None:
        """The transport has let go of its producer by itself."""
        self.stopProducing()

    def farewell(self, reason: End) -> bytes:
        """Have no last words, but let the close go through: a registered producer holds it up."""
        if self._registered:
            self.stopProducing()
            cast(IConsumer, self.transport).unregisterProducer()
        return b""

    def _write(self) -> None:
        self._next = None
        if getattr(self.transport, "disconnecting", False):
            return  # closing, and what is written now is lost or keeps it from closing
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

    :param clock: to go on in the next reactor turn.
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
        """Give the function that answers a datagram."""
        return answer


kind = ChargenKind()
