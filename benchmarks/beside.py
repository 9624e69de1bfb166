"""Loads of many clients within the default limits, and how long an echo waits beside them.

The wait is measured in CPU time of the server until it answers, so whatever else the machine does
makes it no longer. Each load does what a crowd may do; tests/live/test_fairness.py bounds the wait.
"""

from __future__ import annotations

import itertools
import json
import os
import resource
import select
import selectors
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

#: Seconds that one load may take, and one answer.
LONGEST = 180.0
PATIENCE = 30.0

#: Clients that an address may have by default.
AN_ADDRESS = 100


def cpu_of(pid: int) -> float:
    """Seconds of CPU time that a process has had, all threads: clock_getcpuclockid(3)."""
    return time.clock_gettime((~pid << 3) | 2)


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


@contextmanager
def prober(port: int, pid: int) -> Iterator[dict[str, float]]:
    """Ask an echo again and again, from another process.

    :param port: the echo's.
    :param pid: the server's.
    :return: a dictionary that has afterwards ``longest``, the longest wait for an answer in seconds
        of the server's CPU time, ``count``, how often the echo was asked, and ``memory``, the most
        bytes that the server had.
    """
    result: dict[str, float] = {}
    command = [sys.executable, __file__, str(port), str(pid)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield result
        finally:
            process.send_signal(signal.SIGTERM)
            result |= json.loads(process.stdout.readline())


def probe(port: int, pid: int) -> dict[str, float]:
    """What the prober's process does until SIGTERM."""
    over: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: over.append(1))
    longest = 0.0
    memory = 0
    count = 0
    schedstat = os.open("/proc/self/schedstat", os.O_RDONLY)

    def delayed() -> float:
        """Seconds so far in which this process could have run and others had its core: meanwhile
        the server goes on, although its answer is here."""
        return int(os.pread(schedstat, 64, 0).split()[1]) / 1e9

    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        client.sendall(b"x")
        client.recv(1)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while not over:
            begun, delay = cpu_of(pid), delayed()
            client.sendall(b"x")
            client.recv(1)
            waited = cpu_of(pid) - begun
            longest = max(longest, waited - (delayed() - delay))
            count += 1
            memory = max(memory, resident(pid))
            time.sleep(0.0005)
    return {"longest": longest, "count": count, "memory": memory}


_ADDRESSES = itertools.count()


class Crowd:
    """Clients that send what they have to send at once, and read all that comes.

    :param port: where.
    :param count: how many; :data:`AN_ADDRESS` of them from each address.
    """

    def __init__(self, port: int, count: int) -> None:
        self.received = 0
        self._selector = selectors.DefaultSelector()
        self.clients: list[socket.socket] = []
        source = ""
        for number in range(count):
            if number % AN_ADDRESS == 0:  # one that no earlier crowd has used
                next_ = next(_ADDRESSES)
                source = f"127.0.{1 + next_ // 200}.{1 + next_ % 200}"
            client = socket.create_connection(("127.0.0.1", port), PATIENCE, (source, 0))
            client.setblocking(False)
            self.clients.append(client)

    def say(self, texts: Sequence[bytes], end: bytes) -> None:
        """Have each client say a text, and wait until each has read a certain text.

        :param texts: one for all, or one for each.
        :param end: part of the last answer, and of none before it.
        """
        if len(texts) == 1:
            texts = [texts[0]] * len(self.clients)
        selector = self._selector
        for client, text in zip(self.clients, texts, strict=True):
            events = selectors.EVENT_READ | selectors.EVENT_WRITE
            selector.register(client, events, [memoryview(text), b""])
        deadline = time.monotonic() + LONGEST
        while selector.get_map():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(selector.get_map())} wait for {end!r}")
            for key, ready in selector.select(PATIENCE):
                client = key.fileobj
                assert isinstance(client, socket.socket)
                if ready & selectors.EVENT_WRITE:
                    self._send(client, key.data)
                if ready & selectors.EVENT_READ and self._has_read(client, key.data, end):
                    selector.unregister(client)

    def _send(self, client: socket.socket, state: list[memoryview | bytes]) -> None:
        state[0] = state[0][client.send(state[0]) :]
        if not state[0]:
            self._selector.modify(client, selectors.EVENT_READ, state)

    def _has_read(self, client: socket.socket, state: list[memoryview | bytes], end: bytes) -> bool:
        piece = client.recv(1 << 18)
        tail = bytes(state[1]) + piece
        if not piece:
            raise ConnectionError(f"closed after {tail!r}")
        self.received += len(piece)
        state[1] = tail[-200:]
        return end in tail[-len(piece) - len(end) :]

    def close(self) -> None:
        """Leave, all at once."""
        for client in self.clients:
            client.close()
        self._selector.close()

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


Ports = Mapping[str, int]


@dataclass(frozen=True)
class Load:
    """What a crowd does.

    :ivar name: for ``--case``.
    :ivar title: for people.
    :ivar clients: how many there are.
    :ivar service: which one they come to.
    :ivar act: what they do.
    :ivar prepare: what they do before; the wait is not measured then.
    :ivar long: it takes many seconds.
    """

    name: str
    title: str
    clients: int
    service: str
    act: Callable[[Crowd], None]
    prepare: Callable[[Crowd], None] = lambda _: None
    long: bool = False


def _line(name: str, title: str, request: bytes, times: int) -> Load:
    def act(crowd: Crowd) -> None:
        crowd.say([request * times + b"PING over\r\n"], b"PONG over")

    return Load(name, f"line, {title}: 100 clients, {times} times each", AN_ADDRESS, "line", act)


def _text(name: str, title: str, request: bytes, times: int) -> Load:
    def prepare(crowd: Crowd) -> None:
        crowd.say([b"n%d\r\n" % n for n in range(len(crowd.clients))], b"/help lists")

    def act(crowd: Crowd) -> None:
        crowd.say([request * times + b"/over\r\n"], b"no command /over")

    return Load(
        name, f"text, {title}: 100 clients, {times} times each", AN_ADDRESS, "chat", act, prepare
    )


def _register(more: Callable[[int], bytes]) -> Callable[[Crowd], None]:
    def prepare(crowd: Crowd) -> None:
        crowd.say(
            [
                b"NICK n%d\r\nUSER u 0 * :real name\r\n%sPING prepared\r\n" % (n, more(n))
                for n in range(len(crowd.clients))
            ],
            b"prepared",
        )

    return prepare


def _in_room(number: int) -> bytes:
    return b"JOIN #crowd\r\n"


def _in_rooms(number: int) -> bytes:
    return b"JOIN " + b",".join(b"#r%d-%d" % (number, n) for n in range(10)) + b"\r\n"


def _irc(
    name: str,
    title: str,
    request: bytes,
    times: int = 1,
    clients: int = AN_ADDRESS,
    more: Callable[[int], bytes] = _in_room,
    long: bool = False,
) -> Load:
    def act(crowd: Crowd) -> None:
        crowd.say([request * times + b"PING over\r\n"], b" :over\r\n")

    title = f"IRC, {title}: {clients:,} clients, {times} times each"
    return Load(name, title, clients, "irc", act, _register(more), long)


def _leave(crowd: Crowd) -> None:
    """All but one close; that one reads until all are gone."""
    watching = crowd.clients[0]
    for client in crowd.clients[1:]:
        client.close()
    watching.setblocking(True)
    watching.settimeout(PATIENCE)
    left = len(crowd.clients) - 1
    tail = b""
    while left:
        tail += watching.recv(1 << 18)
        left -= tail.count(b" QUIT :")
        tail = tail[tail.rfind(b" QUIT :") + 1 :][-200:]


def _rename(crowd: Crowd) -> None:
    """The first, who is operator of the room, renames it."""
    texts = [b"RENAME #crowd #other :by the way\r\n", *[b""] * (len(crowd.clients) - 1)]
    crowd.say(texts, b" 366 ")


def _shake_hands(crowd: Crowd) -> None:
    """All begin TLS at once, and go on as they are answered."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    waiting: dict[socket.socket, tuple[ssl.MemoryBIO, ssl.MemoryBIO, ssl.SSLObject]] = {}
    for client in crowd.clients:
        received, written = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(received, written)
        with suppress(ssl.SSLWantReadError):
            tls.do_handshake()
        waiting[client] = received, written, tls
    for client, (_, written, _) in waiting.items():
        client.send(written.read())
    while waiting:
        for client in select.select(list(waiting), [], [], PATIENCE)[0]:
            received, written, tls = waiting[client]
            received.write(client.recv(1 << 16))
            with suppress(ssl.SSLWantReadError):
                tls.do_handshake()
                del waiting[client]
            client.send(written.read())


_MASKS = b",".join(b"*%c*%c*" % (97 + n, 98 + n) for n in range(20))

LOADS = (
    _line("wait-line-handshake", "HANDSHAKE", b"HANDSHAKE\r\n", 12),
    _line("wait-line-services", "SERVICES", b"SERVICES\r\n", 100),
    _line("wait-line-guesses", "a typing error", b"PIGN x\r\n", 50),
    # IAC DO ECHO and IAC AYT: answered, and skipped
    _text("wait-telnet", "telnet's commands", b"\xff\xfd\x01\xff\xf6", 4_000),
    _text("wait-text-handshake", "/handshake", b"/handshake\r\n", 10),
    _irc("wait-irc-handshake", "HANDSHAKE", b"HANDSHAKE\r\n", 12),
    _irc("wait-irc-list", "LIST with 20 masks", b"LIST %s\r\n" % _MASKS, 3, more=_in_rooms),
    _irc("wait-irc-who", "WHO *", b"WHO *\r\n", 20),
    _irc("wait-irc-who-1000", "WHO *", b"WHO *\r\n", clients=1000, long=True),
    _irc("wait-irc-who-5000", "WHO *", b"WHO *\r\n", clients=5000, long=True),
    Load("wait-tls", "TLS, 100 handshakes at once", AN_ADDRESS, "tls", _shake_hands),
    Load(
        "wait-irc-leave",
        "IRC: 5,000 clients leave a room at once",
        5000,
        "irc",
        _leave,
        _register(_in_room),
        long=True,
    ),
    Load(
        "wait-irc-rename",
        "IRC: RENAME of a room of 5,000 clients",
        5000,
        "irc",
        _rename,
        _register(_in_room),
        long=True,
    ),
)


def measure(load: Load, ports: Ports, pid: int) -> dict[str, float]:
    """Put a load on a server.

    :param ports: by service: of ``echo`` and the load's.
    :param pid: the server's.
    :return: as :func:`prober` has it, and ``more``, how many bytes of memory more than before the
        server had at the most; ``cpu`` and ``seconds``, how long it took.
    """
    with Crowd(ports[load.service], load.clients) as crowd:
        load.prepare(crowd)
        before = resident(pid)
        cpu, begun = cpu_of(pid), time.monotonic()
        with prober(ports["echo"], pid) as result:
            load.act(crowd)
        result |= {"cpu": cpu_of(pid) - cpu, "seconds": time.monotonic() - begun}
    return result | {"more": result["memory"] - before}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(probe(int(sys.argv[1]), int(sys.argv[2]))) + "\n")
