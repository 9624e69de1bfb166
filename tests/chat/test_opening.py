"""A browser that a web page has talk to a chat port is sent away before anything of it acts."""

from __future__ import annotations

from typing import Any

import pytest
from chat.irc_chat import IrcChat
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from tcpd.interfaces import IConnection
from tcpd.policy.reasons import Refusal

BROWSER = (
    b"POST /?x HTTP/1.1\r\nHost: 127.0.0.1:7667\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n"
    b"Content-Type: text/plain;charset=UTF-8\r\nOrigin: https://page.example\r\n"
    b"Content-Length: 100\r\n\r\n"
)
IRC = b"NICK eve\r\nUSER eve 0 * :Eve\r\nJOIN #lobby\r\nPRIVMSG #lobby :spam\r\n"
TEXT = b"eve\r\nspam\r\n/quit\r\n"
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n"


@implementer(IConnection)
class Connected(StringTransport):
    """A transport with as much of a connection as is asked for."""

    address = tls = proxy = ended = None
    peer = "192.0.2.1:4711"

    def __init__(self) -> None:
        super().__init__()
        self.refused: list[Refusal] = []

    def refuse(self, reason: Refusal) -> None:
        self.refused.append(reason)


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
def test_http_request_ends_the_connection(
    protocol: str, cut: bool, opening: bytes, why: Refusal, words: str, before: bytes
) -> None:
    """'A web page must not be able to make a visitor's browser talk here.'"""
    if why is Refusal.TLS:
        before = b""  # a record of TLS begins with nothing else
    chat = IrcChat()
    ann = chat.text_client("ann")
    ann.screen()
    transport = Connected()
    client: Any = (chat.irc if protocol == "irc" else chat.factory).buildProtocol(None)
    client.makeConnection(transport)
    stream = before + opening + (IRC if protocol == "irc" else TEXT)
    for piece in [bytes([byte]) for byte in stream] if cut else [stream]:
        client.dataReceived(piece)
    chat.clock.advance(0)
    received = transport.value().decode().split("\r\n")
    assert received[-2] == (f"ERROR :Closing Link: {words}" if protocol == "irc" else f"! {words}")
    assert transport.disconnecting
    assert transport.refused == [why]
    assert chat.hub.person("eve") is None
    assert chat.irc.server.unregistered == 0
    assert ann.screen() == []
    client.connectionLost(Failure(ConnectionDone()))
    chat.clock.advance(0)
    assert not chat.clock.getDelayedCalls()


@pytest.mark.parametrize("line", ["GET", "post", "Options", "CONNECT irc.example.net 6667"])
def test_no_command_of_irc_is_named_like_a_method_before_registration(line: str) -> None:
    client = IrcChat().irc_client()
    assert client.send(line) == ["ERROR :Closing Link: HTTP is not spoken here"]
    assert client.closed


def test_what_looks_like_it_later_is_a_line_like_any_other() -> None:
    ann = IrcChat().irc_client("ann")
    assert ann.numerics("POST / HTTP/1.1") == ["421"]
    zoe = IrcChat().text_client("zoe")
    assert zoe.type("POST / HTTP/1.1", "get") == []


def test_nicknames_that_are_methods_in_other_letters() -> None:
    chat = IrcChat()
    assert chat.text_client().type("Patch")[-1] == "  In #lobby (1): Patch"
