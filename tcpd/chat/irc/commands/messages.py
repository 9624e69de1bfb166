"""Messages: PRIVMSG, NOTICE, TAGMSG, RELAYMSG and REDACT.

Sources: the Modern IRC Client Protocol, "Sending Messages"; the IRCv3 specifications message-tags,
message-redaction and relaymsg.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from tcpd.chat.irc import caps, numerics
from tcpd.chat.irc.client import IrcClient
from tcpd.chat.irc.commands.command import IrcCommand
from tcpd.chat.irc.commands.refusals import middle, refuse
from tcpd.chat.irc.message import Message, client_only
from tcpd.chat.irc.reply import IrcReply
from tcpd.chat.irc.server import TARGETS
from tcpd.chat.names import NICK_CHARACTERS
from tcpd.chat.refused import Code, Refused
from tcpd.chat.split import ALWAYS_FITS, is_longer, room_for
from tcpd.events.chat import Kind, Line, Mode, Tags

_KINDS = {"NOTICE": Kind.NOTICE, "TAGMSG": Kind.TAGS}

# the lowest last: of several prefixes the lowest counts
_STATUS = {"@": Mode.OPERATOR, "%": Mode.HALF_OPERATOR, "+": Mode.VOICE}

_ACTION = "\x01ACTION "

#: Refusals of a message that get ERR_CANNOTSENDTOCHAN, unlike those of JOIN or MODE.
_CANNOT_SEND = frozenset(
    {Code.NOT_IN_ROOM, Code.OUTSIDER, Code.MODERATED, Code.BANNED, Code.MUTED, Code.NO_CTCP}
)

# "Servers MUST also sanitize or reject nicks that contain reserved IRC characters"
_NOT_IN_SPEAKER = frozenset("!+%@&#$:'\"?*,.")


class Target(NamedTuple):
    """Target of a message.

    :ivar name: room or nickname, as the client wrote it.
    :ivar is_room: whether it is a room.
    :ivar least: minimum rank of the recipients; ``None`` for all members.
    """

    name: str
    is_room: bool
    least: Mode | None

    @classmethod
    def of(cls, word: str) -> Target:
        """Parse ``#room``, ``@#room``, ``@+#room`` or ``nick``."""
        if word[:1] == "#":  # fast path
            return cls(word, True, None)
        name = word.lstrip("@%+")
        if not name.startswith("#"):
            return cls(word, False, None)
        signs = word[: len(word) - len(name)]
        least = max(signs, key=list(_STATUS).index, default=None)
        return cls(name, True, None if least is None else _STATUS[least])


def say(
    reply: IrcReply,
    word: str,
    lines: Sequence[Line],
    kind: Kind,
    tags: Tags = (),
    then: Callable[[], None] | None = None,
    alone: bool = True,
) -> None:
    """Send a message to one target, and reply if it is refused.

    Without a label it has no reply, and may run ahead of the event log.

    :param word: the target, as the client wrote it.
    :param lines: lines of the message; none for TAGMSG.
    :param then: called when it was sent.
    :param alone: the command has no other target. Several targets are processed in order, so that
        their replies keep it.
    """
    hub, client = reply.server.hub, reply.client
    target = Target.of(word)
    if target.is_room and len(lines) == 1 and not tags and target.least is None:
        verb = partial(hub.say, name=target.name, text=lines[0].text, kind=kind)
    elif target.is_room:
        verb = partial(
            hub.say_more, name=target.name, lines=lines, kind=kind, tags=tags, least=target.least
        )
    else:
        verb = partial(hub.send_private_lines, nick=target.name, lines=lines, kind=kind, tags=tags)
    if alone and not reply.collects:
        refused = verb(client)
        if refused is None:
            if then is not None:
                then()
        elif kind is not Kind.NOTICE:
            send_undelivered(reply, word, refused)
        return

    def refuse_it(refused: Refused) -> None:
        if kind is not Kind.NOTICE:
            send_undelivered(reply, word, refused)

    reply.ask(verb, refused=refuse_it, then=then or _nothing)


def _nothing() -> None:
    pass


def fits(client: IrcClient, target: Target, text: str, kind: Kind) -> bool:
    """Return whether a text fits a line with the sender's source. Unknown targets fit any text."""
    if not is_longer(text, ALWAYS_FITS):  # fast path
        return True
    hub, sender = client.server.hub, client.person
    assert sender is not None
    room = hub.room(target.name) if target.is_room else None
    person = None if target.is_room else hub.person(target.name)
    if room is not None:
        shown = room.name if target.least is None else f"@{room.name}"
    elif person is not None:
        shown = person.nick
    else:
        return True
    return not is_longer(text, room_for(sender, shown, kind))


def send_undelivered(reply: IrcReply, word: str, refused: Refused) -> None:
    """Reply to a refused message."""
    if refused.code in _CANNOT_SEND:
        reply.numeric(numerics.ERR_CANNOTSENDTOCHAN, middle(word), text=refused.sentence)
    elif refused.code is Code.TOO_LONG:
        too_long(reply)
    else:
        refuse(reply, refused, word)


def too_long(reply: IrcReply) -> None:
    """Reply that a text does not fit a line with the sender's source."""
    reply.numeric(
        numerics.ERR_INPUTTOOLONG,  # not split: docs/decisions/0013
        text="Input line was too long: it does not fit a line with your nick!user@host",
    )


def send_away(reply: IrcReply, word: str) -> None:
    """Send the away message of a message's target, if it is away."""
    target = Target.of(word)
    person = None if target.is_room else reply.server.hub.person(target.name)
    if person is not None and person.away:
        reply.numeric(numerics.RPL_AWAY, person.nick, text=person.away)


def relayed_tags(client: IrcClient, message: Message) -> Tags:
    """Return the tags of a message that are relayed."""
    if not message.tags or caps.MESSAGE_TAGS not in client.caps:
        return ()
    return tuple(client_only(message.tags, client.server.settings.deny_tags).items())


def _privmsg(reply: IrcReply, message: Message) -> None:
    quiet = message.command == "NOTICE"
    params = message.params
    if len(params) == 2 and params[0] and "," not in params[0]:  # fast path
        words = [params[0]]
    else:
        words = _targets(reply, message)
    if not words:
        return
    text = params[1] if len(params) > 1 else ""
    if not text:
        if not quiet:
            reply.numeric(numerics.ERR_NOTEXTTOSEND)
        return
    kind = _KINDS.get(message.command, Kind.MESSAGE)
    if text.startswith(_ACTION) and not quiet:
        action = text.removeprefix(_ACTION).removesuffix("\x01")
        if action:
            kind, text = Kind.ACTION, action
    client = reply.client
    tags = relayed_tags(client, message) if message.tags else ()
    # all targets or none: otherwise the sender could not know which received it
    if len(words) > 1 and not all(
        fits(reply.client, Target.of(word), text, kind) for word in words
    ):
        if not quiet:
            too_long(reply)
        return
    alone = len(words) == 1
    for word in words:
        if alone and word[:1] == "#" and not tags and not reply.collects:  # fast path
            refused = client.server.hub.say(client, word, text, kind)
            if refused is not None and not quiet:
                send_undelivered(reply, word, refused)
            continue
        then = None if quiet or word[:1] == "#" else partial(send_away, reply, word)
        say(reply, word, (Line(text),), kind, tags, then, alone)


def _targets(reply: IrcReply, message: Message) -> list[str]:
    """Return the targets of a message; empty, after a reply, if there are none or too many."""
    command = message.command
    words = [word for word in message.params[0].split(",") if word] if message.params else []
    most = TARGETS[command]
    assert most is not None
    if 0 < len(words) <= most:
        return words
    if command != "NOTICE":
        if words:
            reply.numeric(
                numerics.ERR_TOOMANYTARGETS,
                middle(words[most]),
                text=f"At most {most} targets. Your message was not delivered",
            )
        else:
            reply.numeric(numerics.ERR_NORECIPIENT, text=f"No recipient given ({command})")
    return []


def _tagmsg(reply: IrcReply, message: Message) -> None:
    # "This capability enables the use of client-only tags and the TAGMSG command"
    if caps.MESSAGE_TAGS not in reply.caps:
        reply.unknown(message)
        return
    tags = relayed_tags(reply.client, message)
    if not tags and any(key[0] == "+" for key in message.tags):
        return  # none of its tags is relayed
    words = _targets(reply, message)
    for word in words:
        say(reply, word, (), Kind.TAGS, tags, alone=len(words) == 1)


def _redact(reply: IrcReply, message: Message) -> None:
    name, said, *rest = message.params
    if not name.startswith("#"):
        # private messages are not stored, so their sender is unknown
        _cannot_redact(reply, name)
        return

    def refused(refused: Refused) -> None:
        match refused.code:
            case Code.NO_SUCH_MESSAGE:
                code = "UNKNOWN_MSGID"
            case Code.NOT_YOURS:
                code = "REDACT_FORBIDDEN"
            case _:
                _cannot_redact(reply, name)
                return
        reply.fail("REDACT", code, middle(name), middle(said), text=refused.sentence, known=True)

    reason = rest[0] if rest else ""
    reply.ask(reply.server.hub.redact, name, said, reason, refused=refused)


def _cannot_redact(reply: IrcReply, name: str) -> None:
    sentence = f"Messages to {name} cannot be redacted"
    reply.fail("REDACT", "INVALID_TARGET", middle(name), text=sentence, known=True)


def _relaymsg(reply: IrcReply, message: Message) -> None:
    name, speaker, text = message.params[:3]
    if not _may_speak_as(speaker):
        sentence = f"The name must contain {caps.RELAY_SEPARATOR} and none of !+%@&#$:'\"?*,."
        reply.fail("RELAYMSG", "INVALID_NICK", text=sentence, known=True)
        return
    if not text:
        reply.numeric(numerics.ERR_NOTEXTTOSEND)
        return

    def refused(refused: Refused) -> None:
        if refused.code in (Code.NOT_OPERATOR, Code.NO_OPERATORS):
            reply.fail("RELAYMSG", "PRIVS_NEEDED", text=refused.sentence, known=True)
        elif refused.code is Code.TOO_LONG:
            too_long(reply)
        else:
            refuse(reply, refused, name)

    tags = relayed_tags(reply.client, message)
    verb = partial(reply.server.hub.say_more, tags=tags, speaker=speaker)
    reply.ask(verb, name, (Line(text),), refused=refused)


def _may_speak_as(name: str) -> bool:
    return (
        caps.RELAY_SEPARATOR in name
        and len(name) <= NICK_CHARACTERS
        and name.isprintable()
        and not any(map(str.isspace, name))
        and not _NOT_IN_SPEAKER & set(name)
    )


COMMANDS = {
    "PRIVMSG": IrcCommand(
        _privmsg,
        may_run_ahead=True,
        help=("PRIVMSG <target>{,<target>} :<text>", "Sends a message to users and rooms."),
    ),
    "NOTICE": IrcCommand(
        _privmsg,
        may_run_ahead=True,
        help=(
            "NOTICE <target>{,<target>} :<text>",
            "Sends a message without automatic replies.",
        ),
    ),
    "TAGMSG": IrcCommand(
        _tagmsg,
        may_run_ahead=True,
        help=("TAGMSG <target>{,<target>}", "Relays the tags before it, without a text."),
    ),
    "REDACT": IrcCommand(
        _redact, 2, help=("REDACT <room> <msgid> [:<reason>]", "Deletes a message.")
    ),
    "RELAYMSG": IrcCommand(
        _relaymsg,
        3,
        help=(
            "RELAYMSG <room> <name> :<text>",
            "Relays a message of a user of another network; the name must contain a /.",
        ),
    ),
}
