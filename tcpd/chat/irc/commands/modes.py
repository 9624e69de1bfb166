"""MODE, for rooms and for oneself.

Source: the Modern IRC Client Protocol, "MODE message" (https://modern.ircdocs.horse/#mode-message).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tcpd.chat.irc import numerics
from tcpd.chat.irc.commands.command import Command
from tcpd.chat.irc.commands.refusals import answer_in_room, middle
from tcpd.chat.irc.message import Message, write
from tcpd.chat.irc.server import MODES
from tcpd.chat.member import Member
from tcpd.chat.moderation import RANKS
from tcpd.chat.names import fold
from tcpd.chat.refused import Code, Refused
from tcpd.chat.room import Room
from tcpd.events import LISTS, Change, Mode

if TYPE_CHECKING:
    from tcpd.chat.irc.session import Session

_BY_LETTER = {mode.value: mode for mode in Mode}

_LIST_NUMERICS = {
    Mode.BAN: (numerics.RPL_BANLIST, numerics.RPL_ENDOFBANLIST),
    Mode.EXEMPT: (numerics.RPL_EXCEPTLIST, numerics.RPL_ENDOFEXCEPTLIST),
    Mode.INVITED: (numerics.RPL_INVEXLIST, numerics.RPL_ENDOFINVEXLIST),
}

#: So many unknown letters are told of; a line may hold hundreds.
_UNKNOWN = 10

#: What a user can be: operator of the daemon, invisible, told of WALLOPS, no person.
USER_MODES = "Biow"

#: The modes of rooms that take an argument, for RPL_MYINFO.
WITH_ARGUMENT = "".join((*LISTS, *RANKS, Mode.KEY, Mode.LIMIT))


def _mode(session: Session, message: Message) -> None:
    if message.params[0].startswith("#"):
        _mode_of_room(session, message)
    else:
        _mode_of_user(session, message)


# --- of rooms ---


def _mode_of_room(session: Session, message: Message) -> None:
    member = session.member
    assert member is not None
    hub = session.server.hub
    name, *words = message.params
    room = hub.room(name)
    if room is None:
        session.numeric(numerics.ERR_NOSUCHCHANNEL, middle(name))
        return
    if not words or not words[0]:
        _tell_modes(session, member, room)
        return
    asked = _read(words[0], words[1:])
    if asked.changes:
        refused = hub.change_modes(member, name, asked.changes)
        if isinstance(refused, Refused):
            answer_in_room(session, refused, room.name)
        else:
            _tell_refused(session, room, refused)
    for letter in asked.unknown[:_UNKNOWN]:
        session.numeric(numerics.ERR_UNKNOWNMODE, middle(letter))
    if asked.lacking:
        session.numeric(numerics.ERR_NEEDMOREPARAMS, "MODE")
    if asked.lists and member not in room.members:
        # who is kept out, and by whom, is not for those outside
        session.numeric(numerics.ERR_NOTONCHANNEL, room.name)
        return
    for mode in asked.lists:
        session.tell(_list_lines(session, room, mode))


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a MODE asks for.

    :ivar changes: in their order; of a mode without argument the last one alone.
    :ivar lists: those to be told.
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


def _tell_refused(session: Session, room: Room, refusals: Sequence[Refused]) -> None:
    unprivileged = False
    for refused in refusals:
        change = refused.about
        assert change is not None
        match refused.code:
            case Code.BAD_ARGUMENT:
                # a key is a secret, even one that cannot be
                shown = "*" if change.mode is Mode.KEY else middle(change.argument)
                session.numeric(
                    numerics.ERR_INVALIDMODEPARAM,
                    room.name,
                    change.mode,
                    shown,
                    text=refused.sentence,
                )
            case Code.LIST_FULL:
                session.numeric(
                    numerics.ERR_BANLISTFULL, room.name, change.mode, text=refused.sentence
                )
            case Code.NOT_LISTED:
                pass  # it is as they want it
            case Code.NOT_OPERATOR if unprivileged:
                pass
            case _:
                unprivileged |= refused.code is Code.NOT_OPERATOR
                answer_in_room(session, refused, room.name, change.argument)


def _tell_modes(session: Session, member: Member, room: Room) -> None:
    if room.hides_from(member):
        session.numeric(numerics.ERR_NOTONCHANNEL, room.name)
        return
    letters = "".join(sorted(room.modes.flags))
    arguments = []
    if room.modes.key:
        letters += Mode.KEY
        # "Servers MAY choose to hide sensitive information such as channel keys"
        arguments.append(room.modes.key if member in room.members else "*")
    if room.modes.limit is not None:
        letters += Mode.LIMIT
        arguments.append(str(room.modes.limit))
    session.numeric(numerics.RPL_CHANNELMODEIS, room.name, f"+{letters}", *arguments)
    session.numeric(numerics.RPL_CREATIONTIME, room.name, str(int(room.created)))


def _list_lines(session: Session, room: Room, mode: Mode) -> Iterator[bytes]:
    entry, end = _LIST_NUMERICS[mode]
    name = room.name
    # a copy: it may change before all of it is told
    for listed in list(room.lists[mode].values()):
        when = str(int(listed.time))
        yield session.numeric_line(entry, name, listed.mask.text, listed.who.nick, when)
    yield session.numeric_line(end, name)


# --- of oneself ---


def user_modes(member: Member) -> str:
    """What a member is, as letters of :data:`USER_MODES`."""
    is_set = {
        "B": member.bot,
        "i": member.invisible,
        "o": member.server_operator,
        "w": member.wallops,
    }
    return "".join(letter for letter in USER_MODES if is_set[letter])


def _mode_of_user(session: Session, message: Message) -> None:
    member = session.member
    assert member is not None
    hub = session.server.hub
    nick, *words = message.params
    if fold(nick) != member.key:
        if hub.member(nick) is None:
            session.numeric(numerics.ERR_NOSUCHNICK, middle(nick))
        else:
            session.numeric(numerics.ERR_USERSDONTMATCH)
        return
    if not words or not words[0]:
        session.numeric(numerics.RPL_UMODEIS, f"+{user_modes(member)}")
        return
    before = user_modes(member)
    unknown = False
    adding = True
    for letter in words[0]:
        match letter:
            case "+" | "-":
                adding = letter == "+"
            case "i":
                hub.set_invisible(member, adding)
            case "w":
                member.wallops = adding
            case "B":
                member.bot = adding
            case "o":
                # "If a user attempts to make themselves an operator using the "+o" flag, the
                # attempt SHOULD be ignored": RFC 2812 section 3.1.5
                if not adding:
                    hub.set_server_operator(member, False)
            case _:
                unknown = True
    changed = _difference(before, user_modes(member))
    if changed:
        session.send(write("MODE", member.nick, changed, source=str(member.who)))
    if unknown:
        session.numeric(numerics.ERR_UMODEUNKNOWNFLAG)


def _difference(before: str, after: str) -> str:
    """What leads from some modes to others: ``+iw-B``."""
    added = "".join(letter for letter in after if letter not in before)
    taken = "".join(letter for letter in before if letter not in after)
    return (f"+{added}" if added else "") + (f"-{taken}" if taken else "")


COMMANDS = {
    "MODE": Command(
        _mode,
        1,
        help=(
            "MODE <room> [<modes> [<argument>...]]",
            "Tells or changes the modes of a room: b e I (lists of masks), k (key), l (limit),",
            "i (by invitation), m (moderated), n (no outsiders), s (secret), t (topic protected),",
            "C (no CTCP but ACTION), o h v (operator, half-operator, voice). A ban or an exemption",
            "m:<mask> is about speaking alone.",
            "MODE <nickname> [<modes>]",
            "Tells or changes your own: i (invisible), w (hears WALLOPS), B (bot).",
        ),
    ),
}
