"""Queries about users: WHOIS, WHOWAS, USERHOST, ISON.

Source: the Modern IRC Client Protocol, "User-Based Queries"
(https://modern.ircdocs.horse/#user-based-queries) and "Optional Messages".
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from tcpd.chat.irc import caps, numerics
from tcpd.chat.irc.commands.command import IrcCommand
from tcpd.chat.irc.commands.names import prefixes, shares
from tcpd.chat.irc.commands.refusals import middle
from tcpd.chat.irc.commands.server_facts import is_here
from tcpd.chat.irc.commands.who import (
    address_word,
    idle_seconds,
    may_know_address,
)
from tcpd.chat.irc.commands.wrapping import wrapped
from tcpd.chat.irc.message import Message
from tcpd.chat.irc.reply import IrcReply
from tcpd.chat.names import fold
from tcpd.chat.people import Person
from tcpd.chat.whowas import Gone
from tcpd.wire.safe_text import escape_controls

#: Maximum number of nicknames in USERHOST.
MAX_USERHOST = 5


def _whois(reply: IrcReply, message: Message) -> None:
    *server, nick = message.params[:2] or ("",)
    # TARGMAX is 1
    nick = nick.split(",")[0]
    if not nick:
        reply.numeric(numerics.ERR_NONICKNAMEGIVEN)
        return
    target = reply.server.hub.person(nick)
    # "WHOIS nick nick" queries the server of the user, which is this one
    if server and not is_here(reply, server[0]) and fold(server[0]) != fold(nick):
        reply.numeric(numerics.ERR_NOSUCHSERVER, middle(server[0]))
    elif target is None:
        reply.numeric(numerics.ERR_NOSUCHNICK, middle(nick))
    else:
        reply.stream(_whois_lines(reply, target))
    reply.stream([reply.numeric_line(numerics.RPL_ENDOFWHOIS, middle(nick))])


def _whois_lines(reply: IrcReply, target: Person) -> Iterator[bytes]:
    """Yield what the client may see of a user."""
    person = reply.person
    server, line, nick = reply.server, reply.numeric_line, target.nick
    yield line(numerics.RPL_WHOISUSER, nick, target.user, target.host, "*", text=target.real_name)
    rooms = _room_words(reply, person, target)
    yield from wrapped(reply, numerics.RPL_WHOISCHANNELS, nick, words=rooms)
    yield line(numerics.RPL_WHOISSERVER, nick, server.name, text=server.description)
    if target.away:
        yield line(numerics.RPL_AWAY, nick, text=target.away)
    if target.server_operator:
        yield line(numerics.RPL_WHOISOPERATOR, nick)
    if target.bot:
        yield line(numerics.RPL_WHOISBOT, nick, text="is a bot")
    if target.secure:
        yield line(numerics.RPL_WHOISSECURE, nick)
    if may_know_address(person, target):
        certificate = _certificate(target)
        if certificate:
            yield line(numerics.RPL_WHOISCERTFP, nick, text=f"has client certificate {certificate}")
        if target.address is not None:
            yield line(numerics.RPL_WHOISACTUALLY, nick, address_word(target.address))
    idle = str(idle_seconds(reply, target))
    yield line(numerics.RPL_WHOISIDLE, nick, idle, str(int(target.since)))


def _room_words(reply: IrcReply, person: Person, target: Person) -> list[str]:
    """Return the visible rooms of a user, with prefixes.

    If an invisible user shares no room with the client, none are visible.
    """
    every = caps.MULTI_PREFIX in reply.caps
    if target.invisible and target is not person and not shares(person, target):
        return []
    return [
        prefixes(room.members.get(target, 0), every) + room.name
        for room in reply.server.hub.state.rooms_of(target)
        if not room.hides_from(person)
    ]


def _certificate(target: Person) -> str:
    """Return the name in a user's client certificate; empty if there is none."""
    for client in target.clients:
        facts = client.facts()
        if facts is not None and facts.tls is not None and facts.tls.client:
            # a certificate authority may have signed control characters
            return escape_controls(facts.tls.client)
    return ""


def _whowas(reply: IrcReply, message: Message) -> None:
    nick = message.params[0] if message.params else ""
    if not nick:
        reply.numeric(numerics.ERR_NONICKNAMEGIVEN)
        return
    if len(message.params) > 2 and not is_here(reply, message.params[2]):
        reply.numeric(numerics.ERR_NOSUCHSERVER, middle(message.params[2]))
    else:
        _send_whowas(
            reply, nick, _parse_count(message.params[1]) if len(message.params) > 1 else None
        )
    reply.numeric(numerics.RPL_ENDOFWHOWAS, middle(nick))


def _send_whowas(reply: IrcReply, nick: str, most: int | None) -> None:
    found = reply.server.hub.state.whowas.of(nick)
    for gone in found[:most]:
        _send_gone(reply, gone)
    if not found:
        reply.numeric(numerics.ERR_WASNOSUCHNICK, middle(nick))


def _parse_count(text: str) -> int | None:
    """Parse <count>: "If a non-positive number is passed as being <count>, then a full search is
    done."""
    number = int(text) if text.isascii() and text.isdigit() else 0
    return number or None


def _send_gone(reply: IrcReply, gone: Gone) -> None:
    person, who = reply.person, gone.who
    reply.numeric(numerics.RPL_WHOWASUSER, who.nick, who.user, who.host, "*", text=gone.real_name)
    if gone.address is not None and person.server_operator:
        reply.numeric(numerics.RPL_WHOISACTUALLY, who.nick, address_word(gone.address))
    when = time.strftime("%a %b %d %H:%M:%S %Y UTC", time.gmtime(gone.time))
    reply.numeric(numerics.RPL_WHOISSERVER, who.nick, reply.server.name, text=when)


def _userhost(reply: IrcReply, message: Message) -> None:
    words = []
    for nick in message.params[:MAX_USERHOST]:
        target = reply.server.hub.person(nick)
        if target is not None:
            operator = "*" if target.server_operator else ""
            away = "-" if target.away else "+"
            words.append(f"{target.nick}{operator}={away}{target.user}@{target.host}")
    _send_words(reply, numerics.RPL_USERHOST, words)


def _ison(reply: IrcReply, message: Message) -> None:
    hub = reply.server.hub
    asked = [hub.person(nick) for param in message.params for nick in param.split(" ") if nick]
    here = dict.fromkeys(target.nick for target in asked if target is not None)
    _send_words(reply, numerics.RPL_ISON, list(here))


def _send_words(reply: IrcReply, number: str, words: list[str]) -> None:
    """Send words in a numeric; without words one empty numeric, since clients wait for it."""
    lines = wrapped(reply, number, words=words)
    reply.send_all(lines if words else [reply.numeric_line(number, text="")])


COMMANDS = {
    "WHOIS": IrcCommand(
        _whois, help=("WHOIS [<server>] <nickname>", "Shows information about a user.")
    ),
    "WHOWAS": IrcCommand(
        _whowas,
        help=(
            "WHOWAS <nickname> [<count>]",
            "Lists former users of a nickname, the latest first.",
        ),
    ),
    "USERHOST": IrcCommand(
        _userhost,
        1,
        help=(
            "USERHOST <nickname> [<nickname> ...]",
            f"Shows hosts of users, and whether they are away; at most {MAX_USERHOST}.",
        ),
    ),
    "ISON": IrcCommand(
        _ison,
        1,
        help=("ISON <nickname> [<nickname> ...]", "Lists which of the nicknames are online."),
    ),
}
