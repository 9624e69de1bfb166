"""WEBIRC (https://ircv3.net/specs/extensions/webirc)."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from chat.irc_chat import IrcChat, IrcTestClient, threaded_chat

from tcpd.chat.irc.credentials import GATEWAYS
from tcpd.policy.passwords import hash_password
from tcpd.policy.reasons import Refusal

SECRET = "sesame"
GATED = {
    "webirc": GATEWAYS.parse(
        f"192.0.2.1 {hash_password('another')}\n192.0.2.0/24, ::1 {hash_password(SECRET)}"
    )
}
GATEWAY = ipaddress.ip_address("192.0.2.1")


def gateway(chat: IrcChat, address: Any = GATEWAY, secure: bool = True) -> IrcTestClient:
    """A client that connects from a gateway's address."""
    client = chat.irc_client()
    session = client.session
    session.address, session.secure = address, secure  # type: ignore[union-attr]
    return client


def webirc(
    client: IrcTestClient, words: str = "gw host.example.org 198.51.100.7 :secure"
) -> list[str]:
    password = SECRET if words.count(" ") > 1 else ""
    received = client.send(f"WEBIRC {password} {words}", "NICK ann", "USER ann 0 * :Ann")
    for _ in range(4):
        received += client.lines()
    return received


def test_address_and_host_are_those_from_the_gateway(events: Any) -> None:
    """'the server will use the hostname and IP' of the user; registration waits for the
    password."""
    chat = threaded_chat(**GATED, bounds={"hosts": "address"})
    ann = gateway(chat)
    received = webirc(ann)
    assert received[0].endswith(" :Welcome to the tcpd Network, ann!~ann@host.example.org")
    found = chat.person("ann")
    assert found.address == ipaddress.ip_address("198.51.100.7")
    assert found.secure
    assert (":chat.example.net 338 ann ann 198.51.100.7 :Is actually using host") in ann.send(
        "WHOIS ann"
    )
    assert chat.counters["gateways"] == 1
    assert events.ids() == []


def test_host_from_the_gateway_is_hidden_as_any_other() -> None:
    chat = threaded_chat(**GATED)
    webirc(gateway(chat))
    found = chat.person("ann")
    assert found.host == chat.hub.hosts.of(ipaddress.ip_address("198.51.100.7"))
    assert found.host.endswith(".hidden")


@pytest.mark.parametrize(
    ("options", "secure"),
    [
        ("", False),
        (" :secure", True),
        (" :local-port=6697 secure remote-port=7", True),
        (" x", False),
    ],
)
def test_secure_option(options: str, secure: bool) -> None:
    """'secure: the client connects to the gateway by a secure connection'."""
    chat = threaded_chat(**GATED)
    webirc(gateway(chat), f"gw host 198.51.100.7{options}")
    assert chat.person("ann").secure is secure


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0::1", "::1"),
        ("2001:db8::7", "2001:db8::7"),
        ("0:0:0:0:0:ffff:c633:6407", "198.51.100.7"),
    ],
)
def test_ipv6_addresses(text: str, address: str) -> None:
    """'If the IPv6 address starts with a colon, it MUST be prepended with a zero.'"""
    chat = threaded_chat(**GATED)
    webirc(gateway(chat), f"gw host {text}")
    assert chat.person("ann").address == ipaddress.ip_address(address)


@pytest.mark.parametrize("name", ["-x", "x" * 64, "ö.example", "x!y@z"])
def test_invalid_host_is_replaced_by_the_address(name: str) -> None:
    chat = threaded_chat(**GATED, bounds={"hosts": "address"})
    client = gateway(chat)
    client.send(f"WEBIRC {SECRET} gw {name} 198.51.100.7")
    for _ in range(3):
        client.lines()
    client.send("NICK ann", "USER ann 0 * :Ann")
    assert chat.person("ann").host == "198.51.100.7"


@pytest.mark.parametrize(
    ("address", "secure", "words", "why"),
    [
        ("203.0.113.1", True, "gw h 198.51.100.7", "No gateway is configured for this address"),
        (None, True, "gw h 198.51.100.7", "No gateway is configured for this address"),
        ("192.0.2.1", False, "gw h 198.51.100.7", "WEBIRC is accepted over TLS only"),
        ("192.0.2.1", True, "gw h example.org", "WEBIRC has no valid IP address"),
        ("192.0.2.1", True, "gw h :fe80::1%a b", "WEBIRC has no valid IP address"),
        ("192.0.2.1", True, "gw", ""),
    ],
)
def test_invalid_webirc_is_refused_and_closed(
    address: str | None, secure: bool, words: str, why: str, events: Any
) -> None:
    """'ERROR and close otherwise'. The log never has the password."""
    chat = threaded_chat(**GATED)
    client = gateway(chat, address and ipaddress.ip_address(address), secure)
    received = webirc(client, words)
    if why:
        assert received == [f"ERROR :Closing Link: * ({why})"]
        assert client.closed
        assert events.ids() == ["chat.gateway-refused"]
        assert SECRET not in events.texts()[0]
        assert chat.counters["gateways-refused"] == 1
    else:
        assert received[0].split(" ")[1] == "461"


def test_wrong_password_of_a_gateway() -> None:
    chat = threaded_chat(**GATED)
    client = gateway(chat)
    received = client.send("WEBIRC wrong gw h 198.51.100.7", "NICK ann", "USER ann 0 * :Ann")
    for _ in range(4):
        received += client.lines()
    assert received == ["ERROR :Closing Link: * (The gateway's password is wrong)"]
    assert chat.hub.person("ann") is None
    assert chat.irc.server.unregistered == 0


def test_webirc_must_be_the_first_command() -> None:
    """'The WEBIRC command MUST be the first command sent'; ERR_ALREADYREGISTERED after
    registration."""
    chat = threaded_chat(**GATED)
    client = gateway(chat)
    client.send("NICK ann")
    assert client.send(f"WEBIRC {SECRET} gw h 198.51.100.7") == [
        "ERROR :Closing Link: ann (WEBIRC must come once, before NICK and USER)"
    ]
    twice = gateway(chat)
    line = f"WEBIRC {SECRET} gw h 198.51.100.7"
    assert twice.send(line, line) == [
        "ERROR :Closing Link: * (WEBIRC must come once, before NICK and USER)"
    ]
    assert chat.irc_client("bob").numerics(line) == ["462"]


def test_banned_client_behind_a_gateway_is_refused() -> None:
    """docs/explanation/attacks.rst: bans apply to the address from WEBIRC."""
    chat = threaded_chat(**GATED)
    client = gateway(chat)
    addresses = []

    def replace_address(address: Any) -> Refusal:
        addresses.append(str(address))
        return Refusal.BANNED

    client.protocol.replace_address = replace_address  # type: ignore[method-assign]
    assert webirc(client) == [f"ERROR :Closing Link: * ({Refusal.BANNED.sentence})"]
    assert addresses == ["198.51.100.7"]
