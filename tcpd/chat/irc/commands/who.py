"""WHO: who is in a room, or is called so.

Sources: the Modern IRC Client Protocol, "WHO message" (https://modern.ircdocs.horse/#who-message),
and the IRCv3 specifications of WHOX (https://ircv3.net/specs/extensions/whox) and bot mode
(https://ircv3.net/specs/extensions/bot-mode).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from tcpd.chat.hosts import Address
from tcpd.chat.irc import caps, listing, numerics
from tcpd.chat.irc.commands.command import Command
from tcpd.chat.irc.commands.names import is_visible, prefixes
from tcpd.chat.irc.commands.refusals import middle
from tcpd.chat.irc.message import Message
from tcpd.chat.masks import pattern
from tcpd.chat.member import Member
from tcpd.chat.names import fold
from tcpd.chat.room import Room

if TYPE_CHECKING:
    from tcpd.chat.irc.session import Session

#: What stands for an address that is not the asker's to know, as WHOX has it.
_NO_ADDRESS = "255.255.255.255"

#: How many people a mask is held against in a reactor turn, which takes a millisecond or two.
_IN_A_TURN = 256

#: What stands for the level of an operator, which nobody has here.
_NO_LEVEL = "n/a"


def may_know_address(member: Member, whom: Member) -> bool:
    """Whether one may know where another really is: only oneself, and operators of the daemon."""
    return whom is member or member.server_operator


def address_word(address: Address) -> str:
    """An address as a parameter: no parameter but the last begins with a colon."""
    text = str(address)
    return f"0{text}" if text.startswith(":") else text


def idle_seconds(session: Session, whom: Member) -> int:
    """How long somebody has said nothing."""
    return max(0, int(session.server.clock() - whom.spoke))


def _who(session: Session, message: Message) -> None:
    mask = message.params[0]
    asked = listing.who(message.params[1] if len(message.params) > 1 else "")
    session.tell(_answer(session, mask, asked))


def _answer(session: Session, mask: str, asked: listing.Who) -> Iterator[bytes]:
    member = session.member
    assert member is not None
    room, found = _found(session, member, mask)
    for whom in found:
        if whom is None:
            yield b""
        elif whom.gone or (asked.operators and not whom.server_operator):
            continue
        elif asked.fields is None:
            yield _reply(session, whom, room)
        else:
            yield _fields(session, whom, room, asked.fields, asked.token)
    yield session.numeric_line(numerics.RPL_ENDOFWHO, middle(mask))


def _found(
    session: Session, member: Member, mask: str
) -> tuple[Room | None, Iterable[Member | None]]:
    """Those who are asked for, and ``None`` where others are to have their turn; and the room, if
    it is one."""
    hub = session.server.hub
    if not mask:
        return None, ()
    if mask.startswith("#"):
        room = hub.room(mask)
        if room is None or room.hides_from(member):
            return None, ()
        # a copy: they may come and go before all are told
        people = list(room.members)
        return room, (whom for whom in people if is_visible(member, whom))
    exact = hub.member(mask)
    if exact is not None:
        # "An exact nickname, in which case a single user is returned": as WHOIS tells it, too
        return None, (exact,)
    # "0" is everybody by RFC 2812 section 3.6.1
    return None, _matching(session, member, "*" if mask == "0" else mask)


def _matching(session: Session, member: Member, mask: str) -> Iterator[Member | None]:
    fits = pattern(mask).match
    for number, whom in enumerate(list(session.server.hub.members), 1):
        if number % _IN_A_TURN == 0:
            yield None
        if is_visible(member, whom) and (
            fits(whom.key)
            or fits(fold(whom.user))
            or fits(fold(whom.host))
            or fits(fold(whom.real_name))
            or fits(whom.folded)
        ):
            yield whom


def _reply(session: Session, whom: Member, room: Room | None) -> bytes:
    return session.numeric_line(
        numerics.RPL_WHOREPLY,
        "*" if room is None else room.name,
        whom.user,
        whom.host,
        session.server.name,
        whom.nick,
        _flags(session, whom, room),
        text=f"0 {whom.real_name}",
    )


def _flags(session: Session, whom: Member, room: Room | None) -> str:
    """``H`` for here or ``G`` for gone, ``*`` for an operator, prefixes, and ``B`` for a bot."""
    flags = "G" if whom.away else "H"
    if whom.server_operator:
        flags += "*"
    if room is not None:
        flags += prefixes(room.members.get(whom, 0), caps.MULTI_PREFIX in session.caps)
    if whom.bot:
        flags += "B"
    return flags


_Field = Callable[["Session", Member, "Room | None"], str]


def _address(session: Session, whom: Member, room: Room | None) -> str:
    member = session.member
    if member is None or whom.address is None or not may_know_address(member, whom):
        return _NO_ADDRESS
    return address_word(whom.address)


def _idle(session: Session, whom: Member, room: Room | None) -> str:
    return str(idle_seconds(session, whom))


def _server(session: Session, whom: Member, room: Room | None) -> str:
    return session.server.name


_FIELDS: dict[str, _Field] = {
    "c": lambda session, whom, room: "*" if room is None else room.name,
    "u": lambda session, whom, room: whom.user,
    "i": _address,
    "h": lambda session, whom, room: whom.host,
    "s": _server,
    "n": lambda session, whom, room: whom.nick,
    "f": _flags,
    "d": lambda session, whom, room: "0",
    "l": _idle,
    # "0" is who has no account
    "a": lambda session, whom, room: "0",
    "o": lambda session, whom, room: _NO_LEVEL,
}


def _fields(session: Session, whom: Member, room: Room | None, fields: str, token: str) -> bytes:
    """RPL_WHOSPCRPL with the fields that were asked for, in its order."""
    words = [
        token if field == "t" else _FIELDS[field](session, whom, room)
        for field in fields
        if field != "r"
    ]
    text = whom.real_name if "r" in fields else None
    return session.numeric_line(numerics.RPL_WHOSPCRPL, *words, text=text)


COMMANDS = {
    "WHO": Command(
        _who,
        1,
        help=(
            "WHO <room>|<mask> [o][%<fields>[,<token>]]",
            "Tells who is in a room, or who is called so; with o, operators of the server alone.",
            "With fields (WHOX) it tells those alone: t token, c room, u user, i address, h host,",
            "s server, n nickname, f flags, d hops, l seconds idle, a account, o level,",
            "r real name.",
        ),
    ),
}
