"""What a TLS layer needs of the connection under it."""

from __future__ import annotations

from typing import Any, Protocol


class Below(Protocol):
    """The connection under a TLS layer: a transport of TCP, and what the layer has to report."""

    def write(self, data: bytes) -> None:
        """Send what OpenSSL has for the peer."""

    def loseConnection(self) -> None:
        """Close once all is written."""

    def loseWriteConnection(self) -> None:
        """Close the sending side once all is written; the layer's ``write_ended`` follows."""

    def abortConnection(self) -> None:
        """Reset the connection at once."""

    def resetConnection(self) -> None:
        """Reset the connection once all is delivered."""

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """See IConsumer."""

    def unregisterProducer(self) -> None:
        """See IConsumer."""

    def pauseProducing(self) -> None:
        """Stop reading."""

    def resumeProducing(self) -> None:
        """Read again."""

    def getPeer(self) -> Any:
        """See ITransport."""

    def getHost(self) -> Any:
        """See ITransport."""

    def getTcpNoDelay(self) -> bool:
        """See ITCPTransport."""

    def setTcpNoDelay(self, enabled: bool) -> None:
        """See ITCPTransport."""

    def getTcpKeepAlive(self) -> bool:
        """See ITCPTransport."""

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """See ITCPTransport."""

    def let_go(self) -> None:
        """Unregister the producer: the end has begun."""

    def begin_linger(self) -> None:
        """Bound the wait for the end."""

    def secured(self) -> None:
        """The handshake is complete."""

    def input_ended(self) -> None:
        """The peer has ended its direction by close_notify."""

    def truncated(self) -> None:
        """The peer closed its sending side without close_notify."""
