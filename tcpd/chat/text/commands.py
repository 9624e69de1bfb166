"""The commands of the text frontend: each turns its arguments into calls of the hub."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from functools import partial

from tcpd.chat.names import fold
from tcpd.chat.quitting import SAID_GOODBYE
from tcpd.chat.refused import Code, Refused
from tcpd.chat.room import Rank, Room
from tcpd.chat.split import ALWAYS_FITS, is_longer, room_for, split_message
from tcpd.chat.text.client import TextReply
from tcpd.chat.text.parse import (
    COMMANDS,
    TextCommand,
    cut_room,
    cut_word,
    find_command,
    nearest_command,
)
from tcpd.chat.text.render import WIDTH, columns, shown_mask
from tcpd.events.chat import Kind
from tcpd.handshake.page import drawing_and_steps
from tcpd.handshake.report import build
from tcpd.handshake.text import layers_lines
from tcpd.wire.formatting import plain

#: Maximum number of rooms in a reply: those with the most members.
ROOMS_SHOWN = 50
#: Maximum number of bans in a reply.
BANS_SHOWN = 100


class _Usage(Exception):
    """An argument of a command is missing."""


class _Impossible(Exception):
    """The arguments of a command are invalid; the text says why."""


def run(reply: TextReply, command: TextCommand, rest: str) -> None:
    """Run a command.

    :param reply: the reply to a client that has entered.
    :param rest: the arguments.
    """
    try:
        _RUN[command.name](reply, rest)
    except _Usage:
        reply.error(f"write it like this: /{command.name} {command.usage}")
    except _Impossible as error:
        reply.error(str(error))


def talk(reply: TextReply, text: str, kind: Kind, room: Room | None = None) -> bool:
    """Send text to a room, in several messages if it is long.

    :param room: ``None`` for the current one.
    :return: whether all messages were accepted.
    """
    room = room or reply.client.room
    if room is None:
        reply.show_target()
        return False
    client = reply.client
    server = client.server
    if is_longer(text, ALWAYS_FITS):
        pieces = split_message(text, room_for(reply.person, room.name, kind))
    else:  # the usual case
        pieces = [text]
    for piece in pieces:
        refused = server.hub.say(client, room.name, piece, kind)
        if refused is not None:
            reply.refuse(refused)
            return False
        server.count["messages"] += 1
    return True


def _some(text: str) -> str:
    if not text:
        raise _Usage
    return text


def _own_room(reply: TextReply, name: str | None) -> Room:
    """Return the named room, or the current one. The client is in it."""
    if name is None:
        if reply.client.room is None:
            raise _Impossible(f"you are in no room; /join {reply.way_back}")
        return reply.client.room
    room = reply.server.hub.room(name)
    if room is None or reply.person not in room.members:
        raise _Impossible(f"you are not in {room.name if room else name[:50]}")
    return room


def show_help(reply: TextReply, rest: str) -> None:
    """List the commands, or describe one.

    :param reply: the reply to a client, which may have no nickname yet.
    :param rest: the command's name; empty for the list.
    """
    if rest:
        word = cut_word(rest)[0]
        command = find_command(word)
        if command is None:
            nearest = nearest_command(word)
            hint = f"did you mean /help {nearest}?" if nearest else "/help lists them"
            reply.error(f"there is no command {word[:20]}; {hint}")
            return
        lines = [f"  /{command.name} {command.usage}".rstrip(), f"    {command.help}"]
        lines += [f"    {sentence}" for sentence in command.more]
        if command.aliases:
            lines.append("    Also: " + ", ".join(f"/{alias}" for alias in command.aliases))
        reply.send(*lines)
        return
    reply.send(
        "  What you type goes to the room. Lines that begin with / are commands:",
        "",
        *(f"  {f'/{command.name} {command.usage}':<27}{command.help}" for command in COMMANDS),
        "",
        "  To say something that begins with /, type //.",
    )


def _nick(reply: TextReply, rest: str) -> None:
    hub, person = reply.server.hub, reply.person
    if hub.free_nick(_some(rest), person) == person.nick:
        reply.send(f"  You are already called {person.nick}.")
    else:
        reply.ask(hub.rename, rest, refused=reply.refuse)


def _join(reply: TextReply, rest: str) -> None:
    name, key = cut_word(_some(rest))
    if not name.startswith("#"):
        name = f"#{name}"
    room = reply.server.hub.room(name)
    if room is not None and reply.person in room.members:
        reply.client.room = room
        reply.show_target()
        return

    def refuse(refused: Refused) -> None:
        if refused.code is not Code.NEEDS_KEY:
            reply.refuse(refused)
        elif key:
            reply.error(f"that is not the key of {name}")
        else:
            reply.error(f"{refused.sentence}; write it behind the name: /join {name} KEY")

    reply.ask(reply.server.hub.join, name, key, refused=refuse)


def _part(reply: TextReply, rest: str) -> None:
    name, reason = cut_room(rest)
    room = _own_room(reply, name)
    reply.ask(reply.server.hub.part, room.name, reason, refused=reply.refuse)


def _rooms(reply: TextReply, rest: str) -> None:
    rooms = [room for room in reply.server.hub.rooms if not room.hides_from(reply.person)]
    fullest = heapq.nlargest(ROOMS_SHOWN, rooms, key=lambda room: len(room.members))
    lines = ["  One room:" if len(rooms) == 1 else f"  {len(rooms)} rooms:"]
    for room in fullest:
        people = len(room.members)
        topic = plain(room.topic.text) if room.topic is not None else ""
        line = f"  {room.name:<20} {people:>5} {'person' if people == 1 else 'people':<8}{topic}"
        lines.append(line.rstrip()[:WIDTH])
    if len(fullest) < len(rooms):
        lines.append(f"  and {len(rooms) - len(fullest)} more")
    reply.send(*lines)


def _who(reply: TextReply, rest: str) -> None:
    if rest:
        name = cut_word(rest)[0]
        room = reply.server.hub.room(name if name.startswith("#") else f"#{name}")
        if room is None or room.hides_from(reply.person):
            raise _Impossible(f"there is no room {name[:50]}")
    else:
        room = _own_room(reply, None)
    reply.show_names(room)


def _msg(reply: TextReply, rest: str) -> None:
    nick, text = cut_word(_some(rest))
    if nick.startswith("#"):
        _say_in(reply, nick, _some(text))
        return
    hub = reply.server.hub
    target = hub.person(nick)
    # with an unknown nickname, the first piece is refused
    room = ALWAYS_FITS if target is None else room_for(reply.person, target.nick)
    pieces = split_message(_some(text), room)

    def send(index: int) -> None:
        """Send a piece after the previous one was delivered. Stop at the first refusal."""
        if index < len(pieces):
            then = partial(delivered, index)
            reply.ask(hub.send_private, nick, pieces[index], refused=reply.refuse, then=then)
        elif target is not None and target.away:
            reply.send(f"  {target.nick} is away: {target.away}")

    def delivered(index: int) -> None:
        reply.server.count["private"] += 1
        send(index + 1)

    send(0)


def _say_in(reply: TextReply, name: str, text: str) -> None:
    room = reply.server.hub.room(name)
    if room is None:
        raise _Impossible(f"there is no room {name[:50]}")
    if talk(reply, text, Kind.MESSAGE, room) and room is not reply.client.room:
        reply.send(f"  You said that in {room.name}.")


def _me(reply: TextReply, rest: str) -> None:
    talk(reply, _some(rest), Kind.ACTION)


def _history(reply: TextReply, rest: str) -> None:
    name: str | None = None
    count = reply.server.hub.settings.history_shown
    for word in rest.split():
        if word.startswith("#"):
            name = word
        elif word.isascii() and word.isdecimal() and int(word[:9]) > 0:
            count = int(word[:9])
        else:
            raise _Usage
    reply.show_history(_own_room(reply, name), count)


def _topic(reply: TextReply, rest: str) -> None:
    name, text = cut_room(rest)
    room = _own_room(reply, name)
    if text:
        topic = "" if text == "-" else text
        reply.ask(reply.server.hub.set_topic, room.name, topic, refused=reply.refuse)
    else:
        reply.show_topic(room)


def _op(reply: TextReply, rest: str) -> None:
    _set_operator(reply, rest, True)


def _deop(reply: TextReply, rest: str) -> None:
    _set_operator(reply, rest, False)


def _set_operator(reply: TextReply, rest: str, operator: bool) -> None:
    room, nick, _ = _room_and_nick(reply, rest)
    hub = reply.server.hub
    target = hub.person(nick)
    was = target is not None and bool(room.members.get(target, 0) & Rank.OPERATOR)

    def done() -> None:
        if target is not None and was is operator:
            state = "is already" if operator else "is not"
            reply.send(f"  {target.nick} {state} an operator of {room.name}.")

    reply.ask(hub.set_operator, room.name, nick, operator, refused=reply.refuse, then=done)


def _kick(reply: TextReply, rest: str) -> None:
    room, nick, reason = _room_and_nick(reply, rest)
    reply.ask(reply.server.hub.kick, room.name, nick, reason, refused=reply.refuse)


def _ban(reply: TextReply, rest: str) -> None:
    name, nick = cut_room(rest)
    if not nick:
        _show_bans(reply, _own_room(reply, name))
        return
    room, nick, reason = _room_and_nick(reply, rest)
    hub = reply.server.hub
    target = hub.person(nick)
    listed = f"{fold(nick)}!*@*" in room.bans

    def kick() -> None:
        if target is not None and target in room.members:
            reply.ask(hub.kick, room.name, nick, reason, refused=reply.refuse)
        elif listed:
            reply.send(f"  {nick} is already banned from {room.name}.")

    reply.ask(hub.ban, room.name, nick, refused=reply.refuse, then=kick)


def _show_bans(reply: TextReply, room: Room) -> None:
    masks = [ban.mask for ban in room.bans.values()]
    if not masks:
        reply.send(f"  There are no bans in {room.name}.")
    for mutes, head in ((False, "Banned from"), (True, "Muted in")):
        names = [shown_mask(mask.text) for mask in masks if mask.mutes is mutes]
        if names:
            more = len(names) - BANS_SHOWN
            shown = names[:BANS_SHOWN]
            reply.send(*columns(shown, f"  {head} {room.name} ({len(names)}):", max(more, 0)))


def _unban(reply: TextReply, rest: str) -> None:
    room, nick, _ = _room_and_nick(reply, rest)
    reply.ask(reply.server.hub.unban, room.name, nick, refused=reply.refuse)


def _quit(reply: TextReply, rest: str) -> None:
    reply.client.finish("Goodbye.", f"{SAID_GOODBYE}{rest}")


def _room_and_nick(reply: TextReply, rest: str) -> tuple[Room, str, str]:
    """``[#ROOM] NAME [MORE]``"""
    name, rest = cut_room(rest)
    room = _own_room(reply, name)
    nick, more = cut_word(_some(rest))
    return room, nick, more


def _handshake(reply: TextReply, rest: str) -> None:
    facts = reply.client.facts()
    if facts is None:
        raise _Impossible("nothing is known of your connection")
    report = build(facts)
    if rest.lower() == "layers":
        reply.send(*layers_lines(report, utf8=True))
    elif rest:
        raise _Usage
    else:
        # the terminal must show UTF-8: messages of other people require it, too
        reply.send(*drawing_and_steps(report, utf8=True))


_RUN: dict[str, Callable[[TextReply, str], None]] = {
    "help": show_help,
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
