"""Finds out that a client has gone that is not read from.

A client that closes its connection looks like one that closes only its sending side (RFC 9293
section 3.6), until something is sent to it; and while what it sent waits for somebody who does not
read, not even that is seen. Its kernel knows better: some time after the close it has forgotten the
connection, and answers keepalive probes (RFC 1122 section 4.2.3.6) with a reset. On Linux that is a
minute (tcp_fin_timeout in tcp(7)), or four where the kernel had not got rid of all data.
"""

from __future__ import annotations

import contextlib
import select
import socket
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from tcpd.interfaces import IConnection
from tcpd.policy.reasons import End

#: Seconds between two looks.
LOOK = 5.0

#: Looks at a client that waits for nothing more, until what it said is given up: as many as fill
#: the 15 s that a side may take to the end when the other is gone.
_LAST_LOOKS = 3

#: Keepalive: seconds of silence before the first probe, seconds between probes, and how many may
#: remain without an answer. A network may be away for more than a minute.
_PROBES = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 5))


class Presence:
    """Looks whether a client is still there that is not read from.

    :param transport: the client's.
    :param clock: for a timer.
    :param looks: how many looks a client has that sent all and then closed a UNIX socket.
    """

    __slots__ = (
        "_clock",
        "_ended",
        "_last_looks",
        "_looks",
        "_paused",
        "_probed",
        "_timer",
        "_transport",
    )

    def __init__(self, transport: Any, clock: IReactorTime, looks: int = 1) -> None:
        self._transport = transport
        self._clock = clock
        self._looks = looks
        self._paused = False
        self._ended = False
        self._probed = False
        self._last_looks = 0
        self._timer: IDelayedCall | None = None

    def pause(self) -> None:
        """It is not read from for now: what it sent waits."""
        self._paused = True
        self._watch()

    def resume(self) -> None:
        """It is read from again. Cheap, as is :meth:`pause`: the timer goes on."""
        self._paused = False

    def end(self) -> None:
        """It has ended what it sends, and may wait for an answer."""
        self._ended = True
        self._watch()

    def stop(self) -> None:
        """The connection has ended."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _watch(self) -> None:
        if self._timer is None:
            self._timer = self._clock.callLater(LOOK, self._look)

    def _look(self) -> None:
        self._timer = None
        connection = IConnection(self._transport, None)
        if not (self._paused or self._ended) or connection is None:
            return
        sock = connection.socket()
        if sock is None:
            return
        events = _events(sock)
        # a hang-up alone: both directions have ended, or a UNIX socket was closed
        if events & select.POLLERR:
            looks = 1
        else:
            looks = max(self._looks, _LAST_LOOKS if self._paused else 1)
        self._last_looks = self._last_looks + 1 if events else 0
        if self._last_looks >= looks:
            connection.cut(End.LOST)
            return
        if not self._probed:
            self._probed = True
            _probe(sock)
        self._watch()


def _probe(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # an endpoint's may not have it
    for name, value in _PROBES:
        option = getattr(socket, name, None)
        if option is not None:
            with contextlib.suppress(OSError):  # a UNIX socket, whose end is always seen
                sock.setsockopt(socket.IPPROTO_TCP, option, value)


def _events(sock: socket.socket) -> int:
    """POLLERR and POLLHUP, where they are; some reactors do not look while they do not read."""
    poll = select.poll()
    poll.register(sock, 0)
    return sum(event for _, event in poll.poll(0)) & (select.POLLERR | select.POLLHUP)
