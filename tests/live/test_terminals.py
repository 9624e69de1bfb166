"""People at terminals: telnet, and nc on a terminal that sends each key as it is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from running import Daemon, receive_all, receive_until
from terminal import Screen, has

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux"),
]

CONFIG = """
[service:chat]
protocol = chat
listen =
  127.0.0.1:0
[service:irc]
protocol = irc
listen =
  127.0.0.1:0
"""


@pytest.mark.parametrize("command", ["telnet 127.0.0.1 {}", "stty raw; nc 127.0.0.1 {}; stty sane"])
def test_a_person_at_a_terminal(
    start: Callable[[str], Daemon], tmp_path: Path, command: str
) -> None:
    """'Ctrl-D and backspace from character-mode telnet work or are ignored.'"""
    daemon = start(CONFIG)
    with daemon.connect("chat") as bob:
        bob.sendall(b"bob\n")
        receive_until(bob, b"(1): bob\r\n")
        screen = Screen(tmp_path, command.format(daemon.ports["chat", ""]))
        try:
            screen.shows(has("press Enter"))
            screen.type("anm")
            screen.keys("BSpace")
            screen.type("n")
            screen.keys("Enter")
            receive_until(bob, b"* ann joined #lobby\r\n")
            screen.type("heloo")
            screen.keys("BSpace", "BSpace", "Up")
            screen.type("lo")
            screen.keys("Enter")
            assert receive_until(bob, b"\r\n") == b"#lobby <ann> hello\r\n"
            screen.keys("C-d", "Enter")
            screen.shows(has("Goodbye."))
            assert receive_until(bob, b"\r\n") == b"* ann left the chat\r\n"
        finally:
            screen.close()


def test_clients_at_each_others_ports(start: Callable[[str], Daemon]) -> None:
    daemon = start(CONFIG)
    chat, irc = daemon.ports["chat", ""], daemon.ports["irc", ""]
    with daemon.connect("chat") as client:
        client.sendall(b"CAP LS 302\r\nNICK ann\r\nUSER ann 0 * :Ann\r\n")
        sentence = b"this port takes plain lines, not IRC; IRC is at port %d" % irc
        assert receive_all(client).endswith(b"\r\nERROR :Closing Link: %s\r\n" % sentence)
    with daemon.connect("irc") as client:
        client.sendall(b"hello\n")
        receive_until(client, b"with nc or telnet, use port %d\r\n" % chat)
