"""A connection on a Twisted transport, for endpoints (docs/decisions/0004).

A WrappedConnection is the protocol of the transport below, and the transport of the protocol or
stage above. It counts bytes, resets the idle time and bounds the buffered output. One object
does all of this, because each additional Python frame per message costs as much as a small system
call.
"""

from __future__ import annotations

from collections import deque
from typing import Any, cast

from twisted.internet.interfaces import (
    IAddress,
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
from tcpd.net.connection import Connection
from tcpd.net.connection_facts import socket_of
from tcpd.net.credentials import credentials_of
from tcpd.net.delayed_reset import reset_when_acknowledged
from tcpd.net.handshake_capture import NOT_CAPTURED
from tcpd.net.loss import loss_from, take_socket_error
from tcpd.policy.reasons import End


@implementer(IPushProducer)
class _OutputProducer:
    """The producer that the transport below pauses when its buffer is full.

    A separate object, because on WrappedConnection the same methods pause and resume reading.
    """

    __slots__ = ("_connection",)

    def __init__(self, connection: WrappedConnection) -> None:
        self._connection = connection

    def pauseProducing(self) -> None:
        self._connection.output_full()

    def resumeProducing(self) -> None:
        self._connection.output_empty()

    def stopProducing(self) -> None:
        """Do nothing: ``connectionLost`` is called too."""


@implementer(IConnection, ITCPTransport, IConsumer, IPushProducer, IHalfCloseableProtocol)
class WrappedConnection(Connection, Protocol):
    """A :class:`~tcpd.net.connection.Connection` on a Twisted transport."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._output = _OutputProducer(self)
        self._pulling = False
        self._full = False
        self._held: deque[bytes] = deque()
        self._held_size = 0

    @property
    def pending(self) -> int:
        return self._held_size + self._full

    # --- called by the transport below ---

    def connectionMade(self) -> None:
        transport = cast(Any, self.transport)
        if ITCPTransport.providedBy(transport):
            transport.setTcpNoDelay(True)
            transport.setTcpKeepAlive(True)
        if self.address is None and hasattr(transport, "getHandle"):
            self.credentials = credentials_of(transport.getHandle())
        if self.options.capture is not NOT_CAPTURED:
            below = socket_of(self)
            if below is not None:
                self.layer.read_handshake(self, below)
        transport.registerProducer(self._output, True)
        self.begin()

    def dataReceived(self, data: bytes) -> None:
        size = len(data)
        self.bytes_in += size
        self._counters.bytes_in += size
        self.idle_sweeps = 0
        self.inner.dataReceived(data)

    def readConnectionLost(self) -> None:
        """Handle a half-close by the client, or a reset, which some reactors report the same way
        (EPOLLHUP)."""
        below = socket_of(self)
        error = None if below is None else take_socket_error(below)
        if error is not None:
            self.record_end(End.LOST)
            self._failure = loss_from(error)
            self.abortConnection()
        else:
            self.read_ended()

    def writeConnectionLost(self) -> None:
        self.write_ended()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._drop_held()
        if self._pulling:
            self._producer = None  # the transport has called its stopProducing
        self.finish(self._failure or reason)

    def output_full(self) -> None:
        """Pause the producer: the transport's buffer is full. Called for each write while it is."""
        if not self._full:
            self._full = True
            if self._producer is not None:
                self._producer.pauseProducing()

    def output_empty(self) -> None:
        """Write what is held and resume the producer: the transport's buffer is empty."""
        self._full = False
        held = self._held
        transport = cast(ITransport, self.transport)
        while held and not self._full:
            data = held.popleft()
            self._held_size -= len(data)
            transport.write(data)
        if not self._full and self._producer is not None:
            self._producer.resumeProducing()

    # --- called by the protocol or a stage ---

    def write(self, data: bytes) -> None:
        if self.disconnecting or self._lost:
            return
        size = len(data)
        self.bytes_out += size
        self._counters.bytes_out += size
        self.idle_sweeps = 0
        if self._full:
            self._held.append(data)
            self._held_size += size
            if self._held_size > self.layer.policy.unsent:
                self.end(End.SLOW_READER)
        else:
            cast(ITransport, self.transport).write(data)

    def loseConnection(self) -> None:
        if self.disconnecting or self._lost:
            return
        self.disconnecting = True
        self.begin_linger()
        transport = cast(Any, self.transport)
        pulling = self._pulling
        self.stop_producer()
        if not pulling:
            transport.unregisterProducer()  # a transport with a producer does not close
        if self._held:
            transport.writeSequence(list(self._held))
            self._drop_held()
        transport.loseConnection()

    def loseWriteConnection(self) -> None:
        """Half-close: close the sending side once all data is sent."""
        if not ITCPTransport.providedBy(self.transport):
            self.loseConnection()
        elif not (self.disconnecting or self._lost):
            transport = cast(Any, self.transport)
            transport.unregisterProducer()  # a transport with a paused one would drop its buffer
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
        self.stop_producer()
        transport.unregisterProducer()
        transport.writeSequence(list(self._held))
        self._drop_held()
        reset_when_acknowledged(transport, self.layer.clock)

    def _local_address(self) -> IAddress:
        return cast(ITransport, self.transport).getHost()

    def getHandle(self) -> Any:
        return cast(Any, self.transport).getHandle()

    # the transport below may not be TCP, and the protocol does not know
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
        if not self._set_producer(producer):
            return
        if not streaming:
            # the transport below calls a pull producer itself
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
        """Stop reading from the client until :meth:`resumeProducing`."""
        cast(Any, self.transport).pauseProducing()

    def resumeProducing(self) -> None:
        if not (self.disconnecting or self._lost):
            cast(Any, self.transport).resumeProducing()

    def _drop_held(self) -> None:
        self._held.clear()
        self._held_size = 0
