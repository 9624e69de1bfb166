"""Ends that need an answer of the client's, while what it has sent before waits to be read."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable

import pytest
from running import PATIENCE, Daemon

from tcpd.lines.single import LINES_A_TURN

pytestmark = [pytest.mark.live, pytest.mark.reactor]

CONFIG = """
[policy:default]
linger = 10min
[tls:main]
certificate = localhost.pem
key = localhost-key.pem
""" + "".join(
    f"[service:{name}]\nprotocol = {name}\nrate = none\nlisten =\n  127.0.0.1:0 tls=main\n"
    for name in ("chat", "irc")
)

#: More lines than are taken in a turn of the reactor, so that reading is paused.
MANY = 2 * LINES_A_TURN

SAID = {
    "chat": b"ann\n" + b"hello\n" * MANY + b"/quit\n" + b"hello\n" * MANY,
    "irc": b"NICK ann\r\nUSER a 0 * :A\r\n" + b"PING x\r\n" * MANY + b"QUIT\r\n" * MANY,
}


@pytest.mark.parametrize("service", list(SAID))
def test_who_quits_before_the_last_line_is_gone(
    start: Callable[[str], Daemon], service: str
) -> None:
    """The lines behind QUIT are not taken, so that reading is paused; the client's close_notify and
    its end are read all the same, and the connection does not stay until ``linger`` is over."""
    daemon = start(CONFIG)
    with daemon.connect_tls(service) as client:
        client.sendall(SAID[service])
        while client.recv(65536):
            pass
        socket.socket.shutdown(client, socket.SHUT_WR)
        end = time.monotonic() + PATIENCE
        while left := connections(daemon, service):
            assert time.monotonic() < end, left


def connections(daemon: Daemon, service: str) -> list[object]:
    rows = json.loads(daemon.ctl("connections", "--json").stdout)["connections"]
    return [row for row in rows if row["service"] == service]
