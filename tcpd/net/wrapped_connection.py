"""A connection on a transport of Twisted's: between it and the protocol, neither of which knows.

Towards the transport a WrappedConnection is the protocol; towards the protocol, or its stages, it
is the transport. It counts bytes, marks activity, and bounds what waits to be sent. One object does
all of that: each further Python frame on the path of a byte costs about as much as a small system
call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, cast

from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    IPushProducer,
    ITCPTransport,
    ITransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from tcpd.interfaces import IConnection
from tcpd.net.address import plain_endpoint_address
from tcpd.net.connection import Connection
from tcpd.net.credentials import credentials_of
from tcpd.net.delivery import reset_when_delivered
from tcpd.net.gathering import socket_of
from tcpd.net.kernel import UNWATCHED
from tcpd.net.loss import lost_by, pending_error
from tcpd.policy.reasons import End


@implementer(IPushProducer)
class _Output:
    """What the transport sees as the producer: it says here when it is full and when it is empty.

    A separate object: the same method names mean reading where the protocol calls them on
    its transport.
    """

    __slots__ = ("_connection",)

    def __init__(self, connection: WrappedConnection) -> None:
        self._connection = connection

    def pauseProducing(self) -> None:
        self._connection.output_full()

    def resumeProducing(self) -> None:
        self._connection.output_empty()

    def stopProducing(self) -> None:
        """The connection is gone; ``connectionLost`` is called, too."""


@implementer(IConnection, ITCPTransport, IConsumer, IPushProducer, IHalfCloseableProtocol)
class WrappedConnection(Connection, Protocol):
    """A :class:`~tcpd.net.connection.Connection` on a transport of Twisted's."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._output = _Output(self)
        self._pulling = False
        self._full = False
        self._held: deque[bytes] = deque()
        self._held_size = 0

    @property
    def pending(self) -> int:
        return self._held_size + self._full

    # --- towards the transport: a protocol ---

    def connectionMade(self) -> None:
        transport = cast(Any, self.transport)
        if ITCPTransport.providedBy(transport):
            transport.setTcpNoDelay(True)
            transport.setTcpKeepAlive(True)
        if self.address is None and hasattr(transport, "getHandle"):
            self.credentials = credentials_of(transport.getHandle())
        if self.options.watch is not UNWATCHED:
            below = socket_of(self)
            if below is not None:
                self.layer.note(self, below)
        transport.registerProducer(self._output, True)
        self.begin()

    def dataReceived(self, data: bytes) -> None:
        size = len(data)
        self.bytes_in += size
        self._counters.bytes_in += size
        self.quiet = 0
        self.inner.dataReceived(data)

    def readConnectionLost(self) -> None:
        """The client will send nothing more, or it has reset the connection: some reactors take
        the kernel's EPOLLHUP for an end."""
        below = socket_of(self)
        error = None if below is None else pending_error(below)
        if error is not None:
            self.ending(End.LOST)
            self._failure = lost_by(error)
            self.abortConnection()
        else:
            self.read_ended()

    def writeConnectionLost(self) -> None:
        """Nothing more can be sent."""
        self.write_ended()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._drop_held()
        if self._pulling:
            self._producer = None  # the transport has called its stopProducing
        self.finish(self._failure or reason)

    def output_full(self) -> None:
        """The transport holds as much as it likes to; called again at each write while it does."""
        if not self._full:
            self._full = True
            if self._producer is not None:
                self._producer.pauseProducing()

    def output_empty(self) -> None:
        """The transport has sent all it held."""
        self._full = False
        held = self._held
        transport = cast(ITransport, self.transport)
        while held and not self._full:
            data = held.popleft()
            self._held_size -= len(data)
            transport.write(data)
        if not self._full and self._producer is not None:
            self._producer.resumeProducing()

    # --- towards the protocol, or the TLS layer: a transport ---

    def write(self, data: bytes) -> None:
        if self.disconnecting or self._lost:
            return
        size = len(data)
        self.bytes_out += size
        self._counters.bytes_out += size
        self.quiet = 0
        if self._full:
            self._held.append(data)
            self._held_size += size
            if self._held_size > self.layer.policy.unsent:
                self.end(End.SLOW_READER)
        else:
            cast(ITransport, self.transport).write(data)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        self.write(b"".join(iovec))

    def loseConnection(self) -> None:
        if self.disconnecting or self._lost:
            return
        self.disconnecting = True
        self.begin_linger()
        transport = cast(Any, self.transport)
        pulling = self._pulling
        self.let_go()
        if not pulling:
            transport.unregisterProducer()  # a transport that has one would wait for it
        if self._held:
            transport.writeSequence(list(self._held))
            self._drop_held()
        transport.loseConnection()

    def loseWriteConnection(self) -> None:
        """Close the sending side once all is written: a half-close of ours."""
        if not ITCPTransport.providedBy(self.transport):
            self.loseConnection()
        elif not (self.disconnecting or self._lost):
            transport = cast(Any, self.transport)
            transport.unregisterProducer()  # a transport that has paused one would forget the rest
            transport.writeSequence(list(self._held))
            self._drop_held()
            self._full = self._pulling = False
            transport.loseWriteConnection()

    def abortConnection(self) -> None:
        if self._lost:
            return
        self.disconnecting = True
        self._drop_held()
        cast(Any, self.transport).abortConnection()

    def resetConnection(self) -> None:
        if self.disconnecting or self._lost:
            return
        self.disconnecting = True
        self.begin_linger()
        transport = cast(Any, self.transport)
        self.let_go()
        transport.unregisterProducer()
        transport.writeSequence(list(self._held))
        self._drop_held()
        reset_when_delivered(transport, self.layer.clock)

    def getHost(self) -> Any:
        if self.proxy is not None and self.proxy.host is not None:
            return self.proxy.host
        return plain_endpoint_address(cast(ITransport, self.transport).getHost())

    def getHandle(self) -> Any:
        return cast(Any, self.transport).getHandle()

    # what is below need not be of TCP, and a protocol need not know

    def getTcpNoDelay(self) -> bool:
        below: Any = self.transport
        return ITCPTransport.providedBy(below) and bool(below.getTcpNoDelay())

    def setTcpNoDelay(self, enabled: bool) -> None:
        below: Any = self.transport
        if ITCPTransport.providedBy(below):
            below.setTcpNoDelay(enabled)

    def getTcpKeepAlive(self) -> bool:
        below: Any = self.transport
        return ITCPTransport.providedBy(below) and bool(below.getTcpKeepAlive())

    def setTcpKeepAlive(self, enabled: bool) -> None:
        below: Any = self.transport
        if ITCPTransport.providedBy(below):
            below.setTcpKeepAlive(enabled)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        if self.disconnecting or self._lost:
            producer.stopProducing()
            return
        if self._producer is not None:
            raise RuntimeError(f"{producer!r} cannot be registered while {self._producer!r} is")
        self._producer = producer
        if not streaming:
            # it writes one piece each time it is asked, and the transport asks it by itself
            self._pulling = True
            transport = cast(Any, self.transport)
            transport.unregisterProducer()
            self._full = False
            transport.writeSequence(list(self._held))
            self._drop_held()
            transport.registerProducer(producer, False)
        elif self._full:
            producer.pauseProducing()

    def unregisterProducer(self) -> None:
        self._producer = None
        if self._pulling:
            self._pulling = False
            transport = cast(Any, self.transport)
            transport.unregisterProducer()
            if not (self.disconnecting or self._lost):
                transport.registerProducer(self._output, True)

    def pauseProducing(self) -> None:
        """Stop reading from the client, until :meth:`resumeProducing`."""
        cast(Any, self.transport).pauseProducing()

    def resumeProducing(self) -> None:
        if not (self.disconnecting or self._lost):
            cast(Any, self.transport).resumeProducing()

    def stopProducing(self) -> None:
        self.loseConnection()

    def _drop_held(self) -> None:
        self._held.clear()
        self._held_size = 0
