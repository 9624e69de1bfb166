"""Moderation of rooms: KICK, INVITE, RENAME. MODE is in modes.py."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from tcpd.chat.irc import caps, numerics
from tcpd.chat.irc.client import IrcClient
from tcpd.chat.irc.commands import channels
from tcpd.chat.irc.commands.command import IrcCommand
from tcpd.chat.irc.commands.refusals import in_room, middle
from tcpd.chat.irc.message import Message
from tcpd.chat.irc.reply import IrcReply
from tcpd.chat.irc.server import TARGETS, IrcServer
from tcpd.chat.people import Person
from tcpd.chat.refused import Code, Refused
from tcpd.events.chat import Event, Invited, Joined, RoomRenamed

# KICK has no 401
_OF_KICK = {Code.NO_SUCH_NICK: numerics.ERR_USERNOTINCHANNEL}

#: Codes of FAIL that draft/channel-rename defines.
_OF_RENAME = {
    Code.ROOM_TAKEN: "CHANNEL_NAME_IN_USE",
    Code.BAD_ROOM: "CANNOT_RENAME",
    Code.NO_OPERATORS: "CANNOT_RENAME",
}


def _kick(reply: IrcReply, message: Message) -> None:
    rooms = message.params[0].split(",")
    nicks = message.params[1].split(",")
    reason = message.params[2] if len(message.params) > 2 else ""
    if len(rooms) == 1:
        rooms *= len(nicks)
    if len(rooms) != len(nicks):
        # "there MUST be either one channel parameter and multiple user parameter, or as many
        # channel parameters as there are user parameters"
        reply.numeric(numerics.ERR_NEEDMOREPARAMS, "KICK")
        return
    kick = reply.server.hub.kick
    for room, nick in list(zip(rooms, nicks, strict=True))[: TARGETS["KICK"]]:
        reply.ask(kick, room, nick, reason, refused=in_room(reply, room, nick, _OF_KICK))


def _invite(reply: IrcReply, message: Message) -> None:
    if not message.params:
        reply.stream(_invitations(reply, reply.person))
    elif len(message.params) == 1:
        reply.numeric(numerics.ERR_NEEDMOREPARAMS, "INVITE")
    else:
        nick, room = message.params[:2]
        reply.ask(reply.server.hub.invite, room, nick, refused=in_room(reply, room, nick))


def _invitations(reply: IrcReply, person: Person) -> Iterator[bytes]:
    for room in list(reply.server.hub.rooms):
        if person.id in room.invited:
            yield reply.numeric_line(numerics.RPL_INVITELIST, room.name)
    yield reply.numeric_line(numerics.RPL_ENDOFINVITELIST)


def follow_up(reply: IrcReply, event: Event, caused: bool) -> None:
    """Send the lines that follow an event of the client's own user.

    :param caused: the client caused the event, not another client or user.
    """
    match event:
        case Joined(room=name):
            room = reply.server.hub.room(name)
            if room is not None:
                channels.joined(reply, room)
        case Invited(target=target) if target.id == reply.person.id:
            reply.send_event(event)
        case Invited() if caused:
            _invited(reply, event)
        case RoomRenamed():
            _renamed(reply, event)


def _invited(reply: IrcReply, event: Invited) -> None:
    reply.numeric(numerics.RPL_INVITING, event.target.nick, event.room)
    target = reply.server.hub.person(event.target.nick)
    if target is not None and target.away:
        reply.numeric(numerics.RPL_AWAY, target.nick, text=target.away)


def _rename(reply: IrcReply, message: Message) -> None:
    old, new = message.params[:2]
    reason = message.params[2] if len(message.params) > 2 else ""
    named = middle(old), middle(new)
    known = caps.CHANNEL_RENAME in reply.caps
    if not reply.client.may_rename():
        # "a per-channel cooldown ... to prevent abuse. For example flooding large channels with
        # the fallback burst"; here the cooldown is per client
        text = "You rename too often; wait a moment"
        reply.fail("RENAME", "CANNOT_RENAME", *named, text=text, known=known)
        return

    def refused(refused: Refused) -> None:
        code = _OF_RENAME.get(refused.code)
        if code is not None:
            reply.fail("RENAME", code, *named, text=refused.sentence, known=known)
        else:
            in_room(reply, old)(refused)

    reply.ask(reply.server.hub.rename_room, old, new, reason, refused=refused)


def _renamed(reply: IrcReply, event: RoomRenamed) -> None:
    """Send PART and JOIN to the client that renamed a room, if it lacks draft/channel-rename."""
    fallback = _Fallback.of(reply.server, event)
    room = reply.server.hub.room(event.name)
    if fallback is not None and room is not None and caps.CHANNEL_RENAME not in reply.caps:
        reply.put(fallback.lines(reply.client, reply.person))
        channels.joined(reply, room)


def renamed_by_other(client: IrcClient, event: RoomRenamed) -> None:
    """Send PART and JOIN for another user's rename, if the client lacks draft/channel-rename.

    Called for each member within one event, maybe thousands: the work queue sends the names.
    """
    if caps.CHANNEL_RENAME in client.caps:
        return
    fallback = _Fallback.of(client.server, event)
    person = client.person
    if fallback is None or person is None:
        return
    if not client.outbox.put_broadcast(fallback.lines(client, person)):
        client.server.hub.drop(client)
        return
    client.edge.when_there_is_time(partial(_send_room, client, event.name))


def _send_room(client: IrcClient, name: str) -> None:
    reply = IrcReply(client)
    room = client.server.hub.room(name)
    if room is not None and client.person in room.members:
        channels.joined(reply, room)


class _Fallback:
    """PART and JOIN for clients without draft/channel-rename, cached for one event."""

    def __init__(self, event: RoomRenamed) -> None:
        self.event = event
        self._name = event.name
        reason = f" :{event.reason}" if event.reason else ""
        self._part = f"PART {event.room}{reason}\r\n"
        self._join = f"JOIN {event.name}\r\n"

    @classmethod
    def of(cls, server: IrcServer, event: RoomRenamed) -> _Fallback | None:
        """Return the fallback of an event; ``None`` if only the case of ASCII letters changed.

        "This fallback SHOULD NOT be used if the rename only changes the case of the channel name,
        as defined by the casemapping in use on the server".
        """
        latest = server.fallback
        if isinstance(latest, _Fallback) and latest.event is event:
            return latest
        if event.room.encode().lower() == event.name.encode().lower():
            return None
        made = server.fallback = cls(event)
        return made

    def lines(self, client: IrcClient, person: Person) -> bytes:
        """Return both lines for one client, with its user as the source."""
        source = f":{person.identity} "
        join = self._join
        if caps.EXTENDED_JOIN in client.caps:
            join = f"JOIN {self._name} * :{person.real_name}\r\n"
        if caps.SERVER_TIME in client.caps:
            source = f"@time={client.server.stamp()} {source}"
        return f"{source}{self._part}{source}{join}".encode()


COMMANDS = {
    "KICK": IrcCommand(
        _kick,
        2,
        help=("KICK <room> <nickname>{,<nickname>} [:<reason>]", "Kicks users from a room."),
    ),
    "INVITE": IrcCommand(
        _invite,
        0,
        help=(
            "INVITE <nickname> <room>",
            "Invites a user to a room. INVITE alone lists your invitations.",
        ),
    ),
    "RENAME": IrcCommand(_rename, 2, help=("RENAME <room> <room> [:<reason>]", "Renames a room.")),
}
