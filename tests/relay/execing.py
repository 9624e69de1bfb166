"""An exec service in this process: real programs and sockets, a reactor iterated by the test."""

from __future__ import annotations

import itertools
import os
import select
import socket
import time
from collections.abc import Callable
from typing import Any

import reactors
from twisted.logger import LogEvent, globalLogPublisher

from tcpd.config.settings import PolicySettings
from tcpd.line.testing import MemoryContext
from tcpd.net.layer import ConnectionLayer
from tcpd.net.listener_options import PLAIN
from tcpd.net.turns import TurnScheduler, work_queue
from tcpd.ops.catalogue import EVENT_ID
from tcpd.policy.admission import ConnectionCount
from tcpd.policy.reasons import End
from tcpd.relay.exec import ExecFactory
from tcpd.relay.exec_settings import COMMAND, ExecSettings

#: Timeout of each wait in seconds.
PATIENCE = 30.0

#: The key ``user``: required as root, not allowed otherwise.
USER = "root" if os.geteuid() == 0 else ""


class ExecHarness:
    """The service and its clients."""

    def __init__(self, reactor: Any, command: str, connections: int = 1000, **keys: Any) -> None:
        self.reactor = reactor
        self.context = MemoryContext(
            service="program",
            server_name="here.example",
            clock=reactor,
            reactor=reactor,
            uid=os.geteuid(),
            work=work_queue(reactor),
        )
        context: Any = self.context
        settings = ExecSettings(command=COMMAND.parse(command), **{"user": USER, **keys})
        self.factory = ExecFactory(settings, context)
        self.layer = ConnectionLayer(
            service="program",
            factory=self.factory,
            policy=PolicySettings(connections=connections, unsent=65536),
            idle=0,
            connection_count=ConnectionCount(100_000),
            counters=self.context.counters,
            clock=reactor,
            ids=itertools.count(1),
        )
        self._turns = TurnScheduler(reactor)
        self.seen: list[LogEvent] = []
        globalLogPublisher.addObserver(self.seen.append)

    def connect(self) -> socket.socket:
        """Connect a client; its socket is non-blocking."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self.accept(theirs)
        return ours

    def accept(self, sock: socket.socket) -> None:
        """Accept a client as a listener does."""
        sock.setblocking(False)
        self.layer.accept_socket(sock, "", PLAIN, self._turns)

    def lose(self, client: socket.socket) -> None:
        """Reset a client's connection."""
        client.close()
        self.layer.abort_all(End.KICKED)

    def until(self, condition: Callable[[], object]) -> None:
        """Iterate the reactor until the condition is true."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, (self.words, self.seen)
            self.turn()

    def turn(self) -> None:
        """Iterate the reactor once, with a short timeout."""
        self.reactor.runUntilCurrent()
        timeout = self.reactor.timeout()
        self.reactor.doIteration(0.02 if timeout is None else min(0.02, timeout))

    def all_of(self, client: socket.socket) -> bytes:
        """Read a client's data up to the end."""
        received = bytearray()

        def ended() -> bool:
            try:
                data = client.recv(1 << 16)
            except BlockingIOError:
                return False
            received.extend(data)
            return not data

        self.until(ended)
        client.close()
        return bytes(received)

    def over(self) -> bool:
        """Whether no program runs and no client is connected."""
        return not (self.factory.programs or self.layer.connections)

    @property
    def words(self) -> dict[str, int]:
        """Return the counters of events."""
        return dict(self.context.counters.events)

    def logged(self, event: str) -> list[LogEvent]:
        """Return the logged events with this id."""
        return [each for each in self.seen if each.get(EVENT_ID) == event]

    def close(self) -> None:
        """Stop the service and close all sockets."""
        self.layer.abort_all(End.SHUTDOWN)
        self.factory.kill_all()
        self.until(self.over)
        globalLogPublisher.removeObserver(self.seen.append)
        # otherwise garbage collection closes its descriptors later, in a test that counts its own
        reactors.close(self.reactor)


def readable(sock: socket.socket) -> bool:
    """Whether the socket is readable now."""
    return bool(select.select([sock], [], [], 0)[0])


def descriptors() -> int:
    """Count the open descriptors of this process."""
    return len(os.listdir("/proc/self/fd"))


def children() -> set[int]:
    """Return the child processes of this one, zombies included."""
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return {int(word) for word in file.read().split()}
