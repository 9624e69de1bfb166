"""tcpd's reactor, port, transport and echo protocol, without its connection layer.

``python lean.py echo PORT``. The difference in cost to tcpd is the cost of all policy.

It has the transport's own functions: reading, writing at the end of a turn, producers, half-close,
abort. It omits those of the layer: counters, activity, admission, limits, bounds, timeouts, linger,
TLS, end reasons and logs; and the daemon. A method that mixes both is repeated here without the
lines of policy; a test compares the two.
"""

from __future__ import annotations

import socket
import sys
from typing import Any

from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.python.failure import Failure

from tcpd.config.listen import Address
from tcpd.net import reactor as tcpd_reactor
from tcpd.net.address import socket_address
from tcpd.net.loss import loss_from
from tcpd.net.port import StreamPort
from tcpd.net.sockets import listen_address
from tcpd.net.transport import _READ, _ROOM, SocketConnection
from tcpd.net.turns import TurnScheduler
from tcpd.small.echo import EchoFactory


class Bare(SocketConnection):
    """A transport without counters and limits.

    :param factory: makes the protocol.
    :param endpoint_address: of the client.
    :param sock: a connected socket, owned by this object from now on.
    :param turns: the scheduler of the reactor.
    """

    __slots__ = ("_factory",)

    def __init__(
        self, factory: Any, endpoint_address: Any, sock: Any, turns: TurnScheduler
    ) -> None:
        self._factory = factory
        self._endpoint_address = endpoint_address
        self.disconnecting = False
        self.inner: Any = None
        self._producer: Any = None
        self._lost = False
        self._end = None
        self._pipeline = None
        self._read_ended = False
        self._failure: Failure | None = None
        # from here on as SocketConnection
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

    def logPrefix(self) -> str:
        return "bare"

    def begin(self) -> None:
        self.inner = self._factory.buildProtocol(self._endpoint_address)
        self.inner.makeConnection(self)

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

    def write(self, data: bytes) -> None:
        if self.disconnecting or self._lost or self._shutting:
            return
        if data.__class__ is not bytes:
            data = bytes(memoryview(data))  # a copy of a mutable buffer; TypeError for a str
        size = len(data)
        if not size:
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

    def read_ended(self) -> None:
        if IHalfCloseableProtocol.providedBy(self.inner):
            self.inner.readConnectionLost()
        else:
            self.loseConnection()

    def write_ended(self) -> None:
        if IHalfCloseableProtocol.providedBy(self.inner):
            self.inner.writeConnectionLost()

    def begin_linger(self) -> None:
        """Wait without a timeout."""

    def finish(self, reason: Failure) -> None:
        self._producer = None
        inner = self.inner
        try:
            if inner is not None:
                inner.connectionLost(reason)
        finally:
            self.inner = None

    def log_and_abort(self, doing: str) -> None:
        self.abortConnection()

    def _failed(self, error: BaseException) -> None:
        self._close(Failure(error))


class BareListener:
    """Accepts all connections."""

    def __init__(self, factory: Any) -> None:
        self._factory = factory

    def doStart(self) -> None:
        self._factory.doStart()

    def doStop(self) -> None:
        self._factory.doStop()

    def logPrefix(self) -> str:
        return "bare"

    def must_wait(self, call: Any) -> bool:
        return False

    def refuse_socket(self, sock: socket.socket, address: Any) -> None:
        sock.close()

    def accept_socket(self, sock: socket.socket, address: Any, turns: TurnScheduler) -> None:
        Bare(self._factory, socket_address(address), sock, turns).start()


def main(kind: str, port: str) -> None:
    if kind != "echo":
        sys.exit(f"unknown kind: {kind}")
    tcpd_reactor.install()
    from twisted.internet import reactor as installed

    reactor: Any = installed
    listener: Any = BareListener(EchoFactory())
    listening = listen_address(Address("127.0.0.1", int(port)))
    StreamPort(listening, listener, TurnScheduler(reactor), lambda: None).startListening()
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
