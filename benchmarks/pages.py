"""Loads of ``protocol = web``: pages, event streams, and clients of the chat page."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.ground import Ground, Skipped
from benchmarks.servers import Running

#: Event streams that are open at once, within the limit of one address of the load.
_STREAMS = 100

#: Clients of the chat page, or of IRC, whose memory is measured.
_CLIENTS = 1000

_TIMEOUT = 20.0


@dataclass(frozen=True, slots=True)
class PageLoad:
    """One case.

    :ivar name: the case.
    :ivar title: description.
    :ivar operation: the unit of the count.
    :ivar measure: measures a running server for some seconds.
    :ivar kind: the kind of the service.
    """

    name: str
    title: str
    operation: str
    measure: Callable[[Running, float], dict[str, float]]
    kind: str = "web"


def _connect(server: Running, source: int = 0) -> socket.socket:
    """Connect from an address of 127.0.1.0/24."""
    address = f"127.0.1.{source % 250 + 1}"
    return socket.create_connection(("127.0.0.1", server.port), _TIMEOUT, (address, 0))


def _read_response(client: socket.socket) -> int:
    """Read a response with a Content-Length; return the size of its body."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += _receive(client)
    head, _, body = received.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        raise Skipped(f"unexpected response: {head[:60]!r}")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    left = length - len(body)
    while left > 0:
        left -= len(_receive(client))
    return length


def _receive(client: socket.socket) -> bytes:
    data = client.recv(1 << 18)
    if not data:
        raise Skipped("the server closed the connection")
    return data


def _requests(path: str, accept: str) -> Callable[[Running, float], dict[str, float]]:
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n".encode()

    def measure(server: Running, seconds: float) -> dict[str, float]:
        with _connect(server) as client:
            for _ in range(50):
                client.sendall(request)
                _read_response(client)
            before, begun = server.cpu(), time.monotonic()
            count = 0
            while time.monotonic() < begun + seconds:
                client.sendall(request)
                _read_response(client)
                count += 1
            return {
                "operations": count,
                "seconds": time.monotonic() - begun,
                "cpu": server.cpu() - before,
            }

    return measure


def _streams(path: str, number: int) -> Callable[[Running, float], dict[str, float]]:
    """The cost of a stream in a second."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()

    def measure(server: Running, seconds: float) -> dict[str, float]:
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(_connect(server, source)) for source in range(number)]
            for client in clients:
                client.sendall(request)
                _receive(client)
            before, begun = server.cpu(), time.monotonic()
            count = 0
            whole = max(3, round(seconds))
            while time.monotonic() < begun + whole:
                for client in clients:
                    found = _receive(client)
                    count += found.count(b"event: sample\n") + found.count(b"event: status\n")
            return {
                "operations": count,
                "seconds": time.monotonic() - begun,
                "cpu": server.cpu() - before,
            }

    return measure


def _masked(line: bytes) -> bytes:
    """Return a text frame of a client; a mask of zeros leaves the payload as it is."""
    return bytes((0x81, 0x80 | len(line))) + bytes(4) + line


_OPENING = (
    b"GET /irc HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: text.ircv3.net\r\n\r\n"
)


def _plain(line: bytes) -> bytes:
    return line + b"\r\n"


@contextlib.contextmanager
def _clients(
    server: Running, count: int, letter: str, *more: bytes, websocket: bool = True
) -> Iterator[list[socket.socket]]:
    """Hold clients of the chat page, or of IRC, that have registered and sent more lines."""
    frame = _masked if websocket else _plain
    until = b" 366 " if more else b" 422 "
    with contextlib.ExitStack() as stack:
        found = []
        for number in range(count):
            client = stack.enter_context(_connect(server, number))
            nick = f"{letter}{number}".encode()
            lines = [b"NICK " + nick, b"USER u 0 * :u", *more]
            client.sendall((_OPENING if websocket else b"") + b"".join(map(frame, lines)))
            received = b""
            while until not in received:
                received += _receive(client)
            found.append(client)
        yield found


def _idle(websocket: bool) -> Callable[[Running, float], dict[str, float]]:
    """The memory of a client that has registered."""

    def measure(server: Running, seconds: float) -> dict[str, float]:
        with _clients(server, 100, "warm", websocket=websocket):
            pass
        time.sleep(0.5)
        before = server.memory()
        with _clients(server, _CLIENTS, "c", websocket=websocket):
            return {"bytes": (server.memory() - before) / _CLIENTS}

    return measure


def _room(websocket: bool) -> Callable[[Running, float], dict[str, float]]:
    """The cost of delivering a message to a client of a room."""

    def measure(server: Running, seconds: float) -> dict[str, float]:
        frame = _masked if websocket else _plain
        with _clients(server, _CLIENTS, "r", b"JOIN #room", websocket=websocket) as clients:
            sender, last, *_ = clients[0], *clients[:0:-1]
            time.sleep(1.0)
            for client in clients:
                client.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    while client.recv(1 << 18):
                        pass
                client.setblocking(True)
            before, begun = server.cpu(), time.monotonic()
            count = 0
            while time.monotonic() < begun + seconds:
                count += 1
                text = b"message %06d" % count
                sender.sendall(frame(b"PRIVMSG #room :" + text))
                received = b""
                while text not in received:
                    received += _receive(last)
            return {
                "operations": count * (len(clients) - 1),
                "seconds": time.monotonic() - begun,
                "cpu": server.cpu() - before,
            }

    return measure


PAGE_LOADS = (
    PageLoad("web-page", "the page / for a browser", "request", _requests("/", "text/html")),
    PageLoad("web-text", "the text drawing of / for curl", "request", _requests("/", "*/*")),
    PageLoad("web-svg", "/connection.svg", "request", _requests("/connection.svg", "*/*")),
    PageLoad("web-file", "a static file", "request", _requests("/static/page.css", "*/*")),
    PageLoad("web-live", f"{_STREAMS} streams of /live", "event", _streams("/live", _STREAMS)),
    PageLoad("web-status", "8 streams of /status", "event", _streams("/status/events", 8)),
    PageLoad("web-chat", f"{_CLIENTS} clients of the chat page, idle", "client", _idle(True)),
    PageLoad("web-chat-irc", "the same, IRC clients", "client", _idle(False), "irc"),
    PageLoad("web-room", f"a room of {_CLIENTS} clients of the page", "delivery", _room(True)),
    PageLoad("web-room-irc", "the same, IRC clients", "delivery", _room(False), "irc"),
)


def measure_pages(
    ground: Ground, load: PageLoad, running: Running, seconds: float
) -> dict[str, float]:
    """Measure one case with the load on its own core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, ground.load_core)
    try:
        return load.measure(running, seconds)
    except OSError as error:
        raise Skipped(str(error)) from error
    finally:
        os.sched_setaffinity(0, before)
