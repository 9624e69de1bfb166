"""Chats with a text frontend, and their clients, on memory transports."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from chat import transports
from chat.doubles import PlainContext, kept_messages, set_mode
from chat.event_logs import LateLog, make_log, settle
from chat.transports import TextOverWebSocket, connect
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from tcpd.chat.people import Person
from tcpd.chat.service import ChatService
from tcpd.chat.settings import ChatSettings
from tcpd.chat.text.kind import kind
from tcpd.chat.text.protocol import TextFactory
from tcpd.eventlog.log import EventLog
from tcpd.events.chat import RoomMessage
from tcpd.net.turns import work_queue
from tcpd.store.history import HistoryStore


class TextTestClient:
    """A client of the text frontend."""

    def __init__(self, chat: TextChat) -> None:
        self.chat = chat
        self.protocol: Any
        self.transport: Any
        self.protocol, self.transport = connect(chat.factory, chat.clock)

    @property
    def paused(self) -> bool:
        """Whether the frontend has paused reading."""
        return self.transport.producerState == "paused"

    @property
    def session(self) -> Any:
        """The server's side of the connection: its ``TextConversation``."""
        return self.protocol._session

    def send(self, data: bytes) -> None:
        self.protocol.dataReceived(data)

    def type(self, *lines: str) -> list[str]:
        """Type lines. Return the new lines of the screen."""
        for line in lines:
            self.send(line.encode() + b"\r\n")
        return self.screen()

    def raw(self) -> bytes:
        """The bytes received since the last call."""
        self.chat.settle()
        data = self.transport.value()
        self.transport.clear()
        return data

    def screen(self) -> list[str]:
        """The lines received since the last call."""
        text = self.raw().decode()
        assert text == "" or text.endswith("\r\n")
        return text.split("\r\n")[:-1]

    def lose(self) -> None:
        """Lose the connection."""
        self.protocol.connectionLost(Failure(ConnectionDone()))
        self.chat.deliver()


class TextChat:
    """A hub with a text frontend.

    :param bounds: keys of ``[chat]``.
    :param settings: keys of the text service.
    """

    def __init__(
        self,
        *,
        bounds: dict[str, Any] | None = None,
        clock: Clock | None = None,
        log: EventLog | None = None,
        history: HistoryStore | None = None,
        **settings: Any,
    ) -> None:
        self.clock = clock or Clock()
        self.now = itertools.repeat(1_700_000_000.0)
        work = work_queue(self.clock)
        self.service = ChatService(
            ChatSettings(**bounds or {}),
            "node",
            "boot",
            lambda: next(self.now),
            self.clock,
            log=log or make_log(self.clock),
            work=work,
            history=history,
        )
        self.service.startService()
        self.hub = self.service.hub
        self.context = PlainContext(self.service, self.clock, work)
        settings.setdefault("rate", None)
        make = TextFactory if transports.kind == "tcp" else TextOverWebSocket
        self.factory = make(kind.settings(**settings), self.context)

    def deliver(self) -> None:
        """Run turns until a late event log has delivered."""
        if isinstance(self.service.log, LateLog):
            self.settle()

    def settle(self) -> None:
        """End a reactor turn, after the event log has delivered."""
        settle(self.clock, self.service)

    def text_client(self, nick: str | None = None) -> TextTestClient:
        """A client, at the nickname prompt or with a nickname."""
        client = TextTestClient(self)
        if nick is not None:
            client.type(nick)
        return client

    def person(self, nick: str) -> Person:
        """The person with a nickname."""
        person = self.hub.person(nick)
        assert person is not None
        return person

    def set_mode(self, person: Person, letter: str, on: bool = True) -> None:
        """Set or remove a user mode, as by MODE or OPER."""
        set_mode(self.hub, person.clients[0], letter, on)
        self.settle()

    def kept_messages(self, room: str) -> Sequence[RoomMessage]:
        """The history of a room, oldest first."""
        return kept_messages(self.hub.history, room)

    @property
    def counters(self) -> dict[str, int]:
        return self.context.counters.events
