"""The edge of a conversation that takes one line after the other, at a rate.

Reasons to take no further line, beside those of :mod:`tcpd.lines.pump`: the outbox is to be written
first; a long reply streams; the line needs more than is done by now (:class:`Ready`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from enum import Enum
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from tcpd.lines.linebuffer import Fault, LineBuffer
from tcpd.lines.pump import FULL, LEFT, OVER, RUNNING, WAITING, LinePump
from tcpd.policy.buckets import RateLike, TokenBucket
from tcpd.policy.workqueue import WorkQueue
from tcpd.wire.opening import Opening

#: Lines of a client that are taken at a time while other clients have work, and while none has.
LINES_A_SHARE = 16
LINES_A_TURN = 256

#: Split into lines at a time. Short lines take twenty times their bytes, and may wait for hours.
_PIECE = 4096

#: Seconds until the next look whether a client has entered whose request is open.
_CHECKING = 1.0

#: Seconds that a request may be open. Passwords take less than one, and so does a history in
#: memory; what takes this long does not come.
REQUEST_SECONDS = 60.0

#: Stands for lists that are empty, of which thousands of silent clients have two each. Nothing is
#: ever put into it: the lists are replaced, not added to.
_NOTHING: list[Any] = []


class Ready(Enum):
    """Whether a conversation takes its next line."""

    NOW = "now"
    #: in the next turn: others have to be written to first
    NEXT_TURN = "next turn"
    #: when :meth:`SinglePump.go_on` is called
    LATER = "later"


class Conversation(Protocol):
    """One conversation with a client, as its connection sees it."""

    @property
    def entered(self) -> bool:
        """Whether the client has entered: the entry timeout is over."""

    @property
    def waiting(self) -> object:
        """True if a request is open: no further line is taken until ``go_on``."""

    @property
    def streaming(self) -> object:
        """True if there is more of a long reply than was put into the outbox."""

    def greet(self) -> None:
        """Begin. Called once, before all else."""

    def ready_for(self, line: bytes | Fault | None) -> Ready:
        """Whether a line can be taken now: all it depends on is done.

        :param line: ``None`` for the end of all lines.
        """

    def line(self, line: bytes | Fault) -> None:
        """Take a line from the client, without its end."""

    def stream_more(self) -> None:
        """Put more of a long reply into the outbox, as much as it bears for now."""

    def finished(self) -> None:
        """The client sends nothing more, and may still read. Called once."""

    def too_late(self) -> None:
        """The client has not entered in time. Called at most once."""

    def overdue(self) -> None:
        """A request has been open for :data:`REQUEST_SECONDS`: end. Called at most once."""

    def leave(self, reason: str) -> None:
        """The connection is lost, or is about to be closed: end without a word.

        :param reason: for others; may be empty.
        """


class Output(Protocol):
    """Bytes that wait to be written to one client.

    :ivar paused: the transport's buffer is full.
    :ivar size: how many bytes wait.
    :ivar limit: how many may.
    """

    paused: bool
    size: int
    limit: int

    def put(self, data: bytes) -> bool:
        """Add bytes."""

    def take(self) -> bytes:
        """Remove and return all that waits."""

    def pause(self) -> None:
        """The transport's buffer is full."""

    def resume(self) -> None:
        """The transport takes more."""

    def close(self) -> None:
        """Forget what waits, and take nothing more."""


class SinglePump(LinePump):
    """One connection.

    :param clock: for the rate and the entry timeout.
    :param queue: the daemon's.
    :param opening: see :class:`~tcpd.lines.pump.LinePump`.
    :param line_bytes: the longest line, without its end.
    :param rate: how many lines the client may send; ``None`` for any number.
    """

    __slots__ = (
        "_all_split",
        "_bucket",
        "_buffer",
        "_entry_timer",
        "_input",
        "_lines",
        "_outbox",
        "_overdue_timer",
        "_reason",
        "_session",
        "_stopped_reading",
        "_unasked",
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
        # both with the oldest last, as they are taken from there
        self._input: list[bytes] = _NOTHING
        self._lines: list[bytes | Fault] = _NOTHING
        self._unasked: list[Callable[[], None]] = _NOTHING
        self._all_split = False
        self._outbox: Output  # made when there is a transport to write to
        self._session: Conversation | None = None
        self._reason = ""  # of leaving
        self._stopped_reading = False  # since the last look
        self._unread = 0.0  # seconds in which it was not read from, while the entry timer runs
        self._unread_since = 0.0
        self._entry_timer: IDelayedCall | None = None
        self._overdue_timer: IDelayedCall | None = None

    # --- for a subclass to provide ---

    @abstractmethod
    def open(self) -> tuple[Conversation, Output]:
        """Make the conversation. Called once, when the transport is there."""

    @abstractmethod
    def why_lost(self, reason: Failure) -> str:
        """What others are told of the end of a connection."""

    def split(self, data: bytes) -> list[bytes | Fault]:
        """Split what the client has sent into lines, without their ends."""
        return self._buffer.feed(data)

    def hold(self) -> None:
        """A run of lines begins: what they cause may be sent together."""

    def release(self) -> None:
        """The run has ended: send what was held. The connection may end within it."""

    def entry_timeout(self) -> float:
        """How many seconds the client may take to enter; 0 for ever. Time in which it is not read
        from does not count."""
        return 0.0

    def throttled(self) -> None:
        """A line waits for its rate."""

    # --- from the pump ---

    def begin(self) -> None:
        self._session, self._outbox = self.open()
        if timeout := self.entry_timeout():
            self._entry_timer = self._clock.callLater(timeout, self._too_late)
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
        """A last line without an end is taken when those before it are."""

    def step(self, deadline: float) -> float | None:
        session = self._session
        if session is None:
            return None
        while self._unasked:
            call, *self._unasked = self._unasked
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
        some = self._lines or self._input or self._input_ended or self._unasked or session.streaming
        if some and left is None and self._is_left(session):
            return LEFT  # the time is used up, or what was held has completed a request
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

    def turn_away(self, words: bytes) -> None:
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
        """Have the conversation leave, when there is time for it; the first reason counts.

        Called when the conversation is over.
        """
        if self._session is not None and not self._departing:
            self._reason = reason
            self.depart_later()

    def wait(self) -> None:
        if self._overdue_timer is None:
            self._overdue_timer = self._clock.callLater(REQUEST_SECONDS, self._overdue)
        super().wait()

    def go_on(self) -> None:
        """The request that was open is complete, or what ran ahead is delivered: take further
        lines, not within this call. May be called when nothing waits."""
        self._stop_overdue_timer()
        if self._stops & WAITING:
            self.go_on_later(WAITING)

    def hang_up(self) -> None:
        """The conversation is over: write what waits, and close."""
        waiting = self._outbox.take()
        self.finish()
        transport: Any = self.transport
        transport.unregisterProducer()  # or the transport would wait for it
        if waiting:
            transport.write(waiting)
        transport.loseConnection()

    def when_there_is_time(self, call: Callable[[], None]) -> None:
        """Do what takes long and the client has not asked for, such as a long list: there is no
        line that waits for it. Never within this call."""
        if not self._stops & OVER:
            self._unasked = [*self._unasked, call]
            if self._stops:
                self.go_on_later()
            else:
                self._queue.add(self)  # it reads on: thousands may have such a call at a time

    def finish(self) -> None:
        super().finish()
        self._outbox.close()
        self._input = self._lines = self._unasked = _NOTHING
        self._stop_entry_timer()
        self._stop_overdue_timer()

    # --- lines ---

    def _take_lines(self, session: Conversation, deadline: float) -> float | None:
        """:return: as :meth:`step` does."""
        outbox = self._outbox
        taken = 0
        while (
            session.streaming
            or self._lines
            or ((self._input or self._input_ended) and self._split_piece())
        ):
            if outbox.paused:
                return None  # until it is written: resumeProducing goes on
            if outbox.size > outbox.limit // 4:
                return 0.0
            if session.streaming:
                size = outbox.size
                session.stream_more()
                if session.streaming and outbox.size == size:
                    return LEFT  # it looks for lines to send, and others are to have their turn
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

    def _is_left(self, session: Conversation) -> bool:
        """Whether there is something to do that nothing stops."""
        return self._stops == RUNNING and bool(
            self._unasked
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
        """Split a piece of what was received; tell whether there was one."""
        if self._input:
            self._lines = self.split(self._input.pop())[::-1]
        elif self._input_ended and not self._all_split:
            self._all_split = True
            self._lines = [line for line in self._buffer.feed(b"\n") if line]
        else:
            return False
        return True

    def _until_token(self, bucket: TokenBucket) -> float:
        """In how many seconds there is a token."""
        self.throttled()
        # a little more, so that rounding cannot make it come up short
        return bucket.seconds_left(self._clock.seconds()) + 0.001

    # --- an open request ---

    def _stop_overdue_timer(self) -> None:
        if self._overdue_timer is not None:
            self._overdue_timer.cancel()
            self._overdue_timer = None

    def _overdue(self) -> None:
        self._overdue_timer = None
        if self._session is not None:
            self.attempt(self._session.overdue)

    # --- the entry timeout ---

    def _stop_entry_timer(self) -> None:
        if self._entry_timer is not None:
            self._entry_timer.cancel()
            self._entry_timer = None

    def _steer(self) -> None:
        before = self._reading
        super()._steer()
        if self._reading is not before:
            if self._entry_timer is not None:
                self._count_unread(self._reading)
            if before:
                self._stopped_reading = True

    def _count_unread(self, reading: bool) -> None:
        """Count the time in which the client is not read from: it cannot enter in it."""
        now = self._clock.seconds()
        if reading:
            self._unread += now - self._unread_since
        else:
            self._unread_since = now

    def _too_late(self) -> None:
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
            self._entry_timer = self._clock.callLater(more, self._too_late)
        else:
            self.attempt(session.too_late)
