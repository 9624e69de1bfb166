"""One person in chat, whatever door they came through, and what the hub asks of that door."""

from __future__ import annotations

import ipaddress
from typing import Protocol

from tcpd.chat.names import fold
from tcpd.chat.outbox import Outbox
from tcpd.chat.room import Room
from tcpd.events import Event, Who

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Format(Protocol):
    """How a door writes events. One object serves all members who get the same bytes."""

    def render(self, event: Event) -> bytes:
        """Write an event as others than its author see it; ``b""`` for nothing.

        Called once an event, however many get it. The author gets the same, but for what they
        said themselves.
        """


class Door(Protocol):
    """One member's side of a front door. The hub calls it; it may call the hub in turn."""

    def happened(self, event: Event) -> None:
        """Something that concerns this very member came to pass, and has been delivered to all.

        It is what they did themselves (joined, left, said, ...), or that they were kicked.
        What the door answers goes behind the event.
        """

    def dropped(self) -> None:
        """The member did not read what was sent and is no member any more.

        The connection is to be ended without another word. Called in the middle of deliveries.
        """


class Member:
    """One person in chat. Made by the hub; doors read it and change nothing.

    :ivar id: see :class:`tcpd.events.Who`.
    :ivar nick: the nickname as it is shown.
    :ivar key: the same, folded.
    :ivar address: for bans; ``None`` where there is none (a UNIX socket). Never shown.
    :ivar format: how events are written for them.
    :ivar outbox: where they are written to.
    :ivar door: their side of the front door.
    :ivar echo: whether they are sent what they said themselves.
    :ivar rooms: the rooms they are in, by folded name, in the order of joining.
    :ivar gone: whether they have left or were dropped.
    """

    __slots__ = (
        "_who",
        "address",
        "door",
        "echo",
        "format",
        "gone",
        "id",
        "key",
        "nick",
        "outbox",
        "rooms",
    )

    def __init__(
        self,
        id: str,
        nick: str,
        door: Door,
        format: Format,
        outbox: Outbox,
        address: Address | None,
        echo: bool,
    ) -> None:
        self.id = id
        self.nick = nick
        self.key = fold(nick)
        self.door = door
        self.format = format
        self.outbox = outbox
        self.address = address
        self.echo = echo
        self.rooms: dict[str, Room] = {}
        self.gone = False
        self._who = Who(id, nick)

    @property
    def who(self) -> Who:
        """As events name them."""
        who = self._who
        if who.nick is not self.nick:
            who = self._who = Who(self.id, self.nick)
        return who

    @property
    def network(self) -> str | None:
        """What an operator's ban keeps out besides the nickname.

        The address, or the /64 of an IPv6 address, which is what one subscriber has. ``None``
        where it would keep out everybody: loopback and UNIX sockets.
        """
        address = self.address
        if address is None or address.is_loopback:
            return None
        bits = 32 if address.version == 4 else 64
        return str(ipaddress.ip_network((address, bits), strict=False))
