"""What a frontend's conversation and its connection ask of each other."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Protocol

from tcpd.chat.hosts import Address
from tcpd.handshake.facts import Facts
from tcpd.policy.reasons import End, Refusal
from tcpd.wire.linebuffer import Fault


class Ready(Enum):
    """Whether a conversation takes its next line."""

    NOW = "now"
    #: in the next turn: others have to be written to first
    NEXT_TURN = "next turn"
    #: when :meth:`Edge.go_on` is called
    LATER = "later"


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


class Conversation(Protocol):
    """One conversation with a client, as its connection sees it."""

    @property
    def entered(self) -> bool:
        """Whether the client has entered chat."""

    @property
    def waiting(self) -> bool:
        """Whether a request is open: no further line is taken until :meth:`Edge.go_on`."""

    @property
    def streaming(self) -> bool:
        """Whether there is more of a long reply than was put into the outbox."""

    def greet(self) -> None:
        """Begin. Called once, before all else."""

    def ready_for(self, line: bytes | Fault) -> Ready:
        """Whether a line can be taken now: all it depends on is done."""

    def line(self, line: bytes | Fault) -> None:
        """Take a line from the client, without its end."""

    def is_costly(self, line: bytes | Fault) -> bool:
        """Whether a line takes long, since many receive what it causes, or the client receives
        much. A guess will do: such a line may have to wait a turn."""

    def stream_more(self) -> None:
        """Put more of a long reply into the outbox, as much as it bears for now."""

    def finished(self) -> None:
        """The client sends nothing more, and may still read. Called once."""

    def too_late(self) -> None:
        """The client has not entered in time. Called at most once."""

    def leave(self, reason: str) -> None:
        """The connection is lost, or is about to be closed: end without a word.

        :param reason: for others; may be empty.
        """

    def last_words(self, reason: End) -> bytes:
        """The last lines for a client whose connection the daemon ends."""
