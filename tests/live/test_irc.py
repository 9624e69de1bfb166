"""IRC frontend of a live daemon."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable

import pytest
from running import Daemon, receive_all, receive_until
from streams import reset

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


def test_password_check_delays_later_commands(start: Callable[[str], Daemon]) -> None:
    """A thread checks the password; the replies to later commands follow the welcome burst."""
    daemon = start(CONFIG)
    client = daemon.connect_tls("irc")
    with client:
        register(client, "sesame")
        capabilities = receive_until(client, b"\r\n")
        assert b" sts=duration=86400\r\n" in capabilities
        client.sendall(b"CAP END\r\nPING token\r\n")
        lines = receive_until(client, b" :token\r\n").decode().split("\r\n")
        assert re.search(r" 001 ann :Welcome to the tcpd Network, ann!~a@", lines[0])
    hashed = CONFIG.partition("password = ")[2].partition("\n")[0]
    assert not [line for line in daemon.log if hashed in line or "sesame" in line]


def test_wrong_password_closes_the_connection(start: Callable[[str], Daemon]) -> None:
    daemon = start(CONFIG)
    with daemon.connect("irc") as client:
        register(client, "wrong")
        client.sendall(b"CAP END\r\n")
        received = receive_all(client).decode()
        port = daemon.ports["irc", "tls=main"]
        assert f" sts=port={port}\r\n" in received
        assert " 464 ann :Password incorrect\r\n" in received
        assert received.endswith("ERROR :Closing Link: ann (wrong password)\r\n")


def test_quit_message_names_the_reason_of_the_end(start: Callable[[str], Daemon]) -> None:
    """'EOF without QUIT ...: say what happened (connection closed, read error, ping timeout).'"""
    daemon = start(CONFIG.replace("password = ", "#"))
    with daemon.connect("irc") as bob:
        bob.sendall(b"NICK bob\r\nUSER b 0 * :B\r\nJOIN #tea\r\n")
        receive_until(bob, b":End of /NAMES list\r\n")
        for end, reason in (
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
                received = receive_until(bob, b"\r\n").decode()
                assert received.endswith(f" QUIT :{reason}\r\n")
