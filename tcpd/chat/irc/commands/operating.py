"""Commands that look after rooms: KICK, INVITE, RENAME; their modes are in modes.py."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from tcpd.chat.irc import caps, numerics
from tcpd.chat.irc.commands import channels
from tcpd.chat.irc.commands.command import Command
from tcpd.chat.irc.commands.refusals import answer_in_room, middle
from tcpd.chat.irc.message import Message, write
from tcpd.chat.irc.server import TARGETS
from tcpd.chat.member import Member
from tcpd.chat.names import fold
from tcpd.chat.refused import Code
from tcpd.chat.room import Room
from tcpd.events import Invited, Joined, RoomRenamed

if TYPE_CHECKING:
    from tcpd.chat.irc.session import Session

# who is nowhere is not in the room either, and KICK knows of no 401
_OF_KICK = {Code.NO_SUCH_NICK: numerics.ERR_USERNOTINCHANNEL}

#: What draft/channel-rename has words for.
_OF_RENAME = {
    Code.ROOM_TAKEN: "CHANNEL_NAME_IN_USE",
    Code.BAD_ROOM: "CANNOT_RENAME",
    Code.NO_OPERATORS: "CANNOT_RENAME",
}


def _kick(session: Session, message: Message) -> None:
    member = session.member
    assert member is not None
    rooms = message.params[0].split(",")
    nicks = message.params[1].split(",")
    reason = message.params[2] if len(message.params) > 2 else ""
    if len(rooms) == 1:
        rooms *= len(nicks)
    if len(rooms) != len(nicks):
        # "there MUST be either one channel parameter and multiple user parameter, or as many
        # channel parameters as there are user parameters"
        session.numeric(numerics.ERR_NEEDMOREPARAMS, "KICK")
        return
    for room, nick in list(zip(rooms, nicks, strict=True))[: TARGETS["KICK"]]:
        refused = session.server.hub.kick(member, room, nick, reason)
        answer_in_room(session, refused, room, nick, _OF_KICK)


def _invite(session: Session, message: Message) -> None:
    member = session.member
    assert member is not None
    if not message.params:
        session.tell(_invitations(session, member))
    elif len(message.params) == 1:
        session.numeric(numerics.ERR_NEEDMOREPARAMS, "INVITE")
    else:
        nick, room = message.params[:2]
        answer_in_room(session, session.server.hub.invite(member, room, nick), room, nick)


def _invitations(session: Session, member: Member) -> Iterator[bytes]:
    for room in list(session.server.hub.rooms):
        if member.id in room.invited:
            yield session.numeric_line(numerics.RPL_INVITELIST, room.name)
    yield session.numeric_line(numerics.RPL_ENDOFINVITELIST)


def happened(session: Session, member: Member, event: Joined | Invited | RoomRenamed) -> None:
    """Answer what came to pass with the client and a room; called behind the event."""
    match event:
        case Joined():
            channels.joined(session, member.rooms[fold(event.room)])
        case Invited():
            _invited(session, member, event)
        case RoomRenamed():
            _renamed(session, member, event)


def _invited(session: Session, member: Member, event: Invited) -> None:
    """The client was invited, or has invited somebody."""
    if event.whom.id == member.id:
        session.show(event)
        return
    session.numeric(numerics.RPL_INVITING, event.whom.nick, event.room)
    whom = session.server.hub.member(event.whom.nick)
    if whom is not None and whom.away:
        session.numeric(numerics.RPL_AWAY, whom.nick, text=whom.away)


def _rename(session: Session, message: Message) -> None:
    member = session.member
    assert member is not None
    old, new = message.params[:2]
    reason = message.params[2] if len(message.params) > 2 else ""
    named = middle(old), middle(new)
    known = caps.CHANNEL_RENAME in session.caps
    if not session.may_rename():
        # "a per-channel cooldown ... to prevent abuse. For example flooding large channels with
        # the fallback burst"; here it is the client that has to wait
        text = "You rename too often, wait a moment"
        session.fail("RENAME", "CANNOT_RENAME", *named, text=text, known=known)
        return
    refused = session.server.hub.rename_room(member, old, new, reason)
    if refused is not None and refused.code in _OF_RENAME:
        reply = _OF_RENAME[refused.code]
        session.fail("RENAME", reply, *named, text=refused.sentence, known=known)
        return
    answer_in_room(session, refused, old)


def _renamed(session: Session, member: Member, event: RoomRenamed) -> None:
    """A room that the client is in has another name: tell who has no word for that."""
    if caps.CHANNEL_RENAME in session.caps:
        return
    # "This fallback SHOULD NOT be used if the rename only changes the case of the channel name, as
    # defined by the casemapping in use on the server": that which clients are told of, ascii
    if event.room.encode().lower() == event.name.encode().lower():
        return
    who = str(member.who)
    reason = (event.reason,) if event.reason else ()
    session.send(write("PART", event.room, *reason, source=who, colon=bool(reason)))
    more = ("*", member.real_name) if caps.EXTENDED_JOIN in session.caps else ()
    session.send(write("JOIN", event.name, *more, source=who, colon=bool(more)))
    room = member.rooms[fold(event.name)]
    if event.who.id == member.id:
        channels.joined(session, room)
        return
    # each of a room is told of all of them, who may be thousands
    channels.tell_first_topic(session, room)
    session.edge.when_there_is_time(partial(_tell_names, session, member, room))


def _tell_names(session: Session, member: Member, room: Room) -> None:
    if member in room.members:
        channels.tell_first_names(session, room)


COMMANDS = {
    "KICK": Command(
        _kick, 2, help=("KICK <room> <nickname>{,<nickname>} [:<reason>]", "Puts out of a room.")
    ),
    "INVITE": Command(
        _invite,
        0,
        help=(
            "INVITE <nickname> <room>",
            "Asks somebody into a room. INVITE alone tells where you are invited.",
        ),
    ),
    "RENAME": Command(
        _rename, 2, help=("RENAME <room> <room> [:<reason>]", "Gives a room another name.")
    ),
}
