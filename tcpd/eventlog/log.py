"""The interface of an event log (docs/decisions/0016)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred

from tcpd.events.chat import Event


class EventLog(Protocol):
    """Orders events and delivers them in that order.

    The hub appends the events of its clients, and changes its state only by delivered events. It
    works with any log: an event may be delivered within :meth:`append`, in a later turn of the
    reactor, or come from another node.

    A log delivers each event once, one after the other, never within the delivery of another. The
    events of one person are delivered in the order in which they were appended.
    """

    def start(self, deliver: Callable[[Event], None]) -> None:
        """Begin. Called once, before the first append.

        :param deliver: called with each event; does not raise.
        """

    def append(self, event: Event) -> None:
        """Add an event. Called by the hub; it may be called within a delivery."""

    def stop(self) -> Deferred[None]:
        """Stop accepting events. Called once.

        :return: fires when all appended events are delivered and stored.
        """
