"""Concurrent conversations with a daemon, from one thread.

A conversation connects, sends its inputs in pieces, reads or does not, and ends in one of several
ways. A conversation that half-closes reads until the daemon closes the connection; if the daemon
does not in time, the connection is stuck.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from enum import Enum

from running import PATIENCE
from soak.words import Chance

#: SO_LINGER of zero seconds: close(2) sends a reset.
_RESET = struct.pack("ii", 1, 0)
#: Seconds that a client that does not read waits for the daemon to read.
_DEAF = 0.2
#: Seconds after which a connection that does not end is stuck; an end takes far less on a busy
#: machine.
STUCK = 4 * PATIENCE


class Ending(Enum):
    """How a conversation ends."""

    HALF_CLOSE = "half-close"
    CLOSE = "close"
    RESET = "reset"
    DEAF = "reset by a client that has read nothing"


class Stuck(AssertionError):
    """A connection that the daemon has not closed in time."""


class DrivenConnection:
    """One connection.

    :param name: for messages.
    :param connect: makes a connected socket.
    :param inputs: data to send.
    :param tls: context for TLS; ``None`` for a plain connection.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[], socket.socket],
        inputs: list[bytes],
        ending: Ending,
        chance: Chance,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.name = name
        self.sent = 0
        self.received = 0
        self.over = False
        self._inputs = inputs
        self._ending = ending
        self._chance = chance
        self._waiting = bytearray()
        self._half_closed = False
        self._failed = False
        self.begun = time.monotonic()
        self.socket = connect()
        self.socket.setblocking(False)
        self._tls: ssl.SSLObject | None = None
        self._shaken = tls is None
        if tls is not None:
            self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            self._tls = tls.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
        self.deadline = time.monotonic() + (_DEAF if ending is Ending.DEAF else STUCK)

    @property
    def events(self) -> int:
        """Events to select for."""
        events = 0 if self._ending is Ending.DEAF else selectors.EVENT_READ
        return events | (0 if self._half_closed else selectors.EVENT_WRITE)

    def step(self, events: int) -> None:
        """Read or write, as the socket is ready for these events."""
        try:
            if events & selectors.EVENT_READ:
                self._receive()
            if events & selectors.EVENT_WRITE and not self.over:
                self._send()
        except (BrokenPipeError, ConnectionResetError):
            self.finish()

    def finish(self, *, reset: bool = False) -> None:
        """Close the socket."""
        if reset:
            with contextlib.suppress(OSError):
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.over = True
        self.socket.close()

    def expire(self) -> None:
        """Finish at the deadline.

        :raise Stuck: if the daemon should have closed the connection.
        """
        if self._ending is Ending.DEAF:
            self.finish(reset=True)
            return
        state = "half-closed" if self._half_closed else f"{len(self._inputs)} inputs not sent"
        self.finish(reset=True)
        raise Stuck(f"{self.name}: not closed after {STUCK} s ({state}, got {self.received})")

    def _receive(self) -> None:
        data = self.socket.recv(1 << 18)
        if not data:
            self.finish()
            return
        self.received += len(data)
        if self._tls is not None and not self._failed:
            self._incoming.write(data)
            self._read_tls(self._tls)

    def _read_tls(self, tls: ssl.SSLObject) -> None:
        try:
            if not self._shaken:
                tls.do_handshake()
                self._shaken = True
            while tls.read(1 << 16):
                pass
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLError, ssl.SSLEOFError):
            self._failed = True  # further data is discarded

    def _send(self) -> None:
        if not self._waiting:
            self._fill()
        if self._waiting:
            with contextlib.suppress(BlockingIOError):
                del self._waiting[: self.socket.send(self._waiting)]
        elif not self._inputs and self._shaken:
            self._end()

    def _fill(self) -> None:
        """Buffer the next piece, if it may be sent now."""
        tls = self._tls
        if tls is not None and not self._shaken:
            if not self._failed:
                self._read_tls(tls)
            elif not self._shaken:
                self._inputs.clear()
                self._shaken = True
            self._waiting += self._outgoing.read()
            return
        if not self._inputs:
            return
        # several inputs in a piece, or one input in several pieces
        count = min(len(self._inputs), self._chance.choice((1, 1, 2, 5, 50)))
        data = b"".join(self._inputs[:count])
        del self._inputs[:count]
        self.sent += count
        if tls is not None and not self._failed:
            if self._chance.random() < 0.01:
                self._waiting += self._chance.randbytes(40)
            with contextlib.suppress(ssl.SSLError):
                if data:
                    tls.write(data)
            data = self._outgoing.read()
        self._waiting += data

    def _end(self) -> None:
        if self._ending is Ending.HALF_CLOSE:
            self._half_closed = True
            if self._tls is not None and not self._failed and self._chance.random() < 0.5:
                with contextlib.suppress(ssl.SSLError):
                    self._tls.unwrap()  # sends close_notify; the daemon's is not awaited
                with contextlib.suppress(OSError):
                    self.socket.send(self._outgoing.read())
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)
            self.deadline = time.monotonic() + STUCK
        else:
            self.finish(reset=self._ending is not Ending.CLOSE)


def drive(conversations: Iterator[DrivenConnection], at_once: int) -> Iterator[DrivenConnection]:
    """Run conversations, ``at_once`` concurrently.

    :return: each conversation as it ends.
    :raise Stuck: for a connection that does not end.
    """
    selector = selectors.DefaultSelector()
    active: dict[DrivenConnection, int] = {}
    more = True
    try:
        while True:
            while more and len(active) < at_once:
                conversation = next(conversations, None)
                if conversation is None:
                    more = False
                    break
                active[conversation] = conversation.events
                selector.register(conversation.socket, conversation.events, conversation)
            if not active:
                return
            ready = {key.data: events for key, events in selector.select(0.05)}
            now = time.monotonic()
            for conversation in list(active):
                events = ready.get(conversation, 0)
                number = conversation.socket.fileno()
                if events:
                    conversation.step(events)
                if not conversation.over and now > conversation.deadline:
                    conversation.expire()
                if conversation.over:
                    selector.unregister(number)
                    del active[conversation]
                    yield conversation
                elif conversation.events != active[conversation]:
                    active[conversation] = conversation.events
                    selector.modify(conversation.socket, conversation.events, conversation)
    finally:
        for conversation in active:
            conversation.finish(reset=True)
        selector.close()
