"""Operators and gateways of IRC, at the real daemon: passwords in threads, reloads, bans."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
from running import Daemon, receive_all, receive_until

from tcpd.policy.passwords import hash_password

pytestmark = pytest.mark.live

CONFIG = f"""
[service:irc]
protocol = irc
operators = root {hash_password("open sesame")}
webirc = 127.0.0.1 {hash_password("gate")}
listen =
  127.0.0.1:0
"""


def register(client: socket.socket, nick: str, before: str = "") -> None:
    client.sendall(f"{before}NICK {nick}\r\nUSER {nick} 0 * :x\r\n".encode())
    receive_until(client, b" :MOTD File is missing\r\n")


def test_an_operator_reloads_and_puts_somebody_out(start: Callable[[str], Daemon]) -> None:
    daemon = start(CONFIG)
    with daemon.connect("irc") as ann, daemon.connect("irc") as bob:
        register(ann, "ann")
        register(bob, "bob")
        ann.sendall(b"OPER root wrong\r\n")
        receive_until(ann, b" 464 ann :Password incorrect\r\n")
        ann.sendall(b"OPER root :open sesame\r\n")
        receive_until(ann, b" 381 ann :You are now an IRC operator\r\n")
        text = CONFIG.replace("protocol = irc\n", "protocol = irc\nnetwork = Teanet\n")
        (daemon.directory / "tcpd.ini").write_text(text)
        ann.sendall(b"REHASH\r\n")
        told = receive_until(ann, b"swapped\r\n")
        assert b" 382 ann tcpd.ini :Rehashing\r\n" in told
        assert told.endswith(b" NOTICE ann :Reloaded: service irc: network swapped\r\n")
        # the conversation goes on, under the new name
        ann.sendall(b"LINKS\r\nKILL bob :enough\r\n")
        assert b" :0 Teanet\r\n" in receive_until(ann, b" :End of /LINKS list\r\n")
        assert receive_all(bob).endswith(b"ERROR :Closing Link: bob (Killed (ann (enough)))\r\n")
    # the log is read by a thread of its own
    daemon.wait_for(lambda line: "KILL" in line)
    refused, granted, *others = (
        line for line in daemon.log if "is not operator" in line or "operator ann" in line
    )
    assert refused.endswith(
        "service irc: 127.0.0.1 is not operator root: the name or the password is wrong"
    )
    assert granted.endswith("operator ann at 127.0.0.1 by irc: OPER root")
    assert [line.rpartition(": ")[2] for line in others] == ["REHASH", "KILL bob enough"]
    assert not any("sesame" in line for line in daemon.log)


def test_bans_reach_those_behind_a_gateway(start: Callable[[str], Daemon]) -> None:
    """An operator bans the client, and the gateway serves others on."""
    daemon = start(CONFIG)
    with daemon.connect("irc") as ann, daemon.connect("irc") as bob:
        register(ann, "ann", "WEBIRC gate gw host 192.0.2.1\r\n")
        register(bob, "bob", "WEBIRC gate gw host 198.51.100.7\r\n")
        listed = daemon.ctl("connections").stdout
        assert "192.0.2.1:0" in listed
        assert "198.51.100.7:0" in listed
        assert daemon.ctl("ban", "192.0.2.0/24").stdout.startswith("192.0.2.0/24 is banned")
        assert b"ERROR :Closing Link: ann (" in receive_all(ann)
        bob.sendall(b"PING x\r\n")
        receive_until(bob, b" :x\r\n")
        with daemon.connect("irc") as again:
            again.sendall(b"WEBIRC gate gw host 192.0.2.9\r\nNICK ann\r\nUSER ann 0 * :x\r\n")
            assert b"ERROR :Closing Link: ann (" in receive_all(again)
