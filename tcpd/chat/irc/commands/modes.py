"""MODE, for rooms and for oneself.

Source: the Modern IRC Client Protocol, "MODE message" (https://modern.ircdocs.horse/#mode-message).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tcpd.chat.irc import numerics
from tcpd.chat.irc.commands.command import IrcCommand
from tcpd.chat.irc.commands.refusals import in_room, middle, refuse
from tcpd.chat.irc.message import Message
from tcpd.chat.irc.reply import IrcReply
from tcpd.chat.irc.server import MODES
from tcpd.chat.irc.user_modes import USER_MODES, user_modes
from tcpd.chat.names import fold
from tcpd.chat.people import Person
from tcpd.chat.refused import Code, Refused
from tcpd.chat.room import Room
from tcpd.events.chat import LISTS, RANKS, Change, Mode

_BY_LETTER = {mode.value: mode for mode in Mode}

_LIST_NUMERICS = {
    Mode.BAN: (numerics.RPL_BANLIST, numerics.RPL_ENDOFBANLIST),
    Mode.EXEMPT: (numerics.RPL_EXCEPTLIST, numerics.RPL_ENDOFEXCEPTLIST),
    Mode.INVITED: (numerics.RPL_INVEXLIST, numerics.RPL_ENDOFINVEXLIST),
}

#: So many unknown letters get a reply; a line may hold hundreds.
_UNKNOWN = 10


def _mode(reply: IrcReply, message: Message) -> None:
    if message.params[0].startswith("#"):
        _mode_of_room(reply, message)
    else:
        _mode_of_user(reply, message)


# --- of rooms ---


def _mode_of_room(reply: IrcReply, message: Message) -> None:
    hub = reply.server.hub
    name, *words = message.params
    room = hub.room(name)
    if room is None:
        reply.numeric(numerics.ERR_NOSUCHCHANNEL, middle(name))
        return
    if not words or not words[0]:
        _send_modes(reply, reply.person, room)
        return
    asked = _read(words[0], words[1:])
    if not asked.changes:
        _send_rest(reply, room, asked)
        return
    refusals: list[Refused] = []

    def refused(refused: Refused) -> None:
        in_room(reply, room.name)(refused)
        _send_rest(reply, room, asked)

    def changed() -> None:
        _send_refused(reply, room, refusals)
        _send_rest(reply, room, asked)

    reply.ask(
        hub.change_modes, name, asked.changes, refusals=refusals, refused=refused, then=changed
    )


def _send_rest(reply: IrcReply, room: Room, asked: _Asked) -> None:
    """Reply to what is no change: unknown letters, and the lists."""
    for letter in asked.unknown[:_UNKNOWN]:
        reply.numeric(numerics.ERR_UNKNOWNMODE, middle(letter))
    if asked.lacking:
        reply.numeric(numerics.ERR_NEEDMOREPARAMS, "MODE")
    if asked.lists and reply.person not in room.members:
        # who is banned, and by whom, is not for those outside
        reply.numeric(numerics.ERR_NOTONCHANNEL, room.name)
        return
    for mode in asked.lists:
        reply.stream(_list_lines(reply, room, mode))


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a MODE asks for.

    :ivar changes: in their order; of a mode without argument the last one alone.
    :ivar lists: those to be sent.
    :ivar unknown: letters that are no mode.
    :ivar lacking: whether a mode had no argument that needs one, and was left out.
    """

    changes: list[Change]
    lists: list[Mode]
    unknown: list[str]
    lacking: bool


def _read(letters: str, words: Iterable[str]) -> _Asked:
    """Read modes: "For type A, B, and C modes, arguments will be sequentially obtained"."""
    arguments = iter(words)
    changes: dict[object, Change] = {}
    lists: dict[Mode, None] = {}
    unknown: dict[str, None] = {}
    lacking = False
    adding = True
    left = MODES
    for letter in letters:
        if letter in "+-":
            adding = letter == "+"
            continue
        mode = _BY_LETTER.get(letter)
        if mode is None:
            unknown[letter] = None
            continue
        argument = next(arguments, None) if _takes_argument(mode, adding) else None
        if argument is not None:
            # what is beyond the token MODES is ignored, and so is its argument
            if left:
                left -= 1
                changes[left, mode] = Change(adding, mode, argument)
        elif mode in LISTS:
            lists[mode] = None
        elif mode in RANKS or (mode in (Mode.KEY, Mode.LIMIT) and adding):
            # "If a type B or C mode does not have a parameter when being set, the server MUST
            # ignore that mode"
            lacking = True
        else:
            changes.pop(mode, None)
            changes[mode] = Change(adding, mode)
    return _Asked(list(changes.values()), list(lists), list(unknown), lacking)


def _takes_argument(mode: Mode, adding: bool) -> bool:
    # a key is taken away with any argument, or with none: clients that do not know it send "*"
    return mode in RANKS or mode in LISTS or mode is Mode.KEY or (mode is Mode.LIMIT and adding)


def _send_refused(reply: IrcReply, room: Room, refusals: Sequence[Refused]) -> None:
    unprivileged = False
    for refused in refusals:
        change = refused.about
        assert change is not None
        match refused.code:
            case Code.BAD_ARGUMENT:
                # a key is a secret, even one that cannot be
                shown = "*" if change.mode is Mode.KEY else middle(change.argument)
                reply.numeric(
                    numerics.ERR_INVALIDMODEPARAM,
                    room.name,
                    change.mode,
                    shown,
                    text=refused.sentence,
                )
            case Code.LIST_FULL:
                reply.numeric(
                    numerics.ERR_BANLISTFULL, room.name, change.mode, text=refused.sentence
                )
            case Code.NOT_LISTED:
                pass  # it is as they want it
            case Code.NOT_OPERATOR if unprivileged:
                pass
            case _:
                unprivileged |= refused.code is Code.NOT_OPERATOR
                in_room(reply, room.name, change.argument)(refused)


def _send_modes(reply: IrcReply, person: Person, room: Room) -> None:
    if room.hides_from(person):
        reply.numeric(numerics.ERR_NOTONCHANNEL, room.name)
        return
    letters = "".join(sorted(room.modes.flags))
    arguments = []
    if room.modes.key:
        letters += Mode.KEY
        # "Servers MAY choose to hide sensitive information such as channel keys"
        arguments.append(room.modes.key if person in room.members else "*")
    if room.modes.limit is not None:
        letters += Mode.LIMIT
        arguments.append(str(room.modes.limit))
    reply.numeric(numerics.RPL_CHANNELMODEIS, room.name, f"+{letters}", *arguments)
    reply.numeric(numerics.RPL_CREATIONTIME, room.name, str(int(room.created)))


def _list_lines(reply: IrcReply, room: Room, mode: Mode) -> Iterator[bytes]:
    entry, end = _LIST_NUMERICS[mode]
    name = room.name
    # a copy: it may change before all of it is sent
    for listed in list(room.lists[mode].values()):
        when = str(int(listed.time))
        yield reply.numeric_line(entry, name, listed.mask.text, listed.who.nick, when)
    yield reply.numeric_line(end, name)


# --- of oneself ---


def _mode_of_user(reply: IrcReply, message: Message) -> None:
    person = reply.person
    hub = reply.server.hub
    nick, *words = message.params
    if fold(nick) != person.key:
        if hub.person(nick) is None:
            reply.numeric(numerics.ERR_NOSUCHNICK, middle(nick))
        else:
            reply.numeric(numerics.ERR_USERSDONTMATCH)
        return
    before = user_modes(person)
    if not words or not words[0]:
        reply.numeric(numerics.RPL_UMODEIS, f"+{before}")
        return
    after, unknown = _wanted(before, words[0])
    added = "".join(letter for letter in after if letter not in before)
    removed = "".join(letter for letter in before if letter not in after)

    def done() -> None:
        if unknown:
            reply.numeric(numerics.ERR_UMODEUNKNOWNFLAG)

    def refused(refused: Refused) -> None:
        refuse(reply, refused, nick)

    reply.ask(hub.set_user_modes, added, removed, refused=refused, then=done)


def _wanted(before: str, letters: str) -> tuple[str, bool]:
    """The modes that a person is to have, and whether there are unknown letters.

    :param before: the modes now.
    """
    wanted = set(before)
    unknown = False
    adding = True
    for letter in letters:
        if letter in "+-":
            adding = letter == "+"
        elif letter not in USER_MODES:
            unknown = True
        elif not adding:
            wanted.discard(letter)
        elif letter != "o":
            # "If a user attempts to make themselves an operator using the "+o" flag, the attempt
            # SHOULD be ignored": RFC 2812 section 3.1.5
            wanted.add(letter)
    return "".join(letter for letter in USER_MODES if letter in wanted), unknown


COMMANDS = {
    "MODE": IrcCommand(
        _mode,
        1,
        help=(
            "MODE <room> [<modes> [<argument>...]]",
            "Shows or changes the modes of a room: b e I (lists of masks), k (key), l (limit),",
            "i (by invitation), m (moderated), n (no outsiders), s (secret), t (topic protected),",
            "C (no CTCP but ACTION), o h v (operator, half-operator, voice). A ban or an exemption",
            "m:<mask> is about speaking alone.",
            "MODE <nickname> [<modes>]",
            "Shows or changes your own: i (invisible), w (receives WALLOPS), B (bot).",
        ),
    ),
}
