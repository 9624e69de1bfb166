"""The interface of a service to its connections."""

from __future__ import annotations

import socket
from typing import Protocol, TypeVar

from tcpd.net.pipeline import PipelineService
from tcpd.policy.addresses import IPAddress
from tcpd.policy.reasons import End, Refusal

Connection_contra = TypeVar("Connection_contra", contravariant=True)


class ConnectionService(PipelineService, Protocol[Connection_contra]):
    """The methods of :class:`~tcpd.net.layer.ConnectionLayer` that connections call.

    The type parameter is :class:`~tcpd.net.connection.Connection`, which imports this module.
    """

    service: str
    protocol: str | None
    server_name: str

    def read_handshake(self, connection: Connection_contra, sock: socket.socket) -> None:
        """Read the handshake values that the service needs, before any other use of the socket."""

    def identify(self, connection: Connection_contra) -> bytes | None:
        """Admit or refuse the client that a PROXY header names.

        :return: ``None`` if it is admitted, else the refusal to send, which may be empty.
        """

    def readmit(self, connection: Connection_contra, address: IPAddress) -> Refusal | None:
        """Count a connection for another client address, if that address is admitted.

        :return: ``None``, or why the address is refused.
        """

    def refuse(self, connection: Connection_contra, refusal: Refusal) -> None:
        """Count and log the refusal of a client that was admitted before."""

    def release(self, connection: Connection_contra) -> None:
        """Free the slot of a connection before it has ended."""

    def gone(self, connection: Connection_contra, end: End, why: str = "", error: str = "") -> None:
        """Remove a connection that has ended. Called once.

        :param why: why TLS failed, or ``""``.
        :param error: the system's error of a lost connection, or ``""``.
        """

    def idle_for(self, connection: Connection_contra) -> float | None:
        """See :meth:`tcpd.net.sweeper.Sweeper.idle_for`."""

    def no_memory(self, error: BaseException) -> None:
        """Report a connection that failed for lack of memory."""
