"""Replies about the server that several commands share: RPL_ISUPPORT, LUSERS, MOTD."""

from __future__ import annotations

from collections.abc import Iterable

from tcpd.chat.irc import caps, numerics
from tcpd.chat.irc.commands.refusals import middle
from tcpd.chat.irc.isupport import lines, written
from tcpd.chat.irc.reply import IrcReply
from tcpd.chat.masks import glob
from tcpd.chat.refused import Code, Refused

_ISUPPORT_BATCH = "draft/isupport"


def send_isupport(reply: IrcReply) -> None:
    """Send all tokens of RPL_ISUPPORT."""
    send_tokens(reply, written(reply.server.tokens()))


def send_tokens(reply: IrcReply, words: Iterable[str]) -> None:
    """Send tokens of RPL_ISUPPORT.

    "The server MUST group all RPL_ISUPPORT messages inside a draft/isupport batch when the batch
    and draft/extended-isupport capabilities are enabled."

    :param words: tokens of :mod:`tcpd.chat.irc.isupport`.
    """
    batch = {caps.EXTENDED_ISUPPORT, caps.BATCH} <= reply.caps
    sent = lines(words, reply.server.name, reply.client.name)
    reply.send_all(sent, _ISUPPORT_BATCH if batch else "")


def send_lusers(reply: IrcReply) -> None:
    """Send the numbers of users and rooms."""
    server, hub = reply.server, reply.server.hub
    people, invisible = hub.people_count, hub.state.invisible
    reply.numeric(
        numerics.RPL_LUSERCLIENT,
        text=f"There are {people - invisible} users and {invisible} invisible on 1 servers",
    )
    reply.numeric(numerics.RPL_LUSEROP, str(hub.state.server_operators))
    reply.numeric(numerics.RPL_LUSERUNKNOWN, str(server.unregistered))
    # in IRC, an empty channel does not exist
    empty = hub.lobby is not None and not hub.lobby.members
    reply.numeric(numerics.RPL_LUSERCHANNELS, str(hub.room_count - empty))
    reply.numeric(numerics.RPL_LUSERME, text=f"I have {people} clients and 0 servers")
    for number, which in (
        (numerics.RPL_LOCALUSERS, "local"),
        (numerics.RPL_GLOBALUSERS, "global"),
    ):
        now, most = str(people), str(hub.most_people)
        reply.numeric(number, now, most, text=f"Current {which} users {now}, max {most}")


def send_motd(reply: IrcReply) -> None:
    """Send the message of the day, or that there is none."""
    server = reply.server
    if server.motd is None:
        reply.numeric(numerics.ERR_NOMOTD)
        return
    reply.numeric(numerics.RPL_MOTDSTART, text=f"- {server.name} Message of the day - ")
    for line in server.motd:
        reply.numeric(numerics.RPL_MOTD, text=f"- {line}")
    reply.numeric(numerics.RPL_ENDOFMOTD)


def is_here(reply: IrcReply, name: str) -> bool:
    """Return whether a server parameter means this server: its name, a mask of it, or the nickname
    of a user."""
    server = reply.server
    return glob(name, server.name) or server.hub.person(name) is not None


def nick_refused(reply: IrcReply, nick: str, refused: Refused) -> None:
    """Reply to a refused nickname."""
    shown = middle(nick)
    if refused.code is Code.NICK_TAKEN:
        reply.numeric(numerics.ERR_NICKNAMEINUSE, shown)
    else:
        reply.numeric(
            numerics.ERR_ERRONEUSNICKNAME, shown, text=f"Erroneus nickname: {refused.sentence}"
        )
