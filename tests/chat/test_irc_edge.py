"""The IRC door's edge: who is silent, and where clients are."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import pytest
from chat.doubles import Busy, Threads
from chat.irc_chat import IrcChat, IrcTestClient
from chat.test_irc_who import member
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from zope.interface import implementer

from tcpd.chat.irc.dispatch import IrcConversation
from tcpd.chat.irc.reverse import ReverseNames, name_of
from tcpd.handshake.facts import Facts
from tcpd.interfaces import IConnection
from tcpd.net.lookups import MOST, TIMEOUT, WAITING, Lookups
from tcpd.policy.reasons import Refusal


class Clients(IrcTestClient):
    """A client whose transport knows its connection."""

    def __init__(self, chat: IrcChat, transport: StringTransport) -> None:
        self.chat = chat
        self.transport = transport
        self.protocol = chat.irc.buildProtocol(None)
        self.protocol.makeConnection(transport)  # type: ignore[arg-type]


@implementer(IConnection)
class Connected(StringTransport):
    """A transport with as much of a connection as the door asks for."""

    def __init__(self, address: str | None, tls: bool = False, proxy: Any = None) -> None:
        super().__init__()
        self.address = address and ipaddress.ip_address(address)
        self.tls = object() if tls else None
        self.proxy = proxy
        self.stood_for: list[str] = []

    def facts(self) -> Facts:
        return Facts(service="irc")

    def stand_for(self, address: Any) -> Refusal | None:
        self.stood_for.append(str(address))
        return None


class Proxy:
    def __init__(self, ssl: object) -> None:
        self.ssl = ssl


def entered(transport: Connected) -> tuple[IrcChat, IrcTestClient]:
    chat = IrcChat(bounds={"hosts": "address"})
    client = Clients(chat, transport)
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
def test_clients_are_where_the_connection_layer_says(address: str | None, host: str) -> None:
    """Which has it from the proxy, where there is one."""
    chat, _ = entered(Connected(address))
    assert member(chat, "ann").host == host


@pytest.mark.parametrize(
    ("address", "more", "secure"),
    [
        ("192.0.2.1", {}, False),
        ("192.0.2.1", {"tls": True}, True),
        (None, {}, True),
        ("192.0.2.1", {"proxy": Proxy(None)}, False),
        ("192.0.2.1", {"proxy": Proxy(object())}, True),
    ],
)
def test_who_is_secure(address: str | None, more: dict[str, Any], secure: bool) -> None:
    """RPL_WHOISSECURE is for those whose words nobody on the way reads, up to a proxy that is
    trusted and says so."""
    chat, _ = entered(Connected(address, **more))
    assert member(chat, "ann").secure is secure


def resolving(find: Any, **keys: str) -> IrcChat:
    chat = IrcChat(bounds={"hosts": "address"} | keys, resolve=True)
    chat.irc.names = ReverseNames(at_once(chat.clock), find)
    return chat


def at_once(clock: Clock) -> Lookups:
    """Look-ups whose threads are done when a test advances the clock."""
    return Lookups(Threads(clock), start=lambda run: run())


def test_a_name_that_comes_in_time_is_the_host() -> None:
    """'The name becomes the host if it arrives before registration completes.'"""
    chat = resolving({ipaddress.ip_address("192.0.2.1"): "ann.example.org"}.get)
    ann = Clients(chat, Connected("192.0.2.1"))
    ann.lines()
    ann.lines()
    ann.send("NICK ann", "USER ann 0 * :Ann")
    assert member(chat, "ann").host == "ann.example.org"


def test_a_name_that_comes_late_is_told_as_a_change() -> None:
    """CHGHOST, to those who know it."""
    chat = IrcChat(bounds={"hosts": "address"}, resolve=True)
    looking: list[Any] = []
    lookups = Lookups(Threads(chat.clock), start=looking.append)
    chat.irc.names = ReverseNames(lookups, lambda address: "ann.example.org")
    bob = chat.irc_client("bob", "chghost", joined="#tea")
    ann = Clients(chat, Connected("192.0.2.1"))
    ann.send("NICK ann", "USER ann 0 * :Ann", "JOIN #tea")
    told = bob.lines()
    looking.pop()()
    chat.settle()
    told += bob.lines()
    assert told == [
        ":ann!~ann@192.0.2.1 JOIN #tea",
        ":ann!~ann@192.0.2.1 CHGHOST ~ann ann.example.org",
    ]


@pytest.mark.parametrize("address", [None, "127.0.0.1", "::1"])
def test_local_clients_have_no_names(address: str | None) -> None:
    chat = resolving(lambda address: 1 // 0)
    Clients(chat, Connected(address)).lines()


def test_where_hosts_are_hidden_no_name_is_asked_for() -> None:
    chat = resolving(lambda address: 1 // 0, hosts="hidden")
    Clients(chat, Connected("192.0.2.1")).lines()


def test_a_gateways_name_is_not_its_clients() -> None:
    chat = resolving(lambda address: "gateway.example.org")
    ann = Clients(chat, Connected("192.0.2.1"))
    session = ann.session
    assert isinstance(session, IrcConversation)
    session.address = ipaddress.ip_address("198.51.100.7")
    for _ in range(3):
        ann.lines()
    ann.send("NICK ann", "USER ann 0 * :Ann")
    assert member(chat, "ann").host == "198.51.100.7"


def test_a_name_that_cannot_be_found_or_used_is_nobody_elses_trouble(logged_failures: Any) -> None:
    clock = Clock()
    answers: list[Any] = [RuntimeError("no"), "", "a.example", "b.example"]

    def find(address: Any) -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    names = ReverseNames(at_once(clock), find)
    named: list[str] = []
    address = ipaddress.ip_address("192.0.2.1")
    for use in (named.append, named.append, lambda name: 1 // 0, named.append):
        names.ask(address, use)
        clock.advance(0)
    assert named == ["b.example"]
    logged_failures.expect("RuntimeError")
    logged_failures.expect("ZeroDivisionError")


def test_a_resolver_that_hangs_gives_no_name_and_no_line_of_the_log() -> None:
    clock = Clock()
    names = ReverseNames(Lookups(clock, start=lambda run: None), lambda address: 1 // 0)
    for number in range(2 * (MOST + WAITING)):
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
def test_names_are_confirmed(
    name: Any, addresses: list[str], found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forward-confirmed: the address is among those of its name."""

    def reverse(address: str) -> tuple[str, list[str], list[str]]:
        if isinstance(name, OSError):
            raise name
        return name, [], [address]

    monkeypatch.setattr(socket, "gethostbyaddr", reverse)
    answers = [(0, 0, 0, "", (address, 0)) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
    assert name_of(ipaddress.ip_address("192.0.2.1")) == found


def test_what_is_known_of_a_connection_is_told() -> None:
    _, client = entered(Connected("192.0.2.1"))
    assert client.numerics("HANDSHAKE")[-1] == "374"


def test_a_command_that_fails_in_a_later_turn_ends_its_connection_alone(
    monkeypatch: pytest.MonkeyPatch, logged_failures: Any
) -> None:
    """A bug of ours is logged, and nobody is left in a connection that is not read any more."""
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


def test_who_is_dropped_before_registering_is_no_longer_counted() -> None:
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


def test_who_a_gateway_stands_for_is_told_to_the_connection_layer() -> None:
    transport = Connected("192.0.2.1")
    chat, client = entered(transport)
    assert client.protocol.stand_for(ipaddress.ip_address("198.51.100.7")) is None
    assert transport.stood_for == ["198.51.100.7"]
    assert chat.irc_client().protocol.stand_for(ipaddress.ip_address("198.51.100.7")) is None


def test_who_is_silent_is_asked_and_let_go() -> None:
    """'After so long a silence a client is asked whether it is there, and has as long again to
    answer.'"""
    chat = IrcChat(ping=100.0)
    chat.irc.doStart()
    ann = chat.irc_client("ann", joined="#tea")
    bob = chat.irc_client("bob", joined="#tea")
    ann.lines()
    passed = 0
    while not (told := bob.lines()):
        chat.clock.advance(25)
        passed += 25
        ann.send("PING x")
    assert told == ["PING :chat.example.net"]
    assert 100 <= passed <= 150
    while not bob.closed:
        chat.clock.advance(25)
        chat.settle()
        passed += 25
        told = ann.send("PING x")
    assert 200 <= passed <= 250
    assert bob.lines() == ["ERROR :Closing Link: bob (Ping timeout: 200 seconds)"]
    assert told[0] == ":bob!~bob@localhost QUIT :Ping timeout: 200 seconds"
    assert not ann.closed


def test_any_line_is_an_answer() -> None:
    chat = IrcChat(ping=100.0)
    chat.irc.doStart()
    ann = chat.irc_client("ann")
    for _ in range(20):
        chat.clock.advance(75)
        ann.send("PONG :chat.example.net")
    assert not ann.closed


def test_nobody_is_asked_where_there_is_no_ping() -> None:
    chat = IrcChat(ping=0.0)
    chat.irc.doStart()
    ann = chat.irc_client("ann")
    chat.clock.advance(1e6)
    assert ann.lines() == []
    assert not ann.closed
    assert not chat.clock.getDelayedCalls()


def test_a_door_that_is_closed_looks_no_more() -> None:
    chat = IrcChat(ping=100.0)
    chat.irc.doStart()
    ann = chat.irc_client("ann")
    chat.irc.doStop()
    ann.lose()
    chat.clock.advance(1000)
    assert not chat.clock.getDelayedCalls()
