"""What daytime, qotd and time have in common over TCP: say one thing and close.

What the client sends is thrown away. If it sends before it has read, the kernel may close with a
reset instead of an orderly end; what was said has been sent before that.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IAddress, ITransport
from twisted.internet.protocol import Protocol, ServerFactory


class Announcement(Protocol):
    """Says one thing and closes.

    :param say: makes what to say; called when the connection is made.
    """

    transport: ITransport

    def __init__(self, say: Callable[[], bytes]) -> None:
        self._say = say

    def connectionMade(self) -> None:
        """Say it."""
        self.transport.write(self._say())
        self.transport.loseConnection()


class AnnouncementFactory(ServerFactory):
    """One service that says one thing to whoever connects.

    :param say: makes what to say, at most some hundred bytes; called for each connection.
    """

    noisy = False

    def __init__(self, say: Callable[[], bytes]) -> None:
        self._say = say

    def buildProtocol(self, addr: IAddress | None) -> Announcement:
        """Make the protocol of one connection."""
        return Announcement(self._say)
