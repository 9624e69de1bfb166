"""The TCP side of daytime, qotd and time: sends one message and closes.

Received data is discarded. If a client sends before it has read, the kernel may close with a reset
instead of a FIN; the message has been sent before that.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IAddress, ITransport
from twisted.internet.protocol import Protocol, ServerFactory


class Announcement(Protocol):
    """Sends one message and closes.

    :param make: returns the message; called when the connection is made.
    """

    transport: ITransport

    def __init__(self, make: Callable[[], bytes]) -> None:
        self._make = make

    def connectionMade(self) -> None:
        """Send the message, and close."""
        self.transport.write(self._make())
        self.transport.loseConnection()


class AnnouncementFactory(ServerFactory):
    """The factory of a service that sends one message to each client.

    :param make: returns the message, at most some hundred bytes; called for each connection.
    """

    noisy = False

    def __init__(self, make: Callable[[], bytes]) -> None:
        self._make = make

    def buildProtocol(self, addr: IAddress | None) -> Announcement:
        """Make the protocol of one connection."""
        return Announcement(self._make)
