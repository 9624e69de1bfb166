"""NAMES: the members of a room, or of all rooms; and which members a client may see.

Sources: the Modern IRC Client Protocol, "NAMES message"
(https://modern.ircdocs.horse/#names-message); RFC 2812 section 3.2.5 for NAMES without a room.
"""

from __future__ import annotations

from collections.abc import Iterator

from tcpd.chat.irc import caps, numerics
from tcpd.chat.irc.commands.command import IrcCommand
from tcpd.chat.irc.commands.refusals import middle
from tcpd.chat.irc.message import LINE_BYTES, Message
from tcpd.chat.irc.reply import IrcReply
from tcpd.chat.people import Person
from tcpd.chat.room import PREFIXES, Room

#: The most names that NAMES without a room lists; then comes ERR_TOOMANYMATCHES.
MAX_NAMES = 10_000

#: How many rooms or members without a name to list are passed over in a reactor turn.
_PER_TURN = 256


def is_visible(person: Person, target: Person) -> bool:
    """Whether a person finds another without naming the nickname.

    Who is invisible is found by those who share a room, and by operators of the daemon.
    """
    if not target.invisible or target is person or person.server_operator:
        return True
    return shares(person, target)


def shares(person: Person, target: Person) -> bool:
    """Whether there is a room that both are in."""
    return not person.rooms.keys().isdisjoint(target.rooms)


def prefixes(ranks: int, every: bool) -> str:
    """What stands before the nickname of a person with these ranks.

    :param ranks: a sum of :class:`tcpd.chat.room.Rank`.
    :param every: all of them, or the highest alone.
    """
    return _SIGNS[ranks] if every else _SIGNS[ranks][:1]


# by sum of ranks: rooms have thousands of members, and each that joins gets all names
_SIGNS = tuple(
    "".join(sign for rank, sign in PREFIXES if ranks & rank)
    for ranks in range(2 * max(rank for rank, _ in PREFIXES))
)


def send_names(reply: IrcReply, room: Room) -> None:
    """Send the names of the members of a room."""
    reply.stream(_room_lines(reply, room))


def _names(reply: IrcReply, message: Message) -> None:
    # "Servers MAY only return information about the first <channel>": TARGMAX says so
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
    name = room.name  # the room may get another, longer name before all are listed
    yield from _lines(reply, name, "@" if room.hides_from(None) else "=", _words(reply, room))
    yield reply.numeric_line(numerics.RPL_ENDOFNAMES, name)


def _all_lines(reply: IrcReply) -> Iterator[bytes]:
    """ "If no <channel> parameter is given, a list of all channels and their occupants is returned.
    At the end of this list, a list of users who are visible but either not on any channel or not on
    a visible channel are listed as being on `channel' "*"."
    """
    hub = reply.server.hub
    left = _Left(MAX_NAMES)
    # a copy: rooms may be opened and closed before all are listed
    for number, room in enumerate(list(hub.rooms), 1):
        if number % _PER_TURN == 0:
            yield b""
        if hub.room(room.name) is room and not room.hides_from(reply.client.person):
            symbol = "@" if room.hides_from(None) else "="
            yield from _lines(reply, room.name, symbol, left.take(_words(reply, room)))
    yield from _lines(reply, "*", "*", left.take(_roomless(reply)))
    if left.count < 0:
        yield reply.numeric_line(numerics.ERR_TOOMANYMATCHES, "NAMES")
    yield reply.numeric_line(numerics.RPL_ENDOFNAMES, "*")


class _Left:
    """Counts the names of one answer.

    :ivar count: how many more may be listed; negative once there was one too many.
    """

    def __init__(self, count: int) -> None:
        self.count = count

    def take(self, words: Iterator[str]) -> Iterator[str]:
        """As many of some names as may still be listed."""
        if self.count < 0:
            return
        for word in words:
            self.count -= bool(word)
            if self.count < 0:
                return
            yield word


def _lines(reply: IrcReply, name: str, symbol: str, words: Iterator[str]) -> Iterator[bytes]:
    """RPL_NAMREPLY for a room, each line as full as it may be.

    :param symbol: "@" for a secret room, "=" for any other, "*" for no room.
    :param words: an empty one lets others have their turn.
    """
    space = LINE_BYTES - len(reply.numeric_line(numerics.RPL_NAMREPLY, symbol, name, text=""))
    held: list[str] = []
    left = space
    for word in words:
        if not word:
            yield b""
            continue
        size = len(word.encode()) + 1
        if size > left + 1:
            yield reply.numeric_line(numerics.RPL_NAMREPLY, symbol, name, text=" ".join(held))
            held, left = [], space
        held.append(word)
        left -= size
    if held:
        yield reply.numeric_line(numerics.RPL_NAMREPLY, symbol, name, text=" ".join(held))


def _words(reply: IrcReply, room: Room) -> Iterator[str]:
    """The names of the members of a room that a client may see."""
    every = caps.MULTI_PREFIX in reply.caps
    full = caps.USERHOST_IN_NAMES in reply.caps
    inside = reply.client.person in room.members
    for person in room.everybody():
        ranks = room.members.get(person)
        if ranks is None or (person.invisible and not inside):
            continue
        word = str(person.identity) if full else person.nick
        yield prefixes(ranks, every) + word if ranks else word


def _roomless(reply: IrcReply) -> Iterator[str]:
    """The people in no room that the client may see; empty words in between."""
    person, hub = reply.person, reply.server.hub
    full = caps.USERHOST_IN_NAMES in reply.caps
    for number, target in enumerate(hub.state.everybody(), 1):
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
            "Lists who is in a room; without one, who is in any room that you may see, and at the",
            f"end, under *, who is in none; {MAX_NAMES} names at most.",
        ),
    ),
}
