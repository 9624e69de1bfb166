"""Resets that wait until the peer has acknowledged all data.

A reset discards the data that the kernel still holds for the peer (RFC 9293 section 3.10.7.4). A
truncated stream ends in a reset (docs/decisions/0003), but only after its data is delivered.
"""

from __future__ import annotations

import fcntl
import struct
import termios
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IPullProducer, IReactorTime
from twisted.internet.tcp import Connection
from zope.interface import implementer

#: Seconds between two polls: the first interval and the longest.
_MIN_INTERVAL = 0.001
_MAX_INTERVAL = 0.25


def unacknowledged(sock: Any) -> int:
    """Return the bytes in the send queue that the peer has not acknowledged (SIOCOUTQ, tcp(7)).

    :param sock: a connected socket.
    :return: 0 also if the system does not report it.
    """
    try:
        answer = fcntl.ioctl(sock, termios.TIOCOUTQ, struct.pack("i", 0))
    except (OSError, TypeError, ValueError):
        return 0
    return int(struct.unpack("i", answer)[0])


def when_acknowledged(clock: IReactorTime, sock: Any, call: Callable[[], None]) -> None:
    """Make a call once the peer has acknowledged all data; never if the socket is closed before.

    The kernel has no event for this, so a timer polls the send queue. The caller bounds the wait.

    :param clock: schedules timers.
    :param sock: a connected socket.
    :param call: may be called at once.
    """
    _poll(clock, sock, call, _MIN_INTERVAL)


def _poll(clock: IReactorTime, sock: Any, call: Callable[[], None], wait: float) -> None:
    if sock.fileno() >= 0:
        if unacknowledged(sock):
            clock.callLater(wait, _poll, clock, sock, call, min(2 * wait, _MAX_INTERVAL))
        else:
            call()


@implementer(IPullProducer)
class _SentNotifier:
    """A producer without data: the transport calls it when its buffer is empty."""

    def __init__(self, sent: Callable[[], None]) -> None:
        self._sent = sent

    def resumeProducing(self) -> None:
        self._sent()

    def stopProducing(self) -> None:
        """Do nothing: the protocol's ``connectionLost`` is called too."""


def reset_when_acknowledged(transport: Any, clock: IReactorTime) -> None:
    """Reset a connection of Twisted once all data written to it is acknowledged.

    :param transport: a transport without a producer. A transport without a socket is reset at once.
    :param clock: schedules timers.
    """
    if not isinstance(transport, Connection) or not transport.connected:
        transport.abortConnection()
        return
    transport.pauseProducing()
    registered = False

    def sent() -> None:
        nonlocal registered
        if not registered:  # registerProducer calls it whatever the buffer holds
            registered = True
            return
        transport.unregisterProducer()
        when_acknowledged(clock, transport.getHandle(), transport.abortConnection)

    transport.registerProducer(_SentNotifier(sent), False)
    transport.startWriting()
