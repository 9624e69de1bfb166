"""HTTP on a connection, on a transport in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flow_control import TurnClock
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from tcpd.http.response import Response, text
from tcpd.http.site import OpenWebSocket, Site, Visit
from tcpd.line.testing import MemoryContext
from tcpd.net.http_protocol import (
    BODY_BYTES,
    BODY_SECONDS,
    HEAD_SECONDS,
    IDLE_SECONDS,
    HTTPFactory,
)
from tcpd.net.turns import work_queue
from tcpd.policy.reasons import End

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"


class SteppedClock(TurnClock):
    """Each reading advances it by a quarter of a millisecond, as if pages took time."""

    step = 0.0

    def seconds(self) -> float:
        self.rightNow += self.step
        return super().seconds()


class Events:
    """An event stream that a test feeds."""

    def __init__(self) -> None:
        self.send: Callable[[bytes], bool] = lambda data: False
        self.finish: Callable[[], None] = lambda: None
        self.stopped = 0

    def start(self, send: Callable[[bytes], bool], finish: Callable[[], None]) -> None:
        self.send, self.finish = send, finish
        assert send(b"data: 1\n\n")

    def stop(self) -> None:
        self.stopped += 1


class SiteVisit:
    """One connection to a site."""

    def __init__(self, beside: SiteVisit | None = None) -> None:
        self.clock = beside.clock if beside else SteppedClock()
        self.accepted: list[str] = beside.accepted if beside else []
        self.events = Events()
        self.context = MemoryContext(clock=self.clock)
        self.context.work = beside.context.work if beside else work_queue(self.clock)
        pages: dict[str, Any] = {
            "/a": self._a,
            "/b": lambda visit: text(503, "not now"),
            "/tagged": lambda visit: Response(200, "text/x", b"tagged", etag='"1"'),
            "/bug": lambda visit: 1 / 0,
            "/events": lambda visit: self.events,
            "/ws": lambda visit: OpenWebSocket(None),
            "/below/*": lambda visit: text(200, visit.path),
        }
        self.factory = HTTPFactory(Site(pages, lambda connection: [("X-Own", "1")]), self.context)
        self.factory.doStart()
        self.protocol: Any = self.factory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 4711))
        self.transport = StringTransport()
        self.transport.protocol = self.protocol
        self.protocol.makeConnection(self.transport)

    def _a(self, visit: Visit) -> Response:
        self.accepted.append(visit.header("accept"))
        return Response(200, "text/x", b"page a")

    def send(self, data: bytes) -> bytes:
        """Send bytes; return the response."""
        self.transport.clear()
        self.protocol.dataReceived(data)
        self.clock.settle()
        return self.transport.value()

    def get(self, path: str, method: str = "GET", headers: str = "") -> tuple[bytes, bytes]:
        """Request a page; return head and body."""
        response = self.send(
            f"{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode("latin-1")
        )
        head, _, body = response.partition(b"\r\n\r\n")
        return head, body


def test_page() -> None:
    visit = SiteVisit()
    head, body = visit.get("/a?x=1", headers="Accept: text/y\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert body == b"page a"
    assert visit.accepted == ["text/y"]
    lines = head.lower().split(b"\r\n")
    assert b"content-type: text/x" in lines
    assert b"content-length: 6" in lines


def test_version_is_not_sent() -> None:
    """RFC 9110 section 10.2.4: details in Server help attackers to find known holes."""
    head, _ = SiteVisit().get("/a")
    (server,) = [line for line in head.split(b"\r\n") if line.lower().startswith(b"server:")]
    assert server.split(b":")[1].strip() == b"tcpd"
    assert b"twisted" not in head.lower()


def test_status_and_reason() -> None:
    head, body = SiteVisit().get("/b")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert body == b"not now\n"


def test_head_request() -> None:
    get, _ = SiteVisit().get("/a")
    head, body = SiteVisit().get("/a", "HEAD")
    assert body == b""
    assert [line for line in get.split(b"\r\n") if not line.startswith(b"Date")] == [
        line for line in head.split(b"\r\n") if not line.startswith(b"Date")
    ]


@pytest.mark.parametrize("path", ["/", "/a/", "/A", "/a/../b", "//a", "/%61", "/a%00", "/below"])
def test_unknown_path_is_404(path: str) -> None:
    head, _ = SiteVisit().get(path)
    assert head.startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "FROB"])
def test_other_methods_are_405_with_allow(method: str) -> None:
    """RFC 9110 section 15.5.6: "The origin server MUST generate an Allow header field in a 405
    response"."""
    visit = SiteVisit()
    head, _ = visit.get("/a", method)
    assert head.startswith(b"HTTP/1.1 405 ")
    assert b"\r\nAllow: GET, HEAD" in head
    assert visit.accepted == []


def test_connection_is_kept_open() -> None:
    visit = SiteVisit()
    assert visit.get("/a")[1] == visit.get("/a")[1] == b"page a"
    assert not visit.transport.disconnecting


@pytest.mark.parametrize("target", ["http://x/a", "HTTPS://x:99/a?y=1", "/a#fragment", "/a?"])
def test_forms_of_targets(target: str) -> None:
    """RFC 9112 section 3.2.2: "a server MUST accept the absolute-form in requests"."""
    assert SiteVisit().get(target)[1] == b"page a"


@pytest.mark.parametrize(("method", "target"), [("OPTIONS", "*"), ("CONNECT", "x:443")])
def test_asterisk_and_authority_form_name_no_page(method: str, target: str) -> None:
    assert SiteVisit().get(target, method)[0].startswith(b"HTTP/1.1 404 ")


def test_paths_below_without_the_query() -> None:
    visit = SiteVisit()
    assert visit.get("/below/c?x=1&x=%32")[1] == b"/below/c\n"
    assert visit.get("/below/")[1] == b"/below/\n"


def test_fields_of_all_responses() -> None:
    """RFC 9110 section 6.6.1: "An origin server with a clock MUST generate a Date header field"."""
    for path in ("/a", "/nowhere"):
        head, _ = SiteVisit().get(path)
        assert b"\r\nX-Own: 1" in head
        assert b"\r\nX-Content-Type-Options: nosniff" in head
        assert b"\r\nDate: Sun, 01 Mar 2026 17:05:09 GMT" in head


@pytest.mark.parametrize("condition", ['"1"', 'W/"1"', '"0", "1"', "*"])
def test_conditional_request_of_unchanged_content_is_304(condition: str) -> None:
    """RFC 9110 section 13.1.2: "the origin server MUST NOT perform the requested method if the
    condition evaluates to false"; section 15.4.5 has the fields of a 304."""
    head, body = SiteVisit().get("/tagged", headers=f"If-None-Match: {condition}\r\n")
    assert head.startswith(b"HTTP/1.1 304 Not Modified")
    assert b'\r\nETag: "1"' in head
    assert b"Content-Length" not in head
    assert body == b""
    assert SiteVisit().get("/tagged", headers='If-None-Match: "2"\r\n')[1] == b"tagged"


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Close\r\n\r\n",
        b"GET /a HTTP/1.0\r\n\r\n",
        b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    ],
)
def test_last_request_of_a_connection(request_: bytes) -> None:
    """RFC 9112 section 9.6: "A server that receives a "close" connection option MUST initiate
    closure of the connection after it sends the final response"."""
    visit = SiteVisit()
    response = visit.send(request_ + GET)
    assert response.count(b"page a") == 1
    assert b"\r\nConnection: close\r\n" in response
    assert visit.transport.disconnecting


def test_page_that_fails_is_500(logged_failures: Any) -> None:
    visit = SiteVisit()
    assert visit.get("/bug")[0].startswith(b"HTTP/1.1 500 ")
    assert visit.transport.disconnecting
    logged_failures.expect("a page failed")


def test_empty_lines_before_a_request_are_ignored() -> None:
    """RFC 9112 section 2.2: "a server that is expecting to receive and parse a request-line SHOULD
    ignore at least one empty line (CRLF) received prior to the request-line." """
    visit = SiteVisit()
    for count in (1, 2, 8):
        assert visit.send(b"\r\n" * count + GET).endswith(b"page a")
    for byte in (b"\r", b"\n", b"\r"):
        assert visit.send(byte) == b""
    assert visit.send(b"\n" + GET).endswith(b"page a")
    assert visit.send(b"\r\n" * 10 + GET).startswith(b"HTTP/1.1 400 ")
    assert visit.transport.disconnecting, "their number is bounded"


HEAD = b"GET /a HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    ("status", "data"),
    [
        (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500 + b"\r\n\r\n"),
        (400, b"GET /a\r\n\r\n"),
        (400, b"GET /a HTTP/9.9 x\r\n\r\n"),
        (400, b"GET  /a HTTP/1.1\r\nHost: x\r\n\r\n"),
        (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        (400, b"GET /a HTTP/1.1\r\n\r\n"),
        (400, HEAD + b"Host: y\r\n\r\n"),
        (400, b"GET /a HTTP/1.1\r\nHost: a b\r\n\r\n"),
        (400, b"GET /a HTTP/1.1\r\nHost: a/b\r\n\r\n"),
        (400, b"GET /a HTTP/1.1\r\nHost: user@x\r\n\r\n"),
        (400, HEAD + b"no colon\r\n\r\n"),
        (400, HEAD + b"X : y\r\n\r\n"),
        (400, HEAD + b"X: a\rb\r\n\r\n"),
        (400, HEAD + b"X: a\x00b\r\n\r\n"),
        (400, HEAD + b"Content-Length: -1\r\n\r\n"),
        (400, HEAD + b"Content-Length: 0x10\r\n\r\n"),
        (400, HEAD + b"Content-Length: 1, 2\r\n\r\n"),
        (400, HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n"),
        (431, b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n"),
        (431, HEAD + b"X: y\r\n" * 11_000 + b"\r\n"),
        (431, HEAD + b"X: " + b"y" * 65_536 + b"\r\n\r\n"),
        (431, b"x" * 100_000),
    ],
)
def test_bad_request_gets_its_status_and_a_close(status: int, data: bytes) -> None:
    visit = SiteVisit()
    response = visit.send(data + GET)
    assert visit.transport.disconnecting
    assert response.startswith(b"HTTP/1.1 %d " % status)
    assert response.count(b"HTTP/1.1 ") == 1
    assert visit.accepted == []


def test_folded_field_is_one_value() -> None:
    """RFC 9112 section 5.2: a server either rejects obs-fold or replaces it with spaces."""
    visit = SiteVisit()
    visit.send(HEAD + b"Accept: a,\r\n b\r\n\r\n")
    assert visit.accepted in ([], ["a, b"])


SMUGGLED = b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: %d\r\n" % len(SMUGGLED),
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: identity\r\nContent-Length: 3\r\n",
        b"transfer-encoding:\tchunked\r\n",
    ],
)
@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_nothing_in_a_body_is_taken_for_a_request(method: bytes, fields: bytes) -> None:
    """RFC 9112 section 11.2: "Request smuggling is a technique that exploits differences in
    protocol parsing among various recipients to hide additional requests"."""
    visit = SiteVisit()
    response = visit.send(method + b" /a HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n" + SMUGGLED)
    response += visit.send(SMUGGLED * 3000) if not visit.transport.disconnecting else b""
    visit.clock.advance(BODY_SECONDS)
    assert visit.transport.disconnecting
    assert response.count(b"HTTP/1.1 ") == 1
    assert b"not now" not in response


def test_body_is_discarded_before_the_close() -> None:
    """RFC 9112 section 9.6: "If a server performs an immediate close of a TCP connection, there is
    a significant risk that the client will not be able to read the last HTTP response"."""
    visit = SiteVisit()
    head = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"
    assert visit.send(head + b"12345").startswith(b"HTTP/1.1 405 ")
    assert not visit.transport.disconnecting
    visit.send(b"67890")
    assert visit.transport.disconnecting


def test_discarded_body_is_bounded() -> None:
    visit = SiteVisit()
    visit.send(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n")
    visit.send(b"x" * (BODY_BYTES - 1))
    assert not visit.transport.disconnecting
    visit.send(b"x")
    assert visit.transport.disconnecting


def test_pipelined_requests_are_answered_in_order() -> None:
    """RFC 9112 section 9.3.2: "a server ... MUST send the corresponding responses in the same order
    that the requests were received"."""
    visit = SiteVisit()
    visit.protocol.dataReceived((GET + SMUGGLED) * 500)
    visit.clock.settle()
    bodies = [
        part.partition(b"\r\n\r\n")[2] for part in visit.transport.value().split(b"HTTP/1.1 ")
    ]
    assert bodies[1:] == [b"page a", b"not now\n"] * 500


def test_pipelined_requests_share_turns_with_others() -> None:
    visit = SiteVisit()
    visit.clock.step = 0.00025
    visit.protocol.dataReceived(GET * 2000)
    assert len(visit.accepted) < 40
    assert visit.transport.producerState == "paused"
    assert visit.protocol.busy
    other = SiteVisit(visit)
    other.protocol.dataReceived(GET)
    visit.clock.turn()
    visit.clock.turn()
    assert other.transport.value().endswith(b"page a")
    visit.clock.settle()
    assert visit.transport.value().count(b"page a") == 2000
    assert visit.transport.producerState == "producing"


def test_half_closed_client_gets_all_responses() -> None:
    visit = SiteVisit()
    assert verifyObject(IHalfCloseableProtocol, visit.protocol)
    visit.clock.step = 0.00025
    visit.protocol.dataReceived(GET * 100)
    visit.protocol.readConnectionLost()
    assert not visit.transport.disconnecting
    visit.clock.settle()
    assert visit.transport.value().count(b"page a") == 100
    assert visit.transport.disconnecting


def test_client_that_does_not_read_gets_no_further_response() -> None:
    """At most one response waits, besides the transport's buffer."""
    visit = SiteVisit()
    visit.clock.step = 0.001
    visit.protocol.dataReceived(GET * 100)
    visit.protocol.pauseProducing()  # as a full transport does
    answered = len(visit.accepted)
    assert answered < 10
    visit.clock.settle()
    assert len(visit.accepted) == answered
    visit.protocol.resumeProducing()
    visit.clock.settle()
    assert len(visit.accepted) == 100


def test_lost_connection_gets_no_response() -> None:
    visit = SiteVisit()
    visit.clock.step = 0.001
    visit.protocol.dataReceived(GET * 100)
    answered = len(visit.accepted)
    visit.protocol.connectionLost(Failure(ConnectionDone()))
    visit.clock.settle()
    assert len(visit.accepted) == answered
    assert visit.clock.getDelayedCalls() == []


def test_slow_head_gets_408() -> None:
    """RFC 9110 section 15.5.9. Received bytes do not extend the timeout."""
    visit = SiteVisit()
    visit.clock.advance(IDLE_SECONDS - 1)
    for byte in b"GET /a HT":
        visit.protocol.dataReceived(bytes((byte,)))
        visit.clock.advance(1)
    assert not visit.transport.disconnecting
    visit.clock.advance(HEAD_SECONDS - 9)
    assert visit.transport.value().startswith(b"HTTP/1.1 408 ")
    assert visit.transport.disconnecting


def test_idle_connection_is_closed() -> None:
    visit = SiteVisit()
    for _ in range(5):
        visit.clock.advance(IDLE_SECONDS - 1)
        assert visit.get("/a")[1] == b"page a"
    visit.transport.clear()
    visit.clock.advance(IDLE_SECONDS)
    assert visit.transport.value() == b""
    assert visit.transport.disconnecting
    visit.protocol.connectionLost(Failure(ConnectionDone()))
    assert visit.clock.getDelayedCalls() == []


def test_event_stream() -> None:
    visit = SiteVisit()
    head, body = visit.get("/events")
    assert b"\r\nContent-Type: text/event-stream" in head
    assert b"\r\nConnection: close" in head
    assert body == b"data: 1\n\n"
    assert visit.send(GET) == b"", "no response can follow"
    visit.clock.advance(2 * IDLE_SECONDS)
    visit.protocol.pauseProducing()
    assert not visit.events.send(b"dropped")
    visit.protocol.resumeProducing()
    assert visit.events.send(b"data: 2\n\n")
    assert visit.transport.value() == b"data: 2\n\n"
    visit.events.finish()
    assert visit.transport.disconnecting
    assert visit.events.stopped == 1


@pytest.mark.parametrize("how", ["lost", "half-close", "shutdown"])
def test_event_stream_is_stopped_once(how: str) -> None:
    visit = SiteVisit()
    visit.get("/events")
    if how == "shutdown":
        assert visit.protocol.farewell(End.SHUTDOWN) == b""
    elif how == "half-close":
        visit.protocol.readConnectionLost()
        assert not visit.transport.disconnecting, "the client still reads"
        visit.protocol.connectionLost(Failure(ConnectionDone()))
    visit.protocol.connectionLost(Failure(ConnectionDone()))
    assert visit.events.stopped == 1
    assert not visit.events.send(b"x")


def test_websocket_without_a_service_is_503() -> None:
    visit = SiteVisit()
    assert visit.get("/ws")[0].startswith(b"HTTP/1.1 503 ")
    assert visit.transport.disconnecting


def test_head_of_an_event_stream_starts_none() -> None:
    visit = SiteVisit()
    head, body = visit.get("/events", "HEAD")
    assert b"text/event-stream" in head
    assert body == b""
    assert visit.transport.disconnecting
    assert visit.events.stopped == 1
    assert not visit.events.send(b"x")


def test_stream_that_cannot_start_gets_no_second_response(logged_failures: Any) -> None:
    visit = SiteVisit()

    def start(send: Callable[[bytes], bool], finish: Callable[[], None]) -> None:
        send(b"retry: 1\n\n")
        raise ZeroDivisionError("a bug")

    visit.events.start = start  # type: ignore[method-assign]
    response = visit.send(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
    assert response.count(b"HTTP/1.1 ") == 1
    assert visit.transport.disconnecting
    assert visit.events.stopped == 1
    logged_failures.expect("a page failed")


@pytest.mark.parametrize("path", ["/bug", "/ws"])
def test_head_of_an_error_has_no_body(path: str, logged_failures: Any) -> None:
    assert SiteVisit().get(path, "HEAD")[1] == b""
    if path == "/bug":
        logged_failures.expect("a page failed")


def test_present_request_is_answered_when_the_daemon_stops() -> None:
    """:class:`tcpd.interfaces.IFarewell`: "For ``End.SHUTDOWN`` it may be ``None``: the protocol
    continues and closes the connection itself"."""
    visit = SiteVisit()
    visit.clock.step = 0.001
    visit.protocol.dataReceived(GET * 100)
    answered = len(visit.accepted)
    assert visit.protocol.farewell(End.SHUTDOWN) is None
    visit.clock.settle()
    assert len(visit.accepted) == answered + 1
    assert visit.transport.value().endswith(b"page a")
    assert b"\r\nConnection: close\r\n" in visit.transport.value()
    assert visit.transport.disconnecting
    assert SiteVisit().protocol.farewell(End.SHUTDOWN) == b""


def test_body_that_arrived_before_the_response_is_counted() -> None:
    visit = SiteVisit()
    visit.protocol.pauseProducing()
    visit.protocol.dataReceived(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
    visit.protocol.dataReceived(b"1234567890")
    visit.protocol.resumeProducing()
    visit.clock.settle()
    assert visit.transport.disconnecting


def test_later_minor_versions_are_answered() -> None:
    """RFC 9110 section 2.5: a recipient of a higher minor version treats the message "as if it
    used the highest minor version within that major version to which the recipient is
    conformant"."""
    assert b"page a" in SiteVisit().send(b"GET /a HTTP/1.2\r\nHost: x\r\n\r\n")


@pytest.mark.parametrize(
    ("accept", "quality"),
    [
        ("text/x", 1.0),
        ("a/b, TEXT/X;q=0.5;v=1", 0.5),
        ("text/x;q=0", 0),
        ("text/x;q=z", 0),
        ("*/*", 0),
    ],
)
def test_weight_of_a_type(accept: str, quality: float) -> None:
    """RFC 9110 section 12.4.2: "a value of 0 means "not acceptable"."""
    found = []
    visit = SiteVisit()

    def page(asked: Visit) -> Response:
        found.append(asked.quality("text/x"))
        return text(200, "")

    visit.factory.site = Site({"/q": page})
    visit.get("/q", headers=f"Accept: {accept}\r\n")
    assert found == [quality]
