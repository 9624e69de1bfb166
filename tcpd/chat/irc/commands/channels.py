"""Commands about rooms: coming in, leaving, and who is there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tcpd.chat.irc import caps, numerics
from tcpd.chat.irc.commands.command import Command
from tcpd.chat.irc.commands.refusals import answer
from tcpd.chat.irc.message import LINE_BYTES, Message, write
from tcpd.chat.member import Member
from tcpd.chat.names import fold
from tcpd.chat.room import PREFIXES, Room
from tcpd.events import Invited, RoomRenamed

if TYPE_CHECKING:
    from tcpd.chat.irc.session import Session


def _join(session: Session, message: Message) -> None:
    member = session.member
    assert member is not None
    if message.params[0] == "0":
        for room in list(member.rooms.values()):
            session.server.hub.part(member, room.name)
        return
    names = message.params[0].split(",")
    keys = message.params[1].split(",") if len(message.params) > 1 else []
    for place, name in enumerate(names):
        if not name:
            continue
        if fold(name) not in member.rooms and not session.may_join():
            session.fail("JOIN", "RATE_LIMITED", name, text="You join too fast, wait a moment")
            continue
        key = keys[place] if place < len(keys) else ""
        answer(session, session.server.hub.join(member, name, key), name)


def joined(session: Session, member: Member, name: str) -> None:
    """The client has come into a room: tell its topic and who is there."""
    room = member.rooms[fold(name)]
    if room.topic is not None:
        tell_topic(session, room)
    if not session.caps & caps.NAMELESS:
        tell_names(session, room)


def tell_topic(session: Session, room: Room) -> None:
    """Tell the topic of a room, and who set it."""
    topic = room.topic
    if topic is None:
        session.numeric(numerics.RPL_NOTOPIC, room.name)
        return
    session.numeric(numerics.RPL_TOPIC, room.name, text=topic.text)
    who = session.server.name if topic.who is None else str(topic.who)
    session.numeric(numerics.RPL_TOPICWHOTIME, room.name, who, text=str(int(topic.time)))


def tell_names(session: Session, room: Room) -> None:
    """Tell who is in a room."""
    session.tell(_names(session, room))


def _names(session: Session, room: Room) -> Iterator[bytes]:
    every = caps.MULTI_PREFIX in session.caps
    full = caps.USERHOST_IN_NAMES in session.caps
    inside = session.member in room.members
    # "@" is for secret rooms, "=" for all others
    symbol = "@" if room.hides_from(None) else "="
    empty = session.numeric_line(numerics.RPL_NAMREPLY, symbol, room.name, text="")
    space = LINE_BYTES - len(empty)
    words: list[str] = []
    left = space
    # a copy: they may come and go before all are told
    for member, ranks in list(room.members.items()):
        if member.invisible and not inside:
            continue
        word = prefixes(ranks, every) + (str(member.who) if full else member.nick)
        size = len(word.encode()) + 1
        if size > left + 1:
            yield session.numeric_line(
                numerics.RPL_NAMREPLY, symbol, room.name, text=" ".join(words)
            )
            words, left = [], space
        words.append(word)
        left -= size
    if words:
        yield session.numeric_line(numerics.RPL_NAMREPLY, symbol, room.name, text=" ".join(words))
    yield session.numeric_line(numerics.RPL_ENDOFNAMES, room.name)


def prefixes(ranks: int, every: bool) -> str:
    """What stands before the nickname of a member with these ranks.

    :param ranks: a sum of :class:`tcpd.chat.room.Rank`.
    :param every: all of them, or the highest alone.
    """
    found = "".join(sign for rank, sign in PREFIXES if ranks & rank)
    return found if every else found[:1]


def invited(session: Session, member: Member, event: Invited) -> None:
    """The client was invited, or has invited somebody."""
    if event.whom.id == member.id:
        session.send(write("INVITE", member.nick, event.room, source=str(event.who)))
    else:
        session.numeric(numerics.RPL_INVITING, event.whom.nick, event.room)


def room_renamed(session: Session, member: Member, event: RoomRenamed) -> None:
    """A room that the client is in has another name."""


COMMANDS = {
    "JOIN": Command(_join, 1, help=("JOIN <room>{,<room>} [<key>{,<key>}]", "Comes into rooms.")),
}
