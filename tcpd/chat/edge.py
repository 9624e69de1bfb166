"""The edge of every frontend: a conversation in lines on a Twisted transport.

Reading pauses for several reasons: lines wait for a token (flood), for the next turn, or for an
outbox that has to be written first; or the transport has enough. There is one rule for all of them,
:meth:`ChatProtocol._set_reading`, so that the end of one cannot undo another. Nothing that was
received is lost; what can wait here is what the transport reads in one piece.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from twisted.internet import protocol
from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableProtocol,
    IPushProducer,
    IReactorTime,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from tcpd.chat.conversation import Conversation, Ready
from tcpd.chat.hub import Hub
from tcpd.chat.outbox import Outbox
from tcpd.chat.quitting import ended_for, lost_by
from tcpd.chat.service import ChatService
from tcpd.config.values import Rate
from tcpd.handshake.facts import Facts
from tcpd.interfaces import IBusy, IConnection, IContext, IFarewell
from tcpd.ops import catalogue
from tcpd.ops.counters import ServiceCounters
from tcpd.policy.buckets import TokenBucket
from tcpd.policy.reasons import End, Refusal
from tcpd.wire.linebuffer import Fault, LineBuffer
from tcpd.wire.opening import Opening

#: How many lines of one client are taken in a reactor turn, so that a turn never brings so much
#: into a room that people with good connections fall behind.
LINES_A_TURN = 16

#: Split into lines at a time. Short lines take twenty times their bytes, and may wait for hours.
_PIECE = 4096

#: How many of them are looked at for a line in a reactor turn: telnet's commands are taken out byte
#: by byte, and a flood of them is not to keep others waiting.
_PIECES_A_TURN = 8

#: Seconds until the next look whether a client has entered whose request is open.
_CHECKING = 1.0

#: Stands for lists that are empty, of which thousands of silent clients have two each. Nothing is
#: ever put into it: they are replaced, not added to.
_NOTHING: list[Any] = []


@implementer(IBusy, IHalfCloseableProtocol, IFarewell, IPushProducer)
class ChatProtocol(protocol.Protocol):
    """One connection of a frontend.

    :param factory: what its connections share.
    """

    _log = Logger()

    def __init__(self, factory: ChatFactory) -> None:
        self._factory = factory
        self._clock = factory.clock
        self._rate = rate = factory.rate
        self._bucket = None if rate is None else TokenBucket(rate, self._clock.seconds())
        self._buffer = LineBuffer(factory.line_bytes)
        # both with the oldest last, as they are taken from there
        self._input: list[bytes] = _NOTHING
        self._lines: list[bytes | Fault] = _NOTHING
        self._opening: Opening | None = Opening(any_case=factory.no_method_is_a_name)
        self._outbox: Outbox  # made when there is a transport to write to
        self._session: Conversation | None = None
        self._reading = True
        self._stopped_reading = False  # since somebody looked
        self._unread = 0.0  # seconds in which it was not read from, while the entry timer runs
        self._unread_since = 0.0
        self._read_closed = False
        self._all_split = False
        self._over = False
        self._queued = False
        self._taking = False
        self._pause: IDelayedCall | None = None
        self._entry_timer: IDelayedCall | None = None

    @abstractmethod
    def converse(self, outbox: Outbox, connection: Any) -> Conversation:
        """Make the conversation. Called once, when the connection is there.

        :param connection: an :class:`tcpd.interfaces.IConnection`, or ``None``.
        """

    def split(self, data: bytes) -> list[bytes | Fault]:
        """Split what the client has sent into lines, without their ends."""
        return self._buffer.feed(data)

    # --- the transport's side ---

    def connectionMade(self) -> None:
        transport: Any = self.transport
        factory = self._factory
        # the outbox has collected all of the turn: a transport that would do so again need not
        write = getattr(transport, "send_now", transport.write)
        self._outbox = Outbox(factory.hub.settings.outbox, factory.hub.fanout.queue, write)
        self._session = self.converse(self._outbox, IConnection(transport, None))
        transport.registerProducer(self, True)
        if factory.entry_timeout:
            self._entry_timer = self._clock.callLater(factory.entry_timeout, self._too_late)
        self._session.greet()

    def facts(self) -> Facts | None:
        """What the connection layer knows, and what only the conversation does; ``None`` where
        nothing is known."""
        connection: Any = IConnection(self.transport, None)
        if connection is None:
            return None
        facts: Facts = connection.facts()
        return replace(facts, encoding="UTF-8", line_ending=self._buffer.line_ending)

    def dataReceived(self, data: bytes) -> None:
        if self._over or (self._opening is not None and self._is_foreign(self._opening, data)):
            return
        pieces = [data[at : at + _PIECE] for at in range(0, len(data), _PIECE)]
        self._input = [*reversed(pieces), *self._input]
        if self._pause is None:
            self._work()

    def _is_foreign(self, opening: Opening, data: bytes) -> bool:
        """See whether the client speaks another protocol, and send it away if so."""
        foreign = opening.feed(data)
        if opening.over:
            self._opening = None
        if foreign is None:
            return False
        reason = Refusal[foreign.name]
        connection: Any = IConnection(self.transport, None)
        if connection is not None:
            connection.refuse(reason)
        self._outbox.put(self._factory.refusal(reason))
        if self._session is not None:
            self._session.leave("")
        self.hang_up()
        return True

    def readConnectionLost(self) -> None:
        """The client has said all it has to say, and may still read."""
        self._read_closed = True
        if self._pause is None:
            self._work()

    def writeConnectionLost(self) -> None:
        """Nothing of ours closes one side alone."""

    def connectionLost(self, reason: Failure = protocol.connectionDone) -> None:
        self._end()
        # each has the other, which only the garbage collector would find out
        session, self._session = self._session, None
        if session is not None:
            connection: Any = IConnection(self.transport, None)
            why = lost_by(None if connection is None else connection.ended, reason)
            self._factory.work.run(partial(session.leave, why))

    @property
    def busy(self) -> bool:
        """See :class:`tcpd.interfaces.IBusy`."""
        return not (self._reading or self._outbox.paused or self._over or self._read_closed)

    def pauseProducing(self) -> None:
        """The transport has enough."""
        self._outbox.pause()
        self._set_reading()

    def resumeProducing(self) -> None:
        """The transport takes more."""
        self._outbox.resume()
        if self._pause is None:
            self._work()

    def stopProducing(self) -> None:
        """The connection is gone, which ``connectionLost`` tells too."""

    def farewell(self, reason: End) -> bytes:
        """See :class:`tcpd.interfaces.IFarewell`: what waits, and the reason."""
        waiting = self._outbox.take()
        self._end()
        if self._session is None:
            return waiting
        self._session.leave(ended_for(reason))
        return waiting + self._session.last_words(reason)

    # --- lines ---

    def go_on(self) -> None:
        """See :class:`tcpd.chat.conversation.Edge`. May come while lines are taken, and from within
        a delivery: then the lines are taken in the next turn, or by the loop that is at it."""
        if not self._taking and not self._over and self._pause is None:
            self._work_after(0)

    def _work(self) -> None:
        """Take the lines that wait, as far as may be; see to it that the rest is taken later."""
        session = self._session
        if session is None or self._taking:
            return  # the connection is lost, or a loop is at it
        fanout = self._factory.hub.fanout
        fanout.hold()
        self._taking = True
        try:
            wait = self._take_lines(session)
        finally:
            self._taking = False
            fanout.release()
        # behind that, so that what was said leaves before more is, on any reactor
        if wait is not None and not self._over:
            self._work_after(wait)
        if not (self._lines or self._input):
            self._lines = self._input = _NOTHING
        idle = not (self._lines or self._over or self._queued)
        if self._all_split and idle and not (session.streaming or session.waiting):
            session.finished()
        self._set_reading()

    def _take_lines(self, session: Conversation) -> float | None:
        """
        :return: in how many seconds to go on; ``None`` for not before something comes.
        """
        if self._queued:
            return None
        turn = LINES_A_TURN
        outbox = self._outbox
        while not self._over and (session.streaming or self._lines or self._split_more()):
            if outbox.paused:
                return None  # until it is written: resumeProducing comes back here
            if not turn or outbox.size > outbox.limit // 4:
                return 0.0
            if session.streaming:
                size = outbox.size
                session.stream_more()
                if session.streaming and outbox.size == size:
                    return 0.0  # it looks for lines to send, and others are to have their turn
                continue
            if session.waiting:
                return None  # until go_on()
            ready = session.ready_for(self._lines[-1])
            if ready is not Ready.NOW:
                return 0.0 if ready is Ready.NEXT_TURN else None
            if self._bucket is not None and (wait := self._take_token(self._bucket)):
                return wait
            turn -= 1
            line = self._lines.pop()
            if not session.is_costly(line):
                session.line(line)
            elif not self._factory.work.run(partial(self._take_costly, session, line)):
                self._queued = True
                return None  # until it was taken: it comes back here
            if self._entry_timer is not None and session.entered:
                self._entry_timer.cancel()
                self._entry_timer = None
        return None

    def _take_costly(self, session: Conversation, line: bytes | Fault) -> None:
        if not self._over:
            self._do(partial(session.line, line))
        if self._queued:
            self._queued = False
            if not self._over and self._pause is None:
                self._do(self._work)

    def when_there_is_time(self, call: Callable[[], None]) -> None:
        """Do what takes long and this client has not asked for, such as a long list: it has no line
        to wait with. Called within an event, too."""
        self._factory.work.run(partial(self._tell_unasked, call))

    def _tell_unasked(self, call: Callable[[], None]) -> None:
        if not self._over:
            self._do(call)
        # the rest of it, and not here: others may be about to be told of the same event
        if not self._over and self._pause is None:
            self._work_after(0)

    def _do(self, call: Callable[[], None]) -> None:
        """Do what the transport is not there to see fail, and cut the connection if it does."""
        try:
            call()
        except Exception:
            connection: Any = IConnection(self.transport, None)
            catalogue.CONNECTION_FAILED.fail(
                self._log,
                service=self._factory.service,
                id="" if connection is None else connection.id,
                peer="" if connection is None else connection.peer,
                doing="taking a line",
            )
            self._end()
            transport: Any = self.transport
            transport.abortConnection()

    def _split_more(self) -> bool:
        """Split what was received, as far as needed; tell whether there is a line to take."""
        pieces = _PIECES_A_TURN
        while not self._lines:
            if self._input:
                if not pieces:  # nothing but telnet's commands, or one endless line
                    self._work_after(0)
                    return False
                pieces -= 1
                self._lines = self.split(self._input.pop())[::-1]
            elif self._read_closed and not self._all_split:
                self._all_split = True
                self._lines = [line for line in self._buffer.feed(b"\n") if line]
            else:
                return False
        return True

    def _take_token(self, bucket: TokenBucket) -> float:
        """Take a token; if there is none, tell in how many seconds there will be."""
        if bucket.take(self._clock.seconds()):
            return 0.0
        rate = self._rate
        assert rate is not None
        self._factory.counters.events["throttled"] += 1
        missing = 1.0 - bucket.refill(self._clock.seconds())
        return missing / rate.per_second + 0.001  # so that rounding cannot make it come up short

    def _work_after(self, seconds: float) -> None:
        self._pause = self._clock.callLater(seconds, self._go_on)

    def _go_on(self) -> None:
        self._pause = None
        self._do(self._work)

    def _set_reading(self) -> None:
        """Read from the client, or do not: the one place that decides it."""
        if self._over or self._read_closed:
            return
        session = self._session
        waiting = self._queued or (session is not None and (session.streaming or session.waiting))
        reading = not (self._lines or self._input or self._outbox.paused or waiting)
        if reading is not self._reading:
            self._reading = reading
            if self._entry_timer is not None:
                self._count_unread(reading)
            transport: Any = self.transport
            if reading:
                transport.resumeProducing()
            else:
                self._stopped_reading = True
                transport.pauseProducing()

    # --- writing, and the end ---

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
        assert session is not None
        if not self._reading:
            self._count_unread(True)
            self._count_unread(False)
        more, self._unread = self._unread, 0.0
        if session.waiting:
            more = max(more, _CHECKING)
        if more:
            self._entry_timer = self._clock.callLater(more, self._too_late)
        else:
            session.too_late()

    def hang_up(self) -> None:
        """The conversation is over: write what waits, and close."""
        waiting = self._outbox.take()
        self._end()
        transport: Any = self.transport
        transport.unregisterProducer()  # or the transport would wait for it
        if waiting:
            transport.write(waiting)
        transport.loseConnection()

    def cut(self) -> None:
        """The client does not read: close without another word."""
        self._end()
        transport: Any = self.transport
        connection: Any = IConnection(transport, None)
        person = getattr(self._session, "person", None)
        catalogue.CHAT_MEMBER_DROPPED.emit(
            self._log,
            service=self._factory.service,
            nick=person.nick if person is not None else "",
            peer=connection.peer if connection is not None else "",
        )
        if connection is not None:
            connection.end(End.SLOW_READER)
        else:
            transport.abortConnection()

    def _end(self) -> None:
        """Take nothing more, from anybody."""
        self._over = True
        self._outbox.close()
        self._input.clear()
        self._lines.clear()
        for timer in (self._pause, self._entry_timer):
            if timer is not None:
                timer.cancel()
        self._pause = self._entry_timer = None


class ChatFactory(protocol.Factory):
    """What the connections of one frontend service share.

    :param context: see :class:`tcpd.interfaces.IContext`.

    :ivar rate: how many lines a client may send; ``None`` for any number.
    :ivar entry_timeout: how many seconds a client may take to enter; 0 for ever.
    :ivar line_bytes: the longest line, without its end.
    :ivar no_method_is_a_name: whether a client never opens with a word like HTTP's methods.
    """

    noisy = False
    line_bytes = 0
    no_method_is_a_name = False
    rate: Rate | None
    entry_timeout: float

    @abstractmethod
    def refusal(self, reason: Refusal) -> bytes:
        """See :class:`tcpd.interfaces.IRefusing`."""

    def __init__(self, context: IContext) -> None:
        self.clock: IReactorTime = context.clock
        self.service: str = context.service
        chat: ChatService = context.chat
        self.hub: Hub = chat.hub
        self.work = chat.work
        self.server_name: str = context.server_name
        self.counters: ServiceCounters = context.counters
