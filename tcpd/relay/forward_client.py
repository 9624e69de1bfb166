"""One forwarded connection: the client's side and the far side, each the other's producer.

Data from one side is written to the other at once. If a side does not read, its transport pauses
reading from the other side, so both buffers are bounded. Each direction is closed separately::

    client half-closes      ->  far side's connection is half-closed, when all is written
    far side half-closes    ->  client's connection is half-closed, when all is written
    both have half-closed   ->  both connections are closed
    one is reset or cut     ->  the other is reset, after all data received before

In TLS, half-close is close_notify (RFC 8446 section 6.1). A TLS stream that ends without it was
truncated.
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
from tcpd.relay.forward_failures import TIMEOUT, FarFailure, connect_failure
from tcpd.relay.forward_far import LINGER, FarSide, ReadingProducer, discard
from tcpd.relay.forward_sides import Forwarding
from tcpd.relay.forward_wire import TLSFarSide
from tcpd.relay.peer_monitor import PeerMonitor

#: Seconds until an attempt to connect is cancelled after its client is lost. A far side connected
#: by then gets a reset, as it would from the client itself.
GRACE = 0.05


class _Source(ReadingProducer):
    """The client as the far side's producer.

    :param transport: the transport of the client.
    :param monitor: watches the client while it is not read from.
    """

    def __init__(self, transport: Any, monitor: PeerMonitor) -> None:
        super().__init__(transport)
        self._monitor = monitor

    def pauseProducing(self) -> None:
        self._monitor.pause()
        super().pauseProducing()

    def resumeProducing(self) -> None:
        self._monitor.resume()
        super().resumeProducing()


class _SingleProtocolFactory(Factory):
    """Returns one protocol: endpoints take a factory."""

    noisy = False

    def __init__(self, protocol: Protocol) -> None:
        self._made = protocol

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        return self._made


@implementer(IBusy, IHalfCloseableProtocol, IFarewell)
class ClientSide(Protocol):
    """The client's side. It connects to the far side first, and reads nothing until then.

    It provides :class:`tcpd.relay.forward_sides.ForwardedClient`, which documents its attributes.

    :param factory: the factory of the service.
    """

    transport: Any

    def __init__(self, factory: Forwarding) -> None:
        self._factory = factory
        self.route = factory.route  # kept: a reload changes the factory's
        self.header = b""
        self._early: list[bytes] = []  # decrypted together with the end of the TLS handshake
        self._write: Any = self._early.append
        self._far: FarSide | None = None
        self._attempt: Any = None
        self._timer: IDelayedCall | None = None
        self._joined = False
        self._read_over = False
        self._write_ending = False
        self._write_over = False
        self._undelivered = False  # data of the client was dropped
        self._ending = False  # closing, or closed by this end
        self._gone = False

    # --- the client's connection ---

    @property
    def busy(self) -> bool:
        """See :class:`tcpd.interfaces.IBusy`: true until the far side is connected."""
        return not self._joined

    def connectionMade(self) -> None:
        """Connect to the far side; until then the client's data stays in the kernel."""
        self._monitor = PeerMonitor(self.transport, self._factory.clock)
        self.transport.pauseProducing()
        self.header = self.route.header(self.transport)  # now: a lost transport has no addresses
        factory, tls = self._factory, self.route.tls
        far = FarSide(self, factory) if tls is None else TLSFarSide(self, factory, tls)
        self._far = far
        self._timer = factory.clock.callLater(self.route.timeout, self._timed_out)
        self._attempt = self.route.endpoint.connect(_SingleProtocolFactory(far.wire))
        self._attempt.addErrback(self._not_connected)

    def dataReceived(self, data: bytes) -> None:
        """Relay it."""
        self._write(data)

    def readConnectionLost(self) -> None:
        """The client half-closed: half-close the far side."""
        self._read_over = True
        self._monitor.end()
        if self._joined and self._far is not None:
            self._far.end_writing()
        self._close_if_over()

    def writeConnectionLost(self) -> None:
        """All data of the far side, and the FIN, have been sent to the client."""
        self._write_over = True
        if self._far is None and not self._read_over:
            # closing with unread input would reset the connection, and lose data in flight
            self._timer = self._factory.clock.callLater(LINGER, self._close)
        self._close_if_over()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """The client's connection is lost."""
        assert reason is not None
        self._gone = True
        self._monitor.stop()
        self._write = discard
        done = isinstance(reason.value, ConnectionDone) and not self._ending
        if not self._joined:
            if done and self._early:
                return  # the client closed in order: its data is still relayed
            self._abandon()
            return
        self._stop_timer()
        far, self._far = self._far, None
        if far is not None:
            far.finish(done or self._read_over)

    def farewell(self, reason: End) -> bytes:
        """Send nothing: this daemon is transparent. Reset truncated streams on both sides
        (docs/decisions/0003)."""
        self._ending = True
        if self._joined and self._far is not None:
            self._far.stop_reading()
        if not self._write_ending:
            self.transport.resetConnection()
        return b""

    # --- from the far side ---

    def far_connected(self) -> None:
        """See :class:`tcpd.relay.forward_sides.ForwardedClient`, as for those that follow."""
        self._stop_timer()
        self._attempt = None
        self._joined = True
        far = self._far
        assert far is not None
        if self._ending:
            far.abort()
            return
        far.attach(_Source(self.transport, self._monitor))
        early, self._early = self._early, []
        if self._gone:
            self._far = None
            for data in early:
                far.write(data)
            far.finish(True)
            return
        self._write = far.write
        self.transport.registerProducer(ReadingProducer(far.transport), True)
        self.transport.resumeProducing()
        for data in early:
            far.write(data)
        if self._read_over:
            far.end_writing()

    def far_half_closed(self) -> None:
        if not (self._gone or self._write_ending):
            self._write_ending = True
            self.transport.unregisterProducer()
            self.transport.loseWriteConnection()

    def far_send_failed(self) -> None:
        self._undelivered = True

    def far_lost(self, *, reset: bool = False, unacknowledged: bool = False) -> None:
        self._far = None
        self._write = self._drop if unacknowledged else discard
        if self._gone:
            return
        if reset:
            self.transport.resetConnection()
        elif self._write_over:
            self.writeConnectionLost()
        else:
            if not self._read_over:
                self.transport.resumeProducing()
            self.far_half_closed()

    def far_failed(self, why: FarFailure) -> None:
        if self._ending or self._joined:
            return
        self._factory.failed(why, self)
        self._abandon()
        if not self._gone:
            # an orderly close would look like an empty reply after complete delivery
            self.transport.abortConnection()

    # --- inside ---

    def _not_connected(self, failure: Failure) -> None:
        self._attempt = None
        if self._far is not None and not self._far.wire.connected:
            self.far_failed(connect_failure(failure))

    def _timed_out(self) -> None:
        self._timer = None
        if self._attempt is not None:
            self._attempt.cancel()  # a look-up fails with a text on the resolver
        self.far_failed(FarFailure(TIMEOUT, "connecting timed out"))

    def _abandon(self) -> None:
        """Abandon the far side, connected or not."""
        self._ending = True
        self._early.clear()
        self._stop_timer()
        attempt, self._attempt = self._attempt, None
        far, self._far = self._far, None
        if far is not None:
            far.abort()
        if attempt is not None:
            # cancelled at once, a connection just established would be closed in order
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

    def _drop(self, data: bytes) -> None:
        self._undelivered = True

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()
