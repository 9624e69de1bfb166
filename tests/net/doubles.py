"""A socket, a reactor and a client's side in memory, for lean connections."""

from __future__ import annotations

import itertools
import socket
from typing import Any

from twisted.internet.task import Clock

#: More than a process has descriptors.
_NUMBERS = itertools.count(1 << 30)


class MemorySocket:
    """A connected socket that takes ``room`` bytes before its client has to read."""

    def __init__(self) -> None:
        self.room = 65536
        self.taken = b""
        self.incoming: list[bytes | OSError] = []
        self.closed = False
        self.reset = False
        self.shut = False
        self.sends = 0
        self.error = 0  # that the kernel holds
        self._number = next(_NUMBERS)

    def fileno(self) -> int:
        return -1 if self.closed else self._number

    def recv(self, size: int) -> bytes:
        if not self.incoming:
            raise BlockingIOError
        item = self.incoming.pop(0)
        if isinstance(item, OSError):
            raise item
        return item

    def send(self, data: bytes) -> int:
        if self.closed:
            raise OSError(9, "Bad file descriptor")
        space = self.room - len(self.taken)
        if space <= 0:
            raise BlockingIOError
        self.sends += 1
        self.taken += bytes(data[:space])
        return min(space, len(data))

    def setsockopt(self, level: int, name: int, value: object) -> None:
        if name == socket.SO_LINGER:
            self.reset = True

    def getsockopt(self, level: int, name: int, size: int = 0) -> int:
        if (level, name) != (socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(92, "Protocol not available")
        return self.error

    def shutdown(self, how: int) -> None:
        assert how == socket.SHUT_WR
        self.shut = True

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> MemorySocket:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class MemoryReactor(Clock):
    """Remembers who reads and writes; a turn ends when :meth:`end_turn` is called."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: set[Any] = set()
        self.writers: set[Any] = set()
        self.written: list[Any] = []

    def addReader(self, reader: Any) -> None:
        self.readers.add(reader)

    def removeReader(self, reader: Any) -> None:
        self.readers.discard(reader)

    def addWriter(self, writer: Any) -> None:
        self.writers.add(writer)

    def removeWriter(self, writer: Any) -> None:
        self.writers.discard(writer)

    def forget(self, descriptor: Any) -> None:
        self.readers.discard(descriptor)
        self.writers.discard(descriptor)

    def end_turn(self) -> None:
        while self.written:
            self.written.pop(0).flush()

    def advance(self, amount: float) -> None:
        super().advance(amount)
        self.end_turn()


class Client:
    """The client's side of a lean connection; what it is asked, it is asked after the turn."""

    def __init__(self, reactor: MemoryReactor, sock: MemorySocket) -> None:
        self._reactor = reactor
        self.sock = sock
        self.connection: Any = None

    def value(self) -> bytes:
        """What was sent and not yet read."""
        self._reactor.end_turn()
        return self.sock.taken

    def clear(self) -> None:
        self._reactor.end_turn()
        self.sock.taken = b""

    def empty(self) -> bytes:
        """Read all there is, which makes room."""
        taken = self.value()
        self.sock.taken = b""
        if self.connection in self._reactor.writers:
            self.connection.doWrite()
        self._reactor.end_turn()
        return taken

    @property
    def disconnecting(self) -> bool:
        self._reactor.end_turn()
        return self.sock.closed or self.connection.disconnecting

    @property
    def aborted(self) -> bool:
        self._reactor.end_turn()
        return self.sock.reset
