"""Detects that a client is gone while it is not read from.

A close checks like a half-close (RFC 9293 section 3.6) until something is sent to the client; while
reading is paused, not even the FIN is noticed. But some time after a close the client's kernel has
dropped the connection, and replies to keepalive probes (RFC 1122 section 4.2.3.6) with a reset. On
Linux that takes a minute (tcp_fin_timeout in tcp(7)), or four if data was unacknowledged.
"""

from __future__ import annotations

import contextlib
import select
import socket
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from tcpd.interfaces import IConnection
from tcpd.policy.reasons import End

#: Seconds between two checks.
CHECK = 5.0

#: Checks of a paused client that has closed, until its pending data is dropped: 15 seconds, the
#: time that one side may take to close after the other is lost.
_LAST_CHECKS = 3

#: Keepalive: seconds of silence before the first probe, seconds between probes, and unanswered
#: probes until the connection is lost. A connection survives a network outage of a minute.
_PROBES = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 5))


class PeerMonitor:
    """Checks whether a client is still connected while it is not read from.

    :param transport: the transport of the client.
    :param clock: for a timer.
    :param checks: number of checks until a client that closed a UNIX socket is cut.
    """

    __slots__ = (
        "_checks",
        "_clock",
        "_ended",
        "_last_checks",
        "_paused",
        "_probed",
        "_timer",
        "_transport",
    )

    def __init__(self, transport: Any, clock: IReactorTime, checks: int = 1) -> None:
        self._transport = transport
        self._clock = clock
        self._checks = checks
        self._paused = False
        self._ended = False
        self._probed = False
        self._last_checks = 0
        self._timer: IDelayedCall | None = None

    def pause(self) -> None:
        """Reading from the client is paused."""
        self._paused = True
        self._watch()

    def resume(self) -> None:
        """Reading is resumed. Cheap, like :meth:`pause`: the timer keeps running."""
        self._paused = False

    def end(self) -> None:
        """The client half-closed; it may still read."""
        self._ended = True
        self._watch()

    def stop(self) -> None:
        """The connection is closed: stop the timer."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _watch(self) -> None:
        if self._timer is None:
            self._timer = self._clock.callLater(CHECK, self._check)

    def _check(self) -> None:
        self._timer = None
        connection = IConnection(self._transport, None)
        if not (self._paused or self._ended) or connection is None:
            return
        sock = connection.socket()
        if sock is None:
            return
        events = poll_events(sock)
        # POLLHUP without POLLERR: both directions are closed, or a UNIX socket is
        if events & select.POLLERR:
            checks = 1
        else:
            checks = max(self._checks, _LAST_CHECKS if self._paused else 1)
        self._last_checks = self._last_checks + 1 if events else 0
        if self._last_checks >= checks:
            connection.abort(End.LOST)
            return
        if not self._probed:
            self._probed = True
            _probe(sock)
        self._watch()


def _probe(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # not set on endpoint: listeners
    for name, value in _PROBES:
        option = getattr(socket, name, None)
        if option is not None:
            with contextlib.suppress(OSError):  # a UNIX socket, whose close is always reported
                sock.setsockopt(socket.IPPROTO_TCP, option, value)


def poll_events(sock: socket.socket) -> int:
    """Poll for POLLERR and POLLHUP; some reactors do not while reading is paused."""
    poll = select.poll()
    poll.register(sock, 0)
    return sum(event for _, event in poll.poll(0)) & (select.POLLERR | select.POLLHUP)
