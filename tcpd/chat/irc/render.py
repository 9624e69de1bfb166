"""Rendering of events as IRC lines: one format for each set of capabilities that affects it.

Sources: the Modern IRC Client Protocol (https://modern.ircdocs.horse/), and the specifications of
the capabilities at https://ircv3.net/irc/.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any

from tcpd.chat.irc import caps
from tcpd.chat.irc.message import LINE_BYTES, cut_to, write, write_tags
from tcpd.events.chat import (
    Announced,
    AwayChanged,
    Change,
    Event,
    HostChanged,
    Identity,
    Invited,
    Joined,
    Kicked,
    Killed,
    Kind,
    Line,
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
from tcpd.store.history import milliseconds

STATUS = {Mode.OPERATOR: "@", Mode.HALF_OPERATOR: "%", Mode.VOICE: "+"}

#: Maximum number of mode changes in a line: RFC 1459 allows 15 parameters.
_CHANGES_A_LINE = 12

_UNUSUAL = (Kind.ACTION, Kind.TAGS)

_VERBS = {Kind.NOTICE: "NOTICE", Kind.TAGS: "TAGMSG"}


def timestamp(seconds: float) -> str:
    """Return a time as in server-time: ``2026-11-29T12:00:00.000Z``.

    :param seconds: since 1970 UTC.
    """
    whole, fraction = divmod(milliseconds(seconds), 1000)
    return f"{_second(whole)}.{fraction:03}Z"


@lru_cache(maxsize=4)
def _second(whole: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))


class Formats:
    """Cache of the formats that a server's clients use."""

    def __init__(self) -> None:
        self._made: dict[frozenset[str], IrcFormat] = {}
        self._cache = _RenderCache()

    def of(self, enabled: frozenset[str]) -> IrcFormat:
        """Return the format for a client with these capabilities."""
        key = enabled & caps.RENDERING
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = IrcFormat(key, self._cache)
        return made


class IrcFormat:
    """Format of events for one set of capabilities; see :class:`tcpd.chat.format.Format`.

    :param enabled: the capabilities.
    :param cache: cache that the formats of a server share.
    """

    def __init__(self, enabled: frozenset[str], cache: _RenderCache) -> None:
        self._caps = enabled
        self._cache = cache
        self._timed = caps.SERVER_TIME in enabled
        self._tagged = caps.MESSAGE_TAGS in enabled
        self._batched = {caps.BATCH, caps.MULTILINE} <= enabled
        self._plain = not enabled & {caps.SERVER_TIME, caps.MESSAGE_TAGS, caps.RELAYMSG}

    def render(self, event: Event) -> bytes:
        if type(event) is RoomMessage and not (
            event.tags or event.lines or event.speaker or event.least or event.kind in _UNUSUAL
        ):
            # fast path: one line of text
            cache = self._cache
            if event is cache.event:
                body = cache.body
            else:
                who = event.actor
                verb = "PRIVMSG" if event.kind is Kind.MESSAGE else "NOTICE"
                source = f":{who.nick}!{who.user}@{who.host}"
                body = f"{source} {verb} {event.room} :{event.text}\r\n".encode()
                if len(body) > LINE_BYTES:
                    body = cut_to(body)
                cache.event, cache.body = event, body
            return body if self._plain else self._stamp(event) + body
        required = _REQUIRED.get(type(event))
        if required is not None and required not in self._caps:
            return b""
        return self.render_always(event)

    def render_always(self, event: Event) -> bytes:
        """Render an event even if the client lacks the event's capability."""
        match event:
            case Joined():
                return self._joined(event)
            case RoomMessage(kind=Kind.TAGS) | PrivateMessage(kind=Kind.TAGS):
                # "Servers MUST NOT deliver TAGMSG to clients that haven't negotiated the
                # message tags capability."
                return self._tags(event) + self._cache.of(event) if self._tagged else b""
            case RoomMessage(lines=lines) | PrivateMessage(lines=lines) if lines:
                return self._multiline(event, lines)
            case ModesChanged():
                tags = self._tags(event)
                return b"".join(tags + line for line in self._cache.modes(event))
        return self._tags(event) + self._cache.of(event)

    def _stamp(self, event: RoomMessage) -> bytes:
        """Return what :meth:`_tags` does for a message without client tags, faster."""
        tags = f"@time={self._cache.time(event)}" if self._timed else ""
        if self._tagged:
            tags += f"{';' if tags else '@'}msgid={event.id}"
            if event.actor.bot:
                tags += ";bot"
        return f"{tags} ".encode() if tags else b""

    def _tags(self, event: Event, msgid: bool = True, batch: str = "") -> bytes:
        """Return the tags for a line of an event."""
        if self._plain and not batch:
            return b""
        tags: dict[str, str] = {"batch": batch} if batch else {}
        if self._timed:
            tags["time"] = self._cache.time(event)
        if self._tagged:
            if msgid:
                tags["msgid"] = str(event.id)
            if event.actor.bot:
                tags["bot"] = ""
        if isinstance(event, RoomMessage | PrivateMessage):
            if isinstance(event, RoomMessage) and event.speaker and caps.RELAYMSG in self._caps:
                tags[caps.RELAYMSG] = event.actor.nick
            if self._tagged:
                tags |= dict(event.tags)
        return write_tags(tags)

    def _joined(self, event: Joined) -> bytes:
        tags = self._tags(event)
        source = str(event.actor)
        if caps.EXTENDED_JOIN in self._caps:
            data = write("JOIN", event.room, "*", event.real_name, source=source, colon=True)
        else:
            data = self._cache.of(event)
        if event.away and caps.AWAY_NOTIFY in self._caps:
            # "as well as when a user joins and has an away message set": away-notify
            away = write("AWAY", event.away, source=source, colon=True)
            return tags + data + self._tags(event, msgid=False) + away
        return tags + data

    def _multiline(self, event: RoomMessage | PrivateMessage, lines: Iterable[Line]) -> bytes:
        """Render a multiline message: as a batch, or as one message for each line."""
        cache = self._cache
        if not self._batched:
            texts = [line.text for line in lines if line.text]
            # "Servers MUST only include a message ID on the first message of a batch when sending
            # a fallback to non-supporting clients."
            return b"".join(
                self._tags(event, msgid=number == 0) + cache.line(event, text)
                for number, text in enumerate(texts)
            )
        batch = f"m{event.id.sequence}"
        source = str(event.actor)
        target = cache.target(event)
        data = self._tags(event) + write(
            "BATCH", f"+{batch}", caps.MULTILINE, target, source=source
        )
        for line in lines:
            joined = f";{caps.MULTILINE}-concat" if line.joined else ""
            data += f"@batch={batch}{joined} ".encode() + cache.line(event, line.text)
        return data + write("BATCH", f"-{batch}", source=source)


#: Events that are sent only to clients with the capability.
_REQUIRED: dict[type[Event], str] = {
    AwayChanged: caps.AWAY_NOTIFY,
    RealNameChanged: caps.SETNAME,
    HostChanged: caps.CHGHOST,
    Invited: caps.INVITE_NOTIFY,
    RoomRenamed: caps.CHANNEL_RENAME,
    Redacted: caps.MESSAGE_REDACTION,
}


class _RenderCache:
    """Cache of the latest event's line without tags, and of its time, for all formats.

    :ivar event: the latest event; ``None`` before the first.
    :ivar body: the line of the event.
    """

    def __init__(self) -> None:
        self.event: Event | None = None
        self.body = b""
        self._timed: float | None = None
        self._time = ""

    def of(self, event: Event) -> bytes:
        """Return the line of an event."""
        if event is not self.event:
            self.body = self._written(event)
            self.event = event
        return self.body

    def time(self, event: Event) -> str:
        """Return an event's time as the value of a ``time`` tag."""
        if event.time != self._timed:
            self._timed = event.time
            self._time = timestamp(event.time)
        return self._time

    def target(self, event: RoomMessage | PrivateMessage) -> str:
        """Return the target parameter of a message."""
        if isinstance(event, PrivateMessage):
            return event.target.nick
        if isinstance(event, RoomMessage) and event.least is not None:
            return STATUS[event.least] + event.room
        return event.room

    def line(self, event: RoomMessage | PrivateMessage, text: str) -> bytes:
        """Render a message, or one of its lines."""
        if event.kind is Kind.TAGS:
            return write("TAGMSG", self.target(event), source=_speaker(event))
        if event.kind is Kind.ACTION:
            text = f"\x01ACTION {text}\x01"
        verb = _VERBS.get(event.kind, "PRIVMSG")
        data = f":{_speaker(event)} {verb} {self.target(event)} :{text}\r\n".encode()
        return data if len(data) <= LINE_BYTES else cut_to(data)

    def modes(self, event: ModesChanged) -> Iterator[bytes]:
        """Render mode changes in as many lines as needed."""
        source = str(event.actor)
        space = LINE_BYTES - len(f":{source} MODE {event.room} \r\n".encode())
        chunk: list[Change] = []
        left = space
        for change in event.changes:
            # the sign, the letter, and a space before the argument
            size = 3 + len(_argument(change).encode())
            if chunk and (size > left or len(chunk) == _CHANGES_A_LINE):
                yield write("MODE", event.room, *change_words(chunk), source=source)
                chunk, left = [], space
            chunk.append(change)
            left -= size
        yield write("MODE", event.room, *change_words(chunk), source=source)

    def _written(self, event: Event) -> bytes:
        if isinstance(event, RoomMessage | PrivateMessage):
            return self.line(event, event.text)
        return _LINES[type(event)](event, str(event.actor))


def change_words(changes: Iterable[Change]) -> list[str]:
    """Return mode changes as parameters of MODE: ``+o-v``, ``ann``, ``bob``."""
    letters = ""
    sign = ""
    arguments = []
    for change in changes:
        wanted = "+" if change.adding else "-"
        if wanted != sign:
            sign = wanted
            letters += sign
        letters += change.mode
        if argument := _argument(change):
            arguments.append(argument)
    return [letters, *arguments]


def _mode_words(added: str, removed: str) -> str:
    return (f"+{added}" if added else "") + (f"-{removed}" if removed else "")


def _argument(change: Change) -> str:
    return change.argument if change.target is None else change.target.nick


def _speaker(event: RoomMessage | PrivateMessage) -> str:
    if isinstance(event, RoomMessage) and event.speaker:
        return str(Identity("", event.speaker, event.actor.user, event.actor.host))
    return str(event.actor)


_Write = Callable[[Any, str], bytes]
_LINES: dict[type[Event], _Write] = {
    Joined: lambda event, who: write("JOIN", event.room, source=who),
    Parted: lambda event, who: (
        write("PART", event.room, event.reason, source=who, colon=True)
        if event.reason
        else write("PART", event.room, source=who)
    ),
    Quit: lambda event, who: write("QUIT", event.reason, source=who, colon=True),
    Killed: lambda event, who: write("QUIT", event.reason, source=str(event.target), colon=True),
    UserModesChanged: lambda event, who: write(
        "MODE", event.actor.nick, _mode_words(event.added, event.removed), source=who
    ),
    NickChanged: lambda event, who: write("NICK", event.nick, source=who),
    TopicChanged: lambda event, who: write(
        "TOPIC", event.room, event.topic, source=who, colon=True
    ),
    Kicked: lambda event, who: write(
        "KICK",
        event.room,
        event.target.nick,
        event.reason or event.actor.nick,
        source=who,
        colon=True,
    ),
    Invited: lambda event, who: write("INVITE", event.target.nick, event.room, source=who),
    RoomRenamed: lambda event, who: write(
        "RENAME", event.room, event.name, event.reason, source=who, colon=True
    ),
    AwayChanged: lambda event, who: (
        write("AWAY", event.message, source=who, colon=True)
        if event.message
        else write("AWAY", source=who)
    ),
    RealNameChanged: lambda event, who: write("SETNAME", event.real_name, source=who, colon=True),
    HostChanged: lambda event, who: write("CHGHOST", event.actor.user, event.host, source=who),
    Announced: lambda event, who: write("WALLOPS", event.text, source=who, colon=True),
    Redacted: lambda event, who: (
        write("REDACT", event.room, event.message, event.reason, source=who, colon=True)
        if event.reason
        else write("REDACT", event.room, event.message, source=who)
    ),
}
