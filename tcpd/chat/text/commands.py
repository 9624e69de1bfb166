"""The commands of the text door: each turns its arguments into calls of the hub."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import TYPE_CHECKING

from tcpd.chat.member import Member
from tcpd.chat.names import fold
from tcpd.chat.quitting import SAID_GOODBYE
from tcpd.chat.refused import Code
from tcpd.chat.room import Rank, Room
from tcpd.chat.split import ALWAYS_FITS, room_for, split_message
from tcpd.chat.text.parse import (
    COMMANDS,
    Command,
    cut_room,
    cut_word,
    find_command,
    nearest_command,
)
from tcpd.chat.text.render import WIDTH, columns, shown_mask
from tcpd.events import Kind
from tcpd.handshake.page import drawing_and_steps
from tcpd.handshake.report import build
from tcpd.handshake.text import layers_lines
from tcpd.wire.formatting import plain

if TYPE_CHECKING:
    from tcpd.chat.text.session import Session

#: How many rooms one answer lists: the fullest.
ROOMS_SHOWN = 50
#: How many bans one answer lists.
BANS_SHOWN = 100


class _Usage(Exception):
    """Something is missing behind a command."""


class _Told(Exception):
    """What stood behind a command cannot be done; the text says why."""


def run(session: Session, command: Command, rest: str) -> None:
    """Do what was asked for.

    :param session: the asker's, which has a member.
    :param rest: what stood behind the command.
    """
    assert session.member is not None
    try:
        _RUN[command.name](session, session.member, rest)
    except _Usage:
        session.error(f"write it like this: /{command.name} {command.usage}")
    except _Told as told:
        session.error(str(told))


def _some(text: str) -> str:
    if not text:
        raise _Usage
    return text


def _own_room(session: Session, member: Member, name: str | None) -> Room:
    """The room that was named, or else the current one; the member is in it."""
    if name is None:
        if session.room is None:
            raise _Told(f"you are in no room; /join {session.way_back}")
        return session.room
    room = session.hub.room(name)
    if room is None or member not in room.members:
        raise _Told(f"you are not in {room.name if room else name[:50]}")
    return room


def show_help(session: Session, rest: str) -> None:
    """List the commands, or describe one.

    :param session: of a client that need not have a nickname yet.
    :param rest: the command's name; empty for the list.
    """
    if rest:
        word = cut_word(rest)[0]
        command = find_command(word)
        if command is None:
            nearest = nearest_command(word)
            hint = f"did you mean /help {nearest}?" if nearest else "/help lists them"
            session.error(f"there is no command {word[:20]}; {hint}")
            return
        lines = [f"  /{command.name} {command.usage}".rstrip(), f"    {command.help}"]
        lines += [f"    {sentence}" for sentence in command.more]
        if command.aliases:
            lines.append("    Also: " + ", ".join(f"/{alias}" for alias in command.aliases))
        session.reply(*lines)
        return
    session.reply(
        "  What you type goes to the room. Lines that begin with / are commands:",
        "",
        *(f"  {f'/{command.name} {command.usage}':<27}{command.help}" for command in COMMANDS),
        "",
        "  To say something that begins with /, type //.",
    )


def _help(session: Session, member: Member, rest: str) -> None:
    show_help(session, rest)


def _nick(session: Session, member: Member, rest: str) -> None:
    if session.hub.free_nick(_some(rest), member) == member.nick:
        session.reply(f"  You are already called {member.nick}.")
    else:
        session.answer(session.hub.rename(member, rest))


def _join(session: Session, member: Member, rest: str) -> None:
    name, key = cut_word(_some(rest))
    if not name.startswith("#"):
        name = f"#{name}"
    room = session.hub.room(name)
    if room is not None and member in room.members:
        session.room = room
        session.show_target()
        return
    refused = session.hub.join(member, name, key)
    if refused is not None and refused.code is Code.NEEDS_KEY:
        if key:
            raise _Told(f"that is not the key of {name}")
        raise _Told(f"{refused.sentence}; write it behind the name: /join {name} KEY")
    session.answer(refused)


def _part(session: Session, member: Member, rest: str) -> None:
    name, reason = cut_room(rest)
    room = _own_room(session, member, name)
    session.answer(session.hub.part(member, room.name, reason))


def _rooms(session: Session, member: Member, rest: str) -> None:
    rooms = [room for room in session.hub.rooms if not room.hides_from(member)]
    fullest = heapq.nlargest(ROOMS_SHOWN, rooms, key=lambda room: len(room.members))
    lines = ["  One room:" if len(rooms) == 1 else f"  {len(rooms)} rooms:"]
    for room in fullest:
        people = len(room.members)
        topic = plain(room.topic.text) if room.topic is not None else ""
        line = f"  {room.name:<20} {people:>5} {'person' if people == 1 else 'people':<8}{topic}"
        lines.append(line.rstrip()[:WIDTH])
    if len(fullest) < len(rooms):
        lines.append(f"  and {len(rooms) - len(fullest)} more")
    session.reply(*lines)


def _who(session: Session, member: Member, rest: str) -> None:
    if rest:
        name = cut_word(rest)[0]
        room = session.hub.room(name if name.startswith("#") else f"#{name}")
        if room is None or room.hides_from(member):
            raise _Told(f"there is no room {name[:50]}")
    else:
        room = _own_room(session, member, None)
    session.show_names(room)


def _msg(session: Session, member: Member, rest: str) -> None:
    nick, text = cut_word(_some(rest))
    if nick.startswith("#"):
        _say_in(session, nick, _some(text))
        return
    whom = session.hub.member(nick)
    target = nick if whom is None else whom.nick
    # to nobody, it is refused as a whole
    room = ALWAYS_FITS if whom is None else room_for(member, target)
    for piece in split_message(_some(text), room):
        refused = session.hub.tell(member, nick, piece)
        if refused is not None:
            session.answer(refused)
            return
        session.count["private"] += 1
    if whom is not None and whom.away:
        session.reply(f"  {whom.nick} is away: {whom.away}")


def _say_in(session: Session, name: str, text: str) -> None:
    room = session.hub.room(name)
    if room is None:
        raise _Told(f"there is no room {name[:50]}")
    if session.talk(text, Kind.MESSAGE, room) and room is not session.room:
        session.reply(f"  You said that in {room.name}.")


def _me(session: Session, member: Member, rest: str) -> None:
    session.talk(_some(rest), Kind.ACTION)


def _history(session: Session, member: Member, rest: str) -> None:
    name: str | None = None
    count = session.hub.settings.history_shown
    for word in rest.split():
        if word.startswith("#"):
            name = word
        elif word.isascii() and word.isdecimal() and int(word[:9]) > 0:
            count = int(word[:9])
        else:
            raise _Usage
    session.show_history(_own_room(session, member, name), count)


def _topic(session: Session, member: Member, rest: str) -> None:
    name, text = cut_room(rest)
    room = _own_room(session, member, name)
    if text:
        session.answer(session.hub.set_topic(member, room.name, "" if text == "-" else text))
    else:
        session.show_topic(room)


def _op(session: Session, member: Member, rest: str) -> None:
    _set_operator(session, member, rest, True)


def _deop(session: Session, member: Member, rest: str) -> None:
    _set_operator(session, member, rest, False)


def _set_operator(session: Session, member: Member, rest: str, operator: bool) -> None:
    room, nick, _ = _room_and_nick(session, member, rest)
    whom = session.hub.member(nick)
    was = whom is not None and bool(room.members.get(whom, 0) & Rank.OPERATOR)
    refused = session.hub.set_operator(member, room.name, nick, operator)
    if refused is not None:
        session.answer(refused)
    elif whom is not None and was is operator:
        state = "is already" if operator else "is not"
        session.reply(f"  {whom.nick} {state} an operator of {room.name}.")


def _kick(session: Session, member: Member, rest: str) -> None:
    room, nick, reason = _room_and_nick(session, member, rest)
    session.answer(session.hub.kick(member, room.name, nick, reason))


def _ban(session: Session, member: Member, rest: str) -> None:
    name, nick = cut_room(rest)
    if not nick:
        _show_bans(session, _own_room(session, member, name))
        return
    room, nick, reason = _room_and_nick(session, member, rest)
    whom = session.hub.member(nick)
    mask = f"{fold(nick)}!*@*"
    listed = mask in room.bans
    refused = session.hub.ban(member, room.name, nick)
    if refused is not None:
        session.answer(refused)
    elif whom is not None and whom in room.members:
        session.answer(session.hub.kick(member, room.name, nick, reason))
    elif listed:
        session.reply(f"  {nick} is already banned from {room.name}.")


def _show_bans(session: Session, room: Room) -> None:
    masks = [ban.mask for ban in room.bans.values()]
    if not masks:
        session.reply(f"  Nobody is banned from {room.name}.")
    for mutes, head in ((False, "Banned from"), (True, "Muted in")):
        names = [shown_mask(mask.text) for mask in masks if mask.mutes is mutes]
        if names:
            more = len(names) - BANS_SHOWN
            shown = names[:BANS_SHOWN]
            session.reply(*columns(shown, f"  {head} {room.name} ({len(names)}):", max(more, 0)))


def _unban(session: Session, member: Member, rest: str) -> None:
    room, nick, _ = _room_and_nick(session, member, rest)
    session.answer(session.hub.unban(member, room.name, nick))


def _quit(session: Session, member: Member, rest: str) -> None:
    session.finish("Goodbye.", f"{SAID_GOODBYE}{rest}")


def _room_and_nick(session: Session, member: Member, rest: str) -> tuple[Room, str, str]:
    """``[#ROOM] NAME [MORE]``"""
    name, rest = cut_room(rest)
    room = _own_room(session, member, name)
    nick, more = cut_word(_some(rest))
    return room, nick, more


def _handshake(session: Session, member: Member, rest: str) -> None:
    facts = session.facts()
    if facts is None:
        raise _Told("nothing is known of your connection")
    report = build(facts)
    if rest.lower() == "layers":
        session.reply(*layers_lines(report, utf8=True))
    elif rest:
        raise _Usage
    else:
        # who talks here has a terminal that shows UTF-8, or could not read the others either
        session.reply(*drawing_and_steps(report, utf8=True))


_RUN: dict[str, Callable[[Session, Member, str], None]] = {
    "help": _help,
    "nick": _nick,
    "join": _join,
    "part": _part,
    "rooms": _rooms,
    "who": _who,
    "msg": _msg,
    "me": _me,
    "history": _history,
    "topic": _topic,
    "op": _op,
    "deop": _deop,
    "kick": _kick,
    "ban": _ban,
    "unban": _unban,
    "handshake": _handshake,
    "quit": _quit,
}
