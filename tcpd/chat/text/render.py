"""Events as lines for people at a bare terminal.

Nobody's text reaches a screen but through :func:`encode_lines`, which takes out what could steer a
terminal. What a peer says never begins a line: the room's name or ``[private]`` stands before it,
so that nobody can pass for the server, whose lines begin with ``*``, ``!`` or two spaces.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from tcpd.events import (
    Banned,
    Event,
    Joined,
    Kicked,
    Kind,
    ModeChanged,
    Parted,
    PrivateSaid,
    Quit,
    Renamed,
    Said,
    TopicSet,
    Unbanned,
)
from tcpd.wire.safe_text import visible

#: Columns of the plainest terminal, less one: some wrap at the last.
WIDTH = 79

_MESSAGE = Kind.MESSAGE


def encode_lines(lines: Iterable[str]) -> bytes:
    """Lines as bytes for the wire: UTF-8, CRLF, made safe for terminals."""
    return b"".join([visible(line).encode() + b"\r\n" for line in lines])


class TextFormat:
    """How the text door writes events: one line each. See :class:`tcpd.chat.member.Format`."""

    def render(self, event: Event) -> bytes:
        return visible(describe(event)).encode() + b"\r\n"


def describe(event: Event) -> str:
    """An event as a line, as others than its author see it. Not yet safe for a terminal."""
    who = event.who.nick
    if type(event) is Said:  # most are, and the way through the cases takes its time
        return f"{event.room} {_speech(who, event.text, event.kind)}"
    match event:
        case PrivateSaid(text=text, kind=kind):
            return f"[private] {_speech(who, text, kind)}"
        case Joined(room=room, opened=opened):
            return f"* {who} opened {room}" if opened else f"* {who} joined {room}"
        case Parted(room=room, reason=reason):
            return f"* {who} left {room}{_because(reason)}"
        case Quit(reason=reason):
            return f"* {who} left the chat{_because(reason)}"
        case Renamed(nick=nick):
            return f"* {who} is now {nick}"
        case TopicSet(room=room, topic=topic):
            if topic:
                return f"* {who} set the topic of {room}: {topic}"
            return f"* {who} took away the topic of {room}"
        case Kicked(room=room, whom=whom, reason=reason):
            return f"* {who} kicked {whom.nick} out of {room}{_because(reason)}"
        case ModeChanged(room=room, whom=whom, operator=operator):
            if operator:
                return f"* {who} made {whom.nick} an operator of {room}"
            return f"* {who} made {whom.nick} an operator of {room} no longer"
        case Banned(room=room, nick=nick):
            return f"* {who} banned {nick} from {room}"
        case Unbanned(room=room, nick=nick):
            return f"* {who} lifted the ban of {nick} from {room}"
    raise TypeError(f"no line for {type(event).__name__}")


def _speech(who: str, text: str, kind: Kind) -> str:
    if kind is _MESSAGE:
        return f"<{who}> {text}"
    if kind is Kind.ACTION:
        return f"* {who} {text}"
    return f"-{who}- {text}"


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""


def describe_sent(event: PrivateSaid) -> str:
    """The confirmation of a private message for who sent it."""
    return f"[private to {event.whom.nick}] {_speech(event.who.nick, event.text, event.kind)}"


def describe_past(event: Said, now: float) -> str:
    """A line of history, with its time in UTC; with the date too if it is not of today.

    :param now: seconds since 1970 UTC.
    """
    then = time.gmtime(event.time)
    today = time.gmtime(now)[:3] == then[:3]
    stamp = time.strftime("%H:%M" if today else "%Y-%m-%d %H:%M", then)
    return f"  {stamp} {describe(event)}"


def columns(words: Sequence[str], first: str, more: int) -> list[str]:
    """Names behind one another, wrapped to the width of a terminal.

    :param first: what the first line begins with.
    :param more: how many there are that are not named.
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
