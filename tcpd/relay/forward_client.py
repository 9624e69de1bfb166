"""One forwarded connection: the client's side and the far side, each the other's producer.

What one side sends is written to the other as it comes. A side that does not read is a full
transport, which stops reading from the other side; so what waits is bounded, both ways. The ends of
the two directions are passed on by themselves::

    client closes its sending side   ->  so does the far side's connection, when all is written
    far side closes its sending side ->  so does the client's connection, when all is written
    both have                        ->  both connections are closed
    one is reset or cut              ->  the other is reset, behind what came before

In TLS the end of a direction is close_notify (RFC 8446 section 6.1), on either side. A TLS stream
that ends without it was cut.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHalfCloseableProtocol,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from tcpd.interfaces import IBusy, IFarewell
from tcpd.policy.reasons import End
from tcpd.relay.forward_failures import TIMEOUT, Why, why_not_connected
from tcpd.relay.forward_far import LINGER, FarSide, Reading, discard
from tcpd.relay.forward_sides import Forwarding
from tcpd.relay.forward_wire import TLSFarSide
from tcpd.relay.presence import Presence

#: Seconds until an attempt to connect is given up whose client has gone. A far side that is there
#: by then sees a reset, as it does where a client connects to it directly.
GRACE = 0.05


class _Source(Reading):
    """The client as the far side's producer.

    :param transport: the client's.
    :param presence: looks after a client that is not read from.
    """

    def __init__(self, transport: Any, presence: Presence) -> None:
        super().__init__(transport)
        self._presence = presence

    def pauseProducing(self) -> None:
        self._presence.pause()
        super().pauseProducing()

    def resumeProducing(self) -> None:
        self._presence.resume()
        super().resumeProducing()


class _Once(Factory):
    """For an endpoint, which wants a factory where there is one protocol to be connected."""

    noisy = False

    def __init__(self, protocol: Protocol) -> None:
        self._made = protocol

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        return self._made


@implementer(IBusy, IHalfCloseableProtocol, IFarewell)
class ClientSide(Protocol):
    """The client's side. It begins by connecting to the far side, and reads nothing until then.

    It provides :class:`tcpd.relay.forward_sides.Client`, whose attributes are described there.

    :param factory: the service's.
    """

    transport: Any

    def __init__(self, factory: Forwarding) -> None:
        self._factory = factory
        self.route = factory.route  # as it is now: a reload changes it for others
        self.header = b""
        self._early: list[bytes] = []  # what was decrypted along with the end of a handshake
        self._write: Any = self._early.append
        self._far: FarSide | None = None
        self._attempt: Any = None
        self._timer: IDelayedCall | None = None
        self._joined = False
        self._read_over = False
        self._write_ending = False
        self._write_over = False
        self._undelivered = False  # the far side took no more, and the client said more
        self._ending = False  # by us: the connection will be closed or is
        self._gone = False

    # --- the client's connection ---

    @property
    def busy(self) -> bool:
        """See :class:`tcpd.interfaces.IBusy`: the far side is not there yet."""
        return not self._joined

    def connectionMade(self) -> None:
        """Go for the far side, and leave what the client says in the kernel until it is there."""
        self._presence = Presence(self.transport, self._factory.clock)
        self.transport.pauseProducing()
        self.header = self.route.header(self.transport)  # a transport that is gone may not know
        factory, tls = self._factory, self.route.tls
        far = FarSide(self, factory) if tls is None else TLSFarSide(self, factory, tls)
        self._far = far
        self._timer = factory.clock.callLater(self.route.timeout, self._timed_out)
        self._attempt = self.route.endpoint.connect(_Once(far.wire))
        self._attempt.addErrback(self._not_connected)

    def dataReceived(self, data: bytes) -> None:
        """Pass it on."""
        self._write(data)

    def readConnectionLost(self) -> None:
        """The client sends no more: nor do we, to the far side."""
        self._read_over = True
        self._presence.end()
        if self._joined and self._far is not None:
            self._far.end_writing()
        self._close_if_over()

    def writeConnectionLost(self) -> None:
        """The client has been sent the last of the far side's bytes."""
        self._write_over = True
        if self._far is None and not self._read_over:
            # closed with input unread, the connection would be reset, and those bytes lost
            self._timer = self._factory.clock.callLater(LINGER, self._close)
        self._close_if_over()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """The client is gone."""
        assert reason is not None
        self._gone = True
        self._presence.stop()
        self._write = discard
        done = isinstance(reason.value, ConnectionDone) and not self._ending
        if not self._joined:
            if done and self._early:
                return  # it said all it had to say, and that is still passed on
            self._give_up()
            return
        self._stop_timer()
        far, self._far = self._far, None
        if far is not None:
            far.finish(done or self._read_over)

    def farewell(self, reason: End) -> bytes:
        """No last words: the client does not know of this daemon. What it cuts off is reset, on
        both sides (docs/decisions/0003)."""
        self._ending = True
        if self._joined and self._far is not None:
            self._far.stop_reading()
        if not self._write_ending:
            self.transport.resetConnection()
        return b""

    # --- from the far side ---

    def joined(self) -> None:
        """See :class:`tcpd.relay.forward_sides.Client`, as for those that follow."""
        self._stop_timer()
        self._attempt = None
        self._joined = True
        far = self._far
        assert far is not None
        if self._ending:
            far.abort()
            return
        far.attach(_Source(self.transport, self._presence))
        early, self._early = self._early, []
        if self._gone:
            self._far = None
            for data in early:
                far.write(data)
            far.finish(True)
            return
        self._write = far.write
        self.transport.registerProducer(Reading(far.transport), True)
        self.transport.resumeProducing()
        for data in early:
            far.write(data)
        if self._read_over:
            far.end_writing()

    def far_ended(self) -> None:
        if not (self._gone or self._write_ending):
            self._write_ending = True
            self.transport.unregisterProducer()
            self.transport.loseWriteConnection()

    def far_deaf(self) -> None:
        self._undelivered = True

    def far_gone(self, *, reset: bool = False, deaf: bool = False) -> None:
        self._far = None
        self._write = self._throw_away if deaf else discard
        if self._gone:
            return
        if reset:
            self.transport.resetConnection()
        elif self._write_over:
            self.writeConnectionLost()
        else:
            if not self._read_over:
                self.transport.resumeProducing()
            self.far_ended()

    def far_failed(self, why: Why) -> None:
        if self._ending or self._joined:
            return
        self._factory.failed(why, self)
        self._give_up()
        if not self._gone:
            # a clean end would look like an answer of no bytes, and as if all had been delivered
            self.transport.abortConnection()

    # --- inside ---

    def _not_connected(self, failure: Failure) -> None:
        self._attempt = None
        if self._far is not None and not self._far.wire.connected:
            self.far_failed(why_not_connected(failure))

    def _timed_out(self) -> None:
        self._timer = None
        if self._attempt is not None:
            self._attempt.cancel()  # a look-up fails with a sentence on the resolver
        self.far_failed(Why(TIMEOUT, "it does not answer"))

    def _give_up(self) -> None:
        """Want no far side any more, however far that has come."""
        self._ending = True
        self._early.clear()
        self._stop_timer()
        attempt, self._attempt = self._attempt, None
        far, self._far = self._far, None
        if far is not None:
            far.abort()
        if attempt is not None:
            # cancelled at once, what the kernel has just connected would be closed in good order
            self._factory.clock.callLater(GRACE, attempt.cancel)

    def _close_if_over(self) -> None:
        if self._read_over and self._write_over:
            self._close()

    def _close(self) -> None:
        self._ending = True
        self._stop_timer()
        if self._gone:
            return
        if self._undelivered:
            self.transport.resetConnection()
        else:
            self.transport.loseConnection()

    def _throw_away(self, data: bytes) -> None:
        self._undelivered = True

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()
