"""How a frontend writes events."""

from __future__ import annotations

from typing import Protocol

from tcpd.events.chat import Event


class Format(Protocol):
    """Renders events for the wire. One object serves all clients that get the same bytes."""

    def render(self, event: Event) -> bytes:
        """Write an event; ``b""`` if these clients get nothing of it.

        Called once for each event, however many clients get it.
        """
