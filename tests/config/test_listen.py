"""The grammar of listen."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpd.config.listen import (
    Address,
    EndpointString,
    Listener,
    SystemdSocket,
    TrustedProxies,
    UnixSocket,
    parse_listener,
)

WORDS = frozenset({"udp", "starttls", "websocket"})


@pytest.mark.parametrize(
    ("text", "listener"),
    [
        ("127.0.0.1:7007", Listener(Address("127.0.0.1", 7007))),
        ("[::1]:7007", Listener(Address("::1", 7007))),
        ("[fe80::1%eth0]:7", Listener(Address("fe80::1%eth0", 7))),
        (
            "[::ffff:192.0.2.1]:7",
            Listener(Address("192.0.2.1", 7)),
        ),  # IPv6 sockets reject it
        ("*:6697 tls=main", Listener(Address("*", 6697), tls="main")),
        ("*:7100 starttls=main", Listener(Address("*", 7100), starttls="main")),
        ("*:7 udp", Listener(Address("*", 7), udp=True)),
        ("*:7 websocket", Listener(Address("*", 7), websocket=True)),
        (
            "*:7 tls=main websocket proxy=192.0.2.0/24",
            Listener(
                Address("*", 7),
                tls="main",
                websocket=True,
                proxy=TrustedProxies((ip_network("192.0.2.0/24"),)),
            ),
        ),
        ("unix:/run/x", Listener(UnixSocket("/run/x", 0o660))),
        ("unix:/run/x mode=0600 tls=a", Listener(UnixSocket("/run/x", 0o600), tls="a")),
        (
            "*:7 proxy=192.0.2.0/24,2001:db8::1",
            Listener(
                Address("*", 7),
                proxy=TrustedProxies((ip_network("192.0.2.0/24"), ip_network("2001:db8::1"))),
            ),
        ),
        (
            "unix:/x proxy=unix tls=a",
            Listener(UnixSocket("/x", 0o660), tls="a", proxy=TrustedProxies(unix=True)),
        ),
        (
            "systemd:a proxy=10.1.2.3,unix",
            Listener(
                SystemdSocket("a"), proxy=TrustedProxies((ip_network("10.1.2.3"),), unix=True)
            ),
        ),
        ("systemd:chat", Listener(SystemdSocket("chat"))),
        ("endpoint:tcp:7000:interface=::1", Listener(EndpointString("tcp:7000:interface=::1"))),
    ],
)
def test_parse_and_show(text: str, listener: Listener) -> None:
    assert parse_listener(text, WORDS) == listener
    assert parse_listener(str(listener), WORDS) == listener


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("7007", "HOST:PORT"),
        (":7007", "HOST:PORT"),
        ("localhost:7007", "an address, not a name"),
        ("::1:7007", "[::1]:7007"),
        ("[::g]:7007", "not an IPv6 address"),
        ("127.0.0.1:65536", "not a port"),
        ("127.0.0.1:x", "not a port"),
        ("127.0.0.1:7 mode=0600", "unix: only"),
        ("unix:x", "absolute"),
        ("unix:/" + "x" * 200, "107 bytes"),
        ("unix:/a\0b", "NUL character"),
        ("unix:/x mode=9", "octal"),
        ("unix:/x udp", "udp takes an address"),
        ("*:7 tls", "not an option of a listener"),
        ("*:7 tls=", "not an option of a listener"),
        ("*:7 udp=yes", "not an option of a listener"),
        ("*:7 proxy", "not an option of a listener"),
        ("*:7 proxy=", "not an option of a listener"),
        ("*:7 proxy=,", "names no network"),
        ("*:7 proxy=lb.example", "proxy=lb.example: 'lb.example' is not a network"),
        ("*:7 proxy=10.0.0.1/8", "write 10.0.0.0/8"),
        ("*:7 proxy=unix", "write the proxies' networks"),
        ("unix:/x proxy=10.0.0.0/8", "write proxy=unix"),
        ("*:7 udp proxy=10.0.0.0/8", "no TLS or PROXY header"),
        ("*:7 websockets", "not an option of a listener"),
        ("*:7 websocket=yes", "not an option of a listener"),
        ("*:7 websocket udp", "it excludes udp"),
        ("*:7 websocket starttls=a", "it excludes udp and starttls="),
        ("*:7 tls=a starttls=b", "exclude each other"),
        ("*:7 udp tls=a", "no TLS"),
        ("*:7 tls=a tls=a", "'tls' occurs twice"),
        ("[fe80::1]:7", "a link-local address needs its network interface, like [fe80::1%eth0]"),
        ("[2001:db8::1%eth0]:7", "only a link-local address"),
        ("[::%eth0]:7", "only a link-local address"),
        ("[fe80::1%]:7", "not an IPv6 address"),
        ("systemd:", "needs the name"),
        ("endpoint:", "needs a description"),
    ],
)
def test_invalid_values(text: str, says: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_listener(text, WORDS)
    assert says in str(caught.value)


def test_option_of_another_kind_is_rejected() -> None:
    with pytest.raises(ValueError, match="'udp' is not for this protocol"):
        parse_listener("*:7 udp", frozenset())
    with pytest.raises(ValueError) as caught:
        parse_listener("*:7 websocket", frozenset({"udp", "starttls"}))
    assert str(caught.value) == (
        "'websocket' is not for this protocol, whose listeners take tls=NAME and starttls=NAME "
        "and udp"
    )


@given(st.text(min_size=1).filter(str.strip))
def test_any_text_raises_only_value_error(text: str) -> None:
    try:
        listener = parse_listener(text, WORDS)
    except ValueError as error:
        assert str(error)
    else:
        assert parse_listener(str(listener), WORDS) == listener
