"""MODE, for rooms and users.

Source: the Modern IRC Client Protocol, "MODE message" (https://modern.ircdocs.horse/#mode-message).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tcpd.chat.irc import numerics
from tcpd.chat.irc.commands.command import IrcCommand
from tcpd.chat.irc.commands.refusals import in_room, middle, refusing
from tcpd.chat.irc.message import Message
from tcpd.chat.irc.reply import IrcReply
from tcpd.chat.irc.server import MAX_MODES
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

#: Maximum number of unknown letters replied to; a line may have hundreds.
_MAX_UNKNOWN = 10


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
    request = _parse_modes(words[0], words[1:])
    if not request.changes:
        _send_rest(reply, room, request)
        return
    refusals: list[Refused] = []

    def refused(refused: Refused) -> None:
        in_room(reply, room.name)(refused)
        _send_rest(reply, room, request)

    def changed() -> None:
        _send_refused(reply, room, refusals)
        _send_rest(reply, room, request)

    reply.ask(
        hub.change_modes, name, request.changes, refusals=refusals, refused=refused, then=changed
    )


def _send_rest(reply: IrcReply, room: Room, request: _ModeRequest) -> None:
    """Send errors for unknown letters and missing arguments, and requested lists."""
    for letter in request.unknown[:_MAX_UNKNOWN]:
        reply.numeric(numerics.ERR_UNKNOWNMODE, middle(letter))
    if request.lacking:
        reply.numeric(numerics.ERR_NEEDMOREPARAMS, "MODE")
    if request.lists and reply.person not in room.members:
        # lists are for members only
        reply.numeric(numerics.ERR_NOTONCHANNEL, room.name)
        return
    for mode in request.lists:
        reply.stream(_list_lines(reply, room, mode))


@dataclass(frozen=True, slots=True)
class _ModeRequest:
    """Parsed parameters of MODE.

    :ivar changes: the changes in order; of a mode without argument only the last.
    :ivar lists: lists to send.
    :ivar unknown: letters of no mode.
    :ivar lacking: a mode was left out because its argument is missing.
    """

    changes: list[Change]
    lists: list[Mode]
    unknown: list[str]
    lacking: bool


def _parse_modes(letters: str, words: Iterable[str]) -> _ModeRequest:
    """Parse modes: "For type A, B, and C modes, arguments will be sequentially obtained"."""
    arguments = iter(words)
    changes: dict[object, Change] = {}
    lists: dict[Mode, None] = {}
    unknown: dict[str, None] = {}
    lacking = False
    adding = True
    left = MAX_MODES
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
            # changes beyond MAX_MODES are ignored, with their arguments
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
    return _ModeRequest(list(changes.values()), list(lists), list(unknown), lacking)


def _takes_argument(mode: Mode, adding: bool) -> bool:
    # -k works with any argument or none: clients that do not know the key send "*"
    return mode in RANKS or mode in LISTS or mode is Mode.KEY or (mode is Mode.LIMIT and adding)


def _send_refused(reply: IrcReply, room: Room, refusals: Sequence[Refused]) -> None:
    unprivileged = False
    for refused in refusals:
        change = refused.about
        assert change is not None
        match refused.code:
            case Code.BAD_ARGUMENT:
                # never repeat a key, even an invalid one
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
                pass  # nothing to remove
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
    # a copy: the list may change while it is sent
    for listed in list(room.lists[mode].values()):
        when = str(int(listed.time))
        yield reply.numeric_line(entry, name, listed.mask.text, listed.who.nick, when)
    yield reply.numeric_line(end, name)


# --- of users ---


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
    after, unknown = _change_user_modes(before, words[0])
    added = "".join(letter for letter in after if letter not in before)
    removed = "".join(letter for letter in before if letter not in after)

    def done() -> None:
        if unknown:
            reply.numeric(numerics.ERR_UMODEUNKNOWNFLAG)

    reply.ask(hub.set_user_modes, added, removed, refused=refusing(reply, nick), then=done)


def _change_user_modes(before: str, letters: str) -> tuple[str, bool]:
    """Return a user's modes after a change, and whether a letter is unknown.

    :param before: the current modes.
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
            "m:<mask> is a mute: it applies to speaking only.",
            "MODE <nickname> [<modes>]",
            "Shows or changes your own: i (invisible), w (receives WALLOPS), B (bot).",
        ),
    ),
}
