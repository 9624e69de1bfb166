"""PROXY headers on both kinds of connections, in memory."""

from __future__ import annotations

import contextlib
import itertools
from ipaddress import ip_address
from typing import Any

import certificates
import pytest
from net.doubles import (
    BOTH_KINDS,
    CLIENT,
    HalfCloseableRecorder,
    LayerHarness,
    Make,
    RecordingProtocol,
    server_tls,
)
from OpenSSL import SSL
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.logger import LogEvent, capturedLogs, formatEvent
from zope.interface.verify import verifyObject

from tcpd.config.listen import TrustedProxies
from tcpd.config.settings import PolicySettings
from tcpd.config.values import NETWORKS
from tcpd.interfaces import IConnection
from tcpd.net.layer import ConnectionLayer
from tcpd.net.listener_factory import ListenerFactory
from tcpd.net.listener_options import ListenerOptions
from tcpd.net.proxy import Proxies
from tcpd.policy.bans import Ban, Bans
from tcpd.policy.reasons import End, Refusal
from tcpd.wire.proxy_header import AddressPair, ClientTLS, version_1, version_2

PROXY = IPv4Address("TCP", "10.0.0.1", 40000)
TRUSTED = "10.0.0.0/8"

LINE = b"PROXY TCP4 192.0.2.1 198.51.100.7 4711 443\r\n"
LOCAL = version_2(None)
#: HAProxy's health check with version 1: the client is the proxy's own socket
SELF = b"PROXY TCP4 10.0.0.1 198.51.100.7 40000 443\r\n"


def line(source: str, port: int = 4711) -> bytes:
    """Make a header for a client."""
    family = "TCP6" if ":" in source else "TCP4"
    destination = "2001:db8::7" if ":" in source else "198.51.100.7"
    return f"PROXY {family} {source} {destination} {port} 443\r\n".encode()


@pytest.fixture(**BOTH_KINDS)
def make(request: pytest.FixtureRequest) -> Make:
    """Make a connection layer behind proxies, with each kind of connections in turn."""

    def made(
        *args: Any,
        proxies: str = TRUSTED,
        unix: bool = False,
        bans: Bans | None = None,
        **more: Any,
    ) -> LayerHarness:
        harness: LayerHarness = request.param(*args, **more)
        if bans is not None:
            harness.layer = ConnectionLayer(
                service="test",
                factory=harness.application,
                policy=harness.layer.policy,
                idle=0.0,
                connection_count=harness.connection_count,
                bans=bans,
                counters=harness.counters,
                clock=harness.clock,
                ids=itertools.count(1),
            )
        trusted = TrustedProxies(NETWORKS.parse(proxies), unix)
        harness.factory = ListenerFactory(
            harness.layer, ListenerOptions(tls=more.get("tls"), proxies=Proxies(trusted))
        )
        return harness

    return made


@pytest.fixture
def events() -> Any:
    """Return a function that returns the logged events with an id."""
    with capturedLogs() as logged:

        def of(event_id: str) -> list[LogEvent]:
            return [event for event in logged if event.get("event_id") == event_id]

        yield of


def assert_nothing_left(harness: LayerHarness) -> None:
    """Assert that no slot, address or timer is left."""
    assert (
        harness.connection_count.count
        == harness.layer.admission.count
        == harness.layer.admission.busiest
        == 0
    )
    assert harness.counters.open == 0
    assert harness.counters.accepted == harness.counters.ended.total()
    assert not [call for call in harness.clock.getDelayedCalls() if call.active()]


FOUR = AddressPair(ip_address("192.0.2.1"), 4711, ip_address("198.51.100.7"), 443)
SIX = AddressPair(ip_address("2001:db8::1"), 4711, ip_address("2001:db8::7"), 443)
MAPPED = AddressPair(ip_address("::ffff:192.0.2.1"), 4711, ip_address("::ffff:198.51.100.7"), 443)


@pytest.mark.parametrize(
    ("header", "peer", "host"),
    [
        (version_1(FOUR), CLIENT, IPv4Address("TCP", "198.51.100.7", 443)),
        (version_2(FOUR), CLIENT, IPv4Address("TCP", "198.51.100.7", 443)),
        (
            version_2(SIX),
            IPv6Address("TCP", "2001:db8::1", 4711),
            IPv6Address("TCP", "2001:db8::7", 443),
        ),
        (version_2(MAPPED), CLIENT, IPv4Address("TCP", "198.51.100.7", 443)),
        (version_1(MAPPED), CLIENT, IPv4Address("TCP", "198.51.100.7", 443)),
    ],
)
@pytest.mark.parametrize("size", [1, 20, 1000])
def test_header_sets_the_addresses_and_the_rest_is_payload(
    make: Make, header: bytes, peer: Any, host: Any, size: int
) -> None:
    harness = make()
    connection, transport = harness.connect(PROXY)
    stream = header + b"hello"
    for at in range(0, len(stream), size):
        assert (harness.application.made == []) == (at < len(header))
        harness.feed(connection, stream[at : at + size])
    (protocol,) = harness.application.made
    assert protocol.received == b"hello"
    assert protocol.transport is connection
    assert verifyObject(IConnection, connection)
    assert connection.getPeer() == peer
    assert connection.getHost() == host
    assert connection.address == ip_address(peer.host)
    assert connection.peer == f"{f'[{peer.host}]' if ':' in peer.host else peer.host}:4711"
    assert (connection.proxy.address, connection.proxy.local) == (PROXY, False)
    assert connection.inner is protocol, "the header stage is removed"
    protocol.transport.write(b"you too")
    assert transport.value() == b"you too"
    assert harness.counters.bytes_in == len(stream)
    harness.lose(connection)
    assert harness.counters.ended == {End.CLIENT: 1}
    assert_nothing_left(harness)


def test_version_2_tlvs_are_available(make: Make) -> None:
    harness = make()
    connection, _ = harness.connect(PROXY)
    tls = ClientTLS("TLSv1.3", "TLS_AES_256_GCM_SHA384", True, "Jörg\x1b")
    header = version_2(FOUR, authority="irc.example.org", unique_id=b"\x1b\xffid", tls=tls)
    harness.feed(connection, header)
    proxy = connection.proxy
    assert (proxy.version, proxy.authority, proxy.unique_id) == (
        2,
        "irc.example.org",
        b"\x1b\xffid",
    )
    assert proxy.ssl == tls
    assert str(proxy) == (
        r"proxy 10.0.0.1:40000 id \x1b\xffid name irc.example.org "
        r"TLSv1.3 TLS_AES_256_GCM_SHA384 verified Jörg\x1b"
    )
    assert proxy.to_json() == {
        "address": "10.0.0.1:40000",
        "version": 2,
        "local": False,
        "unique_id": r"\x1b\xffid",
        "authority": "irc.example.org",
        "tls": {
            "version": "TLSv1.3",
            "cipher": "TLS_AES_256_GCM_SHA384",
            "verified": True,
            "common_name": r"Jörg\x1b",
        },
    }


def test_connection_without_proxy_has_no_proxy_facts() -> None:
    connection, _ = LayerHarness().connect()
    assert connection.proxy is None


@pytest.mark.parametrize(
    ("address", "proxies", "unix"),
    [
        (CLIENT, TRUSTED, True),
        (IPv6Address("TCP", "2001:db8::1", 1), TRUSTED, True),
        (UNIXAddress(None), TRUSTED, False),
        (PROXY, "", True),
    ],
)
def test_untrusted_proxy_is_refused(
    make: Make, events: Any, address: Any, proxies: str, unix: bool
) -> None:
    """The log has the peer's address, not the one in the header."""
    harness = make(proxies=proxies, unix=unix)
    for _ in range(3):
        connection, transport = harness.connect(address)
        if connection is None or transport.disconnecting:
            assert harness.layer.connections == set()
    assert harness.application.made == []
    assert harness.counters.refused == {Refusal.UNTRUSTED_PROXY: 3}
    (event,) = events("connection.refused")
    assert event["refusal"] == "untrusted-proxy"
    assert event["peer"] in ("192.0.2.1:4711", "[2001:db8::1]:1", "unix", "10.0.0.1:40000")
    assert harness.connection_count.count == 0


def test_ipv4_mapped_proxy_is_trusted_as_ipv4(make: Make) -> None:
    harness = make()
    connection, _ = harness.connect(IPv6Address("TCP", "::ffff:10.0.0.1", 40000))
    harness.feed(connection, LINE)
    assert connection.proxy.address == PROXY


def test_proxy_on_unix_socket(make: Make) -> None:
    harness = make(proxies="", unix=True, per_address=1)
    connection, _ = harness.connect(UNIXAddress(None))
    harness.feed(connection, LINE)
    assert connection.peer == "192.0.2.1:4711"
    assert harness.layer.admission.busiest == 1
    harness.lose(connection)
    assert_nothing_left(harness)


@pytest.mark.parametrize("sent", [b"", LINE[:20]])
def test_header_timeout_aborts(make: Make, events: Any, sent: bytes) -> None:
    harness = make(proxy_header=3.0)
    connection, transport = harness.connect(PROXY)
    if sent:
        harness.feed(connection, sent)
    harness.clock.advance(2.9)
    assert not transport.aborted
    harness.clock.advance(0.2)
    assert transport.aborted
    harness.lose(connection, ConnectionLost())
    assert harness.counters.ended == {End.PROXY_TIMEOUT: 1}
    (event,) = events("proxy.failed")
    assert (event["fault"], event["peer"]) == ("timeout", "10.0.0.1:40000")
    assert harness.application.made == []
    assert_nothing_left(harness)


@pytest.mark.parametrize(
    ("sent", "fault"),
    [
        (b"GET / HTTP/1.1\r\n", "no-header"),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", "port"),
        (version_2(FOUR)[:12] + b"\x31", "version"),
    ],
)
def test_invalid_header_aborts_and_is_logged_once_a_burst(
    make: Make, events: Any, sent: bytes, fault: str
) -> None:
    """PROXY protocol, section 2.1: "abort the connection as soon as possible"."""
    harness = make()
    for _ in range(3):
        connection, transport = harness.connect(PROXY)
        harness.feed(connection, sent)
        assert transport.aborted
        harness.feed(connection, b"more")
        harness.lose(connection, ConnectionLost())
    assert harness.counters.ended == {End.PROXY_FAILED: 3}
    (event,) = events("proxy.failed")
    assert event["fault"] == fault
    assert event["since"] == 0
    assert harness.application.made == []
    assert_nothing_left(harness)


def test_truncated_header_is_rejected(make: Make, events: Any) -> None:
    """PROXY protocol, section 2.2: "must also reject incoming connections containing partial
    protocol headers"."""
    harness = make()
    connection, _ = harness.connect(PROXY)
    harness.feed(connection, LINE[:-1])
    harness.half_close(connection)
    harness.lose(connection)
    assert harness.counters.ended == {End.PROXY_FAILED: 1}
    (event,) = events("proxy.failed")
    assert event["fault"] == "cut-short"
    assert_nothing_left(harness)


@pytest.mark.parametrize("sent", [b"", LOCAL, SELF])
def test_health_check_of_the_proxy_is_not_logged(make: Make, events: Any, sent: bytes) -> None:
    """HAProxy's ``check`` connects and closes; with ``check-send-proxy`` it sends LOCAL before."""
    harness = make(RecordingProtocol, access_log=True)
    connection, _ = harness.connect(PROXY)
    if sent:
        harness.feed(connection, sent)
    harness.half_close(connection)
    harness.lose(connection)
    assert harness.counters.ended == {End.CLIENT: 1}
    assert events("proxy.failed") == events("connection.refused") == []
    assert len(events("connection.ended")) == (not sent)
    assert_nothing_left(harness)


@pytest.mark.parametrize("header", [LOCAL, version_1(None), SELF])
def test_limits_by_address_do_not_apply_to_the_proxy(make: Make, header: bytes) -> None:
    harness = make(per_address=1, allow=NETWORKS.parse("192.0.2.0/24"), connections=3)
    there = [harness.connect(PROXY)[0] for _ in range(3)]
    for connection in there:
        harness.feed(connection, header + b"hello")
    assert [made.received for made in harness.application.made] == [b"hello"] * 3
    assert {each.peer for each in there} == {"10.0.0.1:40000"}
    assert {each.proxy.local for each in there} == {header is LOCAL}
    assert harness.layer.admission.busiest == 0
    harness.lose(harness.connect(PROXY)[0])
    assert harness.counters.refused == {Refusal.SERVICE_FULL: 1}
    for connection in there:
        harness.lose(connection)
    assert_nothing_left(harness)


@pytest.mark.parametrize(("header", "events_logged"), [(LOCAL, 0), (SELF, 0), (LINE, 1)])
def test_idle_health_check_is_no_misbehaviour(
    make: Make, events: Any, localhost: certificates.Made, header: bytes, events_logged: int
) -> None:
    harness = make(tls=server_tls(localhost, Clock()))
    connection, _ = harness.connect(PROXY)
    harness.feed(connection, header)
    harness.clock.advance(10.1)
    harness.lose(connection, ConnectionLost())
    assert harness.counters.ended == {End.TLS_TIMEOUT: 1}
    assert len(events("connection.misbehaved")) == events_logged


def test_connection_without_header_counts_in_the_totals(make: Make) -> None:
    harness = make(connections=2)
    waiting = [harness.connect(PROXY)[0] for _ in range(2)]
    harness.lose(harness.connect(PROXY)[0])
    assert harness.counters.refused == {Refusal.SERVICE_FULL: 1}
    harness.clock.advance(4.0)
    for connection in waiting:
        harness.lose(connection, ConnectionLost())
    assert_nothing_left(harness)


def test_limits_by_address_apply_to_the_client(make: Make, events: Any) -> None:
    harness = make(per_address=1, deny=NETWORKS.parse("192.0.2.9"))
    one, _ = harness.connect(PROXY)
    harness.feed(one, line("192.0.2.1"))
    again, transport = harness.connect(PROXY)
    harness.feed(again, line("192.0.2.1", 4712) + b"hello")
    assert transport.value() == b"no: address-full"
    assert transport.disconnecting
    denied, transport = harness.connect(PROXY)
    harness.feed(denied, line("192.0.2.9"))
    assert transport.value() == b"no: denied"
    other, _ = harness.connect(PROXY)
    harness.feed(other, line("192.0.2.2"))
    assert len(harness.application.made) == 2
    assert harness.counters.refused == {Refusal.ADDRESS_FULL: 1, Refusal.DENIED: 1}
    assert [event["peer"] for event in events("connection.refused")] == [
        "192.0.2.1:4712",
        "192.0.2.9:4711",
    ]
    for connection in (again, denied):
        harness.lose(connection)
    assert harness.counters.ended == {End.REFUSED: 2}
    harness.lose(one)
    third, _ = harness.connect(PROXY)
    harness.feed(third, line("192.0.2.1"))
    assert len(harness.application.made) == 3
    for connection in (other, third):
        harness.lose(connection)
    assert_nothing_left(harness)


def test_bans_apply_to_the_client(make: Make) -> None:
    bans = Bans(lambda: 0.0)
    harness = make(bans=bans)
    (network,) = NETWORKS.parse("192.0.2.0/24")
    bans.add(Ban(network, 0.0, None, "", "test"))
    connection, transport = harness.connect(PROXY)
    harness.feed(connection, LINE)
    assert transport.value() == b"no: banned"
    harness.lose(connection)
    assert harness.counters.refused == {Refusal.BANNED: 1}
    assert_nothing_left(harness)


def test_reload_of_limits_keeps_the_counts(make: Make) -> None:
    harness = make(per_address=1)
    known, _ = harness.connect(PROXY)
    harness.feed(known, line("2001:db8:1::1"))
    local, _ = harness.connect(PROXY)
    harness.feed(local, LOCAL)
    waiting, _ = harness.connect(PROXY)
    harness.layer.reconfigure(PolicySettings(per_address=1, ipv6_prefix=48), 0.0)
    harness.feed(waiting, line("2001:db8:1:1::1"))
    assert harness.counters.refused == {Refusal.ADDRESS_FULL: 1}
    for connection in (known, local, waiting):
        harness.lose(connection)
    assert_nothing_left(harness)


def test_access_log_has_client_and_proxy(make: Make, events: Any) -> None:
    harness = make(access_log=True, deny=NETWORKS.parse("192.0.2.9"))
    connection, _ = harness.connect(PROXY)
    harness.feed(connection, version_2(FOUR, unique_id=b"4F2A"))
    harness.lose(connection)
    refused, _ = harness.connect(PROXY)
    harness.feed(refused, line("192.0.2.9"))
    harness.lose(refused)
    check, _ = harness.connect(PROXY)
    harness.feed(check, LOCAL)
    harness.lose(check, ConnectionLost())
    direct = LayerHarness(access_log=True)
    connection, _ = direct.connect()
    direct.lose(connection)
    behind, plain = events("connection.ended")
    assert (behind["peer"], behind["via"]) == (
        "192.0.2.1:4711",
        ", proxy 10.0.0.1:40000 id 4F2A",
    )
    assert formatEvent(behind).endswith("no TLS, proxy 10.0.0.1:40000 id 4F2A")
    assert formatEvent(plain).endswith("no TLS")


def test_start_is_logged_once_the_client_is_known(make: Make, events: Any) -> None:
    harness = make(access_log=True, log_start=True, deny=NETWORKS.parse("192.0.2.9"))
    connection, _ = harness.connect(PROXY)
    assert events("connection.started") == []
    harness.feed(connection, version_2(FOUR, unique_id=b"4F2A"))
    for header in (line("192.0.2.9"), LOCAL):
        other, _ = harness.connect(PROXY)
        harness.feed(other, header)
        harness.lose(other, ConnectionLost())
    (started,) = events("connection.started")
    assert formatEvent(started) == (
        "service test: connection 1 from 192.0.2.1:4711 started, proxy 10.0.0.1:40000 id 4F2A"
    )
    harness.lose(connection)
    (ended,) = events("connection.ended")
    assert ended["id"] == started["id"]


def test_drain_does_not_wait_for_a_header(make: Make) -> None:
    harness = make()
    connection, transport = harness.connect(PROXY)
    harness.layer.drain(End.SHUTDOWN, 10.0)
    assert transport.aborted
    harness.lose(connection, ConnectionLost())
    assert harness.counters.ended == {End.SHUTDOWN: 1}
    assert_nothing_left(harness)


@pytest.mark.parametrize("size", [1, 100_000])
def test_tls_follows_the_header(make: Make, localhost: certificates.Made, size: int) -> None:
    harness = make(tls=server_tls(localhost, Clock()))
    connection, transport = harness.connect(PROXY)
    client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD))
    client.set_connect_state()

    def shake_hands() -> bytes:
        with contextlib.suppress(SSL.WantReadError):
            client.do_handshake()
        with contextlib.suppress(SSL.WantReadError):
            return client.bio_read(1 << 16)
        return b""

    def feed(data: bytes) -> None:
        for at in range(0, len(data), size):
            harness.feed(connection, data[at : at + size])

    feed(LINE + shake_hands())
    while data := transport.empty():
        client.bio_write(data)
        feed(shake_hands())
    client.send(b"hello")
    feed(client.bio_read(1 << 16))
    (protocol,) = harness.application.made
    assert protocol.received == b"hello"
    known = IConnection(protocol.transport)
    assert known is connection
    assert (known.tls.version, known.peer) == ("TLSv1.3", "192.0.2.1:4711")
    assert protocol.transport.getPeer() == CLIENT
    harness.lose(connection)
    assert_nothing_left(harness)


def test_handshake_timeout_starts_after_the_header(
    make: Make, localhost: certificates.Made
) -> None:
    harness = make(tls=server_tls(localhost, Clock()), handshake=10.0, proxy_header=3.0)
    connection, transport = harness.connect(PROXY)
    harness.clock.advance(2.0)
    harness.feed(connection, LINE)
    harness.clock.advance(9.9)
    assert not transport.aborted
    harness.clock.advance(0.2)
    assert transport.aborted
    harness.lose(connection, ConnectionLost())
    assert harness.counters.ended == {End.TLS_TIMEOUT: 1}
    assert_nothing_left(harness)


def test_refused_client_behind_a_proxy_with_tls_gets_no_plaintext(
    make: Make, localhost: certificates.Made
) -> None:
    harness = make(tls=server_tls(localhost, Clock()), deny=NETWORKS.parse("192.0.2.0/24"))
    connection, transport = harness.connect(PROXY)
    harness.feed(connection, LINE)
    assert transport.disconnecting
    assert transport.value() == b""
    harness.lose(connection)
    assert_nothing_left(harness)


class ClosesAtOnce(HalfCloseableRecorder):
    """Writes and closes at once."""

    def connectionMade(self) -> None:
        self.transport.write(b"now")  # type: ignore[union-attr]
        self.transport.loseConnection()  # type: ignore[union-attr]


def test_protocol_that_closes_at_once_gets_no_input(make: Make) -> None:
    harness = make(ClosesAtOnce)
    connection, transport = harness.connect(PROXY)
    harness.feed(connection, LINE + b"hello")
    assert transport.value() == b"now"
    assert transport.disconnecting
    (protocol,) = harness.application.made
    assert protocol.received == b""
    harness.lose(connection)
    assert harness.counters.ended == {End.SERVER: 1}
    assert_nothing_left(harness)


def test_half_close_after_the_header(make: Make) -> None:
    harness = make(HalfCloseableRecorder)
    connection, _ = harness.connect(PROXY)
    harness.feed(connection, LINE + b"hello")
    harness.half_close(connection)
    (protocol,) = harness.application.made
    assert (protocol.received, protocol.half_closed) == (b"hello", 1)
    harness.lose(connection, ConnectionDone())
    assert_nothing_left(harness)


def test_reload_can_enable_and_disable_headers(make: Make) -> None:
    harness = make()
    harness.factory.switch_to(ListenerFactory(harness.layer))
    connection, _ = harness.connect()
    harness.feed(connection, LINE)
    (protocol,) = harness.application.made
    assert protocol.received == LINE
    harness.factory.switch_to(
        ListenerFactory(
            harness.layer, ListenerOptions(proxies=Proxies(TrustedProxies(NETWORKS.parse(TRUSTED))))
        )
    )
    harness.connect()
    assert harness.counters.refused == {Refusal.UNTRUSTED_PROXY: 1}


def test_replace_address_moves_the_slot_to_the_new_address(make: Make, events: Any) -> None:
    """IConnection.replace_address (WEBIRC)"""
    bans = Bans(lambda: 0.0)
    harness = make(per_address=1, deny=NETWORKS.parse("192.0.2.9"), bans=bans)
    gateway, _ = harness.connect(PROXY)
    harness.feed(gateway, line("198.51.100.1"))
    assert gateway.replace_address(ip_address("192.0.2.1")) is None
    assert (str(gateway.address), gateway.peer) == ("192.0.2.1", "192.0.2.1:0")
    assert gateway.replace_address(ip_address("192.0.2.1")) is None
    # its own slot is free
    again, _ = harness.connect(PROXY)
    harness.feed(again, line("198.51.100.1"))
    assert again.replace_address(ip_address("192.0.2.1")) is Refusal.ADDRESS_FULL
    assert again.replace_address(ip_address("192.0.2.9")) is Refusal.DENIED
    bans.add(Ban(NETWORKS.parse("2001:db8::/32")[0], 0.0, None, "", "test"))
    assert again.replace_address(ip_address("2001:db8::1")) is Refusal.BANNED
    assert again.peer == "198.51.100.1:4711"
    assert again.replace_address(ip_address("2001:db9::1")) is None
    assert again.peer == "[2001:db9::1]:0"
    assert [event["peer"] for event in events("connection.refused")] == [
        "192.0.2.1:0",
        "192.0.2.9:0",
        "[2001:db8::1]:0",
    ]
    for connection in (gateway, again):
        harness.lose(connection)
    assert_nothing_left(harness)
