"""What a conversation asks of its connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from tcpd.chat.member import Address
from tcpd.policy.reasons import Refusal

if TYPE_CHECKING:
    from tcpd.handshake.facts import Facts


class Edge(Protocol):
    """A conversation's connection."""

    def hang_up(self) -> None:
        """The conversation is over: write what waits, and close. Called once."""

    def cut(self) -> None:
        """The client does not read: end the connection at once. Called once."""

    def facts(self) -> Facts | None:
        """What is known of the connection; ``None`` if nothing is."""

    def stand_for(self, address: Address) -> Refusal | None:
        """Have the client counted by another address (WEBIRC), or tell why it is not let in."""
