"""The transport on a socket: one ``recv`` and one ``send`` for each message.

What a protocol writes in its ``dataReceived`` is sent in one ``send`` when that returns. What
others write to it is sent once, at the end of the reactor's turn. The socket is registered for
writing only after a ``send`` found its buffer full. Counters, idle time and limits are in the same
object, because each additional Python frame for a message costs about as much as a small system
call (docs/decisions/0006).

The transport is an IReadDescriptor and IWriteDescriptor for any IReactorFDSet, and is faster on
:mod:`tcpd.net.reactor`.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IPushProducer,
    IReadDescriptor,
    ITCPTransport,
    IWriteDescriptor,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from tcpd.interfaces import IConnection
from tcpd.net.address import socket_address
from tcpd.net.connection import Connection
from tcpd.net.connection_service import ConnectionService
from tcpd.net.credentials import credentials_of
from tcpd.net.delayed_reset import when_acknowledged
from tcpd.net.listener_options import ListenerOptions
from tcpd.net.loss import loss_from, take_socket_error
from tcpd.net.turns import TurnScheduler
from tcpd.policy.addresses import IPAddress
from tcpd.policy.reasons import End

#: The size of a ``recv`` in bytes; large ones double the throughput of bulk data.
_READ = 256 * 1024

#: Bytes of unread input that are discarded at a close.
_UNREAD = 64 * 1024

#: The producer is paused when more bytes are buffered, as on Twisted's own transports.
_ROOM = 64 * 1024

#: The reason of most ends, created once because a Failure is slow to create.
_DONE = Failure(ConnectionDone())

#: SO_LINGER on with a time of 0: ``close`` resets the connection (RFC 9293 section 3.10.5).
_RESET = struct.pack("ii", 1, 0)


@implementer(
    IConnection, ITCPTransport, IConsumer, IPushProducer, IReadDescriptor, IWriteDescriptor
)
class SocketConnection(Connection):
    """A :class:`~tcpd.net.connection.Connection` on a socket.

    :param sock: connected and non-blocking; this object closes it.
    :param turns: the reactor, and the scheduler of flushes.

    The other parameters are those of :class:`~tcpd.net.connection.Connection`.
    """

    __slots__ = (
        "_aborting",
        "_blocked",
        "_delivering",
        "_forget",
        "_lingering",
        "_out",
        "_paused",
        "_pending",
        "_pulling",
        "_queued",
        "_reactor",
        "_read_over",
        "_reading",
        "_receive",
        "_resetting",
        "_schedule_flush",
        "_shut",
        "_shutting",
        "_socket",
        "_within",
    )

    #: See :class:`tcpd.net.reactor.IDirect`.
    direct = True

    #: A protocol that waits for a command or a rate does not read. If the client is lost meanwhile,
    #: the slot must be freed.
    wants_loss = True

    def __init__(
        self,
        layer: ConnectionService[Connection],
        number: int,
        address: IPAddress | None,
        endpoint_address: IAddress,
        options: ListenerOptions,
        sock: socket.socket,
        turns: TurnScheduler,
    ) -> None:
        super().__init__(layer, number, address, endpoint_address, options)
        if address is None:
            self.credentials = credentials_of(sock)
        self._socket = sock
        self._receive = sock.recv
        self._reactor = turns.reactor
        self._schedule_flush = turns.schedule
        self._forget = turns.forget
        self._lingering = False  # begin_linger was called
        self._out: list[bytes | memoryview] = []
        self._pending = 0  # bytes in _out
        self._within = False  # a call of the protocol runs, which is followed by a flush
        self._queued = False  # a flush is scheduled
        self._blocked = False  # the socket's send buffer is full; doWrite will be called
        self._reading = False
        self._read_over = False  # the peer has closed its sending side
        self._paused = False  # the streaming producer is paused
        self._pulling = False  # the producer is a pull producer
        self._shutting = False  # loseWriteConnection was called
        self._shut = False  # the sending side is closed
        self._aborting = False
        self._resetting = False  # resetConnection was called
        self._delivering = False  # all is sent, but not acknowledged; a reset follows

    def start(self) -> None:
        """Start reading and make the protocol. Called once, by the connection layer."""
        self._call_protocol(self._start)

    def _start(self) -> None:
        self._reading = True
        self._reactor.addReader(self)
        self.begin()

    @property
    def pending(self) -> int:
        return self._pending

    # --- called by the reactor ---

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return f"service {self.layer.service}"

    def doRead(self) -> None:
        """Read and pass the bytes to the protocol. Never raises."""
        if self.disconnecting or self._lost:
            return
        try:
            data = self._receive(_READ)
        except BlockingIOError:
            return
        except OSError as error:
            self._close(loss_from(error))
            return
        except MemoryError as error:
            self._failed(error)
            return
        if not data:
            self._input_ended()
            return
        size = len(data)
        self.bytes_in += size
        self._counters.bytes_in += size
        self.idle_sweeps = 0
        # _call_protocol inlined: this runs for each message
        self._within = True
        try:
            self.inner.dataReceived(data)
        except BaseException as error:
            self._within = False
            self._failed(error)
            return
        self._within = False
        if self._out or self.disconnecting:
            self.flush()

    def doWrite(self) -> None:
        """Send buffered bytes: the socket is writable again. Never raises."""
        try:
            self._send_out()
            self._after_send()
        except BaseException as error:
            self._failed(error)

    def flush(self) -> None:
        """Send buffered bytes. Called after each call of the protocol, and at the end of a turn if
        it was scheduled. Never raises."""
        self._queued = False
        try:
            if self._out and not self._blocked and not self._aborting:
                self._send_out()
            self._after_send()
        except BaseException as error:
            self._failed(error)

    def connectionLost(self, reason: Failure) -> None:
        """Close the connection: it is lost, or the reactor is stopping."""
        error = None if self._lost else take_socket_error(self._socket)
        self._close(reason if error is None else loss_from(error))

    def gone(self) -> None:
        """Close the connection: it was lost while it was not read from."""
        self.connectionLost(Failure(ConnectionLost()))

    # --- called by the protocol or a stage ---

    def write(self, data: bytes) -> None:
        if self.disconnecting or self._lost or self._shutting:
            return
        if data.__class__ is not bytes:
            data = bytes(memoryview(data))  # a copy of a mutable buffer; TypeError for a str
        size = len(data)
        if not size:
            return
        self.bytes_out += size
        self._counters.bytes_out += size
        self.idle_sweeps = 0
        if self._blocked and self._pending > self.layer.policy.unsent:
            self.end(End.SLOW_READER)
            return
        self._out.append(data)
        self._pending += size
        if self._pending > _ROOM:
            if not self._blocked:
                self._send_out()
            self._pause_if_full()
        if not (self._within or self._queued or self._blocked):
            self._queued = True
            self._schedule_flush(self)

    def send_now(self, data: bytes) -> None:
        """Write, and send at once unless other bytes are buffered before.

        For a caller that has itself collected the output of a turn.

        :param data: an object of class ``bytes``, not empty.
        """
        if (
            self._out
            or self._within
            or self._queued
            or self.disconnecting
            or self._lost
            or self._shutting
        ):
            self.write(data)
            return
        size = len(data)
        self.bytes_out += size
        self._counters.bytes_out += size
        self.idle_sweeps = 0
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._send_failed(error)
            return
        if sent != size:
            self._out.append(memoryview(data)[sent:])
            self._pending = size - sent
            self._send_out()
            self._pause_if_full()

    def loseConnection(self) -> None:
        if self.disconnecting or self._lost:
            return
        self.disconnecting = True
        self.stop_producer()
        if not self._within:  # else a flush follows, after which most connections need no timer
            self._linger()
        self._wake()

    def loseWriteConnection(self) -> None:
        """Half-close: close the sending side once all data is sent."""
        if not (self.disconnecting or self._lost):
            self._shutting = True
            self._wake_after()

    def abortConnection(self) -> None:
        if self._lost or self._aborting:
            return
        self.disconnecting = self._aborting = True
        self._out.clear()
        self._pending = 0
        self._wake()

    def resetConnection(self) -> None:
        if not (self.disconnecting or self._lost):
            self._resetting = True
            self.loseConnection()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        if not self._set_producer(producer):
            return
        self._paused = False
        if streaming:
            self._pause_if_full()
        else:
            self._pulling = True
            self._call(producer.resumeProducing)
            if self._pulling:
                self._wake_after()

    def unregisterProducer(self) -> None:
        self._producer = None
        self._pulling = self._paused = False

    def pauseProducing(self) -> None:
        """Stop reading from the client until :meth:`resumeProducing`."""
        if self._reading:
            self._reading = False
            self._reactor.removeReader(self)

    def resumeProducing(self) -> None:
        if not (self._reading or self._read_over or self.disconnecting or self._lost):
            self._reading = True
            self._reactor.addReader(self)

    def _local_address(self) -> IAddress:
        return socket_address(self._socket.getsockname())

    def getHandle(self) -> socket.socket:
        return self._socket

    def getTcpNoDelay(self) -> bool:
        if self._socket.family == socket.AF_UNIX:
            return False
        return bool(self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    def setTcpNoDelay(self, enabled: bool) -> None:
        if self._socket.family != socket.AF_UNIX:  # protocols do not know the family
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, enabled)

    def getTcpKeepAlive(self) -> bool:
        return bool(self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

    def setTcpKeepAlive(self, enabled: bool) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, enabled)

    # --- internal ---

    def _wake(self) -> None:
        """Schedule a flush, unless one follows the current call of the protocol."""
        if not self._within:
            self._wake_after()

    def _wake_after(self) -> None:
        """Schedule a flush; the one after a call of the protocol may not happen."""
        if not self._queued:
            self._queued = True
            self._schedule_flush(self)

    def _send_out(self) -> None:
        out = self._out
        try:
            data = out[0] if len(out) == 1 else b"".join(out)
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._send_failed(error)
            return
        except MemoryError as error:
            self.log_failure(error)
            self._send_failed(error)
            return
        if sent == self._pending:
            out.clear()
            self._pending = 0
            if self._blocked:
                self._blocked = False
                self._reactor.removeWriter(self)
            return
        self._pending -= sent
        out[:] = [memoryview(data)[sent:]]
        if not self._blocked:
            self._blocked = True
            self._reactor.addWriter(self)

    def _send_failed(self, error: OSError | MemoryError) -> None:
        """Keep the error, which the kernel reports only once, and schedule the close.

        ``connectionLost`` is not called within the protocol's ``write``.
        """
        self._out.clear()
        self._pending = 0
        self._aborting = self.disconnecting = True
        self._failure = loss_from(error)
        self._end = self._end or End.LOST
        self._wake()

    def _after_send(self) -> None:
        """After sending: resume or pause the producer, or continue the close."""
        if self._lost:
            return
        if self._aborting:
            self._close(self._failure or Failure(ConnectionAborted()))
        elif self._pending:
            if self.disconnecting:
                self.pauseProducing()
                self._linger()
            else:
                self._pause_if_full()
        elif self.disconnecting:
            if not self._resetting:
                self._close(_DONE)
            elif not self._delivering:
                self._delivering = True
                self.pauseProducing()
                self._linger()
                when_acknowledged(self._reactor, self._socket, self.abortConnection)
        elif self._shutting and not self._shut:
            self._shut_down()
        elif self._paused:
            self._paused = False
            self._call(self._producer.resumeProducing)
        elif self._pulling:
            # one piece per turn, so that other connections are served
            self._call(self._producer.resumeProducing)
            if self._pulling and not self._blocked:
                self._wake()

    def _pause_if_full(self) -> None:
        if (
            self._blocked
            and self._pending > _ROOM
            and self._producer is not None
            and not (self._paused or self._pulling)
        ):
            self._paused = True
            self._call(self._producer.pauseProducing)

    def _call(self, method: Callable[[], object]) -> None:
        """Call a producer; an exception ends this connection only."""
        try:
            method()
        except BaseException as error:
            self._failed(error)

    def _linger(self) -> None:
        if not self._lingering:
            self._lingering = True
            self.begin_linger()

    def _input_ended(self) -> None:
        self._read_over = True
        self._call_protocol(self.read_ended)
        if not self._lost:
            self.pauseProducing()

    def _call_protocol(self, call: Callable[[], None]) -> None:
        """Call the protocol, then send what it wrote."""
        self._within = True
        try:
            call()
        except BaseException as error:
            self._within = False
            self._failed(error)
            return
        self._within = False
        if self._out or self.disconnecting:
            self.flush()

    def _shut_down(self) -> None:
        self._shut = True
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            self._close(loss_from(error))
            return
        self._call_protocol(self.write_ended)

    def _failed(self, error: BaseException) -> None:
        """Log an exception of the protocol and close, even if logging fails for lack of memory."""
        if self._pending:
            self._aborting = True  # a truncated stream ends in a reset
        try:
            self.log_failure(error)
        finally:
            self._close(Failure(error))

    def _close(self, reason: Failure) -> None:
        if self._lost:
            return
        self._lost = True
        self._failure = None
        self._reading = self._blocked = False
        self._forget(self)
        if self._pending:
            self._end = self._end or End.LOST
            self._out.clear()
            self._pending = 0
        with self._socket as sock:  # closes it
            if self._aborting:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            elif reason is _DONE and not (self._read_over or self._read_ended):
                # closing with unread input would send a reset, and the client might lose our data
                with contextlib.suppress(OSError, MemoryError):
                    self._receive(_UNREAD)
        try:
            self.finish(reason)
        except BaseException as error:
            self.log_failure(error, " while ending")
