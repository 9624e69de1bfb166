"""NAMES: the members of a room, or of all rooms; and which members a client may see.

Sources: the Modern IRC Client Protocol, "NAMES message"
(https://modern.ircdocs.horse/#names-message); RFC 2812 section 3.2.5 for NAMES without a room.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tcpd.chat.irc import caps, numerics
from tcpd.chat.irc.commands.command import Command
from tcpd.chat.irc.commands.refusals import middle
from tcpd.chat.irc.message import LINE_BYTES, Message
from tcpd.chat.member import Member
from tcpd.chat.room import PREFIXES, Room

if TYPE_CHECKING:
    from tcpd.chat.irc.session import Session

#: The most names that NAMES without a room lists; then comes ERR_TOOMANYMATCHES.
NAMES_MOST = 10_000

#: How many rooms or members without a name to list are passed over in a reactor turn.
_IN_A_TURN = 256


def is_visible(member: Member, whom: Member) -> bool:
    """Whether one is found by another who does not ask for their very nickname.

    Who is invisible is found by those who share a room, and by operators of the daemon.
    """
    return not whom.invisible or whom is member or member.server_operator or shares(member, whom)


def shares(member: Member, whom: Member) -> bool:
    """Whether there is a room that both are in."""
    return not member.rooms.keys().isdisjoint(whom.rooms)


def prefixes(ranks: int, every: bool) -> str:
    """What stands before the nickname of a member with these ranks.

    :param ranks: a sum of :class:`tcpd.chat.room.Rank`.
    :param every: all of them, or the highest alone.
    """
    return _SIGNS[ranks] if every else _SIGNS[ranks][:1]


# by sum of ranks: rooms have thousands of members, and each who comes in is told of all of them
_SIGNS = tuple(
    "".join(sign for rank, sign in PREFIXES if ranks & rank)
    for ranks in range(2 * max(rank for rank, _ in PREFIXES))
)


def tell_names(session: Session, room: Room) -> None:
    """Tell who is in a room."""
    session.tell(_room_lines(session, room))


def _names(session: Session, message: Message) -> None:
    # "Servers MAY only return information about the first <channel>": TARGMAX says so
    name = message.params[0].split(",")[0] if message.params else ""
    if not name:
        session.tell(_all_lines(session))
        return
    room = session.server.hub.room(name)
    if room is None or room.hides_from(session.member):
        session.numeric(numerics.RPL_ENDOFNAMES, middle(name))
    else:
        tell_names(session, room)


def _room_lines(session: Session, room: Room) -> Iterator[bytes]:
    name = room.name  # the room may get another, longer name before all are told
    yield from _lines(session, name, "@" if room.hides_from(None) else "=", _words(session, room))
    yield session.numeric_line(numerics.RPL_ENDOFNAMES, name)


def _all_lines(session: Session) -> Iterator[bytes]:
    """ "If no <channel> parameter is given, a list of all channels and their occupants is returned.
    At the end of this list, a list of users who are visible but either not on any channel or not on
    a visible channel are listed as being on `channel' "*"."
    """
    hub = session.server.hub
    left = _Left(NAMES_MOST)
    # a copy: rooms may be opened and closed before all are listed
    for number, room in enumerate(list(hub.rooms), 1):
        if number % _IN_A_TURN == 0:
            yield b""
        if hub.room(room.name) is room and not room.hides_from(session.member):
            symbol = "@" if room.hides_from(None) else "="
            yield from _lines(session, room.name, symbol, left.take(_words(session, room)))
    yield from _lines(session, "*", "*", left.take(_roomless(session)))
    if left.count < 0:
        yield session.numeric_line(numerics.ERR_TOOMANYMATCHES, "NAMES")
    yield session.numeric_line(numerics.RPL_ENDOFNAMES, "*")


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


def _lines(session: Session, name: str, symbol: str, words: Iterator[str]) -> Iterator[bytes]:
    """RPL_NAMREPLY for a room, each line as full as it may be.

    :param symbol: "@" for a secret room, "=" for any other, "*" for no room.
    :param words: an empty one lets others have their turn.
    """
    space = LINE_BYTES - len(session.numeric_line(numerics.RPL_NAMREPLY, symbol, name, text=""))
    held: list[str] = []
    left = space
    for word in words:
        if not word:
            yield b""
            continue
        size = len(word.encode()) + 1
        if size > left + 1:
            yield session.numeric_line(numerics.RPL_NAMREPLY, symbol, name, text=" ".join(held))
            held, left = [], space
        held.append(word)
        left -= size
    if held:
        yield session.numeric_line(numerics.RPL_NAMREPLY, symbol, name, text=" ".join(held))


def _words(session: Session, room: Room) -> Iterator[str]:
    """The members of a room whom a client may see."""
    every = caps.MULTI_PREFIX in session.caps
    full = caps.USERHOST_IN_NAMES in session.caps
    inside = session.member in room.members
    # a copy, for they may come and go before all are told, and of no more than has to be: a client
    # that does not read keeps it, and thousands of new tuples set off the garbage collector
    for member in list(room.members):
        ranks = room.members.get(member)
        if ranks is None or member.gone or (member.invisible and not inside):
            continue
        word = str(member.who) if full else member.nick
        yield prefixes(ranks, every) + word if ranks else word


def _roomless(session: Session) -> Iterator[str]:
    """Those who are in no room that the client may see; empty words in between."""
    member = session.member
    assert member is not None
    full = caps.USERHOST_IN_NAMES in session.caps
    for number, whom in enumerate(list(session.server.hub.members), 1):
        if number % _IN_A_TURN == 0:
            yield ""
        if whom.gone or not is_visible(member, whom):
            continue
        if all(room.hides_from(member) for room in whom.rooms.values()):
            yield str(whom.who) if full else whom.nick


COMMANDS = {
    "NAMES": Command(
        _names,
        0,
        help=(
            "NAMES [<room>]",
            "Tells who is in a room; without one, who is in any room that you may see, and at the",
            f"end, under *, who is in none; {NAMES_MOST} names at most.",
        ),
    ),
}
