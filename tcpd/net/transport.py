"""The lean transport: a connection that is its own transport, with two system calls a message.

What a protocol writes while its own ``dataReceived`` runs leaves in one ``send`` when that returns;
what others write to it leaves once, at the end of the reactor's turn. The kernel is asked to report
room for more only after there was none. Counting, activity and bounds are in the same object,
for each further Python frame on the path of a byte costs about as much as a small system call.

It rests on Twisted's public descriptor interfaces: it is an IReadDescriptor and IWriteDescriptor of
any reactor that is an IReactorFDSet, and a little faster on :mod:`tcpd.net.reactor`.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable, Iterable
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
from tcpd.net.address import plain_endpoint_address, socket_address
from tcpd.net.connection import Connection
from tcpd.net.connection_service import ConnectionService
from tcpd.net.credentials import credentials_of
from tcpd.net.delivery import when_delivered
from tcpd.net.listener_options import ListenerOptions
from tcpd.net.loss import lost_by, pending_error
from tcpd.net.turns import TurnScheduler
from tcpd.policy.addresses import IPAddress
from tcpd.policy.reasons import End

#: Bytes asked for at a time: large ones make bulk twice as fast.
_READ = 256 * 1024

#: Bytes that may be left unread at a close, and are thrown away then.
_UNREAD = 64 * 1024

#: A producer is asked to pause when more bytes wait, as on Twisted's own transports.
_ROOM = 64 * 1024

#: The reason of most ends; a Failure takes its time to make.
_DONE = Failure(ConnectionDone())

#: SO_LINGER on, for no time: the connection is reset (RFC 9293 section 3.10.5).
_RESET = struct.pack("ii", 1, 0)


@implementer(
    IConnection, ITCPTransport, IConsumer, IPushProducer, IReadDescriptor, IWriteDescriptor
)
class LeanConnection(Connection):
    """A :class:`~tcpd.net.connection.Connection` on a socket.

    :param layer: see :class:`~tcpd.net.connection.Connection`, as for those that follow.
    :param sock: connected; it belongs to this object from now on.
    :param turns: the reactor, and its turns.
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
        "_shut",
        "_shutting",
        "_socket",
        "_soon",
        "_within",
    )

    #: For :class:`tcpd.net.reactor.TcpdReactor`: nothing has to be caught around this.
    direct = True

    #: For the same: whoever waits for a command, or for a rate, does not read meanwhile, and a
    #: client that is gone by then would keep its place for as long.
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
        self._soon = turns.soon
        self._forget = turns.forget
        self._lingering = False  # the wait for the end is bounded
        self._out: list[bytes | memoryview] = []
        self._pending = 0  # bytes in _out
        self._within = False  # the protocol is being given bytes
        self._queued = False  # flush will be called at the end of the turn
        self._blocked = False  # the kernel has no room; doWrite will be called
        self._reading = False
        self._read_over = False
        self._paused = False  # the producer was asked to pause
        self._pulling = False
        self._shutting = False  # nothing more will be written
        self._shut = False  # the sending side is closed
        self._aborting = False
        self._resetting = False  # it will be, when all is delivered
        self._delivering = False  # all is written, and may not have arrived

    def start(self) -> None:
        """Begin to read, and make the protocol. Called once, by the port."""
        self._call_protocol(self._start)

    def _start(self) -> None:
        self._reading = True
        self._reactor.addReader(self)
        self.begin()

    @property
    def pending(self) -> int:
        return self._pending

    # --- for the reactor: a descriptor ---

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return f"service {self.layer.service}"

    def doRead(self) -> None:
        """There is something to read. Never raises, and returns nothing: it ends by itself."""
        if self.disconnecting or self._lost:
            return
        try:
            data = self._receive(_READ)
        except BlockingIOError:
            return
        except OSError as error:
            self._close(lost_by(error))
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
        self.quiet = 0
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
        """The kernel has room again. Never raises."""
        try:
            self._send_out()
            self._settle()
        except BaseException as error:
            self._failed(error)

    def flush(self) -> None:
        """Send what was written. Called at the end of a turn, or of reading. Never raises."""
        self._queued = False
        try:
            if self._out and not self._blocked and not self._aborting:
                self._send_out()
            self._settle()
        except BaseException as error:
            self._failed(error)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor found the connection gone, or is stopping."""
        error = None if self._lost else pending_error(self._socket)
        self._close(reason if error is None else lost_by(error))

    def gone(self) -> None:
        """The connection is gone, though nobody was reading from it."""
        self.connectionLost(Failure(ConnectionLost()))

    # --- for the protocol, or the TLS layer: a transport ---

    def write(self, data: bytes) -> None:
        if self.disconnecting or self._lost or self._shutting:
            return
        if data.__class__ is not bytes:
            # what others may still change cannot wait here; a TypeError if it is no bytes at all
            data = bytes(memoryview(data))
        size = len(data)
        if not size:
            return
        self.bytes_out += size
        self._counters.bytes_out += size
        self.quiet = 0
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
            self._soon(self)

    def send_now(self, data: bytes) -> None:
        """As :meth:`write`, and to the kernel at once if it may be: nothing waits before it.

        For who has collected all of a turn elsewhere, and would else do so once more here.

        :param data: ``bytes`` and nothing else; not empty.
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
        self.quiet = 0
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

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        self.write(b"".join(iovec))

    def loseConnection(self) -> None:
        if self.disconnecting or self._lost:
            return
        self.disconnecting = True
        self.let_go()
        if not self._within:  # else it is flushed at once, and most have nothing left to wait for
            self._linger()
        self._wake()

    def loseWriteConnection(self) -> None:
        """Close the sending side once all is written: a half-close of ours."""
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
        if self.disconnecting or self._lost:
            producer.stopProducing()
            return
        if self._producer is not None:
            raise RuntimeError(f"{producer!r} cannot be registered while {self._producer!r} is")
        self._producer = producer
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
        """Stop reading from the client, until :meth:`resumeProducing`."""
        if self._reading:
            self._reading = False
            self._reactor.removeReader(self)

    def resumeProducing(self) -> None:
        if not (self._reading or self._read_over or self.disconnecting or self._lost):
            self._reading = True
            self._reactor.addReader(self)

    def stopProducing(self) -> None:
        self.loseConnection()

    def getHost(self) -> Any:
        if self.proxy is not None and self.proxy.host is not None:
            return self.proxy.host
        return plain_endpoint_address(socket_address(self._socket.getsockname()))

    def getHandle(self) -> socket.socket:
        return self._socket

    def getTcpNoDelay(self) -> bool:
        if self._socket.family == socket.AF_UNIX:
            return False
        return bool(self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    def setTcpNoDelay(self, enabled: bool) -> None:
        if self._socket.family != socket.AF_UNIX:  # protocols need not know which they are on
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, enabled)

    def getTcpKeepAlive(self) -> bool:
        return bool(self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

    def setTcpKeepAlive(self, enabled: bool) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, enabled)

    # --- inside ---

    def _wake(self) -> None:
        """See to it that flush is called soon, and never from within the protocol."""
        if not (self._within or self._queued):
            self._queued = True
            self._soon(self)

    def _wake_after(self) -> None:
        """The same for what the flush after the protocol's turn does not see by itself."""
        if not self._queued:
            self._queued = True
            self._soon(self)

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
        """The connection is lost, and the kernel says so only once.

        The protocol is called back in a turn of the reactor, not within its write.
        """
        self._out.clear()
        self._pending = 0
        self._aborting = self.disconnecting = True
        self._failure = lost_by(error)
        self._end = self._end or End.LOST
        self._wake()

    def _settle(self) -> None:
        """After sending: resume or pause the producer, or go on with the close."""
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
                when_delivered(self._reactor, self._socket, self.abortConnection)
        elif self._shutting and not self._shut:
            self._shut_down()
        elif self._paused:
            self._paused = False
            self._call(self._producer.resumeProducing)
        elif self._pulling:
            # one piece a turn, so that others have theirs
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
        """Call a producer: somebody else's code, whose failure ends this connection alone."""
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
        """Let the protocol act, and send what it wrote when it is done."""
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
            self._close(lost_by(error))
            return
        self._call_protocol(self.write_ended)

    def _failed(self, error: BaseException) -> None:
        """What it was given to do failed: the boundary to code of others, and the end of it alone.

        Where there is no memory for the log either, it is closed all the same.
        """
        if self._pending:
            self._aborting = True  # what is cut short does not end as what is whole
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
        with self._socket as sock:  # which closes it, whatever fails
            if self._aborting:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            elif reason is _DONE and not (self._read_over or self._read_ended):
                # with input unread it would be reset, which may cost the client our last bytes
                with contextlib.suppress(OSError, MemoryError):
                    self._receive(_UNREAD)
        try:
            self.finish(reason)
        except BaseException as error:
            self.log_failure(error, " in ending")
