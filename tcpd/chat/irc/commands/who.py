"""WHO: lists the members of a room, or users that match a mask.

Sources: the Modern IRC Client Protocol, "WHO message" (https://modern.ircdocs.horse/#who-message),
and the IRCv3 specifications of WHOX (https://ircv3.net/specs/extensions/whox) and bot mode
(https://ircv3.net/specs/extensions/bot-mode).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from tcpd.chat.hosts import Address
from tcpd.chat.irc import caps, listing, numerics
from tcpd.chat.irc.commands.command import IrcCommand
from tcpd.chat.irc.commands.names import is_visible, prefixes
from tcpd.chat.irc.commands.refusals import middle
from tcpd.chat.irc.message import Message
from tcpd.chat.irc.reply import IrcReply
from tcpd.chat.masks import pattern
from tcpd.chat.names import fold
from tcpd.chat.people import Person
from tcpd.chat.room import Room

#: Replaces an address that the client may not see, as in WHOX.
_NO_ADDRESS = "255.255.255.255"

#: Users that are matched in one reactor turn, in a millisecond or two.
_PER_TURN = 256

#: Operator level: not supported.
_NO_LEVEL = "n/a"


def may_know_address(person: Person, target: Person) -> bool:
    """Return whether a user may see an address: their own, or any as a server operator."""
    return target is person or person.server_operator


def address_word(address: Address) -> str:
    """Return an address as a parameter, with a 0 before a leading colon."""
    text = str(address)
    return f"0{text}" if text.startswith(":") else text


def idle_seconds(reply: IrcReply, target: Person) -> int:
    """Return the seconds since a user's last message."""
    server = reply.server
    if target.clients:
        idle = server.clock() - max(client.spoke for client in target.clients)
    else:
        idle = server.wall_clock() - target.spoke  # on another node
    return max(0, int(idle))


def _who(reply: IrcReply, message: Message) -> None:
    mask = message.params[0]
    options = listing.parse_who(message.params[1] if len(message.params) > 1 else "")
    reply.stream(_lines(reply, mask, options))


def _lines(reply: IrcReply, mask: str, options: listing.WhoOptions) -> Iterator[bytes]:
    room, found = _find(reply, reply.person, mask)
    state = reply.server.hub.state
    for target in found:
        if target is None:
            yield b""
        elif not state.is_here(target) or (options.operators and not target.server_operator):
            continue
        elif options.fields is None:
            yield _who_reply(reply, target, room)
        else:
            yield _whox_reply(reply, target, room, options.fields, options.token)
    yield reply.numeric_line(numerics.RPL_ENDOFWHO, middle(mask))


def _find(
    reply: IrcReply, person: Person, mask: str
) -> tuple[Room | None, Iterable[Person | None]]:
    """Return the room that a mask names, if any, and the matching users. ``None`` among these
    yields to other clients."""
    hub = reply.server.hub
    if not mask:
        return None, ()
    if mask.startswith("#"):
        room = hub.room(mask)
        if room is None or room.hides_from(person):
            return None, ()
        people = room.snapshot()
        return room, (target for target in people if is_visible(person, target))
    exact = hub.person(mask)
    if exact is not None:
        # "An exact nickname, in which case a single user is returned", even if invisible
        return None, (exact,)
    # "0" lists all users: RFC 2812 section 3.6.1
    return None, _matching(reply, person, "*" if mask == "0" else mask)


def _matching(reply: IrcReply, person: Person, mask: str) -> Iterator[Person | None]:
    fits = pattern(mask).match
    for number, target in enumerate(reply.server.hub.state.snapshot(), 1):
        if number % _PER_TURN == 0:
            yield None
        if is_visible(person, target) and (
            fits(target.key)
            or fits(fold(target.user))
            or fits(fold(target.host))
            or fits(fold(target.real_name))
            or fits(target.folded)
        ):
            yield target


def _who_reply(reply: IrcReply, target: Person, room: Room | None) -> bytes:
    return reply.numeric_line(
        numerics.RPL_WHOREPLY,
        "*" if room is None else room.name,
        target.user,
        target.host,
        reply.server.name,
        target.nick,
        _flags(reply, target, room),
        text=f"0 {target.real_name}",
    )


def _flags(reply: IrcReply, target: Person, room: Room | None) -> str:
    """Return ``H`` (here) or ``G`` (gone), ``*`` (operator), prefixes, and ``B`` (bot)."""
    flags = "G" if target.away else "H"
    if target.server_operator:
        flags += "*"
    if room is not None:
        flags += prefixes(room.members.get(target, 0), caps.MULTI_PREFIX in reply.caps)
    if target.bot:
        flags += "B"
    return flags


_Field = Callable[["IrcReply", Person, "Room | None"], str]


def _address(reply: IrcReply, target: Person, room: Room | None) -> str:
    person = reply.client.person
    if person is None or target.address is None or not may_know_address(person, target):
        return _NO_ADDRESS
    return address_word(target.address)


_FIELDS: dict[str, _Field] = {
    "c": lambda reply, target, room: "*" if room is None else room.name,
    "u": lambda reply, target, room: target.user,
    "i": _address,
    "h": lambda reply, target, room: target.host,
    "s": lambda reply, target, room: reply.server.name,
    "n": lambda reply, target, room: target.nick,
    "f": _flags,
    "d": lambda reply, target, room: "0",
    "l": lambda reply, target, room: str(idle_seconds(reply, target)),
    # "0": no account
    "a": lambda reply, target, room: "0",
    "o": lambda reply, target, room: _NO_LEVEL,
}


def _whox_reply(
    reply: IrcReply, target: Person, room: Room | None, fields: str, token: str
) -> bytes:
    """Return RPL_WHOSPCRPL with the requested fields."""
    words = [
        token if field == "t" else _FIELDS[field](reply, target, room)
        for field in fields
        if field != "r"
    ]
    text = target.real_name if "r" in fields else None
    return reply.numeric_line(numerics.RPL_WHOSPCRPL, *words, text=text)


COMMANDS = {
    "WHO": IrcCommand(
        _who,
        1,
        help=(
            "WHO <room>|<mask> [o][%<fields>[,<token>]]",
            "Lists the members of a room, or users that match a mask; with o, server operators",
            "only. Fields (WHOX): t token, c room, u user, i address, h host, s server,",
            "n nickname, f flags, d hops, l seconds idle, a account, o level, r real name.",
        ),
    ),
}
