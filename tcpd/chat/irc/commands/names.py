"""NAMES: lists the members of a room or of all rooms; and visibility of users.

Sources: the Modern IRC Client Protocol, "NAMES message"
(https://modern.ircdocs.horse/#names-message); RFC 2812 section 3.2.5 for NAMES without a room.
"""

from __future__ import annotations

from collections.abc import Iterator

from tcpd.chat.irc import caps, numerics
from tcpd.chat.irc.commands.command import IrcCommand
from tcpd.chat.irc.commands.refusals import middle
from tcpd.chat.irc.commands.wrapping import wrapped
from tcpd.chat.irc.message import Message
from tcpd.chat.irc.reply import IrcReply
from tcpd.chat.people import Person
from tcpd.chat.room import PREFIXES, Room

#: Maximum number of names in NAMES without a room; ERR_TOOMANYMATCHES follows.
MAX_NAMES = 10_000

#: Rooms or users that are examined in one reactor turn.
_PER_TURN = 256


def is_visible(person: Person, target: Person) -> bool:
    """Return whether a user finds another without the exact nickname.

    Users that share a room, and server operators, find invisible users.
    """
    if not target.invisible or target is person or person.server_operator:
        return True
    return shares(person, target)


def shares(person: Person, target: Person) -> bool:
    """Return whether two users have a room in common."""
    return not person.rooms.keys().isdisjoint(target.rooms)


def prefixes(ranks: int, every: bool) -> str:
    """Return the prefixes for ranks.

    :param ranks: a sum of :class:`tcpd.chat.room.Rank`.
    :param every: all prefixes, or the highest only.
    """
    return _SIGNS[ranks] if every else _SIGNS[ranks][:1]


# indexed by sum of ranks: a join of a large room renders thousands of names
_SIGNS = tuple(
    "".join(sign for rank, sign in PREFIXES if ranks & rank)
    for ranks in range(2 * max(rank for rank, _ in PREFIXES))
)


def send_names(reply: IrcReply, room: Room) -> None:
    """Send the names of the members of a room."""
    reply.stream(_room_lines(reply, room))


def _names(reply: IrcReply, message: Message) -> None:
    # "Servers MAY only return information about the first <channel>"; TARGMAX is 1
    name = message.params[0].split(",")[0] if message.params else ""
    if not name:
        reply.stream(_all_lines(reply))
        return
    room = reply.server.hub.room(name)
    if room is None or room.hides_from(reply.client.person):
        reply.numeric(numerics.RPL_ENDOFNAMES, middle(name))
    else:
        send_names(reply, room)


def _room_lines(reply: IrcReply, room: Room) -> Iterator[bytes]:
    name = room.name  # the room may be renamed before all are listed
    yield from _lines(
        reply, name, "@" if room.hides_from(None) else "=", _member_names(reply, room)
    )
    yield reply.numeric_line(numerics.RPL_ENDOFNAMES, name)


def _all_lines(reply: IrcReply) -> Iterator[bytes]:
    """Yield the reply to NAMES without a room.

    "If no <channel> parameter is given, a list of all channels and their occupants is returned. At
    the end of this list, a list of users who are visible but either not on any channel or not on a
    visible channel are listed as being on `channel' "*"."
    """
    hub = reply.server.hub
    limit = _NameLimit(MAX_NAMES)
    # a copy: rooms may be created and removed meanwhile
    for number, room in enumerate(list(hub.rooms), 1):
        if number % _PER_TURN == 0:
            yield b""
        if hub.room(room.name) is room and not room.hides_from(reply.client.person):
            symbol = "@" if room.hides_from(None) else "="
            yield from _lines(reply, room.name, symbol, limit.take(_member_names(reply, room)))
    yield from _lines(reply, "*", "*", limit.take(_roomless_names(reply)))
    if limit.count < 0:
        yield reply.numeric_line(numerics.ERR_TOOMANYMATCHES, "NAMES")
    yield reply.numeric_line(numerics.RPL_ENDOFNAMES, "*")


class _NameLimit:
    """Limit of the names in one reply.

    :ivar count: names left; negative once the limit is exceeded.
    """

    def __init__(self, count: int) -> None:
        self.count = count

    def take(self, words: Iterator[str]) -> Iterator[str]:
        """Yield names until the limit is reached."""
        if self.count < 0:
            return
        for word in words:
            self.count -= bool(word)
            if self.count < 0:
                return
            yield word


def _lines(reply: IrcReply, name: str, symbol: str, words: Iterator[str]) -> Iterator[bytes]:
    """Yield RPL_NAMREPLY for a room.

    :param symbol: "@" for a secret room, "=" for any other, "*" for no room.
    """
    return wrapped(reply, numerics.RPL_NAMREPLY, symbol, name, words=words)


def _member_names(reply: IrcReply, room: Room) -> Iterator[str]:
    """Yield the names of a room's members that the client may see."""
    every = caps.MULTI_PREFIX in reply.caps
    full = caps.USERHOST_IN_NAMES in reply.caps
    inside = reply.client.person in room.members
    for person in room.snapshot():
        ranks = room.members.get(person)
        if ranks is None or (person.invisible and not inside):
            continue
        word = str(person.identity) if full else person.nick
        yield prefixes(ranks, every) + word if ranks else word


def _roomless_names(reply: IrcReply) -> Iterator[str]:
    """Yield the users in no room that the client may see, and empty words to yield to others."""
    person, hub = reply.person, reply.server.hub
    full = caps.USERHOST_IN_NAMES in reply.caps
    for number, target in enumerate(hub.state.snapshot(), 1):
        if number % _PER_TURN == 0:
            yield ""
        if not hub.state.is_here(target) or not is_visible(person, target):
            continue
        if all(room.hides_from(person) for room in hub.state.rooms_of(target)):
            yield str(target.identity) if full else target.nick


COMMANDS = {
    "NAMES": IrcCommand(
        _names,
        0,
        help=(
            "NAMES [<room>]",
            "Lists the members of a room; without one, those of all rooms that you may see and, as",
            f"room *, users in none of these; at most {MAX_NAMES} names.",
        ),
    ),
}
