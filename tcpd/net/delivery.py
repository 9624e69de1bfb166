"""Resets that do not cost the peer what was sent before them.

A reset throws away what the kernel still holds for the peer (RFC 9293 section 3.10.7.4). So who
wants to say that a stream is cut, and not at its end, first waits until the peer's kernel has it.
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

#: Seconds between two looks: at first, and at the most.
_SOON = 0.001
_LATER = 0.25


def undelivered(sock: Any) -> int:
    """Bytes that the peer's kernel has not acknowledged (SIOCOUTQ, tcp(7)).

    :param sock: a socket.
    :return: 0 where the system does not know.
    """
    try:
        answer = fcntl.ioctl(sock, termios.TIOCOUTQ, struct.pack("i", 0))
    except (OSError, TypeError, ValueError):
        return 0
    return int(struct.unpack("i", answer)[0])


def when_delivered(clock: IReactorTime, sock: Any, call: Callable[[], None]) -> None:
    """Call it once all that was sent is acknowledged, and never if the socket is closed before.

    Nothing tells of that but asking again and again. Whoever calls this bounds the wait.

    :param clock: for timers.
    :param sock: connected.
    :param call: may be called at once.
    """
    _look(clock, sock, call, _SOON)


def _look(clock: IReactorTime, sock: Any, call: Callable[[], None], wait: float) -> None:
    if sock.fileno() >= 0:
        if undelivered(sock):
            clock.callLater(wait, _look, clock, sock, call, min(2 * wait, _LATER))
        else:
            call()


@implementer(IPullProducer)
class _Emptied:
    """Has nothing to say when it is asked to: the transport has sent all."""

    def __init__(self, emptied: Callable[[], None]) -> None:
        self._emptied = emptied

    def resumeProducing(self) -> None:
        self._emptied()

    def stopProducing(self) -> None:
        """The transport is gone, which its protocol hears too."""


def reset_when_delivered(transport: Any, clock: IReactorTime) -> None:
    """Reset a connection of Twisted's once all that was written to it is delivered.

    :param transport: without a producer. One on no socket is reset at once.
    :param clock: for timers.
    """
    if not isinstance(transport, Connection) or not transport.connected:
        transport.abortConnection()
        return
    transport.pauseProducing()
    asked = False

    def emptied() -> None:
        nonlocal asked
        if not asked:  # as it is registered, whatever the transport holds
            asked = True
            return
        transport.unregisterProducer()
        when_delivered(clock, transport.getHandle(), transport.abortConnection)

    transport.registerProducer(_Emptied(emptied), False)
    transport.startWriting()
