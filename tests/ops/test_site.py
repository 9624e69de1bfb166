"""The HTTP site, on a transport in memory."""

from __future__ import annotations

from typing import Any

import pytest
from flow_control import TurnClock
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from tcpd.ops.site import (
    AT_ONCE,
    BODY_BYTES,
    EMPTY_LINES,
    REQUEST_SECONDS,
    Answer,
    OperatorSite,
    text,
)


class SiteVisit:
    """One connection to a site with two pages."""

    def __init__(self, beside: SiteVisit | None = None) -> None:
        self.clock = beside.clock if beside else TurnClock()
        self.accepted: list[str] = []
        site = OperatorSite({"/a": self._a, "/b": lambda _: text(503, "not now")}, self.clock)
        self.site = beside.site if beside else site
        self.site.doStart()
        self.protocol: Any = self.site.buildProtocol(IPv4Address("TCP", "192.0.2.1", 4711))
        self.transport = StringTransport()
        self.transport.protocol = self.protocol
        self.protocol.makeConnection(self.transport)

    def _a(self, accept: str) -> Answer:
        self.accepted.append(accept)
        return 200, "text/x", b"page a"

    def send(self, data: bytes) -> bytes:
        """Send bytes; return the response."""
        self.transport.clear()
        self.protocol.dataReceived(data)
        self.clock.advance(0)
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


@pytest.mark.parametrize("path", ["/", "/a/", "/A", "/a/../b", "//a", "/%61", "*", "/a%00"])
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


def test_empty_lines_before_a_request_are_ignored() -> None:
    """RFC 9112 section 2.2: "a server that is expecting to receive and parse a request-line SHOULD
    ignore at least one empty line (CRLF) received prior to the request-line." """
    visit = SiteVisit()
    for count in (1, 2, EMPTY_LINES):
        assert visit.send(b"\r\n" * count + GET).endswith(b"page a")
    for byte in (b"\r", b"\n", b"\r"):
        assert visit.send(byte) == b""
    assert visit.send(b"\n" + GET).endswith(b"page a")
    assert visit.send(b"\r\n" * (EMPTY_LINES + 1) + GET).startswith(b"HTTP/1.1 400 ")
    assert visit.transport.disconnecting, "their number is bounded"


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500 + b"\r\n\r\n",
        b"GET /a\r\n\r\n",
        b"GET /a HTTP/9.9 x\r\n\r\n",
        b"GET /a HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /a HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET /a HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /a HTTP/1.1\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
        b"GET /a HTTP/1.1\r\nX: " + b"y" * 20_000 + b"\r\n\r\n",
        b"x" * 100_000,
    ],
)
def test_garbage_closes_the_connection_without_logging(data: bytes) -> None:
    visit = SiteVisit()
    response = visit.send(data)
    assert visit.transport.disconnecting
    assert response == b"" or response.startswith(b"HTTP/1.1 400 ")
    assert visit.accepted == []


@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "multipart/form-data", "text/x"]
)
def test_body_is_discarded(kind: str) -> None:
    """The body is stored neither in memory nor in a file."""
    visit = SiteVisit()
    head = f"POST /a HTTP/1.1\r\nContent-Type: {kind}\r\nContent-Length: {BODY_BYTES}\r\n\r\n"
    assert visit.send(head.encode()) == b""
    for _ in range(64):
        response = visit.send(b"x" * (BODY_BYTES // 64))
    (content,) = {request.content for request in visit.protocol.requests} or {None}
    assert content is None or content.getvalue() == b""
    assert response.startswith((b"HTTP/1.1 405 ", b"HTTP/1.1 400 "))


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: %d\r\n\r\n" % (BODY_BYTES + 1),
        b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
        % (BODY_BYTES + 1, b"x" * (BODY_BYTES + 1)),
    ],
    ids=["length", "chunked"],
)
def test_large_body_closes_the_connection(body: bytes) -> None:
    """RFC 9110 section 15.5.14: "The server MAY terminate the request"."""
    visit = SiteVisit()
    response = visit.send(b"POST /a HTTP/1.1\r\n" + body)
    assert response.startswith(b"HTTP/1.1 413 ")
    assert visit.transport.disconnecting
    assert visit.send(b"x" * 100_000 + b"GET /a HTTP/1.1\r\n\r\n") == b""


GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"


def test_one_pipelined_request_is_served_a_turn() -> None:
    """RFC 9112 section 9.3.2: "A server MAY process a sequence of pipelined requests in parallel":
    here others have their turn between two."""
    visit = SiteVisit()
    visit.protocol.dataReceived(GET * 2000)
    assert visit.accepted == []
    visit.clock.turn()
    assert len(visit.accepted) == 1
    other = SiteVisit(visit)
    other.protocol.dataReceived(GET)
    visit.clock.turn()
    visit.clock.turn()
    assert other.transport.value().endswith(b"page a")
    for _ in range(2000):
        visit.clock.turn()
    assert visit.transport.value().count(b"page a") == 2000
    assert visit.clock.getDelayedCalls() == other.clock.getDelayedCalls()


def test_requests_of_a_turn_are_limited() -> None:
    visit = SiteVisit()
    visits = [visit, *(SiteVisit(visit) for _ in range(99))]
    for each in visits:
        each.protocol.dataReceived(GET * 3)
    for turn in range(1, 76):
        visit.clock.turn()
        assert len(visit.accepted) == turn * AT_ONCE
    assert all(each.transport.value().count(b"page a") == 3 for each in visits)


def test_client_that_does_not_read_gets_no_further_response() -> None:
    """At most one response waits, besides the transport's buffer."""
    visit = SiteVisit()
    visit.protocol.dataReceived(GET * 100)
    visit.clock.turn()
    visit.protocol.pauseProducing()  # as a full transport does
    for _ in range(10):
        visit.clock.turn()
    answered = len(visit.accepted)
    assert answered <= 2
    visit.protocol.resumeProducing()
    for _ in range(100):
        visit.clock.turn()
    assert len(visit.accepted) == 100


def test_lost_connection_gets_no_response() -> None:
    visit = SiteVisit()
    visit.protocol.dataReceived(GET * 2)
    visit.protocol.connectionLost(Failure(ConnectionDone()))
    visit.clock.advance(0)
    assert visit.accepted == []
    assert visit.clock.getDelayedCalls() == []


def test_received_bytes_do_not_extend_the_timeout() -> None:
    visit = SiteVisit()
    request = b"GET /a HTTP/1.1\r\n" + b"X: y\r\n" * 100
    seconds = 0.0
    for byte in request:
        assert seconds < REQUEST_SECONDS or visit.transport.disconnecting
        visit.protocol.dataReceived(bytes((byte,)))
        visit.clock.advance(1)
        seconds += 1
        if visit.transport.disconnecting:
            break
    assert visit.transport.disconnecting
    assert seconds == REQUEST_SECONDS


def test_timeout_restarts_with_each_request() -> None:
    visit = SiteVisit()
    for _ in range(5):
        visit.clock.advance(REQUEST_SECONDS - 1)
        assert visit.get("/a")[1] == b"page a"
    visit.clock.advance(REQUEST_SECONDS)
    assert visit.transport.disconnecting
    visit.protocol.connectionLost(Failure(ConnectionDone()))
    assert visit.clock.getDelayedCalls() == []
