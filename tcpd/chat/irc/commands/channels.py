"""Room commands: JOIN, PART, TOPIC and LIST."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tcpd.chat.irc import caps, numerics
from tcpd.chat.irc.commands.command import IrcCommand
from tcpd.chat.irc.commands.names import send_names
from tcpd.chat.irc.commands.refusals import in_room, middle
from tcpd.chat.irc.listing import RoomFacts, RoomFilter, parse_list
from tcpd.chat.irc.message import Message
from tcpd.chat.irc.reply import IrcReply
from tcpd.chat.irc.server import MAX_LIST_ITEMS
from tcpd.chat.names import fold
from tcpd.chat.refused import Code
from tcpd.chat.room import Room
from tcpd.chat.split import cut, room_for_topic

# "ERR_BADCHANMASK indicates the supplied channel name is not a valid. This is similar to, but
# stronger than, ERR_NOSUCHCHANNEL, which indicates that the channel does not exist"
_OF_JOIN = {Code.BAD_ROOM: numerics.ERR_BADCHANMASK}

#: Rooms that a LIST examines in one reactor turn; with many masks that takes some milliseconds.
_PER_TURN = 256


def _join(reply: IrcReply, message: Message) -> None:
    client, person, hub = reply.client, reply.person, reply.server.hub
    if message.params[0] == "0":
        for room in hub.state.rooms_of(person):
            reply.ask(hub.part, room.name, refused=in_room(reply, room.name))
        return
    names = message.params[0].split(",")
    keys = message.params[1].split(",") if len(message.params) > 1 else []
    for index, name in enumerate(names):
        if not name:
            continue
        if fold(name) not in person.rooms and not client.may_join():
            reply.fail(
                "JOIN", "RATE_LIMITED", middle(name), text="You join too fast; wait a moment"
            )
            continue
        key = keys[index] if index < len(keys) else ""
        reply.ask(hub.join, name, key, refused=in_room(reply, name, numbers=_OF_JOIN))


def _part(reply: IrcReply, message: Message) -> None:
    reason = message.params[1] if len(message.params) > 1 else ""
    for name in message.params[0].split(","):
        if name:
            reply.ask(reply.server.hub.part, name, reason, refused=in_room(reply, name))


def _topic(reply: IrcReply, message: Message) -> None:
    hub = reply.server.hub
    name = message.params[0]
    room = hub.room(name)
    if len(message.params) > 1:
        # truncated to TOPICLEN, as other servers do
        topic = cut(message.params[1], room_for_topic(name if room is None else room.name))
        reply.ask(hub.set_topic, name, topic, refused=in_room(reply, name))
        return
    if room is None:
        reply.numeric(numerics.ERR_NOSUCHCHANNEL, middle(name))
    elif room.hides_from(reply.person):
        reply.numeric(numerics.ERR_NOTONCHANNEL, room.name)
    else:
        send_topic(reply, room)


def _list(reply: IrcReply, message: Message) -> None:
    asked = parse_list(message.params, MAX_LIST_ITEMS)
    # a copy: rooms may be created and removed meanwhile
    reply.stream(_listed(reply, asked, list(reply.server.hub.rooms)))


def _listed(reply: IrcReply, asked: RoomFilter, rooms: Sequence[Room]) -> Iterator[bytes]:
    hub = reply.server.hub
    now = reply.server.wall_clock()
    yield reply.numeric_line(numerics.RPL_LISTSTART, "Channel")
    for number, room in enumerate(rooms, 1):
        if number % _PER_TURN == 0:
            yield b""
        if hub.room(room.name) is not room or room.hides_from(reply.client.person):
            continue
        topic = room.topic
        text, since = ("", None) if topic is None else (topic.text, topic.time)
        users = len(room.members)
        if not users and fold(room.name) not in asked.names:
            continue  # an empty lobby: in IRC, an empty channel does not exist
        if asked.matches(RoomFacts(room.name, users, room.created, since), now):
            yield reply.numeric_line(numerics.RPL_LIST, room.name, str(users), text=text)
    yield reply.numeric_line(numerics.RPL_LISTEND)


def joined(reply: IrcReply, room: Room) -> None:
    """Send a room's topic and names to a client that has joined."""
    if room.topic is not None:
        send_topic(reply, room)
    if not reply.caps & caps.NAMELESS:
        send_names(reply, room)


def send_topic(reply: IrcReply, room: Room) -> None:
    """Send the topic of a room, with its author and time."""
    topic = room.topic
    if topic is None:
        reply.numeric(numerics.RPL_NOTOPIC, room.name)
        return
    reply.numeric(numerics.RPL_TOPIC, room.name, text=topic.text)
    who = reply.server.name if topic.who is None else str(topic.who)
    reply.numeric(numerics.RPL_TOPICWHOTIME, room.name, who, text=str(int(topic.time)))


COMMANDS = {
    "JOIN": IrcCommand(_join, 1, help=("JOIN <room>{,<room>} [<key>{,<key>}]", "Joins rooms.")),
    "PART": IrcCommand(_part, 1, help=("PART <room>{,<room>} [:<reason>]", "Leaves rooms.")),
    "TOPIC": IrcCommand(
        _topic, 1, help=("TOPIC <room> [:<topic>]", "Shows, sets or removes a room's topic.")
    ),
    "LIST": IrcCommand(
        _list,
        0,
        help=(
            "LIST [<room>{,<room>}] [<condition>{,<condition>}]",
            "Lists rooms. Masks (#t*) may be used; !masks are left out.",
            "Conditions: >9, <9 (members); C>9, C<9 (created more, or less, than 9 minutes ago);",
            "T>9, T<9 (topic set more, or less, than 9 minutes ago).",
        ),
    ),
}
