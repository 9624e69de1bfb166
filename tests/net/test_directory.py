"""The list of services for clients."""

from __future__ import annotations

import pytest

from tcpd.net.directory import ServiceEntry, stream_port


def entry(*listeners: str, protocol: str = "irc") -> ServiceEntry:
    return ServiceEntry("name", protocol, "A service.", listeners)


@pytest.mark.parametrize(
    ("listeners", "clear", "secure"),
    [
        (["127.0.0.1:7667"], 7667, None),
        (["127.0.0.1:7667", "127.0.0.1:7697 tls=main"], 7667, 7697),
        (["[2001:db8::1]:6697 tls=main"], None, 6697),
        (["*:443 tls=main websocket", "*:6697 tls=main"], None, 6697),
        (["*:80 websocket", "*:6667 starttls=main"], 6667, None),
        (["*:6697 tls=main proxy=10.0.0.0/8", "*:6667 proxy=10.0.0.0/8"], None, None),
        (["unix:/run/irc.sock tls=main", "systemd:6697 tls=main"], None, None),
        (["endpoint:tcp:6697"], None, None),
        (["*:7007 udp"], None, None),
        ([], None, None),
    ],
)
def test_stream_port(listeners: list[str], clear: int | None, secure: int | None) -> None:
    assert entry(*listeners).stream_port(tls=False) == clear
    assert entry(*listeners).stream_port(tls=True) == secure


def test_stream_port_of_the_first_service_of_a_kind() -> None:
    services = [
        entry("*:7200", protocol="chat"),
        entry("unix:/run/irc.sock"),
        entry("*:6667"),
        entry("*:6668"),
    ]
    assert stream_port(services, "irc", tls=False) == 6667
    assert stream_port(services, "chat", tls=False) == 7200
    assert stream_port(services, "chat", tls=True) is None
