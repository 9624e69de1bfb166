"""What the two sides of a forwarded connection call on each other and on their service.

:mod:`tcpd.relay.forward_client` makes the far side, and both know the service, so each would import
the other. They import this module instead.
"""

from __future__ import annotations

from typing import Any, Protocol

from tcpd.policy.workqueue import WorkQueue
from tcpd.relay.forward_failures import Why
from tcpd.relay.forward_route import Route


class Client(Protocol):
    """The client's side, as the far side and the service see it.

    :ivar transport: the client's.
    :ivar route: where it is forwarded, and how.
    :ivar header: the PROXY header for the far side; empty for none.
    """

    transport: Any
    route: Route
    header: bytes

    def joined(self) -> None:
        """The far side is connected, its TLS included. Called by it, once."""

    def far_ended(self) -> None:
        """The far side sends no more, so the client's connection is half-closed. Called by it."""

    def far_deaf(self) -> None:
        """The far side accepts no more bytes from the client. Called by it."""

    def far_gone(self, *, reset: bool = False, deaf: bool = False) -> None:
        """The far side's connection is lost, after it was joined. Called by it.

        :param reset: whether what it sent was cut by a reset.
        :param deaf: whether bytes from the client may be lost.
        """

    def far_failed(self, why: Why) -> None:
        """The far side cannot be connected. Called by it; later calls are ignored."""


class Far(Protocol):
    """The far side, as the service sees it."""

    def abort(self) -> None:
        """Reset its connection."""


class Forwarding(Protocol):
    """The service, as both sides see it.

    :ivar clock: an IReactorTime, for timers.
    :ivar work: the daemon's queue of work.
    """

    clock: Any
    work: WorkQueue

    @property
    def route(self) -> Route:
        """Where the next connection goes."""

    def far_opened(self, far: Far) -> None:
        """A far side is connected, its TLS included."""

    def far_closed(self, far: Far) -> None:
        """A far side's connection has ended. It may never have been complete."""

    def count(self, word: str) -> None:
        """Count an event about far sides."""

    def failed(self, why: Why, client: Client) -> None:
        """Count and log that a client got no far side. Called by its protocol."""
