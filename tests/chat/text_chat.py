"""Text frontends on memory transports, for tests of what people see."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from chat import transports
from chat.doubles import PlainContext, set_mode
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
from tcpd.store.history import Selector


class TextTestClient:
    """One person at a text frontend."""

    def __init__(self, chat: TextChat) -> None:
        self.chat = chat
        self.protocol: Any
        self.transport: Any
        self.protocol, self.transport = connect(chat.factory, chat.clock)

    @property
    def paused(self) -> bool:
        """Whether the frontend reads no further."""
        return self.transport.producerState == "paused"

    @property
    def session(self) -> Any:
        """The server's side of the connection: its ``TextConversation``."""
        return self.protocol._session

    def send(self, data: bytes) -> None:
        self.protocol.dataReceived(data)

    def type(self, *lines: str) -> list[str]:
        """Type lines; what the screen shows then."""
        for line in lines:
            self.send(line.encode() + b"\r\n")
        return self.screen()

    def raw(self) -> bytes:
        """The bytes that came since the last time."""
        self.chat.settle()
        data = self.transport.value()
        self.transport.clear()
        return data

    def screen(self) -> list[str]:
        """The lines that came since the last time."""
        text = self.raw().decode()
        assert text == "" or text.endswith("\r\n")
        return text.split("\r\n")[:-1]

    def lose(self) -> None:
        self.protocol.connectionLost(Failure(ConnectionDone()))
        self.chat.deliver()


class TextChat:
    """A hub with a text frontend."""

    def __init__(
        self,
        *,
        bounds: dict[str, Any] | None = None,
        clock: Clock | None = None,
        log: EventLog | None = None,
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
        )
        self.service.startService()
        self.hub = self.service.hub
        self.context = PlainContext(self.service, self.clock, work)
        settings.setdefault("rate", None)
        make = TextFactory if transports.kind == "tcp" else TextOverWebSocket
        self.factory = make(kind.settings(**settings), self.context)

    def deliver(self) -> None:
        """Let a late event log deliver."""
        if isinstance(self.service.log, LateLog):
            self.settle()

    def settle(self) -> None:
        """Let the event log deliver, and a turn of the reactor end."""
        settle(self.clock, self.service)

    def text_client(self, nick: str | None = None) -> TextTestClient:
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
        """Set a mode of a person, as by MODE or OPER, or remove it."""
        set_mode(self.hub, person.clients[0], letter, on)
        self.settle()

    def kept(self, room: str) -> Sequence[RoomMessage]:
        """The history of a room, oldest first."""
        pages: list[Sequence[RoomMessage]] = []
        self.hub.history.page(room, Selector.latest(1000)).addCallback(pages.append)
        return pages[0]

    @property
    def counted(self) -> dict[str, int]:
        return self.context.counters.events
