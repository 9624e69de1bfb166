"""The log of connections: throttling by address, probes, and the access log."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import certificates
import pytest
from net.doubles import FULL, Make, MemorySocket, SocketLayerHarness, read_all, server_tls
from OpenSSL import SSL
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.logger import LogEvent, capturedLogs, formatEvent

from tcpd.config.settings import PolicySettings
from tcpd.config.values import NETWORKS, RATE
from tcpd.policy.reasons import End, Refusal


@pytest.fixture
def log_lines() -> Iterator[Callable[[], list[str]]]:
    """Return a function that returns the lines of events logged since its last call."""
    with capturedLogs() as logged:

        def lines() -> list[str]:
            events: list[LogEvent] = list(logged)
            logged.clear()
            return [formatEvent(each) for each in events if "event_id" in each]

        yield lines


def client(number: int, port: int = 4711) -> IPv4Address:
    return IPv4Address("TCP", f"198.51.{number // 256}.{number % 256}", port)


def test_refusal_is_logged_once_a_burst_for_each_address(make: Make, log_lines: Any) -> None:
    harness = make(deny=NETWORKS.parse("198.51.0.0/16"))
    for number in (1, 1, 2, 1):
        harness.connect(client(number))
    assert log_lines() == [
        "service test: refused 198.51.0.1:4711: denied (0 more since last logged)",
        "service test: refused 198.51.0.2:4711: denied (0 more since last logged)",
    ]
    harness.clock.advance(10)
    harness.connect(client(1, 9))
    assert log_lines() == ["service test: refused 198.51.0.1:9: denied (2 more since last logged)"]
    assert harness.counters.refused == {Refusal.DENIED: 5}


def test_addresses_of_one_ipv6_prefix_share_a_burst(make: Make, log_lines: Any) -> None:
    harness = make(deny=NETWORKS.parse("2001:db8::/32"), ipv6_prefix=56)
    for address in ("2001:db8::1", "2001:db8:0:ff::1", "2001:db8:0:100::1"):
        harness.connect(IPv6Address("TCP", address, 1))
    assert len(log_lines()) == 2
    harness.layer.reconfigure(
        PolicySettings(deny=NETWORKS.parse("2001:db8::/32"), ipv6_prefix=128), 0.0
    )
    harness.connect(IPv6Address("TCP", "2001:db8:0:ff::1", 1))
    assert len(log_lines()) == 1


@pytest.mark.parametrize("reason", [Refusal.SERVICE_FULL, Refusal.SERVICE_RATE])
def test_refusal_for_all_addresses_is_one_line_a_burst(
    make: Make, log_lines: Any, reason: Refusal
) -> None:
    full = reason is Refusal.SERVICE_FULL
    harness = make(connections=1) if full else make(connection_rate=RATE.parse("1/h burst 1"))
    for number in range(5):
        harness.connect(client(number))
    assert log_lines() == [
        f"service test: refused 198.51.0.1:4711: {reason} (0 more since last logged)"
    ]


def test_thousand_addresses_are_logged_and_the_rest_counted(make: Make, log_lines: Any) -> None:
    harness = make(deny=NETWORKS.parse("198.51.0.0/16"))
    for number in range(1100):
        harness.connect(client(number))
    assert len(log_lines()) == 1024
    harness.clock.advance(10)
    harness.connect(client(5000))
    assert log_lines() == [
        "service test: 76 more connections were refused or misbehaved, from more addresses than "
        "are logged",
        "service test: refused 198.51.19.136:4711: denied (0 more since last logged)",
    ]


def test_refusal_on_unix_socket_is_logged(make: Make, log_lines: Any) -> None:
    harness = make(connection_rate=RATE.parse("1/h burst 1"))
    for _ in range(2):
        harness.connect(UNIXAddress(None))
    assert log_lines() == ["service test: refused unix: service-rate (0 more since last logged)"]


# --- starts ---


@pytest.mark.parametrize(
    ("policy", "logged"),
    [
        ({"access_log": True, "log_start": True}, 1),
        ({"access_log": True}, 0),
        ({"log_start": True}, 0),
        ({}, 0),
    ],
)
@pytest.mark.parametrize("tls", [False, True])
def test_log_start_logs_the_start_of_connections(
    make: Make,
    log_lines: Any,
    localhost: certificates.Made,
    policy: dict[str, Any],
    logged: int,
    tls: bool,
) -> None:
    """[policy:...] log_start: before TLS, so that a connection with a failed handshake has a line
    too."""
    harness = make(tls=server_tls(localhost, Clock()) if tls else None, **policy)
    connection, _ = harness.connect(client(1))
    assert log_lines() == ["service test: connection 1 from 198.51.0.1:4711 started"] * logged
    harness.lose(connection)
    assert [" ended after " in line for line in log_lines()] == [True] * ("access_log" in policy)


def test_reload_of_log_start_applies_to_new_connections(make: Make, log_lines: Any) -> None:
    harness = make()
    harness.connect(client(1))
    harness.layer.reconfigure(PolicySettings(access_log=True, log_start=True), 0.0)
    harness.connect(client(2))
    assert log_lines() == ["service test: connection 2 from 198.51.0.2:4711 started"]


# --- misbehaviour ---


def test_invalid_tls_is_logged_once_a_burst(
    make: Make, log_lines: Any, localhost: certificates.Made
) -> None:
    harness = make(tls=server_tls(localhost, Clock()))
    for number in (1, 1, 2):
        connection, _ = harness.connect(client(number))
        harness.feed(connection, b"GET / HTTP/1.1\r\n\r\n")
        harness.lose(connection)
    assert log_lines() == [
        f"service test: misbehaviour of 198.51.0.{number}:4711: tls-failed: http request "
        "(0 more since last logged)"
        for number in (1, 2)
    ]


def test_tls_refused_by_clients_is_one_line_and_no_misbehaviour(
    make: Make, log_lines: Any, localhost: certificates.Made
) -> None:
    """With an expired certificate every client sends an alert, which must not ban clients."""
    harness = make(tls=server_tls(localhost, Clock()), access_log=True)
    for number in (1, 2):
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
        peer = SSL.Connection(context)
        peer.set_connect_state()
        with pytest.raises(SSL.WantReadError):
            peer.do_handshake()
        connection, _ = harness.connect(client(number))
        harness.feed(connection, peer.bio_read(1 << 16))
        harness.feed(connection, b"\x15\x03\x03\x00\x02\x02\x2d")  # fatal, certificate_expired
        harness.lose(connection)
    refused, ended, _ = log_lines()
    reason = refused.removeprefix("service test: no TLS with 198.51.0.1:4711: ")
    assert reason.endswith("alert certificate expired (0 more since last logged)")
    assert "bytes out, no TLS: " in ended
    assert ended.endswith("alert certificate expired")
    assert harness.counters.ended == {End.TLS_REFUSED: 2}


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        (b"\x17\x03\x03\x00\x20" + bytes(32), "decryption failed or bad record mac"),
        (b"GET / HTTP/1.1\r\n\r\n", "bad record type"),
    ],
)
def test_tls_error_after_the_handshake_is_lost_with_its_reason(
    make: Make, log_lines: Any, localhost: certificates.Made, last: bytes, reason: str
) -> None:
    harness = make(tls=server_tls(localhost, Clock()), access_log=True)
    peer = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD))
    peer.set_connect_state()
    connection, transport = harness.connect(client(1))
    for _ in range(2):
        with contextlib.suppress(SSL.WantReadError):
            peer.do_handshake()
        harness.feed(connection, peer.bio_read(1 << 16))
        peer.bio_write(read_all(transport))
    harness.feed(connection, last)
    harness.lose(connection)
    (ended,) = log_lines()
    assert " ended after 0.000 s: lost, " in ended
    assert f"SHA256: {reason}" in ended


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_probe_without_input_is_not_logged(
    make: Make, log_lines: Any, localhost: certificates.Made, tls: bool, reset: bool
) -> None:
    """HAProxy's health check connects and resets the connection."""
    harness = make(tls=server_tls(localhost, Clock()) if tls else None)
    for _ in range(3):
        connection, _ = harness.connect()
        harness.lose(connection, ConnectionLost() if reset else None)
    assert log_lines() == []
    assert harness.counters.ended == {End.LOST if reset else End.CLIENT: 3}


def test_handshake_timeout_is_logged(
    make: Make, log_lines: Any, localhost: certificates.Made
) -> None:
    harness = make(tls=server_tls(localhost, Clock()))
    connection, _ = harness.connect()
    harness.clock.advance(10)
    harness.lose(connection)
    assert log_lines() == [
        "service test: misbehaviour of 192.0.2.1:4711: tls-timeout (0 more since last logged)"
    ]


@pytest.mark.parametrize(
    ("policy", "end"),
    [
        ({"first_byte": 8.0}, End.FIRST_BYTE),
        ({"stalled": 8.0}, End.STALLED),
        ({"unsent": 1 << 16}, End.SLOW_READER),
        ({"session": 8.0}, None),
        ({"linger": 8.0}, None),
    ],
)
def test_only_misbehaviour_is_logged_without_access_log(
    make: Make, log_lines: Any, policy: dict[str, float], end: End | None
) -> None:
    harness = make(**policy)
    harness.layer.start()
    connection, _ = harness.connect()
    if end is not End.FIRST_BYTE:
        harness.feed(connection, b".")
    if end is not None and end is not End.FIRST_BYTE:
        for _ in range(4):
            connection.write(b"x" * FULL)
    elif "linger" in policy:
        connection.write(b"x" * FULL)
        connection.loseConnection()
    for _ in range(20):
        harness.clock.advance(1)
    harness.lose(connection)
    expected = f"service test: misbehaviour of 192.0.2.1:4711: {end} (0 more since last logged)"
    assert log_lines() == ([] if end is None else [expected])
    assert harness.counters.ended == {
        end or (End.SESSION if "session" in policy else End.LINGER): 1
    }


# --- lack of descriptors and slots ---


def test_client_without_descriptor_is_counted_logged_and_closed(log_lines: Any) -> None:
    harness = SocketLayerHarness()
    for number in range(3):
        sock: Any = MemorySocket()
        harness.factory.refuse_socket(sock, (client(number).host, 4711))
        assert sock.taken == b"no: no-descriptor"
        assert sock.closed
    assert harness.counters.refused == {Refusal.NO_DESCRIPTOR: 3}
    assert log_lines() == [
        "service test: refused 198.51.0.0:4711: no-descriptor (0 more since last logged)"
    ]
    assert harness.counters.open == harness.connection_count.count == 0


def test_full_pause_leaves_clients_in_the_backlog() -> None:
    harness = SocketLayerHarness(full="pause", connections=1)
    calls = itertools.count()

    def call() -> None:
        next(calls)

    assert not harness.factory.must_wait(call)
    connection, _ = harness.connect()
    assert harness.factory.must_wait(call)
    harness.lose(connection)
    assert next(calls) == 1
    assert not harness.factory.must_wait(call)


def test_reload_of_full_starts_and_ends_pausing() -> None:
    harness = SocketLayerHarness(connections=1)
    harness.connect()
    called: list[bool] = []

    def call() -> None:
        called.append(harness.factory.must_wait(call))

    assert not harness.factory.must_wait(call), "full = refuse does not pause"
    harness.layer.reconfigure(PolicySettings(connections=1, full="pause"), 0.0)
    assert harness.factory.must_wait(call)
    harness.layer.reconfigure(PolicySettings(connections=1, full="pause"), 0.0)
    assert called == [True], "called once"
    harness.layer.reconfigure(PolicySettings(connections=1), 0.0)
    assert called == [True, False], "the next client is refused"


def test_full_pause_applies_when_the_daemon_is_full() -> None:
    harness = SocketLayerHarness(full="pause")
    harness.connection_count.limit = 0
    called: list[int] = []
    assert harness.factory.must_wait(lambda: called.append(1))
    harness.connection_count.limit = 1
    assert called == [1]
