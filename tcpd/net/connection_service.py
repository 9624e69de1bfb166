"""What a connection uses of its service."""

from __future__ import annotations

import socket
from typing import Protocol, TypeVar

from tcpd.net.pipeline import PipelineService
from tcpd.policy.addresses import IPAddress
from tcpd.policy.reasons import End, Refusal

Connection_contra = TypeVar("Connection_contra", contravariant=True)


class ConnectionService(PipelineService, Protocol[Connection_contra]):
    """The service of a connection: :class:`~tcpd.net.layer.ConnectionLayer`, as far as connections
    use it.

    Its parameter is :class:`~tcpd.net.connection.Connection`, which stands above this module.
    """

    service: str
    protocol: str | None
    server_name: str

    def note(self, connection: Connection_contra, sock: socket.socket) -> None:
        """Read what is wanted of a connection's handshake, before anything else happens on it."""

    def identify(self, connection: Connection_contra) -> bytes | None:
        """Let the client in whom a PROXY header named, or not.

        :return: ``None`` to let it in, else what to say to it, which may be nothing.
        """

    def hand_on(self, connection: Connection_contra, address: IPAddress) -> Refusal | None:
        """Give a connection's place to another address, if that is let in.

        :return: why it is not.
        """

    def refuse(self, connection: Connection_contra, refusal: Refusal) -> None:
        """Count and log that a client is refused who was let in."""

    def release(self, connection: Connection_contra) -> None:
        """Give a connection's place to others while it ends."""

    def gone(self, connection: Connection_contra, end: End, why: str = "", error: str = "") -> None:
        """A connection is over. Called once.

        :param why: TLS failed.
        :param error: the system's, of a connection that was lost.
        """

    def quiet_for(self, connection: Connection_contra) -> float | None:
        """See :meth:`tcpd.net.sweeper.Sweeper.quiet_for`."""

    def no_memory(self, error: BaseException) -> None:
        """A connection failed for want of memory."""
