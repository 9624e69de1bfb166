"""What the hub refuses, as IRC says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tcpd.chat.irc import numerics
from tcpd.chat.refused import Code, Refused
from tcpd.chat.split import cut

if TYPE_CHECKING:
    from tcpd.chat.irc.session import Session

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


def answer(session: Session, refused: Refused | None, *about: str) -> None:
    """Tell what the hub refused, if it did.

    :param about: the parameters of the numeric; as typed, and so made safe to stand there.
    """
    if refused is None:
        return
    number = NUMERICS.get(refused.code)
    if number is None:
        session.fail("*", "REFUSED", *map(middle, about), text=refused.sentence)
        return
    session.numeric(number, *map(middle, about), text=refused.sentence)


def answer_in_room(
    session: Session,
    refused: Refused | None,
    room: str,
    nick: str = "",
    numbers: Mapping[Code, str] = NUMERICS,
) -> None:
    """The same for what is asked of a room, or of somebody there: names what the numeric is about.

    :param room: as typed.
    :param nick: likewise.
    :param numbers: of a command that has some of its own.
    """
    if refused is None:
        return
    number = numbers.get(refused.code, NUMERICS.get(refused.code))
    if number is None:
        answer(session, refused, room)
    elif number == numerics.ERR_NOSUCHNICK:
        session.numeric(number, middle(nick))
    elif number in _ABOUT_BOTH:
        session.numeric(number, middle(nick), middle(room))
    else:
        session.numeric(number, middle(room), text=refused.sentence)


_ABOUT_BOTH = frozenset({numerics.ERR_USERNOTINCHANNEL, numerics.ERR_USERONCHANNEL})

#: The most that is repeated of what a client named, in bytes: more than the longest name or mask,
#: and little enough that what is said of it has room behind it.
_NAMED_BYTES = 200


def middle(text: str) -> str:
    """A text that a client sent, as a parameter in the middle of a line; ``*`` for none."""
    return cut(text.split(" ")[0].lstrip(":"), _NAMED_BYTES) or "*"
