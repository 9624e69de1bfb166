"""HTTP/1.1 on a Twisted transport: the edge of a :class:`tcpd.http.site.Site`.

One request of a connection is answered at a time, through the daemon's work queue; the server does
not read from the client meanwhile. Pipelined requests wait, in at most one read.

No page takes a body. A request that has one is answered, and the connection is closed: the end of
its body need not be found, so nothing in it can be taken for a request (RFC 9112 section 11.2,
request smuggling).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, MutableMapping
from dataclasses import replace
from email.utils import formatdate
from typing import Any

from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHalfCloseableProtocol,
    IPushProducer,
    IReactorTime,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from tcpd.http.request import MAX_HEAD, BadRequest, HTTPRequest, RequestReader
from tcpd.http.response import Response, closing, stream_head, text
from tcpd.http.site import EventStream, OpenWebSocket, Site, Visit
from tcpd.interfaces import IBusy, IConnection, IContext, IFarewell, IRefusing
from tcpd.policy.reasons import End, Refusal
from tcpd.policy.workqueue import WorkQueue, share_of

#: Seconds from the start of the connection, or the previous response, to a complete head. Longer
#: than the usual interval of scrapes, so that a scraper can keep its connection.
IDLE_SECONDS = 75.0

#: Seconds from the first byte of a head to its last.
HEAD_SECONDS = 10.0

#: Bytes and seconds for which the body of a request is discarded before the connection is closed,
#: so that the client can read the response.
BODY_BYTES = 64 * 1024
BODY_SECONDS = 2.0

# statuses, and sentences that say what to do
_BAD = {
    BadRequest.NOT_HTTP: (400, "this is no HTTP request; this port is for browsers"),
    BadRequest.MALFORMED: (400, "this request is malformed; correct it by RFC 9112"),
    BadRequest.TOO_LONG: (
        431,
        f"the head of a request has at most {MAX_HEAD} bytes; send fewer or shorter fields",
    ),
}
_TIMEOUT = (408, "the request did not arrive in time; send it again")
_FAILED = (500, "this request failed; the log of the server says why")
_VERSION = (505, "this server speaks HTTP/1.1; use that version")
_NO_CHAT = (503, "no service for this WebSocket runs; the operator sets it with the key chat")

#: A valid Host field (RFC 9112 section 3.2), as far as it is safe to compare and to show.
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[^\s/@?#\\\[\]:]*)(?::[0-9]*)?")

_log = Logger()


@implementer(IBusy, IPushProducer, IHalfCloseableProtocol, IFarewell)
class HTTPProtocol(Protocol):
    """One connection.

    :param factory: the factory of the site.
    """

    # each open page is a connection: without a dictionary it takes a third of the memory
    __slots__ = (
        "_body_left",
        "_connection",
        "_factory",
        "_full",
        "_input_ended",
        "_last",
        "_over",
        "_reader",
        "_reading",
        "_request",
        "_rest",
        "_stream",
        "_timer",
    )

    def __init__(self, factory: HTTPFactory) -> None:
        self._factory = factory
        self._connection: IConnection | None = None
        self._reader: RequestReader | None = None  # of a request that has begun
        self._request: HTTPRequest | None = None  # being answered
        self._rest = b""
        self._stream: EventStream | None = None
        self._timer: IDelayedCall | None = None
        self._full = False
        self._reading = True
        self._input_ended = False
        self._last = False  # the connection is closed after the present request
        self._over = False  # the last response is sent
        self._body_left = 0

    # --- from the transport ---

    def connectionMade(self) -> None:
        transport: Any = self.transport
        self._connection = IConnection(transport, None)
        transport.registerProducer(self, True)
        self._set_timer(IDLE_SECONDS)

    def dataReceived(self, data: bytes) -> None:
        if self._over:
            self._discard(len(data))
        elif self._stream is not None:
            return  # a client that waits for events has nothing to say
        elif self._request is not None:
            self._rest += data  # reading is paused: at most one read
        elif self._read(data):
            self._queue()

    def readConnectionLost(self) -> None:
        """The client sends no more requests, and may still read."""
        self._input_ended = True
        if not self.busy:
            self._close()

    def writeConnectionLost(self) -> None:
        """Never called: this side does not half-close."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._end()

    def pauseProducing(self) -> None:
        self._full = True

    def resumeProducing(self) -> None:
        self._full = False
        if self._request is not None and self._stream is None:
            self._queue()

    def stopProducing(self) -> None:
        """The connection is lost; ``connectionLost`` follows."""

    def farewell(self, reason: End) -> bytes | None:
        """See :class:`tcpd.interfaces.IFarewell`. HTTP has no words for an idle connection. When
        the daemon stops, the present request is answered."""
        if reason is End.SHUTDOWN and self._request is not None:
            self._last = True
            return None
        self._end()
        return b""

    @property
    def busy(self) -> bool:
        """See :class:`tcpd.interfaces.IBusy`."""
        return self._request is not None or self._stream is not None

    # --- from the work queue ---

    @property
    def share(self) -> Hashable:
        """See :class:`tcpd.policy.workqueue.WorkSource`."""
        connection = self._connection
        return share_of(None if connection is None else connection.address, self)

    def work(self, deadline: float) -> bool:
        """See :class:`tcpd.policy.workqueue.WorkSource`."""
        request = self._request
        if request is None or self._full or self._is_taken():
            return False
        try:
            self._answer(request)
        except Exception:
            _log.failure("a page failed: {target}", target=request.target.decode("latin-1"))
            if self._stream is None:
                self._refuse(*_FAILED)
            else:  # the head of the response is sent
                self._close()
        if self._is_taken():
            return False
        self._request = None
        rest, self._rest = self._rest, b""
        if self._read(rest):
            return True
        if self._input_ended:
            self._close()
        else:
            self._read_on(True)
        return False

    # --- inside ---

    def _is_taken(self) -> bool:
        """Whether the connection has no place for further requests."""
        return self._over or self._stream is not None

    def _queue(self) -> None:
        self._factory.work.run(self)
        if self._request is not None and self._stream is None:
            self._read_on(False)

    def _read_on(self, reading: bool) -> None:
        if reading is not self._reading and not self._over:
            self._reading = reading
            transport: Any = self.transport
            if not reading:
                transport.pauseProducing()
            elif not self._input_ended:
                transport.resumeProducing()

    def _read(self, data: bytes) -> bool:
        """Read a request head.

        :return: whether it is complete, and :attr:`_request` is set.
        """
        if not data:
            return False
        reader = self._reader
        if reader is None:
            reader = self._reader = RequestReader()
            self._set_timer(HEAD_SECONDS)
        found = reader.feed(data)
        if found is None:
            return False
        self._reader = None
        self._set_timer(None)
        if isinstance(found, BadRequest):
            self._factory.count["bad-request"] += 1
            self._refuse(*_BAD[found])
            return False
        self._request, self._rest = found, found.rest
        return True

    def _answer(self, request: HTTPRequest) -> None:
        self._factory.count["requests"] += 1
        if not request.version.startswith(b"1."):
            self._refuse(*_VERSION)
            return
        if not all(map(_HOST.fullmatch, request.headers.get(b"host", ()))):
            self._refuse(*_BAD[BadRequest.MALFORMED])
            return
        visit = Visit(request, self._connection)
        site = self._factory.site
        answer = site.answer(visit)
        headers = self._headers()
        transport: Any = self.transport
        match answer:
            case Response():
                last = self._last or answer.is_last or _is_last(request)
                if last:
                    headers.append(("Connection", "close"))
                transport.write(answer.encode(headers, body=request.method != b"HEAD"))
                if last:
                    self._close_after(request)
                else:
                    self._set_timer(IDLE_SECONDS)
            case OpenWebSocket(factory=None):
                self._refuse(*_NO_CHAT)
            case OpenWebSocket(factory=factory):
                self._upgrade(factory, request)
            case stream:
                transport.write(stream_head("text/event-stream", headers))
                self._stream = stream
                self._request = None
                self._rest = b""
                if request.method == b"HEAD" or self._last:
                    self._close()
                else:
                    self._read_on(True)  # notices the end of the client
                    stream.start(self._send, self._close)

    def _upgrade(self, factory: Any, request: HTTPRequest) -> None:
        transport: Any = self.transport
        connection = self._connection
        if connection is None:
            self._refuse(*_NO_CHAT)
            return
        request = replace(request, rest=self._rest)
        self._end()
        transport.unregisterProducer()
        if not self._reading:
            transport.resumeProducing()
        connection.start_websocket(factory, request)

    def _send(self, data: bytes) -> bool:
        if self._full or self._over:
            return False
        if data:
            transport: Any = self.transport
            transport.write(data)
        return True

    def _headers(self) -> list[tuple[str, str]]:
        headers = self._factory.site.headers(self._connection)
        # RFC 9110 section 6.6.1: "An origin server with a clock MUST generate a Date header field"
        headers.append(("Date", formatdate(self._factory.wall_clock(), usegmt=True)))
        return headers

    def _refuse(self, status: int, sentence: str) -> None:
        request = self._request
        response = text(status, sentence, ("Cache-Control", "no-store"), ("Connection", "close"))
        transport: Any = self.transport
        body = request is None or request.method != b"HEAD"
        transport.write(response.encode(self._headers(), body=body))
        self._close()

    def _close_after(self, request: HTTPRequest) -> None:
        """Close once the body is discarded."""
        if not request.has_body:
            self._close()
            return
        received = len(self._rest)
        self._end()
        self._body_left = BODY_BYTES
        (length,) = request.headers.get(b"content-length", [b"-"])
        if length.isdigit() and len(length) < 8:
            self._body_left = min(BODY_BYTES, int(length))
        self._timer = self._factory.clock.callLater(BODY_SECONDS, self._timed_out)
        if not self._reading:
            self._reading = True
            transport: Any = self.transport
            transport.resumeProducing()
        self._discard(received)

    def _discard(self, size: int) -> None:
        if self._timer is not None:
            self._body_left -= size
            if self._body_left <= 0:
                self._close()

    def _close(self) -> None:
        self._end()
        transport: Any = self.transport
        transport.unregisterProducer()  # a transport that has a producer waits for it
        transport.loseConnection()

    def _end(self) -> None:
        """Answer no further request."""
        self._over = True
        self._request = None
        self._rest = b""
        self._factory.work.remove(self)
        self._set_timer(None)
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.stop()

    def _set_timer(self, seconds: float | None) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        if seconds is not None:
            self._timer = self._factory.clock.callLater(seconds, self._timed_out)

    def _timed_out(self) -> None:
        self._timer = None
        if self._reader is not None:
            self._refuse(*_TIMEOUT)
        else:
            self._close()


def _is_last(request: HTTPRequest) -> bool:
    """Whether the connection is closed after the response (RFC 9112 section 9.3)."""
    options = b",".join(request.headers.get(b"connection", ())).lower().split(b",")
    closes = b"close" in (option.strip() for option in options)
    return closes or request.version == b"1.0" or request.has_body


@implementer(IRefusing)
class HTTPFactory(Factory):
    """The factory of a site's connections.

    :param site: the pages.
    :param context: see :class:`tcpd.interfaces.IContext`.
    """

    noisy = False

    def __init__(self, site: Site, context: IContext) -> None:
        self.site = site
        self.clock: IReactorTime = context.clock
        self.wall_clock: Callable[[], float] = context.wall_clock
        self.work: WorkQueue = context.work
        self.count: MutableMapping[str, int] = context.counters.events

    def buildProtocol(self, addr: IAddress | None) -> HTTPProtocol:
        return HTTPProtocol(self)

    def refusal(self, reason: Refusal) -> bytes:
        """See :class:`tcpd.interfaces.IRefusing`."""
        return closing(503, reason.sentence)
