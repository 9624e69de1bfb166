"""Loads of many clients within the default limits, and the latency of an echo beside them.

Latency is the CPU time of the server until it answers, so other processes do not increase it.
tests/live/test_fairness.py bounds it.
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
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

#: Timeouts in seconds of a load and of an answer.
LONGEST = 600.0
PATIENCE = 30.0

#: Default of ``per_address``.
AN_ADDRESS = 100

#: Idle timeout in seconds of the services that test it; the default is minutes. 5,000 clients
#: connect in less time, so all time out together.
SILENCE = 15

#: Protocol and keys of each service. All limits are defaults, except for the timeouts of
#: ``echo-idle`` and ``irc-ping``. ``far`` is on a UNIX socket, which has no limit by address.
_SERVICES = {
    "probe": ("echo", ""),
    "line": ("line", ""),
    "chat": ("chat", ""),
    "irc": ("irc", ""),
    "irc-ping": ("irc", f"ping = {SILENCE // 2}s"),
    "echo-idle": ("echo", "policy = brief"),
    "tls": ("echo", ""),
    "far": ("echo", ""),
    "forward": ("forward", "to = unix:{socket}\ntls = yes\ntls_name = localhost\nca = {pem}"),
    "echo": ("echo", ""),  # the last one: when it listens, all services do
}
_LISTEN = {"tls": "127.0.0.1:{port} tls=main", "far": "unix:{socket} tls=main"}


def config(port: Callable[[str], int], pem: Path, key: Path | None, socket: Path) -> str:
    """Return the configuration of a server for all loads.

    :param port: chooses the port of a service; 0 for any.
    :param pem: a certificate for localhost.
    :param key: its key; ``None`` if ``pem`` contains it.
    :param socket: path of a UNIX socket.
    """
    text = f"[policy:brief]\nidle = {SILENCE}s\n[tls:main]\ncertificate = {pem}\n"
    if key is not None:
        text += f"key = {key}\n"
    for name, (kind, keys) in _SERVICES.items():
        listen = _LISTEN.get(name, "127.0.0.1:{port}")
        text += f"[service:{name}]\nprotocol = {kind}\n{keys}\nlisten =\n  {listen}\n".format(
            port=port(name) if "{port}" in listen else "", socket=socket, pem=pem
        )
    return text


def cpu_of(pid: int) -> float:
    """Return the CPU time of a process in seconds, all threads: clock_getcpuclockid(3)."""
    return time.clock_gettime((~pid << 3) | 2)


def resident(pid: int) -> int:
    """Return the resident memory of a process in bytes."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


@contextmanager
def prober(port: int, pid: int) -> Iterator[dict[str, float]]:
    """Probe an echo service repeatedly, from another process.

    :param port: of the echo service.
    :param pid: of the server.
    :return: a dictionary, filled in at the end: ``longest``, the longest latency in seconds of the
        server's CPU time; ``count``, the number of probes; ``memory``, the server's peak memory in
        bytes.
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
    """Probe until SIGTERM. Runs in the prober's process."""
    over: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: over.append(1))
    longest = 0.0
    memory = 0
    count = 0
    schedstat = os.open("/proc/self/schedstat", os.O_RDONLY)

    def delayed() -> float:
        """Return the seconds for which this process was runnable, but other processes had its core:
        the server runs meanwhile, although it has answered."""
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
    """Clients that send at the same time, and read all replies.

    :param port: of the service.
    :param count: number of clients; :data:`AN_ADDRESS` from each address.
    :param pid: of the server.
    """

    def __init__(self, port: int, count: int, pid: int) -> None:
        self.received = 0
        self.count = count
        self._pid = pid
        self._port = port
        self._descriptors = self._open()
        self._selector = selectors.DefaultSelector()
        self.clients: list[socket.socket] = []

    def connect(self, buffer: int = 0, count: int = 0) -> None:
        """Connect the clients in sequence, faster than the server accepts.

        :param buffer: size of the receive buffer in bytes; 0 for the default.
        :param count: number of clients; 0 for all.
        """
        source = ""
        for number in range(count or self.count):
            if number % AN_ADDRESS == 0:  # an address that no earlier crowd has used
                next_ = next(_ADDRESSES)
                source = f"127.0.{1 + next_ // 200}.{1 + next_ % 200}"
            client = socket.socket()
            if buffer:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            client.settimeout(PATIENCE)
            client.bind((source, 0))
            client.connect(("127.0.0.1", self._port))
            client.setblocking(False)
            self.clients.append(client)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Stop the server (SIGSTOP), so that it finds all events at once when it continues."""
        os.kill(self._pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._pid, signal.SIGCONT)

    def _open(self) -> int:
        return len(os.listdir(f"/proc/{self._pid}/fd"))

    def wait_until_gone(self, but: int = 10) -> None:
        """Wait until the server has closed all connections.

        :param but: number of descriptors that may remain, those of the prober included.
        """
        deadline = time.monotonic() + LONGEST
        while (left := self._open() - self._descriptors) > but:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{left} connections are open")

    def say(
        self,
        texts: Sequence[bytes],
        end: bytes,
        count: int | None = None,
        may_be_dropped: bool = False,
    ) -> None:
        """Send a text from each client, and wait until each has received ``end``.

        :param texts: one text for all clients, or one for each.
        :param end: part of the last reply only.
        :param count: number of clients; ``None`` for all.
        :param may_be_dropped: the server may close some of the connections instead.
        """
        clients = self.clients[:count]
        if len(texts) == 1:
            texts = [texts[0]] * len(clients)
        selector = self._selector
        for client, text in zip(clients, texts, strict=True):
            events = selectors.EVENT_READ | selectors.EVENT_WRITE
            selector.register(client, events, [memoryview(text), b""])
        deadline = time.monotonic() + LONGEST
        while selector.get_map():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(selector.get_map())} wait for {end!r}")
            for key, ready in selector.select(PATIENCE):
                client = key.fileobj
                assert isinstance(client, socket.socket)
                try:
                    if ready & selectors.EVENT_WRITE:
                        self._send(client, key.data)
                    done = ready & selectors.EVENT_READ and self._has_read(client, key.data, end)
                except ConnectionError:
                    if not may_be_dropped:
                        raise
                    done = True
                if done:
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
        """Close all clients."""
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
    """Actions of a crowd.

    :ivar name: for ``--case``.
    :ivar title: description.
    :ivar clients: number of clients.
    :ivar service: the service that they connect to.
    :ivar act: the measured actions.
    :ivar prepare: the actions before.
    """

    name: str
    title: str
    clients: int
    service: str
    act: Callable[[Crowd], None]
    prepare: Callable[[Crowd], None] = Crowd.connect


def _line(name: str, title: str, request: bytes, times: int) -> Load:
    def act(crowd: Crowd) -> None:
        crowd.say([request * times + b"PING over\r\n"], b"PONG over")

    return Load(name, f"line, {title}: 100 clients, {times} times each", AN_ADDRESS, "line", act)


def _text(name: str, title: str, request: bytes, times: int) -> Load:
    def prepare(crowd: Crowd) -> None:
        crowd.connect()
        crowd.say([b"n%d\r\n" % n for n in range(len(crowd.clients))], b"/help lists")

    def act(crowd: Crowd) -> None:
        crowd.say([request * times + b"/over\r\n"], b"no command /over")

    return Load(
        name, f"text, {title}: 100 clients, {times} times each", AN_ADDRESS, "chat", act, prepare
    )


def _register(more: Callable[[int], bytes], buffer: int = 0) -> Callable[[Crowd], None]:
    def prepare(crowd: Crowd) -> None:
        crowd.connect(buffer)
        # without NAMES replies, 5,000 clients join in half the time
        crowd.say(
            [
                b"CAP REQ :no-implicit-names\r\nNICK n%d\r\nUSER u 0 * :real name\r\n"
                b"CAP END\r\n%sPING prepared\r\n" % (n, more(n))
                for n in range(len(crowd.clients))
            ],
            b"prepared",
        )

    return prepare


def _nowhere(number: int) -> bytes:
    return b""


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
) -> Load:
    def act(crowd: Crowd) -> None:
        with crowd.at_once():
            for client in crowd.clients:
                client.send(request * times)
        crowd.say([b"PING over\r\n"], b" :over\r\n")

    title = f"IRC, {title}: {clients:,} clients, {times} times each"
    return Load(name, title, clients, "irc", act, _register(more))


def _close(crowd: Crowd) -> None:
    """Close all clients."""
    with crowd.at_once():
        for client in crowd.clients:
            client.close()
    crowd.wait_until_gone()


def _reset(crowd: Crowd) -> None:
    """Reset all connections."""
    for client in crowd.clients:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    _close(crowd)


def _quit(crowd: Crowd) -> None:
    """Send QUIT from all clients."""
    with crowd.at_once():
        for client in crowd.clients:
            client.send(b"QUIT :bye\r\n")
    crowd.wait_until_gone()


def _be_silent(crowd: Crowd) -> None:
    """Send nothing until all clients have timed out."""
    crowd.wait_until_gone()


def _overflow(crowd: Crowd) -> None:
    """Send more to a room than the output buffers of the others hold, who do not read."""
    line = b"PRIVMSG #crowd :%s\r\n" % (b"x" * 400)
    crowd.say([line * 90 + b"PING over\r\n"], b" :over\r\n", AN_ADDRESS, may_be_dropped=True)
    crowd.wait_until_gone(AN_ADDRESS + 10)


def _rename(crowd: Crowd) -> None:
    """Rename the room, by the first client, which is its operator."""
    texts = [b"RENAME #crowd #other :by the way\r\n", *[b""] * (len(crowd.clients) - 1)]
    crowd.say(texts, b" #other")


def _connect_and_ask(crowd: Crowd) -> None:
    """Connect all clients, and send from all."""
    crowd.connect()
    crowd.say([b"x"], b"x")


def _ask(crowd: Crowd) -> None:
    """Send from all clients."""
    with crowd.at_once():
        for client in crowd.clients:
            client.send(b"x")
    crowd.say([b"y"], b"y")


def _shake_hands(crowd: Crowd, last: int = 0) -> None:
    """Handshake TLS on all clients at once, or on the last ``last``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    poller = select.epoll()
    waiting: dict[int, tuple[socket.socket, ssl.MemoryBIO, ssl.MemoryBIO, ssl.SSLObject]] = {}
    for client in crowd.clients[-last:]:
        received, written = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(received, written)
        with suppress(ssl.SSLWantReadError):
            tls.do_handshake()
        waiting[client.fileno()] = client, received, written, tls
        poller.register(client, select.EPOLLIN)
    with crowd.at_once():
        for client, _, written, _ in waiting.values():
            client.send(written.read())
    while waiting:
        for fd, _ in poller.poll(PATIENCE):
            client, received, written, tls = waiting[fd]
            received.write(client.recv(1 << 16))
            with suppress(ssl.SSLWantReadError):
                tls.do_handshake()
                poller.unregister(fd)
                del waiting[fd]
            client.send(written.read())
    poller.close()


def _connect_by_tls(crowd: Crowd) -> None:
    some = 500  # with more clients, handshakes would time out
    for _ in range(0, crowd.count, some):
        crowd.connect(count=some)
        _shake_hands(crowd, some)


def _wait(crowd: Crowd) -> None:
    """Prepare nothing."""


_ROOM = _register(_in_room)


def _crowd(
    name: str,
    title: str,
    service: str,
    act: Callable[[Crowd], None],
    prepare: Callable[[Crowd], None] = Crowd.connect,
) -> Load:
    return Load(name, title, 5000, service, act, prepare)


_MASKS = b",".join(b"*%c*%c*" % (97 + n, 98 + n) for n in range(20))

LOADS = (
    _line("wait-line-handshake", "HANDSHAKE", b"HANDSHAKE\r\n", 12),
    _line("wait-line-services", "SERVICES", b"SERVICES\r\n", 100),
    _line("wait-line-guesses", "a typing error", b"PIGN x\r\n", 50),
    # IAC DO ECHO, which is answered, and IAC AYT, which is skipped
    _text("wait-telnet", "telnet's commands", b"\xff\xfd\x01\xff\xf6", 4_000),
    _text("wait-text-handshake", "/handshake", b"/handshake\r\n", 10),
    _irc("wait-irc-handshake", "HANDSHAKE", b"HANDSHAKE\r\n", 12),
    _irc("wait-irc-list", "LIST with 20 masks", b"LIST %s\r\n" % _MASKS, 3, more=_in_rooms),
    _irc("wait-irc-who", "WHO *", b"WHO *\r\n", 20),
    _irc("wait-irc-who-1000", "WHO *", b"WHO *\r\n", clients=1000),
    _irc("wait-irc-who-5000", "WHO *", b"WHO *\r\n", clients=5000, more=_nowhere),
    _irc("wait-irc-lines", "PING", b"PING x\r\n", clients=5000, more=_nowhere),
    Load("wait-tls", "TLS, 100 handshakes at once", AN_ADDRESS, "tls", _shake_hands),
    _crowd("wait-connect", "echo: 5,000 clients connect at once", "echo", _connect_and_ask, _wait),
    _crowd("wait-ask", "echo: 5,000 clients ask at once", "echo", _ask),
    _crowd("wait-close", "echo: 5,000 clients close at once", "echo", _close),
    _crowd("wait-reset", "echo: 5,000 clients reset their connections at once", "echo", _reset),
    _crowd("wait-idle", "echo: 5,000 clients are idle for too long", "echo-idle", _be_silent),
    _crowd("wait-tls-close", "TLS: 5,000 clients close at once", "tls", _close, _connect_by_tls),
    _crowd("wait-tls-reset", "TLS: 5,000 clients reset at once", "tls", _reset, _connect_by_tls),
    _crowd("wait-irc-leave", "IRC: 5,000 clients of a room close at once", "irc", _close, _ROOM),
    _crowd("wait-irc-quit", "IRC: 5,000 clients of a room say QUIT at once", "irc", _quit, _ROOM),
    _crowd("wait-irc-rename", "IRC: RENAME of a room of 5,000 clients", "irc", _rename, _ROOM),
    _crowd(
        "wait-irc-ping",
        "IRC: 5,000 clients do not answer a PING",
        "irc-ping",
        _be_silent,
        _register(_nowhere),
    ),
    Load(
        "wait-irc-sendq",
        "IRC: 1,000 clients of a room read nothing of what 100 others say",
        1100,
        "irc",
        _overflow,
        _register(_in_room, 4096),
    ),
    Load("wait-forward-tls", "forward to TLS: 500 clients at once", 500, "forward", _ask),
)


def measure(load: Load, ports: Ports, pid: int) -> dict[str, float]:
    """Measure a load on a server.

    :param ports: by service of :func:`config`.
    :param pid: of the server.
    :return: the results of :func:`prober`; ``more``, the growth of memory to its peak in bytes;
        ``cpu`` and ``seconds``, the duration.
    """
    with Crowd(ports[load.service], load.clients, pid) as crowd:
        load.prepare(crowd)
        before = resident(pid)
        cpu, begun = cpu_of(pid), time.monotonic()
        with prober(ports["probe"], pid) as result:
            load.act(crowd)
        result |= {"cpu": cpu_of(pid) - cpu, "seconds": time.monotonic() - begun}
        crowd.close()
        crowd.wait_until_gone()
    return result | {"more": result["memory"] - before}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(probe(int(sys.argv[1]), int(sys.argv[2]))) + "\n")
