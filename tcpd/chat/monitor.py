"""Which clients of this node monitor which nicknames (IRC's MONITOR)."""

from __future__ import annotations

from tcpd.chat.names import fold
from tcpd.chat.people import Client
from tcpd.events.chat import Identity


class Monitor:
    """The lists of all clients. Belongs to a hub.

    :ivar count: entries in all lists.
    """

    def __init__(self) -> None:
        self.count = 0
        self._by_nick: dict[str, dict[Client, None]] = {}

    def of(self, key: str) -> list[Client]:
        """The clients that monitor a nickname.

        :param key: the nickname, folded.
        """
        return list(self._by_nick.get(key, ()))

    def add(self, client: Client, nick: str) -> None:
        """Add a nickname to a client's list. It must not be there yet."""
        key = fold(nick)
        if client.monitored is None:
            client.monitored = {}
        client.monitored[key] = nick
        self._by_nick.setdefault(key, {})[client] = None
        self.count += 1

    def remove(self, client: Client, nick: str) -> None:
        """Remove a nickname from a client's list, if it is there."""
        key = fold(nick)
        if client.monitored is None or client.monitored.pop(key, None) is None:
            return
        self.count -= 1
        clients = self._by_nick[key]
        del clients[client]
        if not clients:
            del self._by_nick[key]

    def leave(self, client: Client) -> None:
        """Drop the list of a client that has left."""
        for key in list(client.monitored or ()):
            self.remove(client, key)
        client.monitored = None

    def appeared(self, key: str, who: Identity) -> None:
        """Notify the clients that monitor a nickname: it is in use now.

        :param key: the nickname, folded.
        """
        for client in self.of(key):
            if not client.gone:
                client.appeared(who)

    def vanished(self, key: str, nick: str) -> None:
        """Notify the clients that monitor a nickname: it is free now.

        :param key: the nickname, folded.
        """
        for client in self.of(key):
            if not client.gone:
                client.vanished(nick)
