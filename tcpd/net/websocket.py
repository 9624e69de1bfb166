"""WebSocket between a connection, or its TLS, and a protocol that exchanges lines.

Each message from the client is a line for the protocol, and each line that the protocol writes is a
message. The protocol is made when the opening handshake is complete.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from functools import partial
from typing import Any, Protocol

from twisted.internet.interfaces import (
    IConsumer,
    IDelayedCall,
    IPushProducer,
    IReactorTime,
    ITCPTransport,
)
from twisted.python.failure import Failure
from wsproto.frame_protocol import CloseReason
from zope.interface import implementer

from tcpd.http.request import HTTPRequest
from tcpd.net.own_names import LocalEnd, is_own
from tcpd.net.stage import StackedTransport, StageConnection
from tcpd.net.websocket_messages import FrameFault, Messages
from tcpd.net.websocket_pings import PingSweep
from tcpd.net.websocket_settings import WebSocketOptions
from tcpd.net.websocket_upgrade import Accepted, Upgrade, UpgradeRefused
from tcpd.policy.reasons import End

#: Frames of one client that are processed in a turn of the reactor, which takes about a
#: millisecond. One read of the transport may contain 40,000 empty frames.
_FRAMES_A_TURN = 100


class WebSocketBelow(StageConnection, LocalEnd, Protocol):
    """The connection at the bottom, with the names for checks of origins."""


@implementer(ITCPTransport, IConsumer, IPushProducer)
class WebSocketLayer(StackedTransport):
    """The server's side of WebSocket on one connection. It is the transport of its protocol.

    A client that violates RFC 6455 is closed with ``End.WEBSOCKET_FAILED``.

    :param connection: the connection at the bottom of the pipeline.
    :param below: the next transport below: the connection, or its TLS.
    :param options: the options of the service.
    :param clock: schedules timers.
    :param pings: calls :meth:`check_ping`.
    :param counted: the counters of the service's events, by name.
    :param done: called once the handshake is complete, with whether input follows.
    """

    _connection: WebSocketBelow

    __slots__ = (
        "_clock",
        "_counted",
        "_done",
        "_longest",
        "_messages",
        "_more",
        "_next_turn",
        "_over",
        "_ping",
        "_pinged_at",
        "_pings",
        "_reading",
        "_received_at",
        "_send_now",
        "_upgrade",
        "_wanted",
    )

    def __init__(
        self,
        connection: WebSocketBelow,
        below: Any,
        options: WebSocketOptions,
        *,
        clock: IReactorTime,
        pings: PingSweep,
        counted: MutableMapping[str, int],
        done: Callable[[bool], None],
    ) -> None:
        super().__init__(connection, below)
        self._send_now: Callable[[bytes], object] = getattr(below, "send_now", below.write)
        self._clock = clock
        self._counted = counted
        self._done: Callable[[bool], None] | None = done  # until its only call
        self._ping = options.ping
        self._pings = pings
        self._upgrade: Upgrade | None = Upgrade(options, partial(is_own, connection))
        self._longest = options.longest
        self._messages: Messages
        self._over = False  # input is ignored from now on
        self._more = False  # input may be buffered in _messages
        self._wanted = True  # the protocol has not paused
        self._reading = True
        self._next_turn: IDelayedCall | None = None  # continues to process buffered input
        self._received_at = 0.0
        self._pinged_at: float | None = None

    # --- called by the transport below ---

    def dataReceived(self, data: bytes) -> None:
        """Process input from the connection or from TLS."""
        if self._over:
            return
        if self._upgrade is not None:
            self._do_handshake(self._upgrade, data)
            return
        self._received_at = self._clock.seconds()
        self._messages.receive(data)
        if self._may_process and self._next_turn is None:
            self._process()
        else:
            self._more = True

    def connectionLost(self, reason: Failure) -> None:
        """Clean up and call the protocol's ``connectionLost``."""
        self._over = self.disconnecting = True
        self._stop_timers()
        protocol, self.protocol = self.protocol, None  # breaks the reference cycle
        if protocol is not None:
            protocol.connectionLost(reason)

    def open(self, request: HTTPRequest) -> None:
        """Do the handshake with a request that a page server has read."""
        assert self._upgrade is not None
        self._complete(self._upgrade.answer(request))

    def _do_handshake(self, upgrade: Upgrade, data: bytes) -> None:
        answer = upgrade.feed(data)
        if answer is not None:
            self._complete(answer)

    def _complete(self, answer: Accepted | UpgradeRefused) -> None:
        """Complete the handshake: send the response, and pass on what follows the request."""
        self._upgrade = None
        self._below.write(answer.response)
        if isinstance(answer, UpgradeRefused):
            self._close_on_error(answer.why)
            return
        self._messages = Messages(answer.frames, self._longest)
        self._counted["websocket"] += 1
        self._received_at = self._clock.seconds()
        if self._ping:
            self._pings.add(self)
        done, self._done = self._done, None
        assert done is not None
        done(bool(answer.rest))
        if answer.rest and not self._connection.disconnecting:
            self.dataReceived(answer.rest)

    # --- input, a limited number of frames a turn ---

    @property
    def _may_process(self) -> bool:
        """Whether input is processed; while closing, even if the protocol has paused, to find the
        client's Close frame."""
        return self._wanted or self.disconnecting

    def _process(self) -> None:
        """Pass messages to the protocol, up to the limit of a turn."""
        taken = self._messages.take(_FRAMES_A_TURN)
        self._more = taken.more
        if taken.replies:
            self._below.write(taken.replies)
        if taken.lines and not self.disconnecting and self.protocol is not None:
            self.protocol.dataReceived(taken.lines)
        if self._over:
            return
        if taken.closed:
            self._closed_by_client()
        elif taken.fault is not None:
            self._fail(taken.fault)
        else:
            self._update_reading()

    def _update_reading(self) -> None:
        """Pause or resume reading from the client. Nothing else does."""
        may_process = self._may_process
        if may_process and self._more and self._next_turn is None:
            self._next_turn = self._clock.callLater(0, self._process_next)
        reading = may_process and not self._more
        if reading is not self._reading:
            self._reading = reading
            if reading:
                self._received_at = self._clock.seconds()  # a pong could not be received before
                self._below.resumeProducing()
            else:
                self._below.pauseProducing()

    def _process_next(self) -> None:
        self._next_turn = None
        if self._may_process:
            self._call_from_timer(self._process, "reading")

    def _call_from_timer(self, call: Callable[[], None], doing: str) -> None:
        """Make a call; log an exception and abort, as no transport below would do it."""
        try:
            call()
        except Exception:
            self._connection.log_and_abort(doing)

    # --- ping ---

    def check_ping(self) -> None:
        """Ping an idle client, and disconnect one that has not answered a ping."""
        self._call_from_timer(self._try_check_ping, "pinging")

    def _try_check_ping(self) -> None:
        now = self._clock.seconds()
        if not self._reading:
            self._received_at = now  # a pong could not be received
        if self._pinged_at is not None and self._received_at < self._pinged_at:
            if now - self._pinged_at >= self._ping:
                self._stop_ping()
                self._connection.end(End.PING_TIMEOUT)
            return
        self._pinged_at = None
        if now - self._received_at >= self._ping:
            self._pinged_at = now
            self._below.write(self._messages.ping())

    # --- close ---

    def close(self, code: int, reason: str) -> None:
        """Send a Close frame and wait for the client's, for a bounded time.

        :param code: a status code of RFC 6455 section 7.4.1.
        :param reason: a sentence; its first 123 bytes are sent.
        """
        if self.disconnecting or self._over:
            return
        self.disconnecting = True
        self._stop_ping()
        self._connection.stop_producer()
        self._connection.begin_linger()
        self._send_close(code, reason)
        self._update_reading()

    def close_for(self, reason: End) -> None:
        """Close with the code and the sentence of a reason."""
        shutdown = reason is End.SHUTDOWN
        code = CloseReason.GOING_AWAY if shutdown else CloseReason.POLICY_VIOLATION
        self.close(code, reason.sentence)

    def _send_close(self, code: int, reason: str) -> None:
        self._below.write(self._messages.flush_line() + self._messages.close(code, reason))

    def _closed_by_client(self) -> None:
        """Reply to the client's Close frame, unless ours was first, and close (RFC 6455 section
        7.1.1)."""
        self._over = True
        self._stop_timers()
        if not self.disconnecting:
            self.disconnecting = True
            self._connection.record_end(End.CLIENT)
            self._send_close(CloseReason.NORMAL_CLOSURE, "")
        self._below.loseConnection()

    def _fail(self, fault: FrameFault) -> None:
        """Fail the WebSocket connection (RFC 6455 section 7.1.7)."""
        if not self.disconnecting:
            self._send_close(fault.code, fault.sentence)
        self._close_on_error(fault)

    def _close_on_error(self, why: str) -> None:
        """Close after what was written, because of an error of the client.

        Further input is read and discarded: closing with unread input would send a reset, and the
        client might lose the error message.
        """
        self._over = self.disconnecting = True
        self._stop_timers()
        self._counted[f"websocket-{why}"] += 1
        self._connection.record_end(End.WEBSOCKET_FAILED)
        self._connection.stop_producer()
        self._connection.begin_linger()
        self._below.resumeProducing()
        self._below.loseWriteConnection()

    def _stop_ping(self) -> None:
        self._pings.remove(self)

    def _stop_timers(self) -> None:
        self._stop_ping()
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None

    # --- called by the protocol ---

    def write(self, data: bytes) -> None:
        """Send lines, each as a message.

        :param data: any number of lines that end in CRLF or LF.
        """
        if not self.disconnecting:
            self._below.write(self._messages.frame(data))

    def send_now(self, data: bytes) -> None:
        """Write as :meth:`tcpd.net.transport.SocketConnection.send_now` does.

        :param data: an object of class ``bytes``, not empty.
        """
        if not self.disconnecting:
            framed = self._messages.frame(data)
            if framed:
                self._send_now(framed)

    def loseConnection(self) -> None:
        """See :meth:`close`."""
        self.close(CloseReason.NORMAL_CLOSURE, "")

    def loseWriteConnection(self) -> None:
        """See :meth:`close`: WebSocket has no half-close."""
        self.loseConnection()

    def abortConnection(self) -> None:
        """Reset the connection at once."""
        self._over = self.disconnecting = True
        self._stop_timers()
        self._below.abortConnection()

    def resetConnection(self) -> None:
        """Reset the connection, without a Close frame, once all data is acknowledged."""
        if not self.disconnecting:
            self._over = self.disconnecting = True
            self._stop_timers()
            self._below.resetConnection()

    def pauseProducing(self) -> None:
        """Stop passing lines to the protocol until :meth:`resumeProducing`."""
        self._wanted = False
        self._update_reading()

    def resumeProducing(self) -> None:
        self._wanted = True
        if not self._over:
            self._update_reading()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        if self.disconnecting:
            producer.stopProducing()
        else:
            super().registerProducer(producer, streaming)

    def getHandle(self) -> Any:
        """Return the handle of the transport below: the socket, or OpenSSL's connection."""
        return self._below.getHandle()
