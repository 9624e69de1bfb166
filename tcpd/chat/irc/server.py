"""What all conversations of one IRC service share."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tcpd.chat.hub import Hub
from tcpd.chat.irc import caps, sts
from tcpd.chat.irc.isupport import IsupportLimits, tokens
from tcpd.chat.irc.render import Formats, timestamp
from tcpd.chat.irc.settings import IrcSettings
from tcpd.chat.names import NICK_CHARACTERS, ROOM_CHARACTERS
from tcpd.chat.settings import AWAY_BYTES, KEY_BYTES, REAL_NAME_BYTES, REASON_BYTES, TOPIC_BYTES
from tcpd.policy.checks import Checks

#: The longest user name, its ``~`` included, and host.
USER_CHARACTERS = 12
HOST_CHARACTERS = 63

#: How many rooms, masks and conditions a LIST takes.
LIST_TARGETS = 20

#: How many targets commands take.
TARGETS = {
    "PRIVMSG": 4,
    "NOTICE": 4,
    "TAGMSG": 4,
    "JOIN": None,
    "PART": None,
    "KICK": 4,
    "NAMES": 1,
    "LIST": LIST_TARGETS,
    "WHOIS": 1,
    "MONITOR": None,
}

#: How many modes with a parameter one MODE changes.
MODES = 6


@dataclass(slots=True)
class IrcServer:
    """One service as its conversations know it.

    :ivar service: its name in the ini file.
    :ivar name: what it calls itself.
    :ivar version: of tcpd.
    :ivar hub: the rooms.
    :ivar settings: the service's; a reload replaces them.
    :ivar motd: lines of the message of the day; ``None`` for none.
    :ivar created: when the daemon started, in seconds since 1970 UTC.
    :ivar started: the same, in seconds of ``clock``.
    :ivar wall_clock: seconds since 1970 UTC.
    :ivar clock: seconds, for durations.
    :ivar count: raised by a word: ``registered``, ``commands``, ``unknown-commands``,
        ``bad-lines``, ``bad-passwords``, ``operators``, ``operators-refused``, ``gateways``,
        ``gateways-refused``, ``unchecked``, ``throttled``, ``dropped``.
    :ivar passwords: checks those that clients say.
    :ivar reload: has the daemon read its configuration again; see
        :class:`tcpd.interfaces.IContext`.
    :ivar tls_port: tells the port where clients can speak TLS; ``None`` for none.
    :ivar text_port: tells the port of the text frontend; ``None`` for none.
    :ivar unregistered: how many clients have not registered yet.
    :ivar fallback: what clients get of the latest renaming of a room; see
        :mod:`tcpd.chat.irc.commands.moderation`.
    """

    service: str
    name: str
    version: str
    hub: Hub
    settings: IrcSettings
    motd: tuple[str, ...] | None
    created: float
    started: float
    wall_clock: Callable[[], float]
    clock: Callable[[], float]
    count: Counter[str]
    passwords: Checks
    reload: Callable[[Callable[[bool, Sequence[str]], None]], None]
    tls_port: Callable[[], int | None] = lambda: None
    text_port: Callable[[], int | None] = lambda: None
    formats: Formats = field(default_factory=Formats)
    unregistered: int = 0
    fallback: object = None
    _now: float = 0.0
    _stamp: str = ""

    @property
    def description(self) -> str:
        """What the server is, for people."""
        return self.settings.server_description or self.settings.network

    @property
    def created_text(self) -> str:
        """When the daemon started, for people."""
        return time.strftime("%a %b %d %Y at %H:%M:%S UTC", time.gmtime(self.created))

    def capabilities(self, secure: bool | None) -> dict[str, str]:
        """All there are, with their values.

        :param secure: whether the client who asks speaks TLS; ``None`` for one for whom that is no
            question.
        """
        found = {each.name: each.value for each in caps.CAPABILITIES.values()}
        settings = self.settings
        if settings.multiline_lines:
            most = f"max-bytes={settings.multiline_bytes},max-lines={settings.multiline_lines}"
            found[caps.MULTILINE] = most
        else:
            del found[caps.MULTILINE]
        if settings.sts is not None and secure is not None:
            policy = sts.policy(settings.sts, secure, self.tls_port())
            if policy:
                found[caps.STS] = policy
        return found

    def tokens(self) -> dict[str, str]:
        """What RPL_ISUPPORT tells."""
        bounds = self.hub.settings
        return tokens(
            IsupportLimits(
                network=self.settings.network,
                rooms=bounds.rooms_per_member,
                list_entries=bounds.bans_per_room,
                modes=MODES,
                monitored=bounds.watched,
                targets=TARGETS,
                nick=NICK_CHARACTERS,
                room=ROOM_CHARACTERS,
                topic=TOPIC_BYTES,
                reason=REASON_BYTES,
                away=AWAY_BYTES,
                user=USER_CHARACTERS,
                host=HOST_CHARACTERS,
                real_name=REAL_NAME_BYTES,
                key=KEY_BYTES,
                denied_tags=self.settings.deny_tags,
            )
        )

    def stamp(self) -> str:
        """The time now, for tags."""
        now = self.wall_clock()
        if now != self._now:
            self._now = now
            self._stamp = timestamp(now)
        return self._stamp
