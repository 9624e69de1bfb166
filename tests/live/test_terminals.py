"""Terminals as clients: telnet, and nc on a terminal in raw mode."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from running import Daemon, receive_all, receive_until
from terminal import Screen, has

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
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
def test_editing_keys_of_a_terminal(
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


def test_client_of_the_other_protocol_gets_the_right_port(start: Callable[[str], Daemon]) -> None:
    daemon = start(CONFIG)
    chat, irc = daemon.ports["chat", ""], daemon.ports["irc", ""]
    with daemon.connect("chat") as client:
        client.sendall(b"CAP LS 302\r\nNICK ann\r\nUSER ann 0 * :Ann\r\n")
        sentence = b"this port takes plain lines, not IRC; IRC is at port %d" % irc
        assert receive_all(client).endswith(b"\r\nERROR :Closing Link: %s\r\n" % sentence)
    with daemon.connect("irc") as client:
        client.sendall(b"hello\n")
        receive_until(client, b"with nc or telnet, use port %d\r\n" % chat)


def test_formatting_from_irc_is_removed_in_text(start: Callable[[str], Daemon]) -> None:
    """'IRC's colours, bold and CTCP are shown as clean text, not as replacement characters.'"""
    daemon = start(CONFIG)
    with daemon.connect("chat") as ann, daemon.connect("irc") as bob:
        ann.sendall(b"ann\n")
        receive_until(ann, b"(1): ann\r\n")
        bob.sendall(b"NICK bob\r\nUSER b 0 * :B\r\nJOIN #lobby\r\n")
        receive_until(ann, b"* bob joined #lobby\r\n")
        for sent, shown in (
            (b"\x02bold\x02 \x0304,12red\x03 \x1f\x1dboth\x0f", b"<bob> bold red both"),
            (b"\x01ACTION \x02waves\x02\x01", b"* bob waves"),
            (b"\x01VERSION\x01", b"* bob sent a CTCP request: VERSION"),
            (b"\x1b[2Jescape", b"<bob> \xef\xbf\xbd[2Jescape"),
        ):
            bob.sendall(b"PRIVMSG #lobby :%s\r\n" % sent)
            assert receive_until(ann, b"\r\n") == b"#lobby %s\r\n" % shown
