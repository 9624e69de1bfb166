"""The base class of tcpd's ports: a socket on the reactor that is closed at once."""

from __future__ import annotations

import socket
from typing import Any, ClassVar, Literal

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IAddress
from twisted.python.failure import Failure

from tcpd.net.address import format_address, socket_address

#: Seconds without reading after a lack of descriptors or memory.
_PAUSE = 1.0


class ListeningPort:
    """A bound socket that the reactor reads from.

    :param sock: non-blocking; this object closes it.
    :param reactor: an IReactorFDSet and IReactorTime.
    """

    #: See :class:`tcpd.net.reactor.IDirect`.
    direct = True

    _kind: ClassVar[Literal["TCP", "UDP"]] = "TCP"

    def __init__(self, sock: socket.socket, reactor: Any) -> None:
        self._socket = sock
        self._reactor = reactor
        self._open = False

    def stopListening(self) -> Deferred[None]:
        """Close the port at once.

        :return: a Deferred that has fired; it fails with what the factory's ``doStop`` raised.
        """
        return maybeDeferred(self._close)

    def _close(self) -> None:
        if self._open:
            self._open = False
            self._reactor.removeReader(self)
            self._socket.close()
            self._closed()

    def _closed(self) -> None:
        """Clean up after the socket is closed."""

    def __repr__(self) -> str:
        where = format_address(self.getHost()) if self._open else "closed"
        return f"<{type(self).__name__} {where}>"

    def getHost(self) -> IAddress:
        return socket_address(self._socket.getsockname(), self._kind)

    def fileno(self) -> int:
        return self._socket.fileno()

    def connectionLost(self, reason: Failure) -> None:
        """Close the port: the reactor is stopping."""
        self._close()

    def gone(self) -> None:
        """Do nothing: the socket has no connection to lose."""

    def _pause(self) -> None:
        """Stop reading for a while: the reactor would report the same input again at once."""
        self._reactor.removeReader(self)
        self._reactor.callLater(_PAUSE, self._resume)

    def _resume(self) -> None:
        if self._open:
            self._reactor.addReader(self)
