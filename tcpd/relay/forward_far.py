"""The far side of a forwarded connection: a connection of ours, on one of Twisted's transports."""

from __future__ import annotations

import errno
import socket
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol, IPullProducer
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from tcpd.net.delivery import reset_when_delivered
from tcpd.relay.forward_failures import FAILED, Why
from tcpd.relay.forward_sides import Client, Forwarding

#: Bytes that are read from the far side at a time, as from clients.
_READ = 256 * 1024

#: Seconds that a side may take to the end when the other is gone: as long as a policy's ``linger``
#: is by default.
LINGER = 15.0


def discard(data: bytes) -> None:
    """There is nobody to write it to."""


class Reading:
    """A transport as the producer of the other side: it is asked to stop reading, and to go on.

    What it is not asked is to close because the other transport is gone: that is decided here.
    """

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def pauseProducing(self) -> None:
        """Stop reading."""
        self._transport.pauseProducing()

    def resumeProducing(self) -> None:
        """Read on."""
        self._transport.resumeProducing()

    def stopProducing(self) -> None:
        """The other transport is gone, which its protocol is told too."""


def prepare(transport: Any) -> None:
    """Set up a connection to a far side."""
    transport.bufferSize = _READ
    transport.setTcpNoDelay(True)
    transport.setTcpKeepAlive(True)


def was_reset(transport: Any) -> bool:
    """Whether the kernel knows of an error on a connection that seems to have ended.

    Some reactors take EPOLLHUP for an end; a reset has it too.
    """
    return bool(transport.getHandle().getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))


@implementer(IHalfCloseableProtocol, IPullProducer)
class FarSide(Protocol):
    """The far side, in the clear.

    What the client says is offered to the kernel at once, and Twisted's transport gets what that
    does not take: this halves the cost of a message. While the transport has something, the client
    is not read from, and it asks here, as of a producer, when it has sent all.

    The kernel reports the reset of a connection once, and an end from then on. Here that is mostly
    when sending; what the far side sent before can be read all the same, and the end behind it
    then is none.

    :param client: whose far side it is.
    :param factory: the service's.
    """

    transport: Any

    def __init__(self, client: Client, factory: Forwarding) -> None:
        self._client: Client | None = client
        self._factory = factory
        self._write = client.transport.write
        self._timer: IDelayedCall | None = None
        self._source: Reading | None = None
        self._send: Any = None
        self._waiting = False  # the transport has something to send
        self._joined = False
        self._deaf = False  # sending failed: it takes nothing more
        self._cut = False  # what it sends will end by a reset, though the kernel has forgotten
        self._read_over = False
        self._write_over = False

    @property
    def wire(self) -> Protocol:
        """The protocol to be connected."""
        return self

    # --- its connection ---

    def connectionMade(self) -> None:
        """Begin, if the client is still there."""
        if self._client is None:
            self.transport.abortConnection()
            return
        prepare(self.transport)
        self._join()

    def dataReceived(self, data: bytes) -> None:
        """Pass it on."""
        self._write(data)

    def readConnectionLost(self) -> None:
        """It sends no more, or was reset."""
        if self._cut or was_reset(self.transport):
            client = self._let_go()
            self.transport.abortConnection()
            if client is not None:
                self._lost(client)
            return
        self._read_over = True
        if self._client is not None:
            self._client.far_ended()
        if self._deaf:
            self._close()
        self._close_if_over()

    def writeConnectionLost(self) -> None:
        """It has been sent the last of the client's bytes."""
        self._write_over = True
        self._close_if_over()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """It is gone."""
        assert reason is not None
        self._factory.far_closed(self)
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        client = self._let_go()
        if client is None:
            return
        if not self._joined:
            client.far_failed(self._why_not(reason))
        elif isinstance(reason.value, ConnectionDone) and not self._deaf:
            client.far_gone()
        else:
            self._note(reason, client)
            self._lost(client)

    # --- from the client's side ---

    def attach(self, source: Reading) -> None:
        """Begin to pass bytes on. Called once, before :meth:`write`.

        :param source: asked to stop reading while bytes wait here.
        """
        self._source = source
        self._send = self.transport.getHandle().send
        if self._client is not None and self._client.header:
            # the same way as what follows: in the transport's buffer it would be overtaken, and
            # what the client says would stand where the header belongs
            self.write(self._client.header)

    def write(self, data: bytes) -> None:
        """Send what the client said."""
        if self._waiting:
            self.transport.write(data)
            return
        try:
            sent = self._send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._send_failed(error)
            return
        if sent == len(data):
            return
        assert self._source is not None
        self._source.pauseProducing()
        self.transport.write(bytes(memoryview(data)[sent:]))
        self.transport.registerProducer(self, False)
        self._waiting = True

    def _send_failed(self, error: OSError) -> None:
        self._deaf = True
        # EPIPE says that its own end came first, and so is whole (tcp_reset() in Linux)
        self._cut = self._cut or error.errno != errno.EPIPE
        self._send = len
        if self._client is not None:
            self._client.far_deaf()
        if self._read_over:
            self._close()

    def resumeProducing(self) -> None:
        """All that waited is sent. Called by the transport; also once when it is registered."""
        if self._waiting:
            self._waiting = False
            self.transport.unregisterProducer()
            if self._source is not None:
                self._source.resumeProducing()

    def stopProducing(self) -> None:
        """The transport is gone, which its protocol is told too."""

    def end_writing(self) -> None:
        """The client sends no more: tell it so when all is sent."""
        self._source = None
        self.transport.unregisterProducer()  # or that is what it would wait for
        self.transport.loseWriteConnection()

    def stop_reading(self) -> None:
        """The client will not be there much longer."""
        self.transport.pauseProducing()

    def finish(self, orderly: bool) -> None:
        """The client is gone. What it said is still delivered, if that does not take too long.

        :param orderly: whether the client had ended what it sends; else a reset is behind it.
        """
        self._let_go()
        self._waiting = False
        self.transport.unregisterProducer()
        self._timer = self._factory.clock.callLater(LINGER, self.transport.abortConnection)
        if orderly:
            self.transport.loseConnection()
        else:
            self._reset()

    def abort(self) -> None:
        """Nobody wants it any more."""
        self._let_go()
        if self.connected:
            self.transport.abortConnection()

    # --- inside ---

    def _join(self) -> None:
        self._joined = True
        self._factory.far_opened(self)
        assert self._client is not None
        self._client.joined()

    def _let_go(self) -> Client | None:
        client, self._client = self._client, None
        self._source = None
        self._write = discard
        return client

    def _lost(self, client: Client) -> None:
        """The client is told of a loss.

        What the far side sent before it ended its direction is whole, and still to be delivered.
        """
        self._factory.count("lost")
        client.far_gone(reset=not self._read_over, deaf=True)

    def _close(self) -> None:
        """It has closed, and what it sent has been read to the end."""
        client = self._let_go()
        self.transport.loseConnection()
        if client is not None:
            self._lost(client)

    def _close_if_over(self) -> None:
        if self._read_over and self._write_over:
            self.transport.loseConnection()

    def _reset(self) -> None:
        reset_when_delivered(self.transport, self._factory.clock)

    def _note(self, reason: Failure, client: Client) -> None:
        """Log why it was lost, where that is of interest."""

    def _why_not(self, reason: Failure) -> Why:
        """Why it is gone before it was joined, which takes more than a connection."""
        return Why(FAILED, "it closed the connection")
