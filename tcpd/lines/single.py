"""A line protocol that processes one line at a time, with a rate limit.

A line waits for the reasons of :mod:`tcpd.lines.pump`. It also waits while the outbox is full, a
long reply is unfinished, a request is open, or the conversation is not :class:`Ready` for it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from enum import Enum
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from tcpd.lines.linebuffer import LineBuffer, LineFault
from tcpd.lines.pump import FULL, LEFT, OVER, RUNNING, WAITING, LinePump
from tcpd.policy.buckets import RateLike, TokenBucket
from tcpd.policy.workqueue import WorkQueue
from tcpd.wire.opening import Opening

#: Lines of a client per call of :meth:`SinglePump.step`: while other clients wait, and otherwise.
LINES_A_SHARE = 16
LINES_A_TURN = 256

#: Bytes of input that are split into lines at once: lines may wait for hours, and the objects of
#: short lines take twenty times their size.
_PIECE = 4096

#: Seconds between checks of the entry timeout while a request is open.
_CHECKING = 1.0

#: Maximum seconds that a request may be open. A password check takes less than one.
REQUEST_SECONDS = 60.0

#: The empty list that all idle clients share, to save memory. Never changed.
_NOTHING: list[Any] = []


class Ready(Enum):
    """When a conversation can process its next line."""

    NOW = "now"
    #: in the next turn, after pending broadcasts are flushed
    NEXT_TURN = "next turn"
    #: after a call of :meth:`SinglePump.proceed`
    LATER = "later"


class LineConversation(Protocol):
    """The interface of a conversation to its connection."""

    @property
    def entered(self) -> bool:
        """Whether the client has entered, which ends the entry timeout."""

    @property
    def waiting(self) -> object:
        """True while a request is open: no line is processed until ``proceed`` is called."""

    @property
    def streaming(self) -> object:
        """True while lines of a long reply are still to be put into the outbox."""

    def greet(self) -> None:
        """Send the greeting. Called once, before all other methods."""

    def ready_for(self, line: bytes | LineFault | None) -> Ready:
        """Return when a line can be processed.

        :param line: ``None`` for the end of the input.
        """

    def line(self, line: bytes | LineFault) -> None:
        """Process a line from the client, without its line end."""

    def stream_more(self) -> None:
        """Put more of a long reply into the outbox."""

    def finished(self) -> None:
        """The client half-closed, and all its lines are processed. Called once."""

    def entry_timed_out(self) -> None:
        """The entry timeout expired. Called at most once."""

    def request_timed_out(self) -> None:
        """End: a request has been open for :data:`REQUEST_SECONDS`. Called at most once."""

    def leave(self, reason: str) -> None:
        """End without output: the connection is lost or about to be closed.

        :param reason: the quit reason; may be empty.
        """


class Output(Protocol):
    """The output buffer of one client.

    :ivar paused: the transport's buffer is full.
    :ivar size: the number of pending bytes.
    :ivar limit: the maximum of ``size``.
    """

    paused: bool
    size: int

    @property
    def limit(self) -> int: ...

    def put(self, data: bytes) -> bool:
        """Append bytes.

        :return: whether they fit.
        """

    def take(self) -> bytes:
        """Remove and return all pending bytes."""

    def pause(self) -> None:
        """Stop writing: the transport's buffer is full."""

    def resume(self) -> None:
        """Flush: the transport accepts data again."""

    def close(self) -> None:
        """Discard pending bytes and all later ones."""


class SinglePump(LinePump):
    """The lines of one connection.

    :param clock: for the rate limit and the timeouts.
    :param queue: the daemon's work queue.
    :param opening: see :class:`~tcpd.lines.pump.LinePump`.
    :param line_bytes: the maximum length of a line, without its line end.
    :param rate: the maximum rate of lines; ``None`` for no limit.
    """

    __slots__ = (
        "_all_split",
        "_background",
        "_bucket",
        "_buffer",
        "_entry_timer",
        "_input",
        "_lines",
        "_outbox",
        "_reason",
        "_request_timer",
        "_session",
        "_stopped_reading",
        "_unread",
        "_unread_since",
    )

    def __init__(
        self,
        clock: IReactorTime,
        queue: WorkQueue,
        opening: Opening | None,
        *,
        line_bytes: int,
        rate: RateLike | None,
    ) -> None:
        super().__init__(clock, queue, opening)
        self._bucket = None if rate is None else TokenBucket(rate, clock.seconds())
        self._buffer = LineBuffer(line_bytes)
        # in both, the oldest item is last
        self._input: list[bytes] = _NOTHING
        self._lines: list[bytes | LineFault] = _NOTHING
        self._background: list[Callable[[], None]] = _NOTHING
        self._all_split = False
        self._outbox: Output  # made with the transport
        self._session: LineConversation | None = None
        self._reason = ""  # the quit reason
        self._stopped_reading = False  # since the subclass last reset it
        self._unread = 0.0  # seconds without reading while the entry timer runs
        self._unread_since = 0.0
        self._entry_timer: IDelayedCall | None = None
        self._request_timer: IDelayedCall | None = None

    # --- for a subclass to provide ---

    @abstractmethod
    def open(self) -> tuple[LineConversation, Output]:
        """Make the conversation and its outbox. Called once, when the connection is made."""

    @abstractmethod
    def why_lost(self, reason: Failure) -> str:
        """Return the quit reason for a lost connection."""

    def split(self, data: bytes) -> list[bytes | LineFault]:
        """Split input into lines, without their line ends."""
        return self._buffer.feed(data)

    def hold(self) -> None:
        """Begin a batch of lines: their events may be sent together."""

    def release(self) -> None:
        """End the batch: send held events. The connection may end within this call."""

    def entry_timeout(self) -> float:
        """Return the seconds that a client has to enter; 0 for no limit. Time in which the server
        does not read from it does not count."""
        return 0.0

    def throttled(self) -> None:
        """A line waits for the rate limit."""

    # --- from the pump ---

    def begin(self) -> None:
        self._session, self._outbox = self.open()
        if timeout := self.entry_timeout():
            self._entry_timer = self._clock.callLater(timeout, self._entry_timed_out)
        self._session.greet()

    def receive(self, data: bytes) -> None:
        if self._stops & OVER:
            return
        if len(data) <= _PIECE and not self._input:
            self._input = [data]
            return
        pieces = [data[at : at + _PIECE] for at in range(0, len(data), _PIECE)]
        self._input = [*reversed(pieces), *self._input]

    def input_ended(self) -> None:
        """An unterminated last line is processed after the others."""

    def step(self, deadline: float) -> float | None:
        session = self._session
        if session is None:
            return None
        while self._background:
            call, *self._background = self._background
            call()
            if self._stops & OVER:
                return None
            if self._queue.now() >= deadline:
                return LEFT
        self.hold()
        try:
            left = self._take_lines(session, deadline)
        finally:
            self.release()
        if self._entry_timer is not None and session.entered:
            self._stop_entry_timer()
        if not (self._lines or self._input):
            self._lines = self._input = _NOTHING
        some = (
            self._lines or self._input or self._input_ended or self._background or session.streaming
        )
        if some and left is None and self._is_left(session):
            return LEFT  # the deadline has passed, or a released event completed a request
        if self._all_split and left is None and self._stops == RUNNING:
            if session.ready_for(None) is Ready.LATER:
                self.wait()
            else:
                session.finished()
        return left

    def gone(self, reason: Failure) -> None:
        self.leave_for(self.why_lost(reason))

    def depart(self) -> None:
        # breaks the reference cycle between the connection and the conversation
        session, self._session = self._session, None
        if session is not None:
            session.leave(self._reason)

    def refuse(self, words: bytes) -> None:
        self._outbox.put(words)
        if self._session is not None:
            self._session.leave("")
        self.hang_up()

    # --- from the transport ---

    def pauseProducing(self) -> None:
        self._outbox.pause()
        super().pauseProducing()

    def resumeProducing(self) -> None:
        self._stops &= ~FULL
        self._outbox.resume()  # which may fill the transport again
        self.resume(0)

    # --- for a subclass and the conversation to use ---

    def leave_for(self, reason: str) -> None:
        """Queue the conversation's ``leave``; later reasons are ignored.

        Called when the conversation has ended.
        """
        if self._session is not None and not self._departing:
            self._reason = reason
            self.depart_later()

    def wait(self) -> None:
        if self._request_timer is None:
            self._request_timer = self._clock.callLater(REQUEST_SECONDS, self._request_timed_out)
        super().wait()

    def proceed(self) -> None:
        """Schedule the next lines: the open request is complete, or pending broadcasts are flushed.
        Does nothing if no line waits."""
        self._stop_request_timer()
        if self._stops & WAITING:
            self.proceed_later(WAITING)

    def hang_up(self) -> None:
        """Write pending output and close the connection."""
        waiting = self._outbox.take()
        self.finish()
        transport: Any = self.transport
        transport.unregisterProducer()  # else the transport would wait for it
        if waiting:
            transport.write(waiting)
        transport.loseConnection()

    def when_there_is_time(self, call: Callable[[], None]) -> None:
        """Queue long work that no request waits for, such as a list of names; it runs later."""
        if not self._stops & OVER:
            self._background = [*self._background, call]
            if self._stops:
                self.proceed_later()
            else:
                self._queue.add(self)  # reading continues: thousands of clients may have such work

    def finish(self) -> None:
        super().finish()
        self._outbox.close()
        self._input = self._lines = self._background = _NOTHING
        self._stop_entry_timer()
        self._stop_request_timer()

    # --- lines ---

    def _take_lines(self, session: LineConversation, deadline: float) -> float | None:
        """:return: as :meth:`step` does."""
        outbox = self._outbox
        taken = 0
        while (
            session.streaming
            or self._lines
            or ((self._input or self._input_ended) and self._split_piece())
        ):
            if outbox.paused:
                return None  # resumeProducing continues
            if outbox.size > outbox.limit // 4:
                return 0.0
            if session.streaming:
                size = outbox.size
                session.stream_more()
                if session.streaming and outbox.size == size:
                    return LEFT  # no line found yet: other clients run first
            elif self._lines:
                if session.waiting or (ready := session.ready_for(self._lines[-1])) is Ready.LATER:
                    self.wait()
                    return None
                if ready is Ready.NEXT_TURN:
                    return 0.0
                if self._bucket is not None and not self._bucket.take(self._queue.now()):
                    return self._until_token(self._bucket)
                session.line(self._lines.pop())
                taken += 1
                if taken >= LINES_A_SHARE and (len(self._queue) or taken >= LINES_A_TURN):
                    break
            if self._stops & OVER:
                return None
            if self._queue.now() >= deadline:
                break
        if session.waiting:
            self.wait()
        return None

    def _is_left(self, session: LineConversation) -> bool:
        """Whether there is work that can be done now."""
        return self._stops == RUNNING and bool(
            self._background
            or (
                not (session.waiting or self._outbox.paused)
                and (
                    session.streaming
                    or self._lines
                    or self._input
                    or (self._input_ended and not self._all_split)
                )
            )
        )

    def _split_piece(self) -> bool:
        """Split a piece of input; return whether there was one."""
        if self._input:
            self._lines = self.split(self._input.pop())[::-1]
        elif self._input_ended and not self._all_split:
            self._all_split = True
            self._lines = [line for line in self._buffer.feed(b"\n") if line]
        else:
            return False
        return True

    def _until_token(self, bucket: TokenBucket) -> float:
        """Return the seconds until the next token."""
        self.throttled()
        # a margin for rounding
        return bucket.seconds_left(self._clock.seconds()) + 0.001

    # --- an open request ---

    def _stop_request_timer(self) -> None:
        if self._request_timer is not None:
            self._request_timer.cancel()
            self._request_timer = None

    def _request_timed_out(self) -> None:
        self._request_timer = None
        if self._session is not None:
            self.attempt(self._session.request_timed_out)

    # --- the entry timeout ---

    def _stop_entry_timer(self) -> None:
        if self._entry_timer is not None:
            self._entry_timer.cancel()
            self._entry_timer = None

    def _update_reading(self) -> None:
        before = self._reading
        super()._update_reading()
        if self._reading is not before:
            if self._entry_timer is not None:
                self._count_unread(self._reading)
            if before:
                self._stopped_reading = True

    def _count_unread(self, reading: bool) -> None:
        """Measure the time without reading, in which the client cannot enter."""
        now = self._clock.seconds()
        if reading:
            self._unread += now - self._unread_since
        else:
            self._unread_since = now

    def _entry_timed_out(self) -> None:
        self._entry_timer = None
        session = self._session
        if session is None or session.entered:
            return
        if not self._reading:
            self._count_unread(True)
            self._count_unread(False)
        more, self._unread = self._unread, 0.0
        if session.waiting:
            more = max(more, _CHECKING)
        if more:
            self._entry_timer = self._clock.callLater(more, self._entry_timed_out)
        else:
            self.attempt(session.entry_timed_out)
