"""WebSocket between a connection, or its TLS, and a protocol of lines that does not know of it.

A message that comes in is a line for the protocol; a line that the protocol writes is a message.
The protocol is made when the WebSocket is there: what asks for a web page, or for nothing, costs
none.
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

from tcpd.net.own_names import LocalEnd, is_own
from tcpd.net.stage import BottomTransport, StackedTransport
from tcpd.net.websocket_messages import FrameFault, Messages
from tcpd.net.websocket_settings import WebSocketOptions
from tcpd.net.websocket_upgrade import Refused, Upgrade
from tcpd.policy.reasons import End

#: Frames of one client looked at in a reactor turn, about a millisecond's worth: 40,000 empty ones
#: fit into what a transport reads in one piece.
_FRAMES_A_TURN = 100


class WebSocketBelow(BottomTransport, LocalEnd, Protocol):
    """The connection at the bottom, as WebSocket needs it."""

    disconnecting: bool

    def record_end(self, reason: End) -> None:
        """Note why the connection is going to end, unless that is known."""

    def end(self, reason: End) -> None:
        """End the connection."""

    def log_and_abort(self, doing: str) -> None:
        """Log the exception being caught, and cut the connection."""


@implementer(ITCPTransport, IConsumer, IPushProducer)
class WebSocketLayer(StackedTransport):
    """The server's side of WebSocket on one connection. To its protocol it is the transport.

    A client that breaks the rules is closed, with ``End.WEBSOCKET_FAILED``.

    :param connection: at the bottom.
    :param below: right below: the connection, or its TLS.
    :param options: of the service.
    :param clock: for timers.
    :param counted: the service's events, by word.
    :param done: called once, when the WebSocket is there, with whether there is something to read.
    """

    _connection: WebSocketBelow

    __slots__ = (
        "_clock",
        "_counted",
        "_done",
        "_heard",
        "_later",
        "_longest",
        "_messages",
        "_more",
        "_over",
        "_ping",
        "_pinged",
        "_reading",
        "_send_now",
        "_timer",
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
        counted: MutableMapping[str, int],
        done: Callable[[bool], None],
    ) -> None:
        super().__init__(connection, below)
        self._send_now: Callable[[bytes], object] = getattr(below, "send_now", below.write)
        self._clock = clock
        self._counted = counted
        self._done = done
        self._ping = options.ping
        self._upgrade: Upgrade | None = Upgrade(options, partial(is_own, connection))
        self._longest = options.longest
        self._messages: Messages
        self._over = False  # nothing more is taken from the client
        self._more = False  # it may have sent what was not yet taken
        self._wanted = True  # the protocol takes more
        self._reading = True
        self._later: IDelayedCall | None = None
        self._timer: IDelayedCall | None = None
        self._heard = 0.0
        self._pinged: float | None = None

    # --- from below: a protocol ---

    def dataReceived(self, data: bytes) -> None:
        """Take what came over the wire, or out of TLS."""
        if self._over:
            return
        if self._upgrade is not None:
            self._shake_hands(self._upgrade, data)
            return
        self._heard = self._clock.seconds()
        self._messages.receive(data)
        if self._takes and self._later is None:
            self._take()
        else:
            self._more = True

    def connectionLost(self, reason: Failure) -> None:
        """The connection is gone."""
        self._over = self.disconnecting = True
        self._stop_timers()
        protocol, self.protocol = self.protocol, None  # or only the garbage collector finds both
        if protocol is not None:
            protocol.connectionLost(reason)

    def _shake_hands(self, upgrade: Upgrade, data: bytes) -> None:
        answer = upgrade.feed(data)
        if answer is None:
            return
        self._upgrade = None
        self._below.write(answer.response)
        if isinstance(answer, Refused):
            self._hang_up(answer.why)
            return
        self._messages = Messages(answer.frames, self._longest)
        self._counted["websocket"] += 1
        self._heard = self._clock.seconds()
        if self._ping:
            self._timer = self._clock.callLater(self._ping, self._look)
        self._done(bool(answer.rest))
        if answer.rest and not self._connection.disconnecting:
            self.dataReceived(answer.rest)

    # --- taking messages, so many a turn ---

    @property
    def _takes(self) -> bool:
        """Whether messages are taken: a Close has to be found, whatever the protocol wanted."""
        return self._wanted or self.disconnecting

    def _take(self) -> None:
        """Hand the protocol what has come, as far as a turn goes."""
        taken = self._messages.take(_FRAMES_A_TURN)
        self._more = taken.more
        if taken.answers:
            self._below.write(taken.answers)
        if taken.lines and not self.disconnecting and self.protocol is not None:
            self.protocol.dataReceived(taken.lines)
        if self._over:
            return
        if taken.closed:
            self._closed_by_client()
        elif taken.fault is not None:
            self._fail(taken.fault)
        else:
            self._go_on_reading()

    def _go_on_reading(self) -> None:
        """Read from the client or not, for whatever reason; this alone decides it."""
        takes = self._takes
        if takes and self._more and self._later is None:
            self._later = self._clock.callLater(0, self._take_later)
        reading = takes and not self._more
        if reading is not self._reading:
            self._reading = reading
            if reading:
                self._heard = self._clock.seconds()  # until now its answer would not be heard
                self._below.resumeProducing()
            else:
                self._below.pauseProducing()

    def _take_later(self) -> None:
        self._later = None
        if self._takes:
            self._do(self._take, "reading")

    def _do(self, call: Callable[[], None], doing: str) -> None:
        """Do what a timer is for: the boundary to the protocol, below which nobody would see it
        fail."""
        try:
            call()
        except Exception:
            self._connection.log_and_abort(doing)

    # --- whether the client is there ---

    def _look(self) -> None:
        """Ping a client that is silent, and let go one that was pinged and still is.

        One timer, which a message does not move.
        """
        self._do(self._look_now, "pinging")

    def _look_now(self) -> None:
        now = self._clock.seconds()
        if not self._reading:
            self._heard = now  # its answer would not be heard
        wait = self._heard + self._ping - now
        if self._pinged is not None and self._heard < self._pinged:
            self._timer = None
            self._connection.end(End.PING_TIMEOUT)
            return
        self._pinged = None
        if wait <= 0:
            self._pinged = now
            self._below.write(self._messages.ping())
            wait = self._ping
        self._timer = self._clock.callLater(wait, self._look)

    # --- the end ---

    def close(self, code: int, reason: str) -> None:
        """Send a Close frame and wait for the client's; that wait is bounded.

        :param code: of RFC 6455 section 7.4.1.
        :param reason: a sentence; no more than 123 bytes of it are sent.
        """
        if self.disconnecting or self._over:
            return
        self.disconnecting = True
        self._stop_ping()
        self._connection.stop_producer()
        self._connection.begin_linger()
        self._say_close(code, reason)
        self._go_on_reading()

    def close_for(self, reason: End) -> None:
        """Close, with the code and the sentence of the daemon's reason."""
        going = reason is End.SHUTDOWN
        code = CloseReason.GOING_AWAY if going else CloseReason.POLICY_VIOLATION
        self.close(code, reason.sentence)

    def _say_close(self, code: int, reason: str) -> None:
        self._below.write(self._messages.rest() + self._messages.close(code, reason))

    def _closed_by_client(self) -> None:
        """Answer its Close, or have ours answered, and close (RFC 6455 section 7.1.1)."""
        self._over = True
        self._stop_timers()
        if not self.disconnecting:
            self.disconnecting = True
            self._connection.record_end(End.CLIENT)
            self._say_close(CloseReason.NORMAL_CLOSURE, "")
        self._below.loseConnection()

    def _fail(self, fault: FrameFault) -> None:
        """The client has broken the rules (RFC 6455 section 7.1.7)."""
        if not self.disconnecting:
            self._say_close(fault.code, fault.sentence)
        self._hang_up(fault)

    def _hang_up(self, why: str) -> None:
        """Close behind what was written, for a fault of the client's.

        What the client still sends is thrown away: a socket that is closed with input unread is
        reset, which may cost the client the last words.
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
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stop_timers(self) -> None:
        self._stop_ping()
        if self._later is not None:
            self._later.cancel()
            self._later = None

    # --- from the protocol: a transport ---

    def write(self, data: bytes) -> None:
        """Send lines, a message each.

        :param data: any number of them, with their ends, CRLF or LF.
        """
        if not self.disconnecting:
            self._below.write(self._messages.frame(data))

    def send_now(self, data: bytes) -> None:
        """As :meth:`write`, for who has collected all of a turn elsewhere.

        :param data: ``bytes`` and nothing else; not empty.
        """
        if not self.disconnecting:
            framed = self._messages.frame(data)
            if framed:
                self._send_now(framed)

    def loseConnection(self) -> None:
        """Close as WebSocket does: see :meth:`close`."""
        self.close(CloseReason.NORMAL_CLOSURE, "")

    def loseWriteConnection(self) -> None:
        """As :meth:`loseConnection`: there is no half of a WebSocket."""
        self.loseConnection()

    def abortConnection(self) -> None:
        """Cut the connection at once."""
        self._over = self.disconnecting = True
        self._stop_timers()
        self._below.abortConnection()

    def resetConnection(self) -> None:
        """Cut the connection, without a Close frame, once all that was written is delivered."""
        if not self.disconnecting:
            self._over = self.disconnecting = True
            self._stop_timers()
            self._below.resetConnection()

    def pauseProducing(self) -> None:
        """Give the protocol no more lines, until :meth:`resumeProducing`."""
        self._wanted = False
        self._go_on_reading()

    def resumeProducing(self) -> None:
        self._wanted = True
        if not self._over:
            self._go_on_reading()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        if self.disconnecting:
            producer.stopProducing()
        else:
            super().registerProducer(producer, streaming)

    def getHandle(self) -> Any:
        """What the transport below has: the socket, or OpenSSL's connection."""
        return self._below.getHandle()
