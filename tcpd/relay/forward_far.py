"""The far side of a forwarded connection, on a transport of Twisted."""

from __future__ import annotations

import errno
import socket
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol, IPullProducer
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from tcpd.net.delayed_reset import reset_when_acknowledged
from tcpd.relay.forward_failures import FAILED, FarFailure
from tcpd.relay.forward_sides import ForwardedClient, Forwarding

#: Bytes to read from the far side at a time, as from clients.
_READ = 256 * 1024

#: Seconds that one side may take to close after the other is lost: the default of a policy's
#: ``linger``.
LINGER = 15.0


def discard(data: bytes) -> None:
    """Drop data for a side that is lost."""


class ReadingProducer:
    """A transport as the producer of the other side: pausing it stops reading.

    Unlike the transport's own method, ``stopProducing`` does not close it.
    """

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def pauseProducing(self) -> None:
        """Stop reading."""
        self._transport.pauseProducing()

    def resumeProducing(self) -> None:
        """Resume reading."""
        self._transport.resumeProducing()

    def stopProducing(self) -> None:
        """Nothing to do: ``connectionLost`` of the other protocol is called too."""


def prepare(transport: Any) -> None:
    """Set the socket options of a connection to a far side."""
    transport.bufferSize = _READ
    transport.setTcpNoDelay(True)
    transport.setTcpKeepAlive(True)


def was_reset(transport: Any) -> bool:
    """Whether the socket has an error. Some reactors report a reset (EPOLLHUP) as end of file."""
    return bool(transport.getHandle().getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))


@implementer(IHalfCloseableProtocol, IPullProducer)
class FarSide(Protocol):
    """The far side, in the clear.

    Data of the client goes to ``send(2)`` at once, and only the rest to Twisted's transport: this
    halves the cost of a message. While the transport has data buffered, the client is not read
    from; this object is the transport's pull producer, to be called when the buffer is empty.

    The kernel reports a reset once, mostly on send, and end of file from then on. Data received
    before can still be read, but the end of file after it is not orderly.

    :param client: the client.
    :param factory: the factory of the service.
    """

    transport: Any

    def __init__(self, client: ForwardedClient, factory: Forwarding) -> None:
        self._client: ForwardedClient | None = client
        self._factory = factory
        self._write = client.transport.write
        self._timer: IDelayedCall | None = None
        self._source: ReadingProducer | None = None
        self._send: Any = None
        self._waiting = False  # the transport has buffered data
        self._joined = False
        self._send_broken = False
        self._cut = False  # it was reset, though the kernel will report end of file
        self._read_over = False
        self._write_over = False

    @property
    def wire(self) -> Protocol:
        """The protocol to connect."""
        return self

    # --- its connection ---

    def connectionMade(self) -> None:
        """Connect both sides, if the client is still connected."""
        if self._client is None:
            self.transport.abortConnection()
            return
        prepare(self.transport)
        self._join()

    def dataReceived(self, data: bytes) -> None:
        """Relay it."""
        self._write(data)

    def readConnectionLost(self) -> None:
        """The far side half-closed, or was reset."""
        if self._cut or was_reset(self.transport):
            client = self._detach()
            self.transport.abortConnection()
            if client is not None:
                self._lost(client)
            return
        self._read_over = True
        if self._client is not None:
            self._client.far_half_closed()
        if self._send_broken:
            self._close()
        self._close_if_over()

    def writeConnectionLost(self) -> None:
        """All data of the client, and the FIN, have been sent to the far side."""
        self._write_over = True
        self._close_if_over()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """The far side's connection is lost."""
        assert reason is not None
        self._factory.far_closed(self)
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        client = self._detach()
        if client is None:
            return
        if not self._joined:
            client.far_failed(self._failure_before_join(reason))
        elif isinstance(reason.value, ConnectionDone) and not self._send_broken:
            client.far_lost()
        else:
            self._log_loss(reason, client)
            self._lost(client)

    # --- from the client's side ---

    def attach(self, source: ReadingProducer) -> None:
        """Start relaying. Called once, before :meth:`write`.

        :param source: paused while data is buffered here.
        """
        self._source = source
        self._send = self.transport.getHandle().send
        if self._client is not None and self._client.header:
            # by the same path as the data: in the transport's buffer, data would overtake it
            self.write(self._client.header)

    def write(self, data: bytes) -> None:
        """Send data of the client."""
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
        self._send_broken = True
        # EPIPE: its FIN arrived before the reset, so its data is complete (tcp_reset() in Linux)
        self._cut = self._cut or error.errno != errno.EPIPE
        self._send = len
        if self._client is not None:
            self._client.far_send_failed()
        if self._read_over:
            self._close()

    def resumeProducing(self) -> None:
        """The buffer is empty. Called by the transport; also once at registration."""
        if self._waiting:
            self._waiting = False
            self.transport.unregisterProducer()
            if self._source is not None:
                self._source.resumeProducing()

    def stopProducing(self) -> None:
        """The transport is closed; its protocol is notified, too."""

    def end_writing(self) -> None:
        """Half-close when all is sent."""
        self._source = None
        self.transport.unregisterProducer()  # a registered producer would delay it
        self.transport.loseWriteConnection()

    def stop_reading(self) -> None:
        """Stop reading: the client's connection is about to be closed."""
        self.transport.pauseProducing()

    def finish(self, orderly: bool) -> None:
        """Deliver the client's data within ``LINGER`` seconds, and close.

        :param orderly: whether the client half-closed; otherwise reset after its data.
        """
        self._detach()
        self._waiting = False
        self.transport.unregisterProducer()
        self._timer = self._factory.clock.callLater(LINGER, self.transport.abortConnection)
        if orderly:
            self.transport.loseConnection()
        else:
            self._reset()

    def abort(self) -> None:
        """Reset its connection."""
        self._detach()
        if self.connected:
            self.transport.abortConnection()

    # --- inside ---

    def _join(self) -> None:
        self._joined = True
        self._factory.far_opened(self)
        assert self._client is not None
        self._client.far_connected()

    def _detach(self) -> ForwardedClient | None:
        client, self._client = self._client, None
        self._source = None
        self._write = discard
        return client

    def _lost(self, client: ForwardedClient) -> None:
        """Notify the client's side. Data received before a half-close is complete: no reset."""
        self._factory.count("lost")
        client.far_lost(reset=not self._read_over, unacknowledged=True)

    def _close(self) -> None:
        """Close after its last data was read and sending has failed."""
        client = self._detach()
        self.transport.loseConnection()
        if client is not None:
            self._lost(client)

    def _close_if_over(self) -> None:
        if self._read_over and self._write_over:
            self.transport.loseConnection()

    def _reset(self) -> None:
        reset_when_acknowledged(self.transport, self._factory.clock)

    def _log_loss(self, reason: Failure, client: ForwardedClient) -> None:
        """Log the loss of a joined connection, in TLS."""

    def _failure_before_join(self, reason: Failure) -> FarFailure:
        """Why the connection was lost before it was joined."""
        return FarFailure(FAILED, "it closed the connection")
