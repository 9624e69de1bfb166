"""Commands about rooms: JOIN, PART, TOPIC and LIST."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tcpd.chat.irc import caps, numerics
from tcpd.chat.irc.commands.command import Command
from tcpd.chat.irc.commands.names import tell_names
from tcpd.chat.irc.commands.refusals import answer_in_room, middle
from tcpd.chat.irc.listing import Wanted, wanted
from tcpd.chat.irc.message import Message
from tcpd.chat.irc.server import LIST_TARGETS
from tcpd.chat.names import fold
from tcpd.chat.refused import Code
from tcpd.chat.room import Room
from tcpd.chat.split import cut, room_for_topic

if TYPE_CHECKING:
    from tcpd.chat.irc.session import Session

# "ERR_BADCHANMASK indicates the supplied channel name is not a valid. This is similar to, but
# stronger than, ERR_NOSUCHCHANNEL, which indicates that the channel does not exist"
_OF_JOIN = {Code.BAD_ROOM: numerics.ERR_BADCHANMASK}

#: How many rooms a LIST looks at in a reactor turn: with many masks that takes some milliseconds.
_IN_A_TURN = 256


def _join(session: Session, message: Message) -> None:
    member = session.member
    assert member is not None
    hub = session.server.hub
    if message.params[0] == "0":
        for room in list(member.rooms.values()):
            hub.part(member, room.name)
        return
    names = message.params[0].split(",")
    keys = message.params[1].split(",") if len(message.params) > 1 else []
    for place, name in enumerate(names):
        if not name:
            continue
        if fold(name) not in member.rooms and not session.may_join():
            session.fail(
                "JOIN", "RATE_LIMITED", middle(name), text="You join too fast, wait a moment"
            )
            continue
        key = keys[place] if place < len(keys) else ""
        answer_in_room(session, hub.join(member, name, key), name, numbers=_OF_JOIN)


def _part(session: Session, message: Message) -> None:
    member = session.member
    assert member is not None
    reason = message.params[1] if len(message.params) > 1 else ""
    for name in message.params[0].split(","):
        if name:
            answer_in_room(session, session.server.hub.part(member, name, reason), name)


def _topic(session: Session, message: Message) -> None:
    member = session.member
    assert member is not None
    hub = session.server.hub
    name = message.params[0]
    room = hub.room(name)
    if len(message.params) > 1:
        # what is longer than TOPICLEN is cut, as servers do
        topic = cut(message.params[1], room_for_topic(name if room is None else room.name))
        answer_in_room(session, hub.set_topic(member, name, topic), name)
        return
    if room is None:
        session.numeric(numerics.ERR_NOSUCHCHANNEL, middle(name))
    elif room.hides_from(member):
        session.numeric(numerics.ERR_NOTONCHANNEL, room.name)
    else:
        tell_topic(session, room)


def _list(session: Session, message: Message) -> None:
    asked = wanted(message.params, LIST_TARGETS)
    # a copy: they may be opened and closed before all are told
    session.tell(_listed(session, asked, list(session.server.hub.rooms)))


@dataclass(frozen=True, slots=True)
class _Seen:
    """See :class:`tcpd.chat.irc.listing.Listed`."""

    name: str
    users: int
    created: float
    topic_time: float | None


def _listed(session: Session, asked: Wanted, rooms: Sequence[Room]) -> Iterator[bytes]:
    hub = session.server.hub
    now = session.server.wall_clock()
    yield session.numeric_line(numerics.RPL_LISTSTART, "Channel")
    for number, room in enumerate(rooms, 1):
        if number % _IN_A_TURN == 0:
            yield b""
        if hub.room(room.name) is not room or room.hides_from(session.member):
            continue
        topic = room.topic
        text, since = ("", None) if topic is None else (topic.text, topic.time)
        users = len(room.members)
        if not users and fold(room.name) not in asked.names:
            continue  # the lobby: in IRC, a channel with nobody in it does not exist
        if asked.fits(_Seen(room.name, users, room.created, since), now):
            yield session.numeric_line(numerics.RPL_LIST, room.name, str(users), text=text)
    yield session.numeric_line(numerics.RPL_LISTEND)


def joined(session: Session, room: Room) -> None:
    """The client has come into a room: tell its topic and who is there."""
    tell_first_topic(session, room)
    tell_first_names(session, room)


def tell_first_topic(session: Session, room: Room) -> None:
    """Tell the topic of a room to a client that has come into it."""
    if room.topic is not None:
        tell_topic(session, room)


def tell_first_names(session: Session, room: Room) -> None:
    """Tell a client that has come into a room who is there, unless it wants to ask for it."""
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


COMMANDS = {
    "JOIN": Command(_join, 1, help=("JOIN <room>{,<room>} [<key>{,<key>}]", "Comes into rooms.")),
    "PART": Command(_part, 1, help=("PART <room>{,<room>} [:<reason>]", "Leaves rooms.")),
    "TOPIC": Command(
        _topic, 1, help=("TOPIC <room> [:<topic>]", "Tells, sets or takes away a room's topic.")
    ),
    "LIST": Command(
        _list,
        0,
        help=(
            "LIST [<room>{,<room>}] [<condition>{,<condition>}]",
            "Tells which rooms there are. Rooms may be masks (#t*), !masks are left out.",
            "Conditions: >9 and <9 for how many are in it; C>9, C<9 for how many minutes ago it",
            "was opened; T>9, T<9 for how many minutes ago its topic was set.",
        ),
    ),
}
