"""Flow control of a line protocol: when to work, and when to read from the client.

The connection reads unless there is a reason to stop. Each reason is a bit of one number, so that
the end of one does not undo another:

=========  ==============================================  =====================================
reason     begins when                                     ends when
=========  ==============================================  =====================================
FULL       the transport calls ``pauseProducing``          the transport calls
                                                           ``resumeProducing``
WAITING    a request is open: :meth:`LinePump.wait`        it completes: :meth:`LinePump.proceed`
RESTING    the remaining work must wait: for the rate      the delay has passed
           limit, or for output to other clients
QUEUED     input is left, and other clients run first      the work queue runs this connection
OVER       the conversation has ended                      never
=========  ==============================================  =====================================

While there is a reason, no work is done for the client. Input that is already received waits: at
most one read of the transport.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Hashable
from typing import Any

from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableProtocol,
    IPushProducer,
    IReactorTime,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from tcpd.interfaces import IBusy, IConnection, IFarewell
from tcpd.ops import catalogue
from tcpd.policy.reasons import End, Refusal
from tcpd.policy.workqueue import BACKGROUND, WorkQueue, share_of
from tcpd.wire.opening import Opening

#: Reasons to do nothing; see the head of this module.
FULL, WAITING, RESTING, QUEUED, OVER = 1, 2, 4, 8, 16

#: Work is in progress: not reentrant.
RUNNING = 32

#: Returned by :meth:`LinePump.step`: work is left, and the time is used up.
LEFT = -1.0

_log = Logger()


@implementer(IBusy, IPushProducer, IHalfCloseableProtocol, IFarewell)
class LinePump(Protocol):
    """One connection. It registers as the producer of its transport.

    A subclass buffers input, and works on it in :meth:`step`.

    :param clock: the clock of the rate limit.
    :param queue: the daemon's work queue.
    :param opening: recognizes other protocols, such as HTTP; ``None`` for none.
    """

    # saves 1.4 KB for each connection, compared with a dictionary
    __slots__ = (
        "_clock",
        "_connection",
        "_departing",
        "_input_ended",
        "_opening",
        "_queue",
        "_reading",
        "_rest",
        "_stops",
    )

    def __init__(self, clock: IReactorTime, queue: WorkQueue, opening: Opening | None) -> None:
        self._clock = clock
        self._queue = queue
        self._opening = opening
        self._stops = 0
        self._reading = True
        self._input_ended = False
        self._departing = False
        self._rest: IDelayedCall | None = None
        self._connection: IConnection | None = None

    # --- for a subclass to provide ---

    @abstractmethod
    def begin(self) -> None:
        """Greet. Called once, when the connection is made."""

    @abstractmethod
    def receive(self, data: bytes) -> None:
        """Buffer input for :meth:`step`. On the hot path."""

    @abstractmethod
    def input_ended(self) -> None:
        """The client sends nothing more. Called once; a :meth:`step` follows."""

    @abstractmethod
    def step(self, deadline: float) -> float | None:
        """Work on the input until it is used up or a reason to stop holds.

        Does at least one piece, and none after the deadline. A step shorter than a hundred
        microseconds need not look at the clock.

        :param deadline: seconds of the queue's clock.
        :return: ``None`` if nothing is left or a reason to stop holds; :data:`LEFT`; or seconds
            until work can continue: 0 for the next turn of the reactor.
        """

    @abstractmethod
    def gone(self, reason: Failure) -> None:
        """The connection is lost: cancel work in progress. Called once."""

    def depart(self) -> None:
        """Do the long part of the end of a connection, such as leaving rooms; see
        :meth:`depart_later`."""

    @abstractmethod
    def farewell(self, reason: End) -> bytes:
        """See :class:`tcpd.interfaces.IFarewell`. It calls :meth:`finish`."""

    @abstractmethod
    def refusal(self, reason: Refusal) -> bytes:
        """Return the last bytes for a client that speaks another protocol."""

    def refuse(self, words: bytes) -> None:
        """Send the refusal, and close."""
        transport: Any = self.transport
        transport.write(words)
        self.close()

    # --- from the transport ---

    def connectionMade(self) -> None:
        transport: Any = self.transport
        self._connection = IConnection(transport, None)
        transport.registerProducer(self, True)
        self.begin()

    def dataReceived(self, data: bytes) -> None:
        if self._opening is not None and self._is_foreign(self._opening, data):
            return
        self.receive(data)
        if not (self._stops or self._queue.run(self)):
            self._stops = QUEUED
            self._update_reading()

    def readConnectionLost(self) -> None:
        """The client half-closed: it sends no more, and may still read."""
        if not self._input_ended:
            self._input_ended = True
            self.input_ended()
            self.resume(0)

    def writeConnectionLost(self) -> None:
        """Never called: this side does not half-close."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.finish()
        self.gone(reason)

    def pauseProducing(self) -> None:
        """The transport's buffer is full."""
        self._stops |= FULL
        if not self._stops & RUNNING:
            self._update_reading()

    def resumeProducing(self) -> None:
        """The transport's buffer has room."""
        self.resume(FULL)

    def stopProducing(self) -> None:
        """The connection is lost; ``connectionLost`` follows."""

    @property
    def busy(self) -> bool:
        """See :class:`tcpd.interfaces.IBusy`: it works for the client, and does not read."""
        return not self._reading and not self._stops & (FULL | OVER)

    # --- from the queue ---

    @property
    def share(self) -> Hashable:
        """See :class:`tcpd.policy.workqueue.WorkSource`."""
        if self._departing:
            return BACKGROUND
        connection = self._connection
        return share_of(None if connection is None else connection.address, self)

    def work(self, deadline: float) -> bool:
        """See :class:`tcpd.policy.workqueue.WorkSource`. An exception ends this connection only."""
        if self._stops and not self._is_due():
            return False
        self._stops = RUNNING
        try:
            left = self.step(deadline)
        except Exception:
            self._stops |= OVER
            self.broken("answering")
            return False
        self._stops ^= RUNNING
        if left is None:
            if self._stops or not self._reading:
                self._update_reading()
            return False
        if not self._stops:
            if left < 0:
                self._stops = QUEUED
            else:
                self._stops = RESTING
                self._rest = self._clock.callLater(left, self._rest_over)
        self._update_reading()
        return self._stops == QUEUED

    # --- for a subclass to use ---

    def wait(self) -> None:
        """Stop processing input until :meth:`proceed`: a request is open."""
        self._stops |= WAITING
        if not self._stops & RUNNING:
            self._update_reading()

    def proceed(self) -> None:
        """The open request is complete."""
        self.resume(WAITING)

    def resume(self, reason: int) -> None:
        """End a reason to stop. Work continues now, or through the queue if other work waits."""
        stops = self._stops = self._stops & ~reason
        if not (stops or self._queue.run(self)):
            self._stops = QUEUED
            self._update_reading()

    def proceed_later(self, reason: int = 0) -> None:
        """End a reason to stop, or add work. Work continues later, not within this call."""
        stops = self._stops & ~reason
        if stops == RESTING:
            self._stop_resting()
            stops = 0
        self._stops = stops
        if not stops:
            self._stops = QUEUED
            self._queue.add(self)
            self._update_reading()

    def attempt(self, call: Callable[[], object], doing: str = "answering") -> None:
        """Call a function outside a transport's call; on an exception, reset the connection."""
        try:
            call()
        except Exception:
            self.broken(doing)

    def broken(self, doing: str) -> None:
        """Log the current exception, and reset the connection."""
        self.finish()
        connection = self._connection
        if connection is not None:
            connection.log_and_abort(doing)
            return
        catalogue.CONNECTION_FAILED.fail(_log, service="", id="", peer="", doing=doing)
        transport: Any = self.transport
        transport.abortConnection()

    def depart_later(self) -> None:
        """Queue a call of :meth:`depart`. Called after :meth:`finish`."""
        self._departing = True
        self._queue.run(self)

    def finish(self) -> None:
        """End the conversation: discard further input."""
        self._opening = None
        self._queue.remove(self)
        self._stop_resting()
        self._stops = (self._stops | OVER) & ~(QUEUED | RESTING)

    def close(self) -> None:
        """End the conversation, and close after all output is written."""
        if not self._stops & OVER:
            self.finish()
            transport: Any = self.transport
            transport.unregisterProducer()  # a transport that has a producer waits for it
            transport.loseConnection()

    @property
    def over(self) -> bool:
        """Whether the conversation has ended, and input is ignored."""
        return self._stops & OVER != 0

    # --- inside ---

    def _is_due(self) -> bool:
        """Begin the turn of this connection; return whether there is a step to do."""
        self._stops &= ~QUEUED
        if self._departing:
            self._departing = False
            self.attempt(self.depart, "leaving")
        return not self._stops

    def _stop_resting(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None

    def _rest_over(self) -> None:
        self._rest = None
        self.resume(RESTING)

    def _update_reading(self) -> None:
        """Pause or resume reading, as the reasons to stop require."""
        stops = self._stops
        reading = not stops & ~RUNNING
        if reading is self._reading or stops & OVER:
            return
        self._reading = reading
        transport: Any = self.transport
        if not reading:
            transport.pauseProducing()
        elif not self._input_ended:  # reading would report the end again
            transport.resumeProducing()

    def _is_foreign(self, opening: Opening, data: bytes) -> bool:
        """Detect another protocol, and refuse the client."""
        foreign = opening.feed(data)
        if opening.over:
            self._opening = None
        if foreign is None:
            return False
        reason = Refusal[foreign.name]
        if self._connection is not None:
            self._connection.refuse(reason)
        self.refuse(self.refusal(reason))
        return True
