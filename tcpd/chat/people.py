"""People, and their clients on this node.

A :class:`Person` is what the network knows: the same on every node. A :class:`Client` is one
connection to this node. A person has no client here if it is connected to another node, and several
if it is on a phone and a laptop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tcpd.chat.format import Format
from tcpd.chat.hosts import Address, subscriber
from tcpd.chat.masks import person
from tcpd.chat.names import fold
from tcpd.chat.outbox import Outbox
from tcpd.chat.refused import Refused
from tcpd.events.chat import Event, Identity, Killed
from tcpd.handshake.facts import Facts


@dataclass(frozen=True, slots=True)
class Profile:
    """Facts about a person who enters, besides the nickname.

    :ivar user: see :class:`tcpd.events.chat.Identity`.
    :ivar real_name: the real name, at most 150 bytes of UTF-8; empty for the nickname.
    :ivar address: the address of the client, for hosts and bans; ``None`` for a UNIX socket.
    :ivar host: the host that others see; ``None`` leaves it to the hub.
    :ivar secure: the connection is encrypted or local.
    """

    user: str = "text"
    real_name: str = ""
    address: Address | None = None
    host: str | None = None
    secure: bool = False


#: The rooms of a person in no room, shared to save memory. Never changed.
NO_ROOMS: dict[str, None] = {}


class Person:
    """A person in chat. Only :class:`tcpd.chat.state.ChatState` changes it, except ``clients``.

    :ivar id: see :class:`tcpd.events.chat.Identity`.
    :ivar nick: the nickname as it is shown.
    :ivar key: the nickname, folded.
    :ivar user: see :class:`tcpd.events.chat.Identity`.
    :ivar host: see :class:`tcpd.events.chat.Identity`.
    :ivar bot: see :class:`tcpd.events.chat.Identity`.
    :ivar real_name: 1 to 150 bytes of UTF-8.
    :ivar address: the address for bans; ``None`` for a UNIX socket. Shown only to server operators
        and to the person.
    :ivar secure: the connection is encrypted or local.
    :ivar since: the time when they entered, in seconds since 1970 UTC.
    :ivar spoke: the time of their last message, or of their entry, in seconds since 1970 UTC.
    :ivar away: the away message; empty if they are not away.
    :ivar invisible: only people in the same room find them.
    :ivar server_operator: authenticated by OPER.
    :ivar announcements: receives announcements (mode ``w``).
    :ivar rooms: the folded names of their rooms, in the order of joining.
    :ivar identity: the one that events carry.
    :ivar clients: their connections to this node, maintained by the hub.
    """

    __slots__ = (
        "address",
        "announcements",
        "away",
        "bot",
        "clients",
        "host",
        "id",
        "identity",
        "invisible",
        "key",
        "nick",
        "real_name",
        "rooms",
        "secure",
        "server_operator",
        "since",
        "spoke",
        "user",
    )

    def __init__(
        self, who: Identity, real_name: str, address: Address | None, secure: bool, since: float
    ) -> None:
        self.id = who.id
        self.nick = who.nick
        key = fold(who.nick)
        self.key = who.nick if key == who.nick else key
        self.user = who.user
        self.host = who.host
        self.bot = who.bot
        self.real_name = real_name
        self.address = address
        self.secure = secure
        self.since = since
        self.spoke = since
        self.away = ""
        self.invisible = False
        self.server_operator = False
        self.announcements = False
        self.rooms = NO_ROOMS
        self.clients: tuple[Client, ...] = ()
        self.identity = who

    def __repr__(self) -> str:
        return f"<Person {self.id} {self.nick!r}>"

    def update_identity(self) -> None:
        """Update after a change of nickname, user name, host or bot mode. Called by the state."""
        self.identity = Identity(self.id, self.nick, self.user, self.host, self.bot)

    @property
    def folded(self) -> str:
        """Folded ``nick!user@host``, to compare with masks."""
        return person(self.nick, self.user, self.host)

    @property
    def network(self) -> str | None:
        """The network that a ban of this person covers: the address, or the /64 of an IPv6 address.

        ``None`` for loopback and UNIX sockets: such a ban would cover all local people.
        """
        address = self.address
        if address is None or address.is_loopback:
            return None
        return str(subscriber(address))


class Client:
    """One connection of a frontend, as the hub uses it. Each frontend has a subclass.

    :cvar slow: the quit reason of a client that did not read.

    :ivar person: ``None`` before it has entered. Still there when it has left.
    :ivar outbox: the output buffer.
    :ivar format: the format of its events. Changed by :meth:`tcpd.chat.hub.Hub.equip`.
    :ivar echo: it gets its own messages.
    :ivar extended_monitor: it gets the events of people that it monitors, without a common room.
    :ivar address: the address of the peer; ``None`` for a UNIX socket.
    :ivar secure: the connection is encrypted or local.
    :ivar spoke: the time of its last message, in seconds of the hub's clock.
    :ivar monitored: the nicknames that it monitors, as it wrote them, by the folded ones.
    :ivar ahead: messages that it sent and that the event log has not delivered yet.
    :ivar gone: it has left, or was dropped.
    """

    slow = "SendQ exceeded"

    __slots__ = (
        "address",
        "ahead",
        "echo",
        "extended_monitor",
        "format",
        "gone",
        "monitored",
        "outbox",
        "person",
        "secure",
        "spoke",
    )

    def __init__(
        self, outbox: Outbox, format: Format, address: Address | None = None, secure: bool = False
    ) -> None:
        self.person: Person | None = None
        self.outbox = outbox
        self.format = format
        self.echo = False
        self.extended_monitor = False
        self.address = address
        self.secure = secure
        self.spoke = 0.0
        self.monitored: dict[str, str] | None = None
        self.ahead = 0
        self.gone = False
        outbox.owner = self

    def facts(self) -> Facts | None:
        """Return the facts of its connection; ``None`` if unknown."""
        return None

    # --- called by the hub ---

    def happened(self, event: Event, reply: Any) -> None:
        """An event about this client was applied and sent.

        Its person entered, joined, left, was kicked or invited, sent a private message, or is in
        a room that was renamed.

        :param reply: the reply of the request that caused it (:class:`tcpd.chat.reply.ChatReply`),
            if this client did; else ``None``.
        """

    def appeared(self, who: Identity) -> None:
        """A nickname that this client monitors is in use now."""

    def vanished(self, nick: str) -> None:
        """A nickname that this client monitors is free now."""

    def refused(self, event: Event, refused: Refused) -> None:
        """A message that ran ahead was refused when the log delivered it."""

    def caught_up(self) -> None:
        """All messages that ran ahead are delivered."""

    def killed(self, event: Killed, reply: Any) -> None:
        """A server operator killed the person. Send the reason and close.

        :param reply: the reply to the request, if the client killed itself; else ``None``.
        """

    def dropped(self) -> None:
        """The client does not read. Reset the connection. May be called within a delivery."""
