"""Commands about single people: WHOIS, WHOWAS, USERHOST, ISON.

Source: the Modern IRC Client Protocol, "User-Based Queries"
(https://modern.ircdocs.horse/#user-based-queries) and "Optional Messages".
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tcpd.chat.irc import caps, numerics
from tcpd.chat.irc.commands.about import is_here
from tcpd.chat.irc.commands.command import Command
from tcpd.chat.irc.commands.names import prefixes, shares
from tcpd.chat.irc.commands.refusals import middle
from tcpd.chat.irc.commands.who import (
    address_word,
    idle_seconds,
    may_know_address,
)
from tcpd.chat.irc.commands.wrapping import wrapped
from tcpd.chat.irc.message import Message
from tcpd.chat.member import Member
from tcpd.chat.names import fold
from tcpd.chat.past import Gone
from tcpd.wire.safe_text import escape_controls

if TYPE_CHECKING:
    from tcpd.chat.irc.session import Session

#: How many nicknames USERHOST answers for.
USERHOST_MOST = 5


def _whois(session: Session, message: Message) -> None:
    *server, nick = message.params[:2] or ("",)
    # TARGMAX says one
    nick = nick.split(",")[0]
    if not nick:
        session.numeric(numerics.ERR_NONICKNAMEGIVEN)
        return
    whom = session.server.hub.member(nick)
    # "WHOIS nick nick" asks the server that the nickname is on, which is this one or none
    if server and not is_here(session, server[0]) and fold(server[0]) != fold(nick):
        session.numeric(numerics.ERR_NOSUCHSERVER, middle(server[0]))
    elif whom is None:
        session.numeric(numerics.ERR_NOSUCHNICK, middle(nick))
    else:
        session.tell(_told(session, whom))
    session.tell([session.numeric_line(numerics.RPL_ENDOFWHOIS, middle(nick))])


def _told(session: Session, whom: Member) -> Iterator[bytes]:
    """What the asker may know of somebody."""
    member = session.member
    assert member is not None
    server, line, nick = session.server, session.numeric_line, whom.nick
    yield line(numerics.RPL_WHOISUSER, nick, whom.user, whom.host, "*", text=whom.real_name)
    rooms = _room_words(session, member, whom)
    yield from wrapped(session, numerics.RPL_WHOISCHANNELS, nick, words=rooms)
    yield line(numerics.RPL_WHOISSERVER, nick, server.name, text=server.description)
    if whom.away:
        yield line(numerics.RPL_AWAY, nick, text=whom.away)
    if whom.server_operator:
        yield line(numerics.RPL_WHOISOPERATOR, nick)
    if whom.bot:
        yield line(numerics.RPL_WHOISBOT, nick, text="is a bot")
    if whom.secure:
        yield line(numerics.RPL_WHOISSECURE, nick)
    if may_know_address(member, whom):
        certificate = _certificate(whom)
        if certificate:
            yield line(numerics.RPL_WHOISCERTFP, nick, text=f"shows the certificate {certificate}")
        if whom.address is not None:
            yield line(numerics.RPL_WHOISACTUALLY, nick, address_word(whom.address))
    idle = str(idle_seconds(session, whom))
    yield line(numerics.RPL_WHOISIDLE, nick, idle, str(int(whom.since)))


def _room_words(session: Session, member: Member, whom: Member) -> list[str]:
    """The rooms somebody is in, each behind what they are in it.

    Of who is invisible, those alone that the asker is in, too.
    """
    every = caps.MULTI_PREFIX in session.caps
    open_all = not whom.invisible or whom is member or shares(member, whom)
    return [
        prefixes(room.members.get(whom, 0), every) + room.name
        for room in whom.rooms.values()
        if not room.hides_from(member) and (open_all or member in room.members)
    ]


def _certificate(whom: Member) -> str:
    """Who somebody is by the certificate that they connected with; empty for none."""
    ask: Any = getattr(whom.door, "facts", None)
    facts = None if ask is None else ask()
    client = "" if facts is None or facts.tls is None else facts.tls.client or ""
    return escape_controls(client)  # an authority may have signed any characters


def _whowas(session: Session, message: Message) -> None:
    nick = message.params[0] if message.params else ""
    if not nick:
        session.numeric(numerics.ERR_NONICKNAMEGIVEN)
        return
    if len(message.params) > 2 and not is_here(session, message.params[2]):
        session.numeric(numerics.ERR_NOSUCHSERVER, middle(message.params[2]))
    else:
        _tell_past(session, nick, _count(message.params[1]) if len(message.params) > 1 else None)
    session.numeric(numerics.RPL_ENDOFWHOWAS, middle(nick))


def _tell_past(session: Session, nick: str, most: int | None) -> None:
    found = session.server.hub.past.of(nick)
    for gone in found[:most]:
        _tell_gone(session, gone)
    if not found:
        session.numeric(numerics.ERR_WASNOSUCHNICK, middle(nick))


def _count(text: str) -> int | None:
    """ "If a non-positive number is passed as being <count>, then a full search is done."""
    number = int(text) if text.isascii() and text.isdigit() else 0
    return number or None


def _tell_gone(session: Session, gone: Gone) -> None:
    member, who = session.member, gone.who
    assert member is not None
    session.numeric(numerics.RPL_WHOWASUSER, who.nick, who.user, who.host, "*", text=gone.real_name)
    if gone.address is not None and member.server_operator:
        session.numeric(numerics.RPL_WHOISACTUALLY, who.nick, address_word(gone.address))
    when = time.strftime("%a %b %d %H:%M:%S %Y UTC", time.gmtime(gone.time))
    session.numeric(numerics.RPL_WHOISSERVER, who.nick, session.server.name, text=when)


def _userhost(session: Session, message: Message) -> None:
    words = []
    for nick in message.params[:USERHOST_MOST]:
        whom = session.server.hub.member(nick)
        if whom is not None:
            operator = "*" if whom.server_operator else ""
            away = "-" if whom.away else "+"
            words.append(f"{whom.nick}{operator}={away}{whom.user}@{whom.host}")
    _tell_words(session, numerics.RPL_USERHOST, words)


def _ison(session: Session, message: Message) -> None:
    hub = session.server.hub
    asked = [hub.member(nick) for param in message.params for nick in param.split(" ") if nick]
    here = dict.fromkeys(whom.nick for whom in asked if whom is not None)
    _tell_words(session, numerics.RPL_ISON, list(here))


def _tell_words(session: Session, number: str, words: list[str]) -> None:
    """A numeric of words; one without any for none, for an answer is waited for."""
    lines = wrapped(session, number, words=words)
    session.send_all(lines if words else [session.numeric_line(number, text="")])


COMMANDS = {
    "WHOIS": Command(
        _whois, help=("WHOIS [<server>] <nickname>", "Tells what there is to know of somebody.")
    ),
    "WHOWAS": Command(
        _whowas,
        help=(
            "WHOWAS <nickname> [<count>]",
            "Tells who had a nickname that nobody has any more, the latest first.",
        ),
    ),
    "USERHOST": Command(
        _userhost,
        1,
        help=(
            "USERHOST <nickname> [<nickname> ...]",
            f"Tells where people are, and whether they are away; of {USERHOST_MOST} at most.",
        ),
    ),
    "ISON": Command(
        _ison, 1, help=("ISON <nickname> [<nickname> ...]", "Tells which of them are here.")
    ),
}
