"""The interfaces between the two sides of a forwarded connection and their service.

They avoid a cycle of imports: the client's side makes the far side, and both use the service.
"""

from __future__ import annotations

from typing import Any, Protocol

from tcpd.policy.workqueue import WorkQueue
from tcpd.relay.forward_failures import FarFailure
from tcpd.relay.forward_route import Route


class ForwardedClient(Protocol):
    """The client's side, for the far side and the service.

    :ivar transport: the transport of the client.
    :ivar route: the route of the connection.
    :ivar header: the PROXY header for the far side; empty for none.
    """

    transport: Any
    route: Route
    header: bytes

    def far_connected(self) -> None:
        """The far side is connected, its TLS included. Called once by the far side."""

    def far_half_closed(self) -> None:
        """The far side half-closed: half-close the client's connection. Called by the far side."""

    def far_send_failed(self) -> None:
        """The far side accepts no more data from the client. Called by the far side."""

    def far_lost(self, *, reset: bool = False, unacknowledged: bool = False) -> None:
        """The far side's connection is lost after it was connected. Called by the far side.

        :param reset: whether its data was truncated by a reset.
        :param unacknowledged: whether data of the client may be lost.
        """

    def far_failed(self, why: FarFailure) -> None:
        """Connecting failed. Called by the far side; later calls are ignored."""


class Far(Protocol):
    """The far side, for the service."""

    def abort(self) -> None:
        """Reset its connection."""


class Forwarding(Protocol):
    """The service, for both sides.

    :ivar clock: an IReactorTime, for timers.
    :ivar work: the daemon's work queue.
    """

    clock: Any
    work: WorkQueue

    @property
    def route(self) -> Route:
        """How the next connection is forwarded."""

    def far_opened(self, far: Far) -> None:
        """A far side is connected, its TLS included."""

    def far_closed(self, far: Far) -> None:
        """A far side's connection is closed, whether or not ``far_opened`` was called."""

    def count(self, word: str) -> None:
        """Count an event of far sides."""

    def failed(self, why: FarFailure, client: ForwardedClient) -> None:
        """Count and log a failed connection to the far side."""
