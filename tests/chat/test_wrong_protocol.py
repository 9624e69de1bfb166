"""Clients that speak another protocol: HTTP or TLS at a chat port, IRC at the text port, text at
the IRC port."""

from __future__ import annotations

from typing import Any

import pytest
from chat.doubles import ConnectionTransport
from chat.irc_chat import IrcChat
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from tcpd.net.directory import ServiceEntry
from tcpd.policy.reasons import Refusal

BROWSER = (
    b"POST /?x HTTP/1.1\r\nHost: 127.0.0.1:7667\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n"
    b"Content-Type: text/plain;charset=UTF-8\r\nOrigin: https://page.example\r\n"
    b"Content-Length: 100\r\n\r\n"
)
IRC = b"NICK eve\r\nUSER eve 0 * :Eve\r\nJOIN #lobby\r\nPRIVMSG #lobby :spam\r\n"
TEXT = b"eve\r\nspam\r\n/quit\r\n"
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n"


@pytest.mark.parametrize("before", [b"", b"\r\n", b" \t", b"\n\r"])
@pytest.mark.parametrize(
    ("opening", "why", "words"),
    [
        (BROWSER, Refusal.HTTP, "HTTP is not spoken here"),
        (BROWSER.replace(b"POST", b"NICK"), Refusal.HTTP, "HTTP is not spoken here"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Refusal.HTTP, "HTTP is not spoken here"),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n", Refusal.HTTP, "HTTP is not spoken here"),
        (HELLO, Refusal.TLS, "TLS is not spoken on this port"),
    ],
)
@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("protocol", ["irc", "text"])
def test_http_or_tls_closes_the_connection(
    protocol: str, cut: bool, opening: bytes, why: Refusal, words: str, before: bytes
) -> None:
    """docs/explanation/attacks.rst, WebSocket: the connection is closed before any line is
    executed."""
    if why is Refusal.TLS:
        before = b""  # a TLS record begins with nothing else
    chat = IrcChat()
    ann = chat.text_client("ann")
    ann.screen()
    transport = ConnectionTransport()
    client: Any = (chat.irc if protocol == "irc" else chat.factory).buildProtocol(None)
    client.makeConnection(transport)
    stream = before + opening + (IRC if protocol == "irc" else TEXT)
    for piece in [bytes([byte]) for byte in stream] if cut else [stream]:
        client.dataReceived(piece)
    chat.clock.advance(0)
    received = transport.value().decode().split("\r\n")
    assert received[-2] == (f"ERROR :Closing Link: {words}" if protocol == "irc" else f"! {words}")
    assert transport.disconnecting
    assert transport.refusals == [why]
    assert chat.hub.person("eve") is None
    assert chat.irc.server.unregistered == 0
    assert ann.screen() == []
    client.connectionLost(Failure(ConnectionDone()))
    chat.clock.advance(0)
    assert not chat.clock.getDelayedCalls()


@pytest.mark.parametrize("line", ["GET", "post", "Options", "CONNECT irc.example.net 6667"])
def test_http_method_before_registration_closes_the_connection(line: str) -> None:
    client = IrcChat().irc_client()
    assert client.send(line) == ["ERROR :Closing Link: HTTP is not spoken here"]
    assert client.closed


def test_http_method_after_registration_is_an_ordinary_line() -> None:
    ann = IrcChat().irc_client("ann")
    assert ann.numerics("POST / HTTP/1.1") == ["421"]
    zoe = IrcChat().text_client("zoe")
    assert zoe.type("POST / HTTP/1.1", "get") == []


def test_nickname_like_a_method_in_another_case() -> None:
    chat = IrcChat()
    assert chat.text_client().type("Patch")[-1] == "  In #lobby (1): Patch"


# --- clients at the wrong port ---


def services(*pairs: tuple[str, tuple[str, ...]]) -> list[ServiceEntry]:
    return [ServiceEntry(protocol, protocol, "", listeners) for protocol, listeners in pairs]


@pytest.mark.parametrize(
    "first",
    [
        "CAP LS 302",
        "cap ls",
        "PASS secret",
        "NICK ann",
        "NICK :ann",
        "USER ann 0 * :Ann",
        "user ann a b :Ann",
        ":ann NICK ann",
        "@label=1 CAP LS 302",
        "STARTTLS",
        "WEBIRC secret gateway host 192.0.2.1",
        "SERVER irc.example.net 1 :Server",
    ],
)
@pytest.mark.parametrize(
    ("listeners", "where"),
    [
        (("*:6667", "*:6697 tls=main"), "IRC is at port 6667, and with TLS at port 6697"),
        (("*:6667",), "IRC is at port 6667"),
        (("*:6697 tls=main",), "IRC is at port 6697, with TLS"),
        ((), "this server has no port for IRC"),
    ],
)
def test_irc_client_at_the_text_port_is_sent_the_irc_port(
    first: str, listeners: tuple[str, ...], where: str
) -> None:
    """docs/reference/chat.rst, On the wire: the ERROR message names the port of IRC."""
    chat = IrcChat()
    chat.context.services = services(("echo", ("*:7",)), ("irc", listeners))
    client = chat.text_client()
    client.screen()
    assert client.type(first) == [
        f"ERROR :Closing Link: this port takes plain lines, not IRC; {where}"
    ]
    assert client.transport.disconnecting


@pytest.mark.parametrize("nick", ["cap", "user", "NICK", "Pass", "server", "nickname"])
def test_nicknames_like_irc_commands_are_accepted(nick: str) -> None:
    client = IrcChat().text_client()
    client.screen()
    assert client.type(nick)[0].startswith(f"Hello {nick}.")


def test_text_at_the_irc_port_is_answered_with_the_text_port() -> None:
    chat = IrcChat()
    chat.context.services = services(("chat", ("*:7200",)))
    client = chat.irc_client()
    notice = (
        ":chat.example.net NOTICE * :This port is for IRC clients; with nc or telnet, use port 7200"
    )
    assert notice in client.send("hello")
    assert notice not in client.send("", "PING x", "NICK ann", "HELLO")
    chat.context.services = []
    assert len(chat.irc_client().send("hello")) == 1


@pytest.mark.parametrize(
    "opening", ["STARTTLS", "AUTHENTICATE PLAIN", "PROTOCTL NAMESX", "SERVER a"]
)
def test_irc_command_at_the_irc_port_gets_no_hint(opening: str) -> None:
    """IRC programs send such commands before they register: ERR_NOTREGISTERED only."""
    chat = IrcChat()
    chat.context.services = services(("chat", ("*:7200",)))
    received = chat.irc_client().send(opening)
    assert received == [":chat.example.net 451 * :You have not registered"]
