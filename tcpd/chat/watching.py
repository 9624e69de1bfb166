"""Who is told when somebody of a nickname comes and goes, for IRC's MONITOR."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tcpd.chat.names import fold

if TYPE_CHECKING:
    from tcpd.chat.member import Member


class Watching:
    """Who watches which nicknames. Belongs to the state of a hub.

    :ivar by_nick: who watches, by folded nickname.
    :ivar count: how many entries there are, each a member who watches one nickname.
    """

    def __init__(self) -> None:
        self.by_nick: dict[str, dict[Member, None]] = {}
        self.count = 0

    def of(self, key: str) -> list[Member]:
        """Those who watch a nickname.

        :param key: it, folded.
        """
        return list(self.by_nick.get(key, ()))

    def add(self, member: Member, nick: str) -> None:
        """Have a member told of a nickname, which they do not watch yet."""
        key = fold(nick)
        if member.watched is None:
            member.watched = {}
        member.watched[key] = nick
        self.by_nick.setdefault(key, {})[member] = None
        self.count += 1

    def remove(self, member: Member, nick: str) -> None:
        """Have a member told no more of a nickname."""
        key = fold(nick)
        if member.watched is None or member.watched.pop(key, None) is None:
            return
        self.count -= 1
        watchers = self.by_nick[key]
        del watchers[member]
        if not watchers:
            del self.by_nick[key]

    def leave(self, member: Member) -> None:
        """Forget all that a member watches, who has left."""
        for key in list(member.watched or ()):
            self.remove(member, key)
        member.watched = None

    def come(self, member: Member) -> None:
        """Tell those who watch a nickname that somebody has it."""
        for watcher in self.of(member.key):
            if not watcher.gone:
                watcher.door.appeared(member.who)

    def gone(self, key: str, nick: str) -> None:
        """Tell those who watch a nickname that nobody has it any more.

        :param key: it, folded.
        """
        for watcher in self.of(key):
            if not watcher.gone:
                watcher.door.vanished(nick)
