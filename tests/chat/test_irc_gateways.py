"""WEBIRC, and addresses that a proxy tells."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from chat.irc_chat import IrcChat, IrcTestClient, threaded_chat
from chat.test_irc_who import member

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
    """A gateway that has connected."""
    client = chat.irc_client()
    session = client.session
    session.address, session.secure = address, secure  # type: ignore[union-attr]
    return client


def webirc(
    client: IrcTestClient, words: str = "gw host.example.org 198.51.100.7 :secure"
) -> list[str]:
    password = SECRET if words.count(" ") > 1 else ""
    told = client.send(f"WEBIRC {password} {words}", "NICK ann", "USER ann 0 * :Ann")
    for _ in range(4):
        told += client.lines()
    return told


def test_the_client_is_where_the_gateway_says(events: Any) -> None:
    """WEBIRC: 'the server will use the hostname and IP' of the user; registration waits for it."""
    chat = threaded_chat(**GATED, bounds={"hosts": "address"})
    ann = gateway(chat)
    told = webirc(ann)
    assert told[0].endswith(" :Welcome to the tcpd Network, ann!~ann@host.example.org")
    found = member(chat, "ann")
    assert found.address == ipaddress.ip_address("198.51.100.7")
    assert found.secure
    assert (":chat.example.net 338 ann ann 198.51.100.7 :Is actually using host") in ann.send(
        "WHOIS ann"
    )
    assert chat.counted["gateways"] == 1
    assert events.ids() == []


def test_hosts_stay_hidden_where_they_are() -> None:
    chat = threaded_chat(**GATED)
    webirc(gateway(chat))
    found = member(chat, "ann")
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
def test_secure(options: str, secure: bool) -> None:
    """'secure: the client connects to the gateway by a secure connection'."""
    chat = threaded_chat(**GATED)
    webirc(gateway(chat), f"gw host 198.51.100.7{options}")
    assert member(chat, "ann").secure is secure


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0::1", "::1"),
        ("2001:db8::7", "2001:db8::7"),
        ("0:0:0:0:0:ffff:c633:6407", "198.51.100.7"),
    ],
)
def test_ipv6(text: str, address: str) -> None:
    """'If the IPv6 address starts with a colon, it MUST be prepended with a zero.'"""
    chat = threaded_chat(**GATED)
    webirc(gateway(chat), f"gw host {text}")
    assert member(chat, "ann").address == ipaddress.ip_address(address)


@pytest.mark.parametrize("name", ["-x", "x" * 64, "ö.example", "x!y@z"])
def test_a_host_that_is_none_is_not_shown(name: str) -> None:
    chat = threaded_chat(**GATED, bounds={"hosts": "address"})
    client = gateway(chat)
    client.send(f"WEBIRC {SECRET} gw {name} 198.51.100.7")
    for _ in range(3):
        client.lines()
    client.send("NICK ann", "USER ann 0 * :Ann")
    assert member(chat, "ann").host == "198.51.100.7"


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
def test_who_is_no_gateway_is_told_and_let_go(
    address: str | None, secure: bool, words: str, why: str, events: Any
) -> None:
    """'ERROR and close otherwise'; the log says so, and never the password."""
    chat = threaded_chat(**GATED)
    client = gateway(chat, address and ipaddress.ip_address(address), secure)
    told = webirc(client, words)
    if why:
        assert told == [f"ERROR :Closing Link: * ({why})"]
        assert client.closed
        assert events.ids() == ["chat.gateway-refused"]
        assert SECRET not in events.texts()[0]
        assert chat.counted["gateways-refused"] == 1
    else:
        assert told[0].split(" ")[1] == "461"


def test_a_wrong_password() -> None:
    chat = threaded_chat(**GATED)
    client = gateway(chat)
    told = client.send("WEBIRC wrong gw h 198.51.100.7", "NICK ann", "USER ann 0 * :Ann")
    for _ in range(4):
        told += client.lines()
    assert told == ["ERROR :Closing Link: * (The gateway's password is wrong)"]
    assert chat.hub.person("ann") is None
    assert chat.irc.server.unregistered == 0


def test_once_and_before_all_else() -> None:
    """'The WEBIRC command MUST be the first command sent'; ERR_ALREADYREGISTERED behind."""
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


def test_who_is_banned_is_not_let_in_by_a_gateway() -> None:
    """Bans and limits are the client's, not the gateway's."""
    chat = threaded_chat(**GATED)
    client = gateway(chat)
    asked = []

    def stand_for(address: Any) -> Refusal:
        asked.append(str(address))
        return Refusal.BANNED

    client.protocol.stand_for = stand_for  # type: ignore[method-assign]
    assert webirc(client) == [f"ERROR :Closing Link: * ({Refusal.BANNED.sentence})"]
    assert asked == ["198.51.100.7"]
