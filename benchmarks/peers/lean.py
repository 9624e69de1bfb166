"""tcpd's reactor, port and transport under its echo protocol, and nothing of its connection layer.

``python lean.py echo PORT``. What all policy costs is what tcpd costs more than this.

In it are the things without which it would be another transport: reading, writing at the end of
a turn, producers, half-close, the abort. Out of it is what the layer adds: counters, what a
connection has had and when it was heard of, who may come in and how many there are, bounds and
timeouts, the bounded wait for a close, TLS, the reason of an end, logs; and the daemon around it.
Where a method mixes both, it stands here without the lines of policy; a test compares the two.
"""

from __future__ import annotations

import socket
import sys
from typing import Any

from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.python.failure import Failure

from tcpd.config.listen import Address
from tcpd.net import reactor as lean_reactor
from tcpd.net.address import socket_address
from tcpd.net.loss import lost_by
from tcpd.net.port import LeanPort
from tcpd.net.sockets import listen_address
from tcpd.net.transport import _READ, _ROOM, LeanConnection
from tcpd.net.turns import TurnScheduler
from tcpd.small.echo import EchoFactory


class Bare(LeanConnection):
    """A lean transport that keeps no books.

    :param factory: makes the protocol.
    :param endpoint_address: the client's.
    :param sock: connected; it belongs to this object from now on.
    :param turns: the reactor, and its turns.
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
        # from here on as LeanConnection
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

    def logPrefix(self) -> str:
        return "bare"

    def begin(self) -> None:
        self.inner = self._factory.buildProtocol(self._endpoint_address)
        self.inner.makeConnection(self)

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
            # what others may still change cannot wait here; a TypeError if it is no bytes at all
            data = bytes(memoryview(data))
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
            self._soon(self)

    def read_ended(self) -> None:
        if IHalfCloseableProtocol.providedBy(self.inner):
            self.inner.readConnectionLost()
        else:
            self.loseConnection()

    def write_ended(self) -> None:
        if IHalfCloseableProtocol.providedBy(self.inner):
            self.inner.writeConnectionLost()

    def begin_linger(self) -> None:
        """Wait as long as it takes."""

    def finish(self, reason: Failure) -> None:
        self._producer = None
        inner = self.inner
        try:
            if inner is not None:
                inner.connectionLost(reason)
        finally:
            self.inner = None

    def broken(self, doing: str) -> None:
        self.abortConnection()

    def _failed(self, error: BaseException) -> None:
        self._close(Failure(error))


class BareListener:
    """Lets everybody in."""

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

    def turn_away(self, sock: socket.socket, address: Any) -> None:
        sock.close()

    def accept_socket(self, sock: socket.socket, address: Any, turns: TurnScheduler) -> None:
        Bare(self._factory, socket_address(address), sock, turns).start()


def main(kind: str, port: str) -> None:
    if kind != "echo":
        sys.exit(f"there is no {kind} here")
    lean_reactor.install()
    from twisted.internet import reactor as installed

    reactor: Any = installed
    listener: Any = BareListener(EchoFactory())
    listening = listen_address(Address("127.0.0.1", int(port)))
    LeanPort(listening, listener, TurnScheduler(reactor), lambda: None).startListening()
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
