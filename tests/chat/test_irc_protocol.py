"""IRC's protocol and factory: the address and host of a client, reverse names, PING timeouts."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import pytest
from chat.doubles import Busy, ConnectionTransport, Threads
from chat.irc_chat import IrcChat, IrcTestClient
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from tcpd.chat.irc.dispatch import IrcConversation
from tcpd.chat.irc.reverse import ReverseNames, name_of
from tcpd.net.lookups import MAX_QUEUED, MAX_THREADS, TIMEOUT, Lookups


class ClientOn(IrcTestClient):
    """A client on a given transport."""

    def __init__(self, chat: IrcChat, transport: StringTransport) -> None:
        self.chat = chat
        self.transport = transport
        self.protocol = chat.irc.buildProtocol(None)
        self.protocol.makeConnection(transport)  # type: ignore[arg-type]


class ProxyHeader:
    def __init__(self, ssl: object) -> None:
        self.ssl = ssl


def register(transport: ConnectionTransport) -> tuple[IrcChat, IrcTestClient]:
    chat = IrcChat(bounds={"hosts": "address"})
    client = ClientOn(chat, transport)
    client.send("NICK ann", "USER ann 0 * :Ann")
    return chat, client


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::abcd", "0::abcd"),
        ("::1", "localhost"),
        (None, "localhost"),
    ],
)
def test_host_is_the_address_from_the_connection_layer(address: str | None, host: str) -> None:
    """The connection layer knows the address from the PROXY header."""
    chat, _ = register(ConnectionTransport(address))
    assert chat.person("ann").host == host


@pytest.mark.parametrize(
    ("address", "more", "secure"),
    [
        ("192.0.2.1", {}, False),
        ("192.0.2.1", {"tls": True}, True),
        (None, {}, True),
        ("192.0.2.1", {"proxy": ProxyHeader(None)}, False),
        ("192.0.2.1", {"proxy": ProxyHeader(object())}, True),
    ],
)
def test_secure_connections(address: str | None, more: dict[str, Any], secure: bool) -> None:
    """RPL_WHOISSECURE: over TLS or a UNIX socket, or if a trusted proxy reports TLS."""
    chat, _ = register(ConnectionTransport(address, **more))
    assert chat.person("ann").secure is secure


def chat_with_names(find: Any, **keys: str) -> IrcChat:
    chat = IrcChat(bounds={"hosts": "address"} | keys, resolve=True)
    chat.irc.names = ReverseNames(immediate_lookups(chat.clock), find)
    return chat


def immediate_lookups(clock: Clock) -> Lookups:
    """Look-ups whose threads run when the clock advances."""
    return Lookups(Threads(clock), start=lambda run: run())


def test_reverse_name_that_arrives_before_registration_is_the_host() -> None:
    """docs/reference/configuration.rst, ``resolve``"""
    chat = chat_with_names({ipaddress.ip_address("192.0.2.1"): "ann.example.org"}.get)
    ann = ClientOn(chat, ConnectionTransport("192.0.2.1"))
    ann.lines()
    ann.lines()
    ann.send("NICK ann", "USER ann 0 * :Ann")
    assert chat.person("ann").host == "ann.example.org"


def test_reverse_name_that_arrives_later_is_sent_as_chghost() -> None:
    chat = IrcChat(bounds={"hosts": "address"}, resolve=True)
    looking: list[Any] = []
    lookups = Lookups(Threads(chat.clock), start=looking.append)
    chat.irc.names = ReverseNames(lookups, lambda address: "ann.example.org")
    bob = chat.irc_client("bob", "chghost", joined="#tea")
    ann = ClientOn(chat, ConnectionTransport("192.0.2.1"))
    ann.send("NICK ann", "USER ann 0 * :Ann", "JOIN #tea")
    lines = bob.lines()
    looking.pop()()
    chat.settle()
    lines += bob.lines()
    assert lines == [
        ":ann!~ann@192.0.2.1 JOIN #tea",
        ":ann!~ann@192.0.2.1 CHGHOST ~ann ann.example.org",
    ]


@pytest.mark.parametrize(
    ("address", "hosts", "resolved"),
    [
        ("192.0.2.1", "address", ["192.0.2.1"]),
        ("192.0.2.1", "hidden", []),
        (None, "address", []),
        ("127.0.0.1", "address", []),
        ("::1", "address", []),
    ],
)
def test_only_visible_remote_addresses_are_resolved(
    address: str | None, hosts: str, resolved: list[str]
) -> None:
    """docs/reference/configuration.rst, ``resolve``"""
    looked_up: list[str] = []

    def find(address: Any) -> str:
        looked_up.append(str(address))
        return ""

    chat = chat_with_names(find, hosts=hosts)
    client = ClientOn(chat, ConnectionTransport(address))
    for _ in range(3):
        client.lines()
    assert looked_up == resolved


def test_reverse_name_of_a_gateway_is_not_used_for_its_client() -> None:
    chat = chat_with_names(lambda address: "gateway.example.org")
    ann = ClientOn(chat, ConnectionTransport("192.0.2.1"))
    session = ann.session
    assert isinstance(session, IrcConversation)
    session.address = ipaddress.ip_address("198.51.100.7")
    for _ in range(3):
        ann.lines()
    ann.send("NICK ann", "USER ann 0 * :Ann")
    assert chat.person("ann").host == "198.51.100.7"


def test_failed_lookup_does_not_affect_others(logged_failures: Any) -> None:
    clock = Clock()
    answers: list[Any] = [RuntimeError("no"), "", "a.example", "b.example"]

    def find(address: Any) -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    names = ReverseNames(immediate_lookups(clock), find)
    named: list[str] = []
    address = ipaddress.ip_address("192.0.2.1")
    for use in (named.append, named.append, lambda name: 1 // 0, named.append):
        names.ask(address, use)
        clock.advance(0)
    assert named == ["b.example"]
    logged_failures.expect("RuntimeError")
    logged_failures.expect("ZeroDivisionError")


def test_hanging_resolver_gives_no_name_and_no_log() -> None:
    clock = Clock()
    names = ReverseNames(Lookups(clock, start=lambda run: None), lambda address: 1 // 0)
    for number in range(2 * (MAX_THREADS + MAX_QUEUED)):
        names.ask(ipaddress.ip_address(0xC0000200 + number), lambda name: 1 // 0)
    clock.advance(TIMEOUT)
    assert not clock.getDelayedCalls()


@pytest.mark.parametrize(
    ("name", "addresses", "found"),
    [
        ("a.example.", ["192.0.2.1"], "a.example"),
        ("a.example", ["192.0.2.9", "::ffff:192.0.2.1"], "a.example"),
        ("a.example", ["192.0.2.9"], ""),
        ("a.example", [], ""),
        ("x" * 64, ["192.0.2.1"], ""),
        ("a!b.example", ["192.0.2.1"], ""),
        ("192.0.2.7", ["192.0.2.1"], ""),
        (OSError("no"), [], ""),
    ],
)
def test_reverse_names_are_forward_confirmed(
    name: Any, addresses: list[str], found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 1912 section 2.1: a PTR record should match an A record."""

    def reverse(address: str) -> tuple[str, list[str], list[str]]:
        if isinstance(name, OSError):
            raise name
        return name, [], [address]

    monkeypatch.setattr(socket, "gethostbyaddr", reverse)
    answers = [(0, 0, 0, "", (address, 0)) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
    assert name_of(ipaddress.ip_address("192.0.2.1")) == found


def test_handshake_is_available_on_a_connection() -> None:
    _, client = register(ConnectionTransport("192.0.2.1"))
    assert client.numerics("HANDSHAKE")[-1] == "374"


def test_failure_of_a_command_in_a_later_turn_closes_its_connection_only(
    monkeypatch: pytest.MonkeyPatch, logged_failures: Any
) -> None:
    """The failure is logged, and other clients are served."""
    chat = IrcChat()
    ann, bob, cat = (chat.irc_client(nick) for nick in ("ann", "bob", "cat"))
    line = IrcConversation.line

    def broken(session: IrcConversation, data: bytes) -> None:
        if session is ann.session:
            raise RuntimeError("a bug")
        line(session, data)

    monkeypatch.setattr(IrcConversation, "line", broken)
    assert chat.irc.work.run(Busy(chat.clock))
    for client in (ann, bob):
        client.protocol.dataReceived(b"JOIN #tea\r\n")
    chat.clock.advance(0)
    logged_failures.expect("a bug")
    assert ann.transport.disconnected or ann.transport.disconnecting
    ann.lose()
    assert bob.numerics() == ["JOIN", "353", "366"]
    assert chat.hub.person("ann") is None
    assert cat.numerics("PING x") == ["PONG"]


def test_failed_command_is_reported_to_the_connection_layer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The fault: a method of the connection layer had been renamed, and the caller had not."""
    transport = ConnectionTransport("192.0.2.1")
    _, client = register(transport)
    monkeypatch.setattr(IrcConversation, "line", lambda session, data: 1 // 0)
    client.protocol.dataReceived(b"PING x\r\n")
    assert transport.failures == ["answering"]


def test_client_dropped_before_registration_is_not_counted() -> None:
    """Modern IRC, RPL_LUSERUNKNOWN: 'the number of connections to the server that are currently in
    an unknown state'."""
    chat = IrcChat()
    client = IrcTestClient(chat)
    assert chat.irc.server.unregistered == 1
    client.protocol.pauseProducing()
    session = client.session
    assert isinstance(session, IrcConversation)
    while not session.over:
        session.put(b"x" * 400 + b"\r\n")
    client.lose()
    assert chat.irc.server.unregistered == 0


def test_gateway_client_is_reported_to_the_connection_layer() -> None:
    transport = ConnectionTransport("192.0.2.1")
    chat, client = register(transport)
    assert client.protocol.replace_address(ipaddress.ip_address("198.51.100.7")) is None
    assert transport.replaced == ["198.51.100.7"]
    assert chat.irc_client().protocol.replace_address(ipaddress.ip_address("198.51.100.7")) is None


def test_idle_client_is_pinged_and_disconnected() -> None:
    """docs/reference/configuration.rst, ``ping``: PING after this idle time, and closed after the
    same time without an answer."""
    chat = IrcChat(ping=100.0)
    chat.irc.doStart()
    ann = chat.irc_client("ann", joined="#tea")
    bob = chat.irc_client("bob", joined="#tea")
    ann.lines()
    passed = 0
    while not (received := bob.lines()):
        chat.clock.advance(25)
        passed += 25
        ann.send("PING x")
    assert received == ["PING :chat.example.net"]
    assert 100 <= passed <= 150
    while not bob.closed:
        chat.clock.advance(25)
        chat.settle()
        passed += 25
        received = ann.send("PING x")
    assert 200 <= passed <= 250
    assert bob.lines() == ["ERROR :Closing Link: bob (Ping timeout: 200 seconds)"]
    assert received[0] == ":bob!~bob@localhost QUIT :Ping timeout: 200 seconds"
    assert not ann.closed


def test_any_line_answers_a_ping() -> None:
    chat = IrcChat(ping=100.0)
    chat.irc.doStart()
    ann = chat.irc_client("ann")
    for _ in range(20):
        chat.clock.advance(75)
        ann.send("PONG :chat.example.net")
    assert not ann.closed


def test_no_pings_if_disabled() -> None:
    chat = IrcChat(ping=0.0)
    chat.irc.doStart()
    ann = chat.irc_client("ann")
    chat.clock.advance(1e6)
    assert ann.lines() == []
    assert not ann.closed
    assert not chat.clock.getDelayedCalls()


def test_stopped_frontend_sends_no_pings() -> None:
    chat = IrcChat(ping=100.0)
    chat.irc.doStart()
    ann = chat.irc_client("ann")
    chat.irc.doStop()
    ann.lose()
    chat.clock.advance(1000)
    assert not chat.clock.getDelayedCalls()
