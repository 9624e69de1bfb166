"""Renders events as lines for a terminal.

All text goes through :func:`encode_lines`, which removes terminal control sequences. Lines of the
server begin with ``*``, ``!`` or two spaces. Text of a peer follows the room's name or
``[private]``, so that no peer can imitate the server.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from tcpd.chat.masks import MUTE
from tcpd.events.chat import (
    Announced,
    AwayChanged,
    Change,
    Entered,
    Event,
    HostChanged,
    Invited,
    Joined,
    Kicked,
    Killed,
    Kind,
    Mode,
    ModesChanged,
    NickChanged,
    Parted,
    PrivateMessage,
    Quit,
    RealNameChanged,
    Redacted,
    RoomMessage,
    RoomRenamed,
    TopicChanged,
    UserModesChanged,
)
from tcpd.wire.formatting import plain
from tcpd.wire.safe_text import visible

#: Columns of a terminal, less one: some terminals wrap at the last column.
WIDTH = 79

_MESSAGE = Kind.MESSAGE


def encode_lines(lines: Iterable[str]) -> bytes:
    """Encode lines: UTF-8, CRLF, without IRC's formatting, safe for terminals."""
    return b"".join([visible(plain(line)).encode() + b"\r\n" for line in lines])


class TextFormat:
    """The rendering of the text frontend: a line for most events, nothing for those of programs.

    See :class:`tcpd.chat.format.Format`.
    """

    def render(self, event: Event) -> bytes:
        if type(event) is RoomMessage and event.is_plain:  # the usual case
            return visible(plain(describe(event))).encode() + b"\r\n"
        return encode_lines(describe_all(event))


def describe_all(event: Event) -> list[str]:
    """Render an event as lines for others than its actor. Not yet safe for a terminal."""
    match event:
        case RoomMessage(kind=Kind.TAGS) | PrivateMessage(kind=Kind.TAGS):
            return []
        case RoomMessage(lines=lines) | PrivateMessage(lines=lines) if lines:
            texts = event.text.split("\n")
            return [describe(replace(event, text=text)) for text in texts if text]
        case ModesChanged(changes=changes):
            return [_describe_change(event, change) for change in changes]
        case _ if type(event) in _NOT_SHOWN:
            return []
        case _:
            return [describe(event)]


#: Events that this frontend does not show.
_NOT_SHOWN = frozenset(
    {Entered, AwayChanged, RealNameChanged, HostChanged, Announced, UserModesChanged}
)


def describe(event: Event) -> str:
    """Render an event of one line. Not yet safe for a terminal."""
    who = event.actor.nick
    if type(event) is RoomMessage and event.is_plain:  # the cases below take longer
        return f"{event.room} {_speech(who, event.text, event.kind)}"
    match event:
        case RoomMessage(room=room, text=text, kind=kind, speaker=speaker, least=least):
            prefix = "" if least is None else _PREFIXES[least]
            return f"{prefix}{room} {_speech(speaker or who, text, kind)}"
        case PrivateMessage(text=text, kind=kind):
            return f"[private] {_speech(who, text, kind)}"
        case Redacted(room=room, reason=reason):
            return f"* {who} deleted a message in {room}{_because(reason)}"
        case Invited(room=room, target=target):
            return f"* {who} invited {target.nick} to {room}"
        case RoomRenamed(room=room, name=name, reason=reason):
            return f"* {who} renamed {room} to {name}{_because(reason)}"
        case Joined(room=room, opened=opened):
            return f"* {who} opened {room}" if opened else f"* {who} joined {room}"
        case Parted(room=room, reason=reason):
            return f"* {who} left {room}{_because(reason)}"
        case Quit(reason=reason):
            # the prefix that IRC servers put before a person's own reason
            while reason.startswith("Quit:"):
                reason = reason.removeprefix("Quit:").strip()
            return f"* {who} left the chat{_because(reason)}"
        case Killed(target=target, reason=reason):
            return f"* {target.nick} left the chat{_because(reason)}"
        case NickChanged(nick=nick):
            return f"* {who} is now {nick}"
        case TopicChanged(room=room, topic=topic):
            if topic:
                return f"* {who} set the topic of {room}: {topic}"
            return f"* {who} removed the topic of {room}"
        case Kicked(room=room, target=target, reason=reason):
            return f"* {who} kicked {target.nick} out of {room}{_because(reason)}"
    raise TypeError(f"no line for {type(event).__name__}")


#: Prefixes of a room's name in messages to members of a rank, as in IRC.
_PREFIXES = {Mode.OPERATOR: "@", Mode.HALF_OPERATOR: "%", Mode.VOICE: "+"}

#: Texts of changes of ranks: given, and removed.
_RANKS = {
    Mode.OPERATOR: ("made {target} an operator of {}", "removed {target} as an operator of {}"),
    Mode.HALF_OPERATOR: (
        "made {target} a half-operator of {}",
        "removed {target} as a half-operator of {}",
    ),
    Mode.VOICE: ("gave {target} voice in {}", "removed the voice of {target} in {}"),
}

#: Texts of changes of room modes: set, and removed.
_OF_ROOM = {
    Mode.KEY: ("set a key on {}", "removed the key of {}"),
    Mode.LIMIT: ("limited {} to {argument} members", "removed the limit of {}"),
    Mode.INVITE_ONLY: ("made {} invite-only", "opened {} to everyone"),
    Mode.MODERATED: ("made {} moderated", "made {} unmoderated"),
    Mode.NO_CTCP: ("blocked CTCP in {}, except actions", "allowed CTCP in {}"),
    Mode.NO_OUTSIDERS: (
        "blocked messages to {} from outside",
        "allowed messages to {} from outside",
    ),
    Mode.HIDDEN: ("hid {} from others", "made {} visible to others"),
    Mode.TOPIC_PROTECTED: (
        "restricted the topic of {} to operators",
        "let everyone set the topic of {}",
    ),
    Mode.BAN: ("banned {argument} from {}", "lifted the ban of {argument} from {}"),
    Mode.EXEMPT: (
        "exempted {argument} from the bans of {}",
        "removed the exemption of {argument} from the bans of {}",
    ),
    Mode.INVITED: (
        "added the invite exception {argument} to {}",
        "removed the invite exception {argument} from {}",
    ),
}

_MUTE = f"{MUTE}:"

#: Texts of changes of mutes: set, and removed.
_OF_MUTES = {
    Mode.BAN: ("muted {argument} in {}", "lifted the mute of {argument} in {}"),
    Mode.EXEMPT: (
        "exempted {argument} from the mutes of {}",
        "removed the exemption of {argument} from the mutes of {}",
    ),
}


def _describe_change(event: ModesChanged, change: Change) -> str:
    who, room = event.actor.nick, event.room
    if change.target is not None:
        words = _RANKS[change.mode][0 if change.adding else 1]
        return f"* {who} " + words.format(room, target=change.target.nick)
    mutes = change.mode in _OF_MUTES and change.argument.startswith(_MUTE)
    words = (_OF_MUTES if mutes else _OF_ROOM)[change.mode][0 if change.adding else 1]
    mask = change.argument.removeprefix(_MUTE) if mutes else change.argument
    return f"* {who} " + words.format(room, argument=shown_mask(mask))


def shown_mask(mask: str) -> str:
    """Return a mask as this frontend shows it: a nickname if it is only that."""
    return mask.removesuffix("!*@*")


def _speech(who: str, text: str, kind: Kind) -> str:
    if text[:1] == "\x01":
        return _ctcp(who, text, kind)
    if kind is _MESSAGE:
        return f"<{who}> {text}"
    if kind is Kind.ACTION:
        return f"* {who} {text}"
    return f"-{who}- {text}"


def _ctcp(who: str, text: str, kind: Kind) -> str:
    """Render CTCP: https://modern.ircdocs.horse/ctcp."""
    command, _, rest = text.strip("\x01").partition(" ")
    if command.upper() == "ACTION" or kind is Kind.ACTION:
        return f"* {who} {rest}"
    what = "a CTCP reply" if kind is Kind.NOTICE else "a CTCP request"
    return f"* {who} sent {what}: {command} {rest}".rstrip()


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""


def describe_sent(event: PrivateMessage) -> str:
    """Render a private message for its sender."""
    speech = _speech(event.actor.nick, _on_one_line(event.text), event.kind)
    return f"[private to {event.target.nick}] {speech}"


def describe_past(event: RoomMessage, now: float) -> str:
    """Render a line of history with its time in UTC, and the date if it is not today.

    :param now: seconds since 1970 UTC.
    """
    then = time.gmtime(event.time)
    today = time.gmtime(now)[:3] == then[:3]
    stamp = time.strftime("%H:%M" if today else "%Y-%m-%d %H:%M", then)
    return f"  {stamp} {describe(replace(event, text=_on_one_line(event.text)))}"


def _on_one_line(text: str) -> str:
    """Join a multiline message into one line."""
    return text.replace("\n", " ")


def columns(words: Sequence[str], first: str, more: int) -> list[str]:
    """Wrap names to the width of a terminal.

    :param first: the beginning of the first line.
    :param more: number of names that are left out.
    """
    words = [f"{word}," for word in words]
    if more:
        words.append(f"and {more} more")
    elif words:
        words[-1] = words[-1].removesuffix(",")
    lines = [first]
    for word in words:
        if len(lines[-1]) + 1 + len(word) > WIDTH:
            lines.append(" " * len(first))
        lines[-1] += f" {word}"
    return lines
