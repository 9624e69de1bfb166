"""What a conversation asks of its connection."""

from __future__ import annotations

from collections.abc import Callable
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

    def when_there_is_time(self, call: Callable[[], None]) -> None:
        """Do what takes long and this client has not asked for, a little in each reactor turn for
        all; never once the conversation is over."""

    def facts(self) -> Facts | None:
        """What is known of the connection; ``None`` if nothing is."""

    def stand_for(self, address: Address) -> Refusal | None:
        """Have the client counted by another address (WEBIRC), or tell why it is not let in."""
