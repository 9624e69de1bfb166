"""Chats with an IRC and a text frontend, and IRC clients, on memory transports."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
from typing import Any

from chat.doubles import Threads
from chat.text_chat import TextChat
from chat.transports import connect
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from tcpd.chat.irc.kind import kind
from tcpd.chat.irc.protocol import IrcFactory, thread_runner
from tcpd.eventlog.log import EventLog
from tcpd.events.chat import Mode
from tcpd.policy.checks import Checks
from tcpd.policy.passwords import PasswordHash
from tcpd.store.history import HistoryStore

SERVER = ":chat.example.net"
ANN = ":ann!~ann@localhost"
BOB = ":bob!~bob@localhost"


class IrcTestClient:
    """A client of the IRC frontend."""

    def __init__(self, chat: IrcChat) -> None:
        self.chat = chat
        self.protocol: Any
        self.transport: Any
        self.protocol, self.transport = connect(chat.irc, chat.clock)

    def raw(self, data: bytes) -> bytes:
        """Send bytes. Return the bytes received since the last call."""
        self.protocol.dataReceived(data)
        return self.read()

    def read(self) -> bytes:
        """The bytes received since the last call."""
        self.chat.settle()
        data = self.transport.value()
        self.transport.clear()
        return data

    def send(self, *lines: str) -> list[str]:
        """Send lines. Return the lines received since the last call."""
        for line in lines:
            self.protocol.dataReceived(line.encode() + b"\r\n")
        return self.lines()

    def lines(self) -> list[str]:
        """The lines received since the last call, with tags. Checks that each is well-formed."""
        text = self.read().decode()
        assert text == "" or text.endswith("\r\n")
        assert "\n" not in text.replace("\r\n", "")
        for line in text.split("\r\n"):
            assert len(line.partition(" ")[2] if line.startswith("@") else line) <= 510
        return text.split("\r\n")[:-1]

    def numerics(self, *lines: str) -> list[str]:
        """Send lines. Return the commands or numerics of the lines received since the last call."""
        return [command(line) for line in self.send(*lines)]

    @property
    def session(self) -> Any:
        """The server's side of the connection: its ``IrcConversation``."""
        return self.protocol._session

    @property
    def closed(self) -> bool:
        return self.transport.disconnecting or self.transport.disconnected

    def lose(self) -> None:
        """Lose the connection."""
        self.protocol.connectionLost(Failure(ConnectionDone()))
        self.chat.deliver()


def command(line: str) -> str:
    """The command or numeric of a line."""
    words = line.split(" ")
    while words[0][:1] in ("@", ":"):
        words.pop(0)
    return words[0]


def tags(line: str) -> dict[str, str]:
    """The tags of a line, with their values escaped."""
    if not line.startswith("@"):
        return {}
    words = line[1:].partition(" ")[0].split(";")
    return {word.partition("=")[0]: word.partition("=")[2] for word in words}


def plain(line: str) -> str:
    """A line without ``time`` and ``msgid``, which differ each time."""
    if not line.startswith("@"):
        return line
    tags, _, rest = line[1:].partition(" ")
    kept = [tag for tag in tags.split(";") if tag.partition("=")[0] not in ("time", "msgid")]
    return f"@{';'.join(kept)} {rest}" if kept else rest


class IrcChat(TextChat):
    """A hub with a text frontend and an IRC frontend.

    :param bounds: keys of ``[chat]``.
    :param irc: keys of the IRC service.
    """

    def __init__(
        self,
        *,
        bounds: dict[str, Any] | None = None,
        clock: Clock | None = None,
        log: EventLog | None = None,
        history: HistoryStore | None = None,
        **irc: Any,
    ) -> None:
        super().__init__(bounds=bounds, clock=clock, log=log, history=history)
        for key in ("rate", "join_rate", "nick_rate"):
            irc.setdefault(key, None)
        irc.setdefault("websocket_ping", 0.0)
        factory = kind.make_factory(kind.settings(**irc), self.context)  # type: ignore[arg-type]
        assert isinstance(factory, IrcFactory)
        self.irc = factory

    def irc_client(self, nick: str | None = None, *caps: str, joined: str = "") -> IrcTestClient:
        """A client, registered if it has a nickname.

        :param caps: its capabilities.
        :param joined: rooms to join, separated by commas.
        """
        client = IrcTestClient(self)
        if nick is None:
            return client
        if caps:
            client.send("CAP LS 302", f"CAP REQ :{' '.join(caps)}")
        client.send(f"NICK {nick}", f"USER {nick} 0 * :{nick.title()}")
        if caps:
            client.send("CAP END")
        if joined:
            client.send(f"JOIN {joined}")
        client.lines()
        return client


def open_tea(*more: str) -> tuple[IrcChat, IrcTestClient, list[IrcTestClient]]:
    """A chat, ann, who opened #tea, and more members of #tea."""
    chat = IrcChat()
    ann = chat.irc_client("ann", joined="#tea")
    others = [chat.irc_client(nick, joined="#tea") for nick in more]
    for client in (ann, *others):
        client.lines()
    return chat, ann, others


def threaded_chat(**settings: Any) -> IrcChat:
    """A chat that checks passwords in threads, as the daemon does."""
    chat = IrcChat(**settings)
    chat.irc.server.passwords = Checks(thread_runner(Threads(chat.clock)), chat.clock.seconds)
    return chat


def join_three(chat: IrcChat, *caps: str) -> tuple[IrcTestClient, IrcTestClient, IrcTestClient]:
    """Ann, the operator of #c, and Bob and Cid in it."""
    ann, bob, cid = (chat.irc_client(nick, *caps, joined="#c") for nick in ("ann", "bob", "cid"))
    for client in (ann, bob):
        client.lines()
    return ann, bob, cid


def with_remote_address(client: IrcTestClient, secure: bool = False) -> IrcTestClient:
    """Give a client an address that is not local."""
    session: Any = client.session
    session.address = ipaddress.ip_address("192.0.2.7")
    session.secure = secure
    return client


def cheap_password() -> PasswordHash:
    """The password "sesame", with a hash that is cheap to check."""
    made = hashlib.scrypt(b"sesame", salt=b"0123456789abcdef", n=2, r=1, p=1, dklen=32)
    digest = base64.b64encode(made).decode().rstrip("=")
    return PasswordHash.parse(f"$scrypt$ln=1,r=1,p=1$MDEyMzQ1Njc4OWFiY2RlZg${digest}")


def pending_checks(chat: IrcChat, waiting: list[Any]) -> Checks:
    """Checks whose threads run when the test calls them."""
    return Checks(lambda work, done: waiting.append((work, done)), chat.clock.seconds)


def hide_room(chat: IrcChat, name: str) -> None:
    """Set the secret mode of a room."""
    room = chat.hub.room(name)
    assert room is not None
    room.modes.flags |= {Mode.HIDDEN}
