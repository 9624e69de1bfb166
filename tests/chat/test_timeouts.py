"""Timeouts exclude the time in which the server does not read from the client."""

from __future__ import annotations

from typing import Any

import pytest
from chat.irc_chat import IrcChat, cheap_password, command, pending_checks
from chat.text_chat import TextChat

from tcpd.config.values import Rate
from tcpd.interfaces import IBusy


def pass_time(chat: Any, seconds: float, step: float = 0.25) -> None:
    for _ in range(round(seconds / step)):
        chat.clock.advance(step)


# --- ping timeout ---


def test_throttled_lines_are_no_idle_time() -> None:
    """The fault: with ping = 4s, a client that sent 120 lines and then PONG was disconnected."""
    chat = IrcChat(ping=4.0, rate=Rate(5.0, 40.0))
    chat.irc.doStart()
    bob = chat.irc_client("bob", joined="#tea")
    ann = chat.irc_client("ann", joined="#tea")
    bob.lines()
    ann.protocol.dataReceived(
        b"".join(b"PRIVMSG #tea :%d\r\n" % number for number in range(120)) + b"PONG :x\r\n"
    )
    delivered: list[str] = []
    for _ in range(20):
        pass_time(chat, 1)
        delivered += [line for line in bob.lines() if command(line) == "PRIVMSG"]
        bob.send("PONG x")
    assert len(delivered) == 120
    assert not ann.closed
    assert IBusy.providedBy(ann.protocol)
    assert not ann.protocol.busy


def test_full_ping_timeout_follows_throttled_lines() -> None:
    chat = IrcChat(ping=4.0, rate=Rate(1.0, 4.0))
    chat.irc.doStart()
    ann = chat.irc_client("ann")
    ann.protocol.dataReceived(b"PING x\r\n" * 24)
    assert ann.protocol.busy
    while ann.protocol.busy:
        pass_time(chat, 0.25)
    ann.lines()
    pass_time(chat, 3.75)
    assert ann.lines() == []
    pass_time(chat, 2)
    assert [command(line) for line in ann.lines()] == ["PING"]
    pass_time(chat, 2)
    assert not ann.closed
    pass_time(chat, 2)
    assert ann.closed


def test_pong_behind_unread_output_is_awaited() -> None:
    """The server does not read from a client that does not read, so its PONG waits in the
    kernel."""
    chat = IrcChat(ping=4.0)
    chat.irc.doStart()
    ann = chat.irc_client("ann")
    pass_time(chat, 7.75)
    assert [command(line) for line in ann.lines()] == ["PING"]
    ann.protocol.pauseProducing()
    pass_time(chat, 10)
    ann.protocol.resumeProducing()
    chat.clock.advance(0.25)  # the check runs before the socket is read
    assert not ann.closed
    ann.protocol.dataReceived(b"PONG :x\r\n")
    pass_time(chat, 3.75)
    assert not ann.closed


# --- registration and nickname timeouts ---


@pytest.mark.parametrize("late", [False, True])
def test_throttled_registration_does_not_time_out(late: bool) -> None:
    chat = IrcChat(ping=0.0, register_timeout=5.0, rate=Rate(1.0, 1.0))
    client = chat.irc_client()
    end = b"" if late else b"NICK ann\r\nUSER ann 0 * :Ann\r\n"
    client.protocol.dataReceived(b"CAP LS 302\r\n" + b"PING x\r\n" * 9 + b"CAP END\r\n" + end)
    while client.protocol.busy:
        pass_time(chat, 0.25)
        assert not client.closed
    received = client.lines()
    if not late:
        assert "001" in [command(line) for line in received]
        return
    pass_time(chat, 4.5)
    assert not client.closed, "throttled time is not counted"
    pass_time(chat, 1)
    assert client.lines() == ["ERROR :Closing Link: * (you did not register in time)"]


def test_registration_timeout_of_a_client_that_is_read() -> None:
    chat = IrcChat(ping=0.0, register_timeout=5.0)
    client = chat.irc_client()
    client.send("NICK ann")
    chat.clock.advance(4.9)
    assert not client.closed
    chat.clock.advance(0.2)
    assert client.closed


def test_throttled_nickname_does_not_time_out() -> None:
    chat = TextChat(nick_timeout=3.0, rate=Rate(0.5, 1.0))
    ann = chat.text_client()
    ann.send(b"1\n2\n3\nann\n")
    pass_time(chat, 7)
    assert any(line.startswith("Hello ann.") for line in ann.screen())
    assert chat.hub.person("ann") is not None


def test_nickname_timeout_follows_throttled_lines() -> None:
    chat = TextChat(nick_timeout=3.0, rate=Rate(0.5, 1.0))
    ann = chat.text_client()
    ann.send(b"1\n2\n3\n")
    pass_time(chat, 12)
    assert ann.screen()[-1] == "! you did not say who you are in time"


def test_password_check_does_not_time_out() -> None:
    checks: list[Any] = []
    chat = IrcChat(ping=0.0, register_timeout=2.0, password=cheap_password())
    chat.irc.server.passwords = pending_checks(chat, checks)
    client = chat.irc_client()
    client.send("PASS sesame", "NICK ann", "USER ann 0 * :Ann")
    pass_time(chat, 10)
    assert not client.closed
    [(work, done)] = checks
    done(work())
    assert "001" in [command(line) for line in client.lines()]
    pass_time(chat, 10)
    assert not client.closed


def test_no_timer_remains() -> None:
    chat = IrcChat(ping=0.0, register_timeout=5.0, rate=Rate(1.0, 1.0))
    client = chat.irc_client()
    client.protocol.dataReceived(b"PING x\r\n" * 20)
    pass_time(chat, 7)
    client.lose()
    chat.clock.advance(0)
    assert not chat.clock.getDelayedCalls()
