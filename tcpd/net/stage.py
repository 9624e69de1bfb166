"""The interfaces of stages, which stand between the transport of a connection and its protocol.

A stage gets the received bytes until it is done or fails, and then calls back. The pipeline bounds
its time (:mod:`tcpd.net.pipeline`). The PROXY header is removed when it is done. TLS and WebSocket
stay, as the transport of what is above them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, Protocol

from twisted.python.failure import Failure

from tcpd.interfaces import IConnection
from tcpd.policy.reasons import End


class BottomTransport(Protocol):
    """The transport at the bottom: a connection whose close is bounded in time."""

    __slots__ = ()

    @abstractmethod
    def write(self, data: bytes) -> None:
        """See :class:`twisted.internet.interfaces.ITransport`."""

    @abstractmethod
    def loseConnection(self) -> None:
        """Stop the producer and close once all data is sent.

        The connection is aborted if this takes longer than the policy's ``linger``.
        """

    @abstractmethod
    def loseWriteConnection(self) -> None:
        """Half-close: close the sending side once all data is sent. ``write_ended`` follows."""

    @abstractmethod
    def abortConnection(self) -> None:
        """Reset the connection at once, and discard buffered data."""

    @abstractmethod
    def resetConnection(self) -> None:
        """Reset the connection once the peer has acknowledged all data, after ``linger`` at most.

        The peer gets all data and then an error, as for a truncated stream. UNIX sockets have no
        reset: there the peer sees an end of file.
        """

    @abstractmethod
    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """See :class:`twisted.internet.interfaces.IConsumer`."""

    @abstractmethod
    def unregisterProducer(self) -> None:
        """See :class:`twisted.internet.interfaces.IConsumer`."""

    @abstractmethod
    def pauseProducing(self) -> None:
        """Stop reading from the peer, until :meth:`resumeProducing`."""

    @abstractmethod
    def resumeProducing(self) -> None:
        """Resume reading."""

    @abstractmethod
    def getPeer(self) -> Any:
        """See :class:`twisted.internet.interfaces.ITransport`."""

    @abstractmethod
    def getHost(self) -> Any:
        """See :class:`twisted.internet.interfaces.ITransport`."""

    @abstractmethod
    def getTcpNoDelay(self) -> bool:
        """See :class:`twisted.internet.interfaces.ITCPTransport`."""

    @abstractmethod
    def setTcpNoDelay(self, enabled: bool) -> None:
        """See :class:`twisted.internet.interfaces.ITCPTransport`."""

    @abstractmethod
    def getTcpKeepAlive(self) -> bool:
        """See :class:`twisted.internet.interfaces.ITCPTransport`."""

    @abstractmethod
    def setTcpKeepAlive(self, enabled: bool) -> None:
        """See :class:`twisted.internet.interfaces.ITCPTransport`."""

    @abstractmethod
    def stop_producer(self) -> None:
        """Stop and unregister the producer, because the connection is closing."""

    @abstractmethod
    def begin_linger(self) -> None:
        """Start the timer that bounds a close."""


class StageConnection(BottomTransport, Protocol):
    """The connection at the bottom, as its stages use it.

    Members without a docstring are documented at :class:`tcpd.net.connection.Connection`.
    """

    disconnecting: bool

    def record_end(self, reason: End) -> None: ...

    def end(self, reason: End) -> None: ...

    def log_and_abort(self, doing: str) -> None: ...


class Stage(Protocol):
    """Gets the bytes that a connection receives, instead of the protocol."""

    __slots__ = ()

    @abstractmethod
    def dataReceived(self, data: bytes) -> None:
        """Process received bytes."""

    @abstractmethod
    def connectionLost(self, reason: Failure) -> None:
        """Clean up: the connection has ended."""

    def read_ended(self) -> bool:
        """Handle a half-close by the peer, which may still read.

        :return: whether the stage handles it; if false, the connection is closed.
        """
        return False

    def write_ended(self) -> None:
        """Handle the end of our sending side, after ``loseWriteConnection``."""
        return


class StackedTransport(Stage):
    """A stage that stays, as the transport of its protocol.

    It delegates all that it does not override. ``IConnection(transport)`` is the connection at the
    bottom.

    :param connection: the connection at the bottom of the pipeline.
    :param below: the next transport below: the connection, or another stacked transport.

    :ivar protocol: the protocol above; ``None`` before the handshake is complete and after the end.
    :ivar disconnecting: whether the transport is closing.
    """

    __slots__ = ("_below", "_connection", "disconnecting", "protocol")

    def __init__(self, connection: BottomTransport, below: Any) -> None:
        self._connection = connection
        self._below = below
        self.protocol: Any = None
        self.disconnecting = False

    def __conform__(self, interface: Any) -> Any:
        """Adapt to :class:`~tcpd.interfaces.IConnection`: the connection at the bottom."""
        return IConnection(self._connection, None) if interface is IConnection else None

    @abstractmethod
    def write(self, data: bytes) -> None:
        """See :class:`twisted.internet.interfaces.ITransport`."""

    @abstractmethod
    def loseConnection(self) -> None:
        """See :class:`twisted.internet.interfaces.ITransport`."""

    def close_for(self, reason: End) -> None:
        """Close as :meth:`loseConnection` does; send the reason if the wire protocol can."""
        self.loseConnection()

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        self.write(b"".join(iovec))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._below.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        self._below.unregisterProducer()

    def pauseProducing(self) -> None:
        self._below.pauseProducing()

    def resumeProducing(self) -> None:
        self._below.resumeProducing()

    def stopProducing(self) -> None:
        self.loseConnection()

    def getPeer(self) -> Any:
        return self._connection.getPeer()

    def getHost(self) -> Any:
        return self._connection.getHost()

    def getTcpNoDelay(self) -> bool:
        return self._connection.getTcpNoDelay()

    def setTcpNoDelay(self, enabled: bool) -> None:
        self._connection.setTcpNoDelay(enabled)

    def getTcpKeepAlive(self) -> bool:
        return self._connection.getTcpKeepAlive()

    def setTcpKeepAlive(self, enabled: bool) -> None:
        self._connection.setTcpKeepAlive(enabled)
