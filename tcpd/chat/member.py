"""One person in chat, whatever door they came through, and what the hub asks of that door."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tcpd.chat.hosts import Address, subscriber
from tcpd.chat.masks import person
from tcpd.chat.names import fold
from tcpd.chat.outbox import Outbox
from tcpd.chat.room import Room
from tcpd.events import Event, Who

__all__ = ["Address", "Door", "Format", "Member", "Profile"]


class Format(Protocol):
    """How a door writes events. One object serves all members who get the same bytes."""

    def render(self, event: Event) -> bytes:
        """Write an event as others than its author see it; ``b""`` for nothing.

        Called once an event, however many get it. The author gets the same, but for what they
        said themselves.
        """


class Door(Protocol):
    """One member's side of a front door. The hub calls it; it may call the hub in turn.

    :ivar slow: why somebody has left who did not read what was sent, for the others.
    """

    slow: str

    def happened(self, event: Event) -> None:
        """Something that concerns this very member came to pass, and has been delivered to all.

        It is what they did themselves (joined, left, said, ...), that they were kicked, or that
        they were invited, which nobody has told them yet. What the door answers goes behind the
        event.
        """

    def appeared(self, who: Who) -> None:
        """Somebody whom this member watches is there now (:meth:`tcpd.chat.hub.Hub.watch`)."""

    def vanished(self, nick: str) -> None:
        """Somebody whom this member watches is there no more."""

    def put_out(self, by: Who, comment: str, reason: str) -> None:
        """An operator of the daemon put the member out, who is a member no more.

        The connection is to be ended, with the reason.

        :param by: the operator.
        :param comment: theirs.
        :param reason: of both, as others are told.
        """

    def dropped(self) -> None:
        """The member did not read what was sent and is no member any more.

        The connection is to be ended without another word. Called in the middle of deliveries.
        """


class NoDoor:
    """What stands in place of the door of who has left. Each of the two had the other, which only
    the garbage collector would find out."""

    slow = ""

    def happened(self, event: Event) -> None:
        """Nobody is there any more."""

    def appeared(self, who: Who) -> None:
        """Nobody is there any more."""

    def vanished(self, nick: str) -> None:
        """Nobody is there any more."""

    def put_out(self, by: Who, comment: str, reason: str) -> None:
        """Nobody is there any more."""

    def dropped(self) -> None:
        """Nobody is there any more."""


NO_DOOR = NoDoor()


@dataclass(frozen=True, slots=True)
class Profile:
    """What a door knows of who comes in, beside the nickname.

    :ivar user: see :class:`tcpd.events.Who`.
    :ivar real_name: what else they call themselves, at most 150 bytes of UTF-8; empty for their
        nickname.
    :ivar address: where they are, for hosts and bans; ``None`` where there is none (a UNIX socket).
    :ivar host: where they are, as others may know it; ``None`` leaves it to the hub.
    :ivar secure: whether nobody on the way can read along.
    :ivar echo: whether they are sent what they said themselves.
    """

    user: str = "text"
    real_name: str = ""
    address: Address | None = None
    host: str | None = None
    secure: bool = False
    echo: bool = False


class Member:
    """One person in chat. Made by the hub; doors read it and change nothing but what is said here.

    :ivar id: see :class:`tcpd.events.Who`.
    :ivar nick: the nickname as it is shown.
    :ivar key: the same, folded.
    :ivar user: see :class:`tcpd.events.Who`.
    :ivar host: likewise.
    :ivar real_name: what else they call themselves.
    :ivar address: for bans; ``None`` where there is none (a UNIX socket). Shown to operators of the
        daemon and to themselves alone.
    :ivar secure: whether nobody on the way can read along.
    :ivar since: when they came, in seconds since 1970 UTC.
    :ivar spoke: when they said something last, in seconds of the hub's clock.
    :ivar away: why they are away; empty if they are not.
    :ivar format: how events are written for them. Their door may replace it.
    :ivar outbox: where they are written to.
    :ivar door: their side of the front door.
    :ivar echo: whether they are sent what they said themselves. Their door may change it.
    :ivar distant: whether they are told what those do whom they watch from afar. Likewise.
    :ivar invisible: whether only those find them who share a room with them.
    :ivar server_operator: whether they are an operator of the daemon.
    :ivar wallops: whether they want to hear what those announce. Their door may change it.
    :ivar bot: whether they say that they are no person. Likewise.
    :ivar rooms: the rooms they are in, by folded name, in the order of joining.
    :ivar watched: the nicknames that they watch, as they wrote them, by the folded ones.
    :ivar gone: whether they have left or were dropped.
    """

    __slots__ = (
        "_who",
        "address",
        "away",
        "bot",
        "distant",
        "door",
        "echo",
        "format",
        "gone",
        "host",
        "id",
        "invisible",
        "key",
        "nick",
        "outbox",
        "real_name",
        "rooms",
        "secure",
        "server_operator",
        "since",
        "spoke",
        "user",
        "wallops",
        "watched",
    )

    def __init__(
        self,
        id: str,
        nick: str,
        host: str,
        profile: Profile,
        door: Door,
        format: Format,
        outbox: Outbox,
        since: float,
        spoke: float,
    ) -> None:
        self.id = id
        self.nick = nick
        key = fold(nick)
        self.key = nick if key == nick else key
        self.host = host
        self.user = profile.user
        self.real_name = profile.real_name or nick
        self.address = profile.address
        self.secure = profile.secure
        self.echo = profile.echo
        self.since = since
        self.spoke = spoke
        self.away = ""
        self.door = door
        self.format = format
        self.outbox = outbox
        self.distant = False
        self.invisible = False
        self.server_operator = False
        self.wallops = False
        self.bot = False
        self.rooms: dict[str, Room] = {}
        self.watched: dict[str, str] | None = None
        self.gone = False
        self._who = Who(id, nick, self.user, host)

    @property
    def who(self) -> Who:
        """As events name them."""
        who = self._who
        if (
            who.nick is not self.nick
            or who.host is not self.host
            or who.user is not self.user
            or who.bot is not self.bot
        ):
            who = self._who = Who(self.id, self.nick, self.user, self.host, self.bot)
        return who

    @property
    def folded(self) -> str:
        """As masks are held against them."""
        return person(self.nick, self.user, self.host)

    @property
    def network(self) -> str | None:
        """What an operator's ban keeps out besides the nickname.

        The address, or the /64 of an IPv6 address, which is what one subscriber has. ``None``
        where it would keep out everybody: loopback and UNIX sockets.
        """
        address = self.address
        if address is None or address.is_loopback:
            return None
        return str(subscriber(address))
