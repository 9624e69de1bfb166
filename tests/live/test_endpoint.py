"""``endpoint:`` listeners, on Twisted's transports: ends of streams are those of tcpd's transport.

``test_transport.py`` compares the order of events; ``tests/net/test_layer.py`` has the rest.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from OpenSSL import SSL
from running import PATIENCE, Daemon, receive_all
from streams import MUCH, SETTINGS, AcceptedFarSide, TlsEnd, ending, reset

pytestmark = [
    pytest.mark.live,
    pytest.mark.reactor,
    pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs Linux's /proc"),
]

#: The state of a listening socket in /proc/net/tcp (include/net/tcp_states.h).
_LISTEN = "0A"


def forward(port: int, words: str = "") -> str:
    listen = f"endpoint:tcp:0:interface=127.0.0.1 {words}".strip()
    return f"[service:mail]\nprotocol = forward\nto = 127.0.0.1:{port}\nlisten = {listen}\n"


def connect(daemon: Daemon) -> socket.socket:
    """Connect to the only TCP port of a daemon, whose log does not contain its number."""
    daemon.wait_for(lambda line: "listening on endpoint:" in line)
    process = Path(f"/proc/{daemon.process.pid}")
    own = set()
    for each in (process / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            own.add(os.readlink(each))
    rows = [row.split() for row in (process / "net/tcp").read_text().splitlines()[1:]]
    (port,) = (
        int(row[1].partition(":")[2], 16)
        for row in rows
        if row[3] == _LISTEN and f"socket:[{row[9]}]" in own
    )
    return socket.create_connection(("127.0.0.1", port), PATIENCE)


def test_reset_of_the_far_side_resets_the_client(start: Callable[[str], Daemon]) -> None:
    """Truncation is never a clean close."""
    far = AcceptedFarSide(None)
    daemon = start(SETTINGS + forward(far.port))
    for count in (1, 65_536, 1_000_000):
        with connect(daemon) as client:
            server = far.accept()

            def serve(server: socket.socket = server, count: int = count) -> None:
                server.sendall(bytes(count))
                reset(server)

            thread = threading.Thread(target=serve)
            thread.start()
            received, how = ending(client)
            thread.join(PATIENCE)
            assert (count, how) == (count, "cut")
            assert received == bytes(len(received))
    far.close()


@pytest.mark.parametrize("order", [("client", "far"), ("far", "client")])
def test_each_direction_of_tls_closes_separately(
    start: Callable[[str], Daemon], order: tuple[str, str]
) -> None:
    """RFC 8446 section 6.1: "This does not have any effect on its read side." """
    far = AcceptedFarSide(None)
    daemon = start(SETTINGS + forward(far.port, "tls=main"))
    client = TlsEnd(connect(daemon), SSL.Context(SSL.TLS_CLIENT_METHOD), server=False)
    with far.accept() as server:

        def client_sends() -> None:
            client.send(bytes(MUCH))
            client.end()

        def far_sends() -> None:
            server.sendall(bytes(MUCH))
            server.shutdown(socket.SHUT_WR)

        ways: dict[str, tuple[Callable[[], None], Callable[[], bytes]]] = {
            "client": (client_sends, lambda: receive_all(server)),
            "far": (far_sends, client.receive_all),
        }
        for side in order:
            send, receive = ways[side]
            thread = threading.Thread(target=send)
            thread.start()
            assert receive() == bytes(MUCH)
            thread.join(PATIENCE)
    client.close()
    far.close()
