"""``protocol = forward``, on transports in memory."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from ipaddress import ip_address
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from relay.forwarding import CLIENT, SERVICE, ForwardedPair, PeerTransport
from twisted.internet.error import (
    ConnectError,
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
    NoRouteError,
    TCPTimedOutError,
)
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.testing import StringTransport
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from zope.interface.verify import verifyObject

from tcpd.config.errors import SettingError
from tcpd.interfaces import IConnection, IFarewell, IReconfigurable
from tcpd.net.lookups import LookupFailed
from tcpd.net.proxy import ProxyFacts
from tcpd.net.tls import TLSFacts
from tcpd.policy.reasons import End
from tcpd.relay.forward import kind
from tcpd.relay.forward_client import GRACE
from tcpd.relay.forward_far import LINGER, FarSide
from tcpd.relay.forward_route import common_name
from tcpd.relay.forward_settings import ForwardSettings, expected_name
from tcpd.relay.forward_tls import FarTLS
from tcpd.relay.forward_wire import TLSFarSide
from tcpd.relay.forward_wire import Wire as TLSWire
from tcpd.relay.target import parse_target
from tcpd.wire.proxy_header import AddressPair, ClientTLS, version_2


@pytest.fixture
def logged() -> Iterator[list[LogEvent]]:
    """Collect the events of the catalogue."""
    seen: list[LogEvent] = []

    def observe(event: LogEvent) -> None:
        if "event_id" in event:
            seen.append(event)

    globalLogPublisher.addObserver(observe)
    yield seen
    globalLogPublisher.removeObserver(observe)


def test_the_factory_provides_its_interfaces() -> None:
    pair = ForwardedPair()
    verifyObject(IHalfCloseableProtocol, pair.side)
    verifyObject(IFarewell, pair.side)
    verifyObject(IReconfigurable, pair.factory)
    verifyObject(IHalfCloseableProtocol, FarSide(pair.side, pair.factory))
    far = TLSFarSide(pair.side, pair.factory, FarTLS("x", "", "", ""))
    verifyObject(IHalfCloseableProtocol, far)
    verifyObject(IHalfCloseableProtocol, far.wire)


# --- before the far side is connected ---


def test_nothing_is_read_from_the_client_before_the_far_side_is_connected() -> None:
    pair = ForwardedPair()
    assert not pair.client.reading
    assert pair.reactor.tcpClients[0][:2] == ("192.0.2.9", 25)
    pair.connect()
    assert pair.client.reading
    assert pair.timers == 0


def test_data_decrypted_with_the_tls_handshake_is_relayed() -> None:
    """A paused TLS layer still delivers what it has decrypted."""
    pair = ForwardedPair()
    pair.side.dataReceived(b"HELO ")
    pair.side.dataReceived(b"x\r\n")
    pair.connect()
    assert pair.far.read() == b"HELO x\r\n"


def test_data_of_a_client_that_closed_early_is_relayed() -> None:
    pair = ForwardedPair()
    pair.side.dataReceived(b"x")
    pair.client.lose(ConnectionDone())
    pair.connect()
    assert pair.far.disconnecting
    assert pair.far.read() == b"x"
    assert pair.timers == 0


@pytest.mark.parametrize("error", [ConnectionDone(), ConnectionLost()])
def test_a_lost_client_cancels_the_connection_attempt(error: Exception) -> None:
    """No connection is made without a client."""
    pair = ForwardedPair()
    pair.client.lose(error)
    pair.reactor.advance(GRACE)
    assert pair.reactor.connectors[-1].stoppedConnecting
    assert pair.timers == 0
    assert not pair.counted


def test_a_far_side_connected_as_the_client_is_lost_gets_a_reset() -> None:
    """As if the client had connected to it directly."""
    pair = ForwardedPair()
    pair.client.lose(ConnectionLost())
    pair.connect()
    assert pair.far.aborting
    pair.reactor.advance(GRACE)
    assert pair.timers == 0


def test_a_kicked_client_cancels_the_connection_attempt() -> None:
    """The client may have sent data."""
    pair = ForwardedPair()
    pair.side.dataReceived(b"x")
    assert pair.side.farewell(End.KICKED) == b""
    pair.client.lose(ConnectionDone())
    pair.reactor.advance(GRACE)
    assert pair.reactor.connectors[-1].stoppedConnecting
    assert pair.timers == 0


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (ConnectionRefusedError(osError=111), "refused"),
        (ConnectError(osError=2), "refused"),
        (TCPTimedOutError(osError=110), "timeout"),
        (NoRouteError(osError=113), "unreachable"),
        (ConnectError(osError=101), "unreachable"),
        (LookupFailed("no"), "unresolved"),
        (ConnectError(osError=24), "failed"),
        (RuntimeError("x"), "failed"),
    ],
)
def test_a_failed_connection_is_logged_and_counted(
    logged: list[LogEvent], error: Exception, word: str
) -> None:
    pair = ForwardedPair()
    pair.refuse(error)
    assert pair.client.disconnecting
    assert pair.counted == {f"far-{word}": 1}
    assert pair.timers == 0
    (event,) = logged
    assert event["event_id"] == "forward.failed"
    assert event["reason"] == word
    assert formatEvent(event).startswith(
        f"service mail: 192.0.2.9:25 cannot be reached for unknown: {word}: "
    )
    pair.client.lose(ConnectionDone())


@pytest.mark.parametrize("number", [errno.ECONNRESET, errno.ECONNREFUSED, errno.EMFILE])
def test_a_failed_connection_resets_the_client(number: int) -> None:
    """ "A truncated stream never looks complete": neither as an empty reply, nor as if the
    client's data had been delivered."""
    pair = ForwardedPair()
    pair.refuse(ConnectError(osError=number))
    assert pair.client.aborting
    pair.client.lose(ConnectionLost())


def test_a_burst_of_failures_is_logged_once_and_counted_each_time(logged: list[LogEvent]) -> None:
    pair = ForwardedPair()
    pair.refuse(ConnectionRefusedError(osError=111))
    for _ in range(3):
        client = PeerTransport()
        side = pair.factory.buildProtocol(CLIENT)
        client.protocol = side
        side.makeConnection(client)
        pair.refuse(ConnectionRefusedError(osError=111))
        assert client.disconnecting
    assert pair.counted == {"far-refused": 4}
    assert [event["since"] for event in logged] == [0]


def test_connecting_times_out(logged: list[LogEvent]) -> None:
    pair = ForwardedPair(connect_timeout=3.0)
    pair.reactor.advance(2.9)
    assert not pair.client.disconnecting
    pair.reactor.advance(0.2)
    assert pair.client.disconnecting
    assert pair.reactor.connectors[-1].stoppedConnecting
    assert pair.counted == {"far-timeout": 1}
    assert [event["reason"] for event in logged] == ["timeout"]


@pytest.mark.parametrize("timeout", [3.0, 30.0])
def test_a_resolver_timeout_is_reported_as_unresolved(
    logged: list[LogEvent], monkeypatch: pytest.MonkeyPatch, timeout: float
) -> None:
    """The look-up ends at ``connect_timeout``, and after 10 s at the latest."""
    threads: list[Any] = []
    monkeypatch.setattr("threading.Thread.start", lambda thread: threads.append(thread))
    pair = ForwardedPair(to="mail.example:25", connect_timeout=timeout)
    pair.reactor.advance(2.9)
    assert not pair.client.disconnecting
    pair.reactor.advance(min(timeout, 10.0) - 2.9)
    assert pair.client.disconnecting
    assert pair.counted == {"far-unresolved": 1}
    assert pair.timers == 0
    assert len(threads) == 1
    assert pair.reactor.tcpClients == []
    assert formatEvent(logged[0]).startswith(
        "service mail: mail.example:25 cannot be reached for unknown: unresolved: the system's "
        f"resolver has not answered in {min(timeout, 10.0)} s; do the name servers in "
    )


# --- data in both directions ---


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=100_000)), max_size=20))
def test_bytes_do_not_depend_on_segmentation(pieces: list[tuple[bool, bytes]]) -> None:
    """Each side receives what the other sent, however it was segmented, and whichever side was
    paused."""
    pair = ForwardedPair().connect()
    sent = {True: b"", False: b""}
    received = {True: b"", False: b""}
    for from_client, piece in pieces:
        wire, other = (pair.client, pair.far) if from_client else (pair.far, pair.client)
        if not wire.reading:
            received[from_client] += other.read()
        wire.say(piece)
        sent[from_client] += piece
    received[True] += pair.far.read()
    received[False] += pair.client.read()
    assert received == sent


@pytest.mark.parametrize("slow", ["client", "far"])
def test_a_side_that_does_not_read_costs_bounded_memory(slow: str) -> None:
    pair = ForwardedPair().connect()
    reader, writer = (pair.client, pair.far) if slow == "client" else (pair.far, pair.client)
    sent = 0
    while writer.reading:
        writer.say(bytes(4096))
        sent += 4096
        assert sent <= 2 * PeerTransport.ROOM
    assert reader.reading  # the other direction is not affected
    assert reader.read() == bytes(sent)
    assert writer.reading


def test_buffered_data_is_sent_before_later_data() -> None:
    """A paused TLS layer still delivers the rest of what it has decrypted."""
    pair = ForwardedPair().connect()
    pair.side.dataReceived(b"a" * (PeerTransport.ROOM + 1))
    assert not pair.client.reading
    pair.side.dataReceived(b"b")
    assert pair.far.read() == b"a" * (PeerTransport.ROOM + 1) + b"b"
    assert pair.client.reading
    assert pair.far.producer is None
    pair.client.say(b"c")
    assert pair.far.read() == b"c"


def test_a_half_close_follows_buffered_data() -> None:
    pair = ForwardedPair().connect()
    pair.side.dataReceived(b"a" * (PeerTransport.ROOM + 1))
    pair.side.readConnectionLost()
    assert pair.far.half_closing
    assert pair.far.read() == b"a" * (PeerTransport.ROOM + 1)
    assert pair.far.half_closed
    assert not pair.client.reading  # its FIN was received


# --- closing ---


def test_the_clients_half_close_is_relayed_and_the_reply_delivered() -> None:
    pair = ForwardedPair().connect()
    pair.client.say(b"question")
    pair.client.end()
    assert pair.far.half_closing
    assert pair.far.read() == b"question"
    assert not pair.client.disconnecting
    pair.far.say(b"answer")
    assert pair.client.read() == b"answer"
    pair.far.end()
    assert pair.far.disconnecting
    assert pair.client.half_closing
    pair.client.read()
    assert pair.client.disconnecting
    pair.client.read()
    pair.far.read()
    assert pair.timers == 0
    assert not pair.counted


def test_the_far_sides_half_close_is_relayed_and_the_client_may_send() -> None:
    pair = ForwardedPair().connect()
    pair.far.say(b"banner")
    pair.far.end()
    assert pair.client.half_closing
    assert pair.client.read() == b"banner"
    assert not pair.client.disconnecting
    pair.client.say(b"more")
    assert pair.far.read() == b"more"
    pair.client.end()
    assert pair.client.disconnecting
    pair.client.read()
    pair.far.read()
    pair.far.read()
    assert pair.far.gone
    assert pair.timers == 0


def test_a_half_close_follows_data_buffered_for_a_full_side() -> None:
    pair = ForwardedPair().connect()
    pair.far.say(bytes(100_000))
    assert not pair.far.reading
    pair.far.producerState = "producing"  # read before it was paused
    pair.far.end()
    assert pair.client.half_closing
    assert not pair.client.half_closed
    assert pair.client.read() == bytes(100_000)
    assert pair.client.half_closed


def test_a_half_close_before_the_far_side_is_connected_is_relayed() -> None:
    pair = ForwardedPair()
    pair.side.dataReceived(b"x")
    pair.client.read_ended = True
    pair.side.readConnectionLost()
    pair.client.read_ended = False
    pair.connect()
    assert pair.far.half_closing
    assert pair.far.read() == b"x"


def test_a_reset_by_the_client_resets_the_far_side() -> None:
    pair = ForwardedPair().connect()
    pair.client.say(b"x")
    pair.client.lose(ConnectionLost())
    assert pair.far.aborting
    pair.far.lose(ConnectionLost())
    assert pair.timers == 0


def test_a_reset_by_the_far_side_resets_the_client() -> None:
    pair = ForwardedPair().connect()
    pair.far.say(b"x")
    pair.far.lose(ConnectionLost())
    assert pair.client.aborting
    assert pair.counted == {"far-lost": 1}
    pair.client.lose(ConnectionLost())


def test_a_reply_before_a_half_close_and_a_reset_is_delivered() -> None:
    """A server may reply, close, and reset further data. The client must get the reply, so its
    connection is not closed with unread input."""
    pair = ForwardedPair().connect()
    pair.far.say(b"413 too much")
    pair.far.end()
    pair.client.say(b"more")
    pair.far.lose(ConnectionLost())
    assert not pair.client.aborting
    pair.client.say(b"and more")
    assert pair.client.read() == b"413 too much"
    assert not pair.client.disconnecting
    pair.reactor.advance(LINGER)
    assert pair.client.disconnecting
    pair.client.read()
    assert pair.timers == 0


def test_a_reply_read_before_the_reset_is_delivered() -> None:
    pair = ForwardedPair().connect()
    pair.far.end()
    pair.client.read()
    pair.far.lose(ConnectionLost())
    assert not pair.client.aborting
    pair.client.end()
    assert pair.client.disconnecting
    pair.client.read()
    assert pair.timers == 0


def test_a_reset_reported_on_send_resets_the_client() -> None:
    """The kernel reports a reset once; reading then returns end of file."""
    pair = ForwardedPair().connect()
    pair.far.say(b"half an ans")
    pair.far.send_error = ConnectionResetError(errno.ECONNRESET, "reset")
    pair.client.say(b"more")
    assert not pair.client.disconnecting
    pair.far.say(b"wer")  # received before the reset
    pair.far.end()
    assert pair.client.aborting
    assert pair.client.value() == b"half an answer"
    assert pair.far.aborting
    assert pair.counted == {"far-lost": 1}


def test_a_reset_reported_as_end_of_file_resets_the_client() -> None:
    """Twisted's epoll reactor treats EPOLLHUP as end of file; SO_ERROR has the error."""
    pair = ForwardedPair().connect()
    pair.far.say(b"half")
    pair.far.error = errno.ECONNRESET
    pair.far.end()
    assert pair.client.aborting
    assert pair.far.aborting


def test_a_reply_is_delivered_if_sending_fails_with_epipe() -> None:
    """EPIPE: its FIN came first, so the reply is complete; the client's data is not: reset."""
    pair = ForwardedPair().connect()
    pair.far.send_error = BrokenPipeError(errno.EPIPE, "closed")
    pair.client.say(b"more")
    pair.far.say(b"413 too much")
    assert not pair.client.half_closing
    pair.far.end()
    assert pair.client.half_closing
    assert pair.far.disconnecting
    assert pair.client.read() == b"413 too much"
    assert not pair.client.disconnecting
    pair.client.end()
    assert pair.client.aborting
    pair.client.read()
    pair.far.read()
    assert pair.timers == 0


def test_data_before_a_half_close_is_delivered_if_the_client_is_lost() -> None:
    """The client closed, and its kernel reset the reply: data before its FIN is complete."""
    pair = ForwardedPair().connect()
    pair.client.say(b"last words")
    pair.client.end()
    pair.client.lose(ConnectionLost())
    assert pair.far.disconnecting
    assert not pair.far.aborting
    assert pair.far.read() == b"last words"
    assert pair.timers == 0


def test_the_far_side_has_linger_seconds_to_read_after_a_close() -> None:
    """The connection layer or TLS may have closed the connection."""
    pair = ForwardedPair().connect()
    pair.client.say(b"last words")
    pair.client.lose(ConnectionDone())
    assert pair.far.disconnecting
    pair.reactor.advance(LINGER - 1)
    assert not pair.far.aborting
    pair.reactor.advance(1)
    assert pair.far.aborting
    pair.far.lose(ConnectionLost())


def test_the_far_side_is_closed_when_it_has_read_all() -> None:
    pair = ForwardedPair().connect()
    pair.client.say(b"last words")
    pair.client.lose(ConnectionDone())
    assert pair.far.read() == b"last words"
    assert pair.timers == 0


def test_a_farewell_sends_nothing_and_stops_reading() -> None:
    """ "A truncated stream never looks complete": the policy cuts both directions."""
    pair = ForwardedPair().connect()
    assert pair.side.farewell(End.SHUTDOWN) == b""
    assert not pair.far.reading
    assert pair.client.aborting
    pair.client.lose(ConnectionAborted())
    pair.far.read()
    assert pair.far.aborting


def test_a_stopping_service_waits_for_its_far_sides() -> None:
    """ "the client's data is still delivered", for at most ``drain``."""
    pair = ForwardedPair().connect()
    ends: list[object] = []
    pair.client.say(b"last words")
    pair.factory.finish(20.0).addCallback(ends.append)
    pair.side.farewell(End.SHUTDOWN)
    pair.client.lose(ConnectionAborted())
    assert ends == []
    assert pair.far.read() == b"last words"
    assert ends == [None]
    assert pair.timers == 0


@pytest.mark.parametrize("how", ["late", "hurried"])
def test_a_far_side_that_does_not_read_is_cut_at_the_stop(how: str) -> None:
    """ "what is left then is to be cut off", as at the second SIGTERM."""
    pair = ForwardedPair().connect()
    ends: list[object] = []
    pair.client.say(b"last words")
    pair.client.lose(ConnectionDone())
    pair.factory.finish(2.0).addCallback(ends.append)
    assert ends == []
    assert not pair.far.aborting
    if how == "late":
        pair.reactor.advance(2)
    else:
        pair.factory.abort()
    assert pair.far.aborting
    pair.far.read()
    assert ends == [None]
    assert pair.timers == 0


def test_a_service_without_connections_stops_at_once() -> None:
    ends: list[object] = []
    pair = ForwardedPair()
    pair.refuse(ConnectionRefusedError(osError=111))
    pair.factory.finish(2.0).addCallback(ends.append)
    assert ends == [None]


def test_a_farewell_does_not_truncate_a_closed_direction() -> None:
    """The far side's data is complete; the client's is not."""
    pair = ForwardedPair().connect()
    pair.far.say(b"answer")
    pair.far.end()
    assert pair.side.farewell(End.IDLE) == b""
    assert not pair.client.aborting
    pair.client.lose(ConnectionDone())
    pair.far.read()
    assert pair.far.aborting
    pair = ForwardedPair().connect()
    pair.client.end()
    assert pair.side.farewell(End.IDLE) == b""
    assert pair.client.aborting
    pair.client.lose(ConnectionAborted())
    assert pair.far.disconnecting
    assert not pair.far.aborting


# --- the PROXY header ---


@pytest.mark.parametrize(
    ("version", "header"),
    [
        ("none", b""),
        ("v1", b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 25\r\n"),
        (
            "v2",
            bytes.fromhex("0d0a0d0a000d0a515549540a 2111000c c0000201 c0000202 1267 0019"),
        ),
    ],
)
def test_the_proxy_header_precedes_the_clients_data(version: str, header: bytes) -> None:
    """proxy-protocol.txt: "prepended before any data flowing from the sender to the receiver" """
    pair = ForwardedPair(send_proxy=version)
    pair.side.dataReceived(b"x")
    pair.connect()
    assert pair.far.read() == header + b"x"


class WithFacts(PeerTransport):
    """A transport with these facts about its connection."""

    def __init__(self, tls: TLSFacts | None, proxy: ProxyFacts | None) -> None:
        super().__init__()
        self.tls = tls
        self.proxy = proxy

    def __conform__(self, interface: object) -> Any:
        return self if interface is IConnection else None


OUR_TLS = TLSFacts("TLSv1.3", "TLS_AES_128_GCM_SHA256", "mail.example")
PROXYS_TLS = ClientTLS("TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256", True, "ann")


def proxied(**facts: Any) -> ProxyFacts:
    default: dict[str, Any] = {"version": 2, "local": False, "host": SERVICE, "alpn": None}
    return ProxyFacts(address=CLIENT, **default, **facts)


@pytest.mark.parametrize(
    ("tls", "proxy", "means"),
    [
        (None, None, {}),
        (
            OUR_TLS,
            None,
            {"authority": "mail.example", "tls": ClientTLS(OUR_TLS.version, OUR_TLS.cipher)},
        ),
        (
            TLSFacts("TLSv1.3", "C", None, "ab12", "CN=ann,O=Example"),
            None,
            {"tls": ClientTLS("TLSv1.3", "C", True, "ann")},
        ),
        (
            None,
            proxied(authority="x.example", unique_id=b"id", ssl=PROXYS_TLS),
            {"authority": "x.example", "unique_id": b"id", "tls": PROXYS_TLS},
        ),
        (
            OUR_TLS,
            proxied(authority="x.example", unique_id=None, ssl=PROXYS_TLS),
            {"authority": "mail.example", "tls": ClientTLS(OUR_TLS.version, OUR_TLS.cipher)},
        ),
    ],
)
def test_version_2_combines_own_facts_and_a_received_header(
    tls: TLSFacts | None, proxy: ProxyFacts | None, means: dict[str, Any]
) -> None:
    factory = ForwardedPair(send_proxy="v2").factory
    ends = AddressPair(ip_address(CLIENT.host), CLIENT.port, ip_address(SERVICE.host), SERVICE.port)
    assert factory.route.header(WithFacts(tls, proxy)) == version_2(ends, **means)


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        (None, None),
        ("CN=ann", "ann"),
        ("O=Example,C=DE", None),
        ("CN=a\\,b,O=x", "a,b"),
        ("nonsense", None),
    ],
)
def test_common_name_parses_a_subject(subject: str | None, name: str | None) -> None:
    assert common_name(subject) == name


# --- reload and settings ---


def test_a_reload_applies_to_new_connections() -> None:
    pair = ForwardedPair()
    pair.factory.reconfigure(ForwardSettings(to=parse_target("192.0.2.10:26"), send_proxy="v1"))
    pair.connect()
    assert pair.far.read() == b""
    side = pair.factory.buildProtocol(CLIENT)
    client = PeerTransport()
    client.protocol = side
    side.makeConnection(client)
    assert pair.reactor.tcpClients[-1][:2] == ("192.0.2.10", 26)


def test_the_endpoint_depends_on_the_target() -> None:
    pair = ForwardedPair(to="[2001:db8::1]:25")
    assert pair.reactor.tcpClients[0][:2] == ("2001:db8::1", 25)
    pair = ForwardedPair(to="unix:/run/x")
    assert pair.reactor.unixClients[0][0] == "/run/x"


def setting_error(**settings: Any) -> SettingError:
    settings.setdefault("to", "localhost:25")
    settings["to"] = parse_target(settings["to"])
    context = ForwardedPair().context
    with pytest.raises(SettingError) as caught:
        kind.make_factory(ForwardSettings(**settings), context)
    return caught.value


@pytest.mark.parametrize(
    ("settings", "key", "says"),
    [
        ({"tls_name": "x"}, "tls_name", "add tls = yes"),
        ({"ca": "x"}, "ca", "add tls = yes"),
        ({"certificate": "x"}, "certificate", "add tls = yes"),
        ({"key": "x"}, "key", "add tls = yes"),
        ({"tls": True, "key": "x"}, "key", "add certificate = FILE"),
        ({"tls": True, "to": "unix:/x"}, "tls_name", "set the name of the certificate here"),
        ({"tls": True, "tls_name": "\u2028." * 70}, "tls_name", "is not a host name"),
        ({"tls": True, "tls_name": "."}, "tls_name", "is not a host name"),
        ({"tls": True, "tls_name": "x.."}, "tls_name", "is not a host name"),
        ({"tls": True, "tls_name": "*.example"}, "tls_name", "is not a host name"),
        ({"tls": True, "tls_name": "a b"}, "tls_name", "is not a host name"),
        ({"tls": True, "ca": "/nowhere/x"}, "ca", "No such file"),
        ({"tls": True, "ca": "\0"}, "ca", "NUL character"),
        ({"tls": True, "certificate": "/nowhere/x"}, "certificate", "No such file"),
    ],
)
def test_contradicting_settings_are_rejected(settings: Any, key: str, says: str) -> None:
    error = setting_error(**settings)
    assert error.key == key
    assert says in error.text


@pytest.mark.parametrize(
    ("settings", "name", "server_name"),
    [
        ({"tls_name": "far.example."}, "far.example", b"far.example"),
        ({"to": "far.example.:443"}, "far.example", b"far.example"),
        ({"tls_name": "b\u00fccher.example."}, "b\u00fccher.example", b"xn--bcher-kva.example"),
        ({"tls_name": "b\u00fccher.example\u3002"}, None, b"xn--bcher-kva.example"),
        ({"tls_name": "192.0.2.1."}, "192.0.2.1", None),
    ],
)
def test_a_trailing_dot_is_used_for_dns_only(
    settings: Any, name: str | None, server_name: bytes | None
) -> None:
    """RFC 6066 section 3: "without a trailing dot" """
    settings["to"] = parse_target(settings.get("to", "192.0.2.9:25"))
    tls = FarTLS(expected_name(ForwardSettings(tls=True, **settings)), "", "", "")
    assert tls.name == (name or settings["tls_name"])
    assert tls.connect().connection().get_servername() == server_name


def test_files_of_the_wrong_kind_are_rejected(localhost: Any, tmp_path: Any) -> None:
    pem, key = str(localhost.certificate_file), str(localhost.key_file)
    other = tmp_path / "other.pem"
    other.write_text("nothing\n")
    assert setting_error(tls=True, ca=str(other)).key == "ca"
    assert "no PEM private key" in setting_error(tls=True, certificate=pem).text
    assert "no PEM certificate" in setting_error(tls=True, certificate=key).text


def test_a_far_side_whose_bytes_cannot_be_passed_on_is_cut(logged_failures: Any) -> None:
    """The TLS of the far side is processed in a later turn, where no transport sees a failure."""
    stub: Any = SimpleNamespace(clock=None, work=None)
    wire = TLSWire(stub, stub, b"", stub, None)
    wire.transport = StringTransport()
    try:
        raise ZeroDivisionError("a bug")
    except ZeroDivisionError:
        wire.receive_failed()
    logged_failures.expect("a bug")
    assert wire.transport.disconnecting
