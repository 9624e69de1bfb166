"""The interface of renderings of events."""

from __future__ import annotations

from typing import Protocol

from tcpd.events.chat import Event


class Format(Protocol):
    """Renders events for the wire. One object serves all clients that get the same bytes."""

    def render(self, event: Event) -> bytes:
        """Return the bytes of an event; ``b""`` if these clients do not get it.

        Called once per event, whatever the number of clients.
        """
