"""Resets that wait until the peer has acknowledged all data."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.task import Clock

from tcpd.net.delayed_reset import reset_when_acknowledged, unacknowledged, when_acknowledged

Ends = tuple[socket.socket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    """A TCP connection, one end of which has a small receive buffer."""
    with socket.create_server(("127.0.0.1", 0)) as port:
        port.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        ours = socket.create_connection(port.getsockname())
        theirs, _ = port.accept()
    ours.setblocking(False)
    theirs.settimeout(30)
    with ours, theirs:
        yield ours, theirs


def fill(sock: socket.socket) -> int:
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            sent += sock.send(bytes(65536))
    return sent


def test_reset_waits_for_unacknowledged_data(ends: Ends) -> None:
    """SIOCOUTQ, tcp(7): "the amount of unsent data in the socket send queue" """
    ours, theirs = ends
    clock = Clock()
    called: list[int] = []
    left = fill(ours)
    assert unacknowledged(ours) > 0
    when_acknowledged(clock, ours, lambda: called.append(left))
    clock.pump([0.25] * 100)
    assert not called
    while left:
        left -= len(theirs.recv(65536))
        clock.advance(0.25)
    while not called:  # the last acknowledgment may be in flight
        clock.advance(0.25)
    assert called == [0]
    assert not clock.getDelayedCalls()


def test_call_is_immediate_when_all_is_acknowledged() -> None:
    ours, theirs = socket.socketpair()
    called: list[bool] = []
    with ours, theirs:
        when_acknowledged(Clock(), ours, lambda: called.append(True))
    assert called == [True]


def test_closed_socket_cancels_the_call(ends: Ends) -> None:
    ours, _ = ends
    clock = Clock()
    called: list[bool] = []
    fill(ours)
    when_acknowledged(clock, ours, lambda: called.append(True))
    ours.close()
    clock.advance(0.25)
    assert not called
    assert not clock.getDelayedCalls()


def test_transport_without_socket_is_reset_at_once() -> None:
    class Transport:
        aborted = False

        def abortConnection(self) -> None:
            self.aborted = True

    transport: Any = Transport()
    reset_when_acknowledged(transport, Clock())
    assert transport.aborted
