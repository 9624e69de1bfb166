"""The interface between a frontend's conversation and its connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from tcpd.chat.hosts import Address
from tcpd.handshake.facts import Facts
from tcpd.lines.single import LineConversation
from tcpd.policy.reasons import End, Refusal


class Edge(Protocol):
    """The connection, as its conversation uses it."""

    def proceed(self) -> None:
        """Take further lines: the open request is complete, or messages that ran ahead are
        delivered. Harmless when nothing waits."""

    def hang_up(self) -> None:
        """Flush the outbox, and close. Called once."""

    def cut(self) -> None:
        """Reset the connection of a client that does not read. Called once."""

    def when_there_is_time(self, call: Callable[[], None]) -> None:
        """Do what takes long and this client has not asked for, within the bound of time that each
        reactor turn has for such work; never once the conversation is over."""

    def facts(self) -> Facts | None:
        """Facts about the connection; ``None`` where there is no connection layer."""


class GatewayEdge(Edge, Protocol):
    """The connection of a frontend that accepts gateways (WEBIRC)."""

    def replace_address(self, address: Address) -> Refusal | None:
        """Count the client under the address that its gateway gives (WEBIRC).

        :return: the refusal, if a limit of that address is reached.
        """


class Conversation(LineConversation, Protocol):
    """A conversation, as its connection uses it."""

    def last_words(self, reason: End) -> bytes:
        """Return the last lines for a connection that the daemon ends."""
