"""What the hub refuses, as IRC says it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tcpd.chat.irc import numerics
from tcpd.chat.irc.reply import IrcReply
from tcpd.chat.refused import Code, Refused
from tcpd.chat.split import cut

#: The numeric of each code, whose first parameter is what was asked for: a room, or a nickname.
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
    """Reply with what the hub refused.

    :param about: the parameters of the numeric; as typed, and so made safe to stand there.
    """
    number = NUMERICS.get(refused.code)
    if number is None:
        reply.fail("*", "REFUSED", *map(middle, about), text=refused.sentence)
        return
    reply.numeric(number, *map(middle, about), text=refused.sentence)


def in_room(
    reply: IrcReply, room: str, nick: str = "", numbers: Mapping[Code, str] = NUMERICS
) -> Callable[[Refused], None]:
    """What replies to the refusal of something in a room, or with somebody there: for
    :meth:`tcpd.chat.reply.Reply.ask`.

    :param room: as typed.
    :param nick: likewise.
    :param numbers: of a command that has some of its own.
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

#: The most that is repeated of what a client named, in bytes: more than the longest name or mask,
#: and little enough that there is room for the text behind it.
_NAMED_BYTES = 200


def middle(text: str) -> str:
    """A text that a client sent, as a parameter in the middle of a line; ``*`` for none."""
    return cut(text.split(" ")[0].lstrip(":"), _NAMED_BYTES) or "*"
