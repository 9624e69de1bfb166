"""Commands that say something: PRIVMSG, NOTICE and TAGMSG; and what is like it: RELAYMSG, REDACT.

Sources: the Modern IRC Client Protocol, "Sending Messages"; the IRCv3 specifications message-tags,
message-redaction and relaymsg.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from tcpd.chat.irc import caps, numerics
from tcpd.chat.irc.commands.command import Command
from tcpd.chat.irc.commands.refusals import answer, middle
from tcpd.chat.irc.message import Message, client_only
from tcpd.chat.irc.server import TARGETS
from tcpd.chat.names import NICK_CHARACTERS
from tcpd.chat.refused import Code, Refused
from tcpd.chat.split import ALWAYS_FITS, is_longer, room_for
from tcpd.events import Kind, Line, Mode, Tags

if TYPE_CHECKING:
    from tcpd.chat.irc.session import Session

_KINDS = {"NOTICE": Kind.NOTICE, "TAGMSG": Kind.TAGS}

# the lowest last: of several prefixes it is the one that counts
_STATUS = {"@": Mode.OPERATOR, "%": Mode.HALF_OPERATOR, "+": Mode.VOICE}

_ACTION = "\x01ACTION "

#: What the room will not hear; by other numerics than where one wants to come in or do something.
_UNHEARD = frozenset(
    {Code.NOT_IN_ROOM, Code.OUTSIDER, Code.MODERATED, Code.BANNED, Code.MUTED, Code.NO_CTCP}
)

# "Servers MUST also sanitize or reject nicks that contain reserved IRC characters"
_NOT_IN_SPEAKER = frozenset("!+%@&#$:'\"?*,.")


class Target(NamedTuple):
    """Whom something is for.

    :ivar name: of a room or a person, as it was written.
    :ivar is_room: whether it is a room.
    :ivar least: of the room, those of this rank and above alone; ``None`` for everybody.
    """

    name: str
    is_room: bool
    least: Mode | None

    @classmethod
    def of(cls, word: str) -> Target:
        """``#room``, ``@#room``, ``@+#room`` or ``nick``."""
        if word[:1] == "#":  # as most
            return cls(word, True, None)
        name = word.lstrip("@%+")
        if not name.startswith("#"):
            return cls(word, False, None)
        signs = word[: len(word) - len(name)]
        least = max(signs, key=list(_STATUS).index, default=None)
        return cls(name, True, None if least is None else _STATUS[least])


def say(
    session: Session, target: Target, lines: Sequence[Line], kind: Kind, tags: Tags = ()
) -> Refused | None:
    """Say something.

    :param lines: one, or several that are one message; none for mere tags.
    :return: why the hub will not have it.
    """
    hub = session.server.hub
    member = session.member
    assert member is not None
    if not target.is_room:
        return hub.tell_more(member, target.name, lines, kind, tags=tags)
    if len(lines) == 1 and not tags and target.least is None:
        return hub.say(member, target.name, lines[0].text, kind)
    return hub.say_more(member, target.name, lines, kind, tags=tags, least=target.least)


def fits(session: Session, target: Target, text: str, kind: Kind) -> bool:
    """Whether others get all of a text in one line. If there is no such target, nobody minds."""
    if not is_longer(text, ALWAYS_FITS):  # as most
        return True
    member = session.member
    assert member is not None
    hub = session.server.hub
    place = hub.room(target.name) if target.is_room else None
    whom = None if target.is_room else hub.member(target.name)
    if place is not None:
        shown = place.name if target.least is None else f"@{place.name}"
    elif whom is not None:
        shown = whom.nick
    else:
        return True
    return not is_longer(text, room_for(member, shown, kind))


def unheard(session: Session, word: str, refused: Refused) -> None:
    """Tell that something was not said, and why."""
    # what was said before goes before
    session.server.hub.settle()
    if refused.code in _UNHEARD:
        session.numeric(numerics.ERR_CANNOTSENDTOCHAN, middle(word), text=refused.sentence)
    elif refused.code is Code.TOO_LONG:
        too_long(session)
    else:
        answer(session, refused, word)


def too_long(session: Session) -> None:
    """Tell that a text does not fit the line that others would get."""
    session.server.hub.settle()
    session.numeric(
        numerics.ERR_INPUTTOOLONG,
        text="Input line was too long: with your name before it nobody would get all of it",
    )


def tell_away(session: Session, target: Target) -> None:
    """Tell that the person is away whom something was said to, if so."""
    whom = None if target.is_room else session.server.hub.member(target.name)
    if whom is not None and whom.away:
        session.numeric(numerics.RPL_AWAY, whom.nick, text=whom.away)


def relayed_tags(session: Session, message: Message) -> Tags:
    """The tags of a message that others are told."""
    if not message.tags or caps.MESSAGE_TAGS not in session.caps:
        return ()
    return tuple(client_only(message.tags, session.server.settings.deny_tags).items())


def _privmsg(session: Session, message: Message) -> None:
    quiet = message.command == "NOTICE"
    words = _targets(session, message)
    if not words:
        return
    text = message.params[1] if len(message.params) > 1 else ""
    if not text:
        if not quiet:
            session.server.hub.settle()
            session.numeric(numerics.ERR_NOTEXTTOSEND)
        return
    kind = _KINDS.get(message.command, Kind.MESSAGE)
    if text.startswith(_ACTION) and not quiet:
        action = text.removeprefix(_ACTION).removesuffix("\x01")
        if action:
            kind, text = Kind.ACTION, action
    tags = relayed_tags(session, message)
    # of what does not fit for one of them nothing is said: nobody would know who has heard it
    if len(words) > 1 and not all(fits(session, Target.of(word), text, kind) for word in words):
        if not quiet:
            too_long(session)
        return
    for word in words:
        _say_to(session, word, text, kind, tags)


def _targets(session: Session, message: Message) -> list[str]:
    """Whom a message is for; none if there are none, or too many, which was told then."""
    command = message.command
    words = [word for word in message.params[0].split(",") if word] if message.params else []
    most = TARGETS[command]
    assert most is not None
    if 0 < len(words) <= most:
        return words
    if command != "NOTICE":
        session.server.hub.settle()
        if words:
            # nothing of it is said: nobody would know who has heard it
            session.numeric(
                numerics.ERR_TOOMANYTARGETS,
                middle(words[most]),
                text=f"At most {most} targets. Your message was not delivered",
            )
        else:
            session.numeric(numerics.ERR_NORECIPIENT, text=f"No recipient given ({command})")
    return []


def _say_to(session: Session, word: str, text: str, kind: Kind, tags: Tags) -> None:
    target = Target.of(word)
    refused = say(session, target, (Line(text),), kind, tags)
    if kind is Kind.NOTICE:
        return
    if refused is not None:
        unheard(session, word, refused)
    else:
        tell_away(session, target)


def _tagmsg(session: Session, message: Message) -> None:
    # "This capability enables the use of client-only tags and the TAGMSG command"
    if caps.MESSAGE_TAGS not in session.caps:
        session.unknown(message)
        return
    tags = relayed_tags(session, message)
    if not tags and any(key[0] == "+" for key in message.tags):
        return  # nothing of what it said is passed on
    for word in _targets(session, message):
        refused = say(session, Target.of(word), (), Kind.TAGS, tags)
        if refused is not None:
            unheard(session, word, refused)


def _redact(session: Session, message: Message) -> None:
    name, said, *rest = message.params
    member = session.member
    assert member is not None
    if not name.startswith("#"):
        # what is said in private is kept nowhere, so that nobody could tell whose it is
        _cannot_redact(session, name)
        return
    refused = session.server.hub.redact(member, name, said, rest[0] if rest else "")
    if refused is None:
        return
    match refused.code:
        case Code.NO_SUCH_MESSAGE:
            code = "UNKNOWN_MSGID"
        case Code.NOT_YOURS:
            code = "REDACT_FORBIDDEN"
        case _:
            _cannot_redact(session, name)
            return
    session.fail("REDACT", code, middle(name), middle(said), text=refused.sentence, known=True)


def _cannot_redact(session: Session, name: str) -> None:
    sentence = f"You cannot take back what was said in {name}"
    session.fail("REDACT", "INVALID_TARGET", middle(name), text=sentence, known=True)


def _relaymsg(session: Session, message: Message) -> None:
    member = session.member
    assert member is not None
    name, speaker, text = message.params[:3]
    if not _may_speak_as(speaker):
        sentence = f"Such a name has a {caps.RELAY_SEPARATOR} in it, and nothing of !+%@&#$:'\"?*,."
        session.fail("RELAYMSG", "INVALID_NICK", text=sentence, known=True)
        return
    if not text:
        session.numeric(numerics.ERR_NOTEXTTOSEND)
        return
    tags = relayed_tags(session, message)
    refused = session.server.hub.say_more(member, name, (Line(text),), tags=tags, speaker=speaker)
    if refused is None:
        return
    if refused.code in (Code.NOT_OPERATOR, Code.NO_OPERATORS):
        session.fail("RELAYMSG", "PRIVS_NEEDED", text=refused.sentence, known=True)
    elif refused.code is Code.TOO_LONG:
        too_long(session)
    else:
        answer(session, refused, name)


def _may_speak_as(name: str) -> bool:
    return (
        caps.RELAY_SEPARATOR in name
        and len(name) <= NICK_CHARACTERS
        and name.isprintable()
        and not any(map(str.isspace, name))
        and not _NOT_IN_SPEAKER & set(name)
    )


COMMANDS = {
    "PRIVMSG": Command(
        _privmsg,
        help=("PRIVMSG <target>{,<target>} :<text>", "Says something to people and in rooms."),
    ),
    "NOTICE": Command(
        _privmsg,
        help=("NOTICE <target>{,<target>} :<text>", "The same, never to be answered by programs."),
    ),
    "TAGMSG": Command(
        _tagmsg, help=("TAGMSG <target>{,<target>}", "Passes on the tags before it, without text.")
    ),
    "REDACT": Command(
        _redact, 2, help=("REDACT <room> <msgid> [:<reason>]", "Takes back what was said.")
    ),
    "RELAYMSG": Command(
        _relaymsg,
        3,
        help=(
            "RELAYMSG <room> <name> :<text>",
            "Passes on what somebody elsewhere has said; the name has a / in it.",
        ),
    ),
}
