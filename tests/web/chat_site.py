"""Serves the chat page and its WebSocket from one origin, and an IRC server that keeps history."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from running import PATIENCE
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from tcpd.web.rendering import Templates, static_files

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'"
)

TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


class ChatSite:
    """An HTTP server with /chat and /static; /irc is relayed to the port ``irc``.

    :ivar irc: a port of 127.0.0.1, or 0: connections are refused.
    """

    def __init__(self) -> None:
        self.irc = 0
        self._relayed: list[socket.socket] = []
        site = self
        page = Templates().render("chat.html", here="/chat", lobby="#lobby")
        files = static_files()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/irc":
                    self.close_connection = True
                    site._relay(self)
                    return
                name = self.path.removeprefix("/static/")
                name = "icon.svg" if name == "/favicon.ico" else name
                if self.path == "/chat":
                    self._reply(200, "text/html; charset=utf-8", page.encode())
                elif name in files:
                    self._reply(200, TYPES[Path(name).suffix], files[name])
                else:
                    self._reply(404, "text/plain", b"")

            def _reply(self, status: int, kind: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Content-Security-Policy", POLICY)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/chat"
        self.origin = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def _relay(self, handler: BaseHTTPRequestHandler) -> None:
        """Relay a request for an upgrade, and then bytes, both ways."""
        browser = handler.connection
        try:
            far = socket.create_connection(("127.0.0.1", self.irc), PATIENCE)
        except OSError:
            handler.send_error(502)
            return
        far.settimeout(None)
        self._relayed.append(browser)
        head = [f"{name}: {value}\r\n" for name, value in handler.headers.items()]
        far.sendall(handler.raw_requestline + "".join([*head, "\r\n"]).encode())
        back = threading.Thread(target=_pump, args=(far, browser))
        back.start()
        _pump(browser, far)
        back.join(PATIENCE)
        far.close()

    def cut(self) -> None:
        """Break all WebSockets, as a lost network does; later ones are refused."""
        self.irc = 0
        for each in self._relayed:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._relayed.clear()

    def close(self) -> None:
        self.cut()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(PATIENCE)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            sink.sendall(piece)
    for each in (source, sink):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


_ACCEPTED = "batch draft/chathistory echo-message labeled-response message-tags server-time"


class HistoryServer:
    """An IRC server over WebSocket for one user in #lobby, with ``draft/chathistory``.

    :ivar messages: what the room has seen: (msgid, time, nickname, text).
    :ivar forgets: whether it refuses msgids, as a server does after a restart.
    :ivar lines: lines that the client sent.
    """

    def __init__(self) -> None:
        self.messages: list[tuple[str, str, str, str]] = []
        self.forgets = False
        self.lines: list[str] = []
        self._ids = itertools.count(1)
        self._clients: list[ServerConnection] = []
        self._server: Server = serve(
            self._serve,
            "127.0.0.1",
            0,
            subprotocols=["text.ircv3.net"],  # type: ignore[list-item]
        )
        self.port = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join(PATIENCE)

    def say(self, nick: str, text: str) -> None:
        """Store a message, and send it to the clients."""
        number = next(self._ids)
        start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        time = start + datetime.timedelta(seconds=number)
        self.messages.append((f"id-{number}", f"{time:%Y-%m-%dT%H:%M:%S}.000Z", nick, text))
        for client in self._clients:
            client.send(self._line(self.messages[-1]))

    def _line(self, message: tuple[str, str, str, str], batch: str = "") -> str:
        name, time, nick, text = message
        tags = f"@{batch}msgid={name};time={time}"
        return f"{tags} :{nick}!~{nick}@host PRIVMSG #lobby :{text}"

    def _serve(self, client: ServerConnection) -> None:
        nick = "*"
        try:
            while True:
                line = client.recv()
                assert isinstance(line, str)
                self.lines.append(line)
                if line.startswith("@"):
                    line = line.partition(" ")[2]
                command, *words = line.split(" ")
                if command == "NICK":
                    nick = words[0]
                elif line == "CAP LS 302":
                    client.send(f":s CAP * LS :{_ACCEPTED}")
                elif command == "CAP" and words[0] == "REQ":
                    client.send(f":s CAP * ACK {' '.join(words[1:])}")
                elif line == "CAP END":
                    client.send(f":s 001 {nick} :hello")
                    client.send(f":s 005 {nick} CHATHISTORY=50 CHANTYPES=# :are supported")
                    client.send(f":s 422 {nick} :no motd")
                elif command == "JOIN":
                    self._clients.append(client)
                    client.send(f":{nick}!~{nick}@host JOIN #lobby")
                    client.send(f":s 353 {nick} = #lobby :@ann {nick}")
                    client.send(f":s 366 {nick} #lobby :end")
                elif command == "PRIVMSG":
                    self.say(nick, line.partition(" :")[2])
                elif command == "CHATHISTORY":
                    self._history(client, *words)
        except ConnectionClosed:
            pass
        finally:
            if client in self._clients:
                self._clients.remove(client)

    def _history(
        self, client: ServerConnection, kind: str, room: str, ref: str, count: str
    ) -> None:
        key, _, value = ref.partition("=")
        if key == "msgid" and self.forgets:
            client.send(f":s FAIL CHATHISTORY INVALID_TARGET {kind} {room} :no such message")
            return
        column = 0 if key == "msgid" else 1
        keys = [message[column] for message in self.messages]
        if kind == "LATEST":
            found = self.messages[-int(count) :]
        elif kind == "BEFORE":
            found = self.messages[: keys.index(value)][-int(count) :]
        else:
            found = [message for message in self.messages if message[column] == value]
            after = self.messages.index(found[-1]) + 1 if found else 0
            found = self.messages[after:][: int(count)]
        client.send(f":s BATCH +h chathistory {room}")
        for message in found:
            client.send(self._line(message, "batch=h;"))
        client.send(":s BATCH -h")
