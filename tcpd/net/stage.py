"""What a stage is: it stands between a connection's transport and its protocol.

A stage gets what is received until it is done or fails; it calls back then. The pipeline keeps its
deadline (:mod:`tcpd.net.pipeline`). The PROXY header makes way when it is done. TLS and WebSocket
stay, as the transport of what is above them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, Protocol

from twisted.python.failure import Failure

from tcpd.interfaces import IConnection
from tcpd.policy.reasons import End


class Below(Protocol):
    """The transport at the bottom: a TCP connection whose close is bounded in time."""

    __slots__ = ()

    @abstractmethod
    def write(self, data: bytes) -> None:
        """See :class:`twisted.internet.interfaces.ITransport`."""

    @abstractmethod
    def loseConnection(self) -> None:
        """Close once all is written, and cut the connection if that does not come to an end.

        A registered producer is let go: nobody is waited for but the peer, and for no longer than
        the policy's ``linger``.
        """

    @abstractmethod
    def loseWriteConnection(self) -> None:
        """Close the sending side once all is written, a half-close; ``write_ended`` follows."""

    @abstractmethod
    def abortConnection(self) -> None:
        """Reset the connection at once; what waits is lost."""

    @abstractmethod
    def resetConnection(self) -> None:
        """Reset the connection once all that was written is delivered, at most ``linger`` later.

        So the peer sees that the stream was cut, and still has what came before. UNIX sockets know
        no reset: there the peer sees an end.
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
        """Read again."""

    @abstractmethod
    def getPeer(self) -> Any:
        """See :class:`twisted.internet.interfaces.ITransport`."""

    @abstractmethod
    def getHost(self) -> Any:
        """See :class:`twisted.internet.interfaces.ITransport`."""

    @abstractmethod
    def getTcpNoDelay(self) -> bool:
        """See :class:`twisted.internet.interfaces.ITCPTransport`; as those that follow."""

    @abstractmethod
    def setTcpNoDelay(self, enabled: bool) -> None:
        """Whether small pieces are sent at once."""

    @abstractmethod
    def getTcpKeepAlive(self) -> bool:
        """Whether the kernel looks for peers that have vanished."""

    @abstractmethod
    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Let it."""

    @abstractmethod
    def let_go(self) -> None:
        """Unregister the producer: the end has begun."""

    @abstractmethod
    def begin_linger(self) -> None:
        """Bound the wait for the end."""


class Stage(Protocol):
    """Gets what a connection receives, in the protocol's place."""

    __slots__ = ()

    @abstractmethod
    def dataReceived(self, data: bytes) -> None:
        """Take what was received. The only method that gets bytes."""

    @abstractmethod
    def connectionLost(self, reason: Failure) -> None:
        """The connection is gone."""

    def read_ended(self) -> bool:
        """The peer has closed its sending side, and may still read.

        :return: whether the stage sees to what follows; if not, the connection is closed.
        """
        return False

    def write_ended(self) -> None:
        """Our sending side is closed, as was asked by ``loseWriteConnection``."""
        return  # a stage that begins no half-close is not interested


class StackedTransport(Stage):
    """A stage that stays, as the transport of its protocol.

    What it does not change it passes on. ``IConnection(transport)`` is the connection at the
    bottom, if that is one.

    :param connection: at the bottom.
    :param below: right below: the connection, or another such transport on it.

    :ivar protocol: above; ``None`` while the handshake is not complete, and in the end.
    :ivar disconnecting: whether a close has begun.
    """

    __slots__ = ("_below", "_connection", "disconnecting", "protocol")

    def __init__(self, connection: Below, below: Any) -> None:
        self._connection = connection
        self._below = below
        self.protocol: Any = None
        self.disconnecting = False

    def __conform__(self, interface: Any) -> Any:
        """Adapt to the connection, which is not this object's to stand for."""
        return IConnection(self._connection, None) if interface is IConnection else None

    @abstractmethod
    def write(self, data: bytes) -> None:
        """See :class:`twisted.internet.interfaces.ITransport`."""

    @abstractmethod
    def loseConnection(self) -> None:
        """See :class:`twisted.internet.interfaces.ITransport`."""

    def close_for(self, reason: End) -> None:
        """Close as :meth:`loseConnection` does; send the reason if the protocol has a way."""
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
