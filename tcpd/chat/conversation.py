"""What a frontend's conversation and its connection ask of each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from tcpd.chat.hosts import Address
from tcpd.handshake.facts import Facts
from tcpd.lines.single import Conversation as LineConversation
from tcpd.policy.reasons import End, Refusal


class Edge(Protocol):
    """A conversation's connection, as the conversation sees it."""

    def go_on(self) -> None:
        """Take further lines: the request that was open is complete, or what ran ahead is
        delivered. May be called when nothing waits."""

    def hang_up(self) -> None:
        """The conversation is over: write what waits, and close. Called once."""

    def cut(self) -> None:
        """The client does not read: end the connection at once. Called once."""

    def when_there_is_time(self, call: Callable[[], None]) -> None:
        """Do what takes long and this client has not asked for, within the bound of time that each
        reactor turn has for such work; never once the conversation is over."""

    def facts(self) -> Facts | None:
        """What is known of the connection; ``None`` if nothing is."""


class GatewayEdge(Edge, Protocol):
    """The connection of a frontend that gateways use."""

    def stand_for(self, address: Address) -> Refusal | None:
        """Have the client counted by another address (WEBIRC).

        :return: why it is not let in, if so.
        """


class Conversation(LineConversation, Protocol):
    """One conversation with a client, as its connection sees it."""

    def last_words(self, reason: End) -> bytes:
        """The last lines for a client whose connection the daemon ends."""
