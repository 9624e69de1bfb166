"""Replies to what the hub refuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tcpd.chat.irc import numerics
from tcpd.chat.irc.reply import IrcReply
from tcpd.chat.refused import Code, Refused
from tcpd.chat.split import cut

#: Numerics by code; their first parameter is the room or nickname of the request.
NUMERICS = {
    Code.BAD_NICK: numerics.ERR_NOSUCHNICK,
    Code.BAD_ROOM: numerics.ERR_NOSUCHCHANNEL,
    Code.NO_SUCH_NICK: numerics.ERR_NOSUCHNICK,
    Code.NO_SUCH_ROOM: numerics.ERR_NOSUCHCHANNEL,
    Code.NOT_IN_ROOM: numerics.ERR_NOTONCHANNEL,
    Code.NOT_IN_SAME_ROOM: numerics.ERR_USERNOTINCHANNEL,
    Code.NOT_OPERATOR: numerics.ERR_CHANOPRIVSNEEDED,
    Code.NO_OPERATORS: numerics.ERR_CHANOPRIVSNEEDED,
    Code.BANNED: numerics.ERR_BANNEDFROMCHAN,
    Code.MUTED: numerics.ERR_CANNOTSENDTOCHAN,
    Code.NO_CTCP: numerics.ERR_CANNOTSENDTOCHAN,
    Code.LIST_FULL: numerics.ERR_BANLISTFULL,
    Code.NEEDS_KEY: numerics.ERR_BADCHANNELKEY,
    Code.ROOM_FULL: numerics.ERR_CHANNELISFULL,
    Code.NEEDS_INVITATION: numerics.ERR_INVITEONLYCHAN,
    Code.MODERATED: numerics.ERR_CANNOTSENDTOCHAN,
    Code.OUTSIDER: numerics.ERR_CANNOTSENDTOCHAN,
    Code.ALREADY_THERE: numerics.ERR_USERONCHANNEL,
    Code.ROOMS_FULL: numerics.ERR_TOOMANYCHANNELS,
    Code.OWN_ROOMS_FULL: numerics.ERR_TOOMANYCHANNELS,
}


def refuse(reply: IrcReply, refused: Refused, *about: str) -> None:
    """Reply with a refusal of the hub.

    :param about: parameters of the numeric, as the client sent them.
    """
    number = NUMERICS.get(refused.code)
    if number is None:
        reply.fail("*", "REFUSED", *map(middle, about), text=refused.sentence)
        return
    reply.numeric(number, *map(middle, about), text=refused.sentence)


def refusing(reply: IrcReply, *about: str) -> Callable[[Refused], None]:
    """Return :func:`refuse` as a callback for :meth:`tcpd.chat.reply.ChatReply.ask`."""
    return lambda refused: refuse(reply, refused, *about)


def in_room(
    reply: IrcReply, room: str, nick: str = "", numbers: Mapping[Code, str] = NUMERICS
) -> Callable[[Refused], None]:
    """Return a callback for :meth:`tcpd.chat.reply.ChatReply.ask` that replies to a refusal about a
    room, or a user in it.

    :param room: as the client sent it.
    :param nick: as the client sent it.
    :param numbers: numerics of the command that differ from :data:`NUMERICS`.
    """

    def refused_in_room(refused: Refused) -> None:
        number = numbers.get(refused.code, NUMERICS.get(refused.code))
        if number is None:
            refuse(reply, refused, room)
        elif number == numerics.ERR_NOSUCHNICK:
            reply.numeric(number, middle(nick))
        elif number in _ABOUT_BOTH:
            reply.numeric(number, middle(nick), middle(room))
        else:
            reply.numeric(number, middle(room), text=refused.sentence)

    return refused_in_room


_ABOUT_BOTH = frozenset({numerics.ERR_USERNOTINCHANNEL, numerics.ERR_USERONCHANNEL})

#: Maximum bytes of a client's parameter in a reply: longer than any name or mask, and leaves room
#: for the text.
_NAMED_BYTES = 200


def middle(text: str) -> str:
    """Make a client's text safe as a parameter before the last; ``*`` if nothing is left."""
    return cut(text.split(" ")[0].lstrip(":"), _NAMED_BYTES) or "*"
