"""State that all clients of one IRC service share."""

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

#: Maximum length of the user name, including its ``~``, and of the host.
USER_CHARACTERS = 12
HOST_CHARACTERS = 63

#: Maximum number of rooms, masks and conditions in one LIST.
MAX_LIST_ITEMS = 20

#: Maximum number of targets by command, for TARGMAX; ``None`` for no limit.
TARGETS = {
    "PRIVMSG": 4,
    "NOTICE": 4,
    "TAGMSG": 4,
    "JOIN": None,
    "PART": None,
    "KICK": 4,
    "NAMES": 1,
    "LIST": MAX_LIST_ITEMS,
    "WHOIS": 1,
    "MONITOR": None,
}

#: Maximum number of mode changes with a parameter in one MODE.
MAX_MODES = 6

#: Maximum number of messages, or of rooms, in a reply to CHATHISTORY.
MAX_HISTORY = 100


@dataclass(slots=True)
class IrcServer:
    """State that all clients of one IRC service share.

    :ivar service: name of the service in the ini file.
    :ivar name: the server's name, the source of its replies.
    :ivar version: name and version of tcpd.
    :ivar hub: the chat hub.
    :ivar settings: settings of the service; a reload replaces them.
    :ivar motd: lines of the message of the day; ``None`` if there is none.
    :ivar created: start of the daemon in seconds since 1970 UTC.
    :ivar started: start of the daemon in seconds of ``clock``.
    :ivar wall_clock: returns seconds since 1970 UTC.
    :ivar clock: returns monotonic seconds.
    :ivar count: counters by name: ``registered``, ``commands``, ``unknown-commands``,
        ``bad-lines``, ``bad-passwords``, ``operators``, ``operators-refused``, ``gateways``,
        ``gateways-refused``, ``unchecked``, ``throttled``, ``dropped``.
    :ivar passwords: checks passwords of clients.
    :ivar reload: reloads the daemon's configuration; see :class:`tcpd.interfaces.IContext`.
    :ivar tls_port: returns the port of this service's TLS listener; ``None`` if there is none.
    :ivar text_port: returns the port of the text frontend; ``None`` if there is none.
    :ivar unregistered: number of clients that have not registered yet.
    :ivar fallback: cached lines of the latest rename of a room; see
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
        """Description of the server; the network's name if none is configured."""
        return self.settings.server_description or self.settings.network

    @property
    def created_text(self) -> str:
        """Start of the daemon as text, in UTC."""
        return time.strftime("%a %b %d %Y at %H:%M:%S UTC", time.gmtime(self.created))

    @property
    def history_limit(self) -> int:
        """Maximum number of messages in a reply to CHATHISTORY; 0 if no history is kept."""
        return min(MAX_HISTORY, self.hub.settings.history_kept)

    def capabilities(self, secure: bool | None) -> dict[str, str]:
        """Return the capabilities on offer, with their values.

        :param secure: whether the client uses TLS; ``None`` leaves out ``sts``.
        """
        found = {each.name: each.value for each in caps.CAPABILITIES.values()}
        settings = self.settings
        if settings.multiline_lines:
            found[caps.MULTILINE] = (
                f"max-bytes={settings.multiline_bytes},max-lines={settings.multiline_lines}"
            )
        else:
            del found[caps.MULTILINE]
        if not self.history_limit:
            del found[caps.CHATHISTORY]
        if settings.sts is not None and secure is not None:
            policy = sts.policy(settings.sts, secure, self.tls_port())
            if policy:
                found[caps.STS] = policy
        return found

    def tokens(self) -> dict[str, str]:
        """Return the tokens of RPL_ISUPPORT."""
        bounds = self.hub.settings
        return tokens(
            IsupportLimits(
                network=self.settings.network,
                rooms=bounds.rooms_per_member,
                list_entries=bounds.bans_per_room,
                modes=MAX_MODES,
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
                history=self.history_limit,
            )
        )

    def stamp(self) -> str:
        """Return the current time as the value of a ``time`` tag."""
        now = self.wall_clock()
        if now != self._now:
            self._now = now
            self._stamp = timestamp(now)
        return self._stamp
