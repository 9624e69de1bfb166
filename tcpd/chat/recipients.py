"""The outboxes that receive an event, by the format of their clients."""

from __future__ import annotations

from collections.abc import Iterable

from tcpd.chat.format import Format
from tcpd.chat.outbox import Outbox
from tcpd.chat.people import Person


class Recipients:
    """The outboxes of people's clients. Each room caches those of its members.

    :ivar groups: outboxes by format, in the order of the people. No group is empty.

    :param people: the people.
    """

    __slots__ = ("groups",)

    def __init__(self, people: Iterable[Person]) -> None:
        self.groups: dict[Format, list[Outbox]] = {}
        for person in people:
            self.add(person)

    def add(self, person: Person) -> None:
        """Add a person's clients. In a join of a room of thousands, this replaces a loop over all
        members."""
        groups = self.groups
        for client in person.clients:
            format = client.format
            if format in groups:
                groups[format].append(client.outbox)
            else:
                groups[format] = [client.outbox]
