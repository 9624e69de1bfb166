"""Close of a TLS connection while input of the client is unread."""

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

#: More lines than one turn of the reactor takes, so that reading is paused.
MANY = 2 * LINES_A_TURN

SENT = {
    "chat": b"ann\n" + b"hello\n" * MANY + b"/quit\n" + b"hello\n" * MANY,
    "irc": b"NICK ann\r\nUSER a 0 * :A\r\n" + b"PING x\r\n" * MANY + b"QUIT\r\n" * MANY,
}


@pytest.mark.parametrize("service", list(SENT))
def test_quit_before_unread_lines_closes_the_connection(
    start: Callable[[str], Daemon], service: str
) -> None:
    """Reading is paused, since lines after QUIT are not taken. The server reads the client's
    close_notify and EOF all the same, before ``linger`` is over."""
    daemon = start(CONFIG)
    with daemon.connect_tls(service) as client:
        client.sendall(SENT[service])
        while client.recv(65536):
            pass
        socket.socket.shutdown(client, socket.SHUT_WR)
        end = time.monotonic() + PATIENCE
        while left := connections(daemon, service):
            assert time.monotonic() < end, left


def connections(daemon: Daemon, service: str) -> list[object]:
    rows = json.loads(daemon.ctl("connections", "--json").stdout)["connections"]
    return [row for row in rows if row["service"] == service]
