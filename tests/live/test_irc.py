"""The IRC door of the real daemon."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Callable

import pytest
from running import Daemon, receive_all, receive_until

from tcpd.policy.passwords import hash_password

pytestmark = pytest.mark.live

CONFIG = f"""
[tls:main]
certificate = localhost.pem
key = localhost-key.pem
[service:irc]
protocol = irc
password = {hash_password("sesame")}
sts = 1d
listen =
  127.0.0.1:0
  127.0.0.1:0 tls=main
"""


def register(client: socket.socket, password: str) -> None:
    client.sendall(f"CAP LS 302\r\nPASS {password}\r\nNICK ann\r\nUSER a 0 * :A\r\n".encode())


def test_nothing_overtakes_a_password(start: Callable[[str], Daemon]) -> None:
    """A thread checks it; then comes the burst, then the answer to what was sent behind it."""
    daemon = start(CONFIG)
    client = daemon.connect_tls("irc")
    with client:
        register(client, "sesame")
        capabilities = receive_until(client, b"\r\n")
        assert b" sts=duration=86400\r\n" in capabilities
        client.sendall(b"CAP END\r\nPING token\r\n")
        told = receive_until(client, b" :token\r\n").decode().split("\r\n")
        assert re.search(r" 001 ann :Welcome to the tcpd Network, ann!~a@", told[0])
    hashed = CONFIG.partition("password = ")[2].partition("\n")[0]
    assert not [line for line in daemon.log if hashed in line or "sesame" in line]


def test_a_wrong_password_is_the_end(start: Callable[[str], Daemon]) -> None:
    daemon = start(CONFIG)
    with daemon.connect("irc") as client:
        register(client, "wrong")
        client.sendall(b"CAP END\r\n")
        told = receive_all(client).decode()
        port = daemon.ports["irc", "tls=main"]
        assert f" sts=port={port}\r\n" in told
        assert " 464 ann :Password incorrect\r\n" in told
        assert told.endswith("ERROR :Closing Link: ann (wrong password)\r\n")


def test_the_others_read_how_a_connection_ended(start: Callable[[str], Daemon]) -> None:
    """'EOF without QUIT ...: say what happened (connection closed, read error, ping timeout).'"""
    daemon = start(CONFIG.replace("password = ", "#"))
    with daemon.connect("irc") as bob:
        bob.sendall(b"NICK bob\r\nUSER b 0 * :B\r\nJOIN #tea\r\n")
        receive_until(bob, b":End of /NAMES list\r\n")
        for end, said in (
            (lambda ann: ann.shutdown(socket.SHUT_WR), "Connection closed"),
            (lambda ann: ann.close(), "Connection closed"),
            (reset, "Read error: Connection reset by peer"),
            (lambda ann: ann.sendall(b"QUIT :bye\r\n"), "Quit: bye"),
        ):
            with daemon.connect("irc") as ann:
                ann.sendall(b"NICK ann\r\nUSER a 0 * :A\r\nJOIN #tea\r\n")
                receive_until(ann, b":End of /NAMES list\r\n")
                receive_until(bob, b" JOIN #tea\r\n")
                end(ann)
                told = receive_until(bob, b"\r\n").decode()
                assert told.endswith(f" QUIT :{said}\r\n")


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
