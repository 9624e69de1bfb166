"""Loads of many clients, and how long others wait beside them, in CPU time of the daemon."""

from __future__ import annotations

import json
import os
import resource
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from running import PATIENCE, Daemon

#: Seconds that one load may take.
LONGEST = 60.0


def cpu_of(pid: int) -> float:
    """Seconds of CPU time that a process has had, all threads: clock_getcpuclockid(3)."""
    return time.clock_gettime((~pid << 3) | 2)


def spare_core() -> tuple[set[int], set[int]]:
    """The core for the daemon, and one for what asks it."""
    usable = sorted(os.sched_getaffinity(0))
    return {usable[0]}, {usable[-1]}


def raise_files() -> None:
    """Let this process have as many files as it may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextmanager
def prober(daemon: Daemon) -> Iterator[dict[str, float]]:
    """Ask the echo of a daemon again and again, from another process.

    :return: a dictionary that has afterwards ``longest``, the longest wait for an answer in seconds
        of the daemon's CPU time, and ``count``, how often it was asked.
    """
    result: dict[str, float] = {}
    command = [sys.executable, __file__, str(daemon.ports["echo", ""]), str(daemon.process.pid)]
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
    count = 0
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        client.sendall(b"x")
        client.recv(1)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while not over:
            begun = cpu_of(pid)
            client.sendall(b"x")
            client.recv(1)
            longest = max(longest, cpu_of(pid) - begun)
            count += 1
            time.sleep(0.0005)
    return {"longest": longest, "count": count}


class Crowd:
    """Clients that send what they have to send at once, and read all that comes.

    :param port: where.
    :param count: how many.
    :param source: called with a client's number; the address it connects from.
    """

    def __init__(
        self, port: int, count: int, source: Callable[[int], str] = lambda _: "127.0.0.1"
    ) -> None:
        self.received = 0
        self._selector = selectors.DefaultSelector()
        self.clients: list[socket.socket] = []
        for number in range(count):
            client = socket.create_connection(("127.0.0.1", port), PATIENCE, (source(number), 0))
            client.setblocking(False)
            self.clients.append(client)

    def say(self, texts: Sequence[bytes], end: bytes) -> None:
        """Have each client say a text, and wait until each has read a line with the end in it.

        :param texts: one for all, or one for each.
        :param end: as text of the last answer; not in any answer before.
        """
        if len(texts) == 1:
            texts = texts * len(self.clients)
        selector = self._selector
        for client, text in zip(self.clients, texts, strict=True):
            selector.register(
                client, selectors.EVENT_READ | selectors.EVENT_WRITE, [memoryview(text), b""]
            )
        deadline = time.monotonic() + LONGEST
        while selector.get_map():
            assert time.monotonic() < deadline, f"{len(selector.get_map())} wait for {end!r}"
            for key, events in selector.select(PATIENCE):
                client = key.fileobj
                assert isinstance(client, socket.socket)
                if events & selectors.EVENT_WRITE:
                    self._send(client, key.data)
                if events & selectors.EVENT_READ and self._has_read(client, key.data, end):
                    selector.unregister(client)

    def _send(self, client: socket.socket, state: list[memoryview | bytes]) -> None:
        state[0] = state[0][client.send(state[0]) :]
        if not state[0]:
            self._selector.modify(client, selectors.EVENT_READ, state)

    def _has_read(self, client: socket.socket, state: list[memoryview | bytes], end: bytes) -> bool:
        piece = client.recv(1 << 18)
        assert piece, f"closed after {bytes(state[1])!r}"
        self.received += len(piece)
        tail = bytes(state[1]) + piece
        state[1] = tail[-200:]
        return end in tail[-len(piece) - len(end) :]

    def close(self) -> None:
        """Leave, all at once."""
        for client in self.clients:
            client.close()

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def waits(
    daemon: Daemon, load: Callable[[], object], tries: Iterable[object] = range(3)
) -> list[float]:
    """Measure the longest wait beside a load, until it is short or has been long in all tries.

    Another process on the core of the prober can only make it longer.
    """
    core, other = spare_core()
    os.sched_setaffinity(daemon.process.pid, core)
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, other)
    found: list[float] = []
    try:
        for _ in tries:
            with prober(daemon) as result:
                load()
            assert result["count"] > 10, "the load was over before anything was measured"
            found.append(result["longest"])
            if found[-1] < 0.05:
                break
    finally:
        os.sched_setaffinity(0, before)
    return found


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    sys.stdout.write(json.dumps(probe(int(sys.argv[1]), int(sys.argv[2]))) + "\n")
