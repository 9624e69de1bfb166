"""The text door's edge: a :class:`~tcpd.chat.text.session.Session` on a Twisted transport.

Reading pauses for several reasons: lines wait for a token (flood), for the next turn, or for an
outbox that has to be written first; or the transport has enough. There is one rule for all of them,
:meth:`TextProtocol._set_reading`, so that the end of one cannot undo another. Nothing that was
received is lost; what can wait here is what the transport reads in one piece.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from functools import partial
from typing import Any

from twisted.internet.error import ConnectionDone
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

from tcpd.chat.hub import Hub
from tcpd.chat.member import Profile
from tcpd.chat.outbox import FlushSet, Outbox
from tcpd.chat.text.render import TextFormat, encode_lines
from tcpd.chat.text.session import LINE_BYTES, Session
from tcpd.chat.text.settings import TextSettings
from tcpd.handshake.facts import Facts
from tcpd.interfaces import IConnection, IContext, IFarewell, IReconfigurable, IRefusing
from tcpd.net.turns import Turns
from tcpd.ops import catalogue
from tcpd.ops.counters import ServiceCounters
from tcpd.policy.buckets import TokenBucket
from tcpd.policy.reasons import End, Refusal
from tcpd.wire.linebuffer import Fault, LineBuffer
from tcpd.wire.telnet import TelnetFilter

#: How many lines of one client are taken in a reactor turn, so that a turn never brings so much
#: into a room that people with good connections fall behind.
LINES_A_TURN = 16

#: Split into lines at a time. Short lines take twenty times their bytes, and may wait for hours.
_PIECE = 4096

#: How many of them are looked at for a line in a reactor turn: telnet's commands are taken out byte
#: by byte, and a flood of them is not to keep others waiting.
_PIECES_A_TURN = 8


@implementer(IHalfCloseableProtocol, IFarewell, IPushProducer)
class TextProtocol(Protocol):
    """One connection of the text door.

    :param factory: what its connections share.
    """

    _log = Logger()

    def __init__(self, factory: TextFactory) -> None:
        self._factory = factory
        self._clock = factory.clock
        self._settings = factory.settings
        rate = self._settings.rate
        self._bucket = None if rate is None else TokenBucket(rate, self._clock.seconds())
        self._telnet = TelnetFilter()
        self._buffer = LineBuffer(LINE_BYTES)
        self._input: deque[bytes] = deque()
        self._lines: deque[bytes | Fault] = deque()
        self._outbox: Outbox  # made when there is a transport to write to
        self._session: Session | None = None
        self._reading = True
        self._read_closed = False
        self._all_split = False
        self._over = False
        self._pause: IDelayedCall | None = None
        self._nick_timer: IDelayedCall | None = None

    # --- the transport's side ---

    def connectionMade(self) -> None:
        transport: Any = self.transport
        connection: Any = IConnection(transport, None)
        profile = Profile()
        if connection is not None:
            secure = connection.tls is not None or connection.address is None
            profile = Profile(address=connection.address, secure=secure)
        # the outbox has collected all of the turn: a transport that would do so again need not
        write = getattr(transport, "send_now", transport.write)
        self._outbox = Outbox(self._factory.hub.settings.outbox, self._factory.flush_set, write)
        self._session = Session(
            self._factory.hub,
            self._factory.format,
            self._outbox,
            profile,
            self._factory.server_name,
            self._factory.counters.events,
            self._hang_up,
            self._cut,
            None if connection is None else partial(self._facts, connection),
        )
        transport.registerProducer(self, True)
        if self._settings.nick_timeout:
            self._nick_timer = self._clock.callLater(self._settings.nick_timeout, self._no_nickname)
        self._session.greet()

    def _facts(self, connection: Any) -> Facts:
        """What the connection layer knows, and what only the conversation does."""
        facts: Facts = connection.facts()
        return replace(facts, encoding="UTF-8", line_ending=self._buffer.line_ending)

    def dataReceived(self, data: bytes) -> None:
        if self._over:
            return
        for at in range(0, len(data), _PIECE):
            self._input.append(data[at : at + _PIECE])
        if self._pause is None:
            self._work()

    def readConnectionLost(self) -> None:
        """The client has said all it has to say, and may still read."""
        self._read_closed = True
        if self._pause is None:
            self._work()

    def writeConnectionLost(self) -> None:
        """Nothing of ours closes one side alone."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._end()
        if self._session is not None:
            self._session.leave("" if reason.check(ConnectionDone) else "connection lost")

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
        if self._session is not None:
            self._session.leave(reason.sentence if reason is End.SHUTDOWN else "")
        return waiting + encode_lines((f"* {reason.sentence}",))

    # --- lines ---

    def _work(self) -> None:
        """Take the lines that wait, as far as may be; see to it that the rest is taken later."""
        session = self._session
        assert session is not None
        hub = self._factory.hub
        hub.hold()
        try:
            wait = self._take_lines(session)
        finally:
            hub.release()
        # behind that, so that what was said leaves before more is, on any reactor
        if wait is not None and not self._over:
            self._work_after(wait)
        if self._all_split and not self._lines and not self._over:
            session.finish("Goodbye.")
        self._set_reading()

    def _take_lines(self, session: Session) -> float | None:
        """
        :return: in how many seconds to go on; ``None`` for not before something comes.
        """
        turn = LINES_A_TURN
        lines = self._lines
        outbox = self._outbox
        while not self._over and (lines or self._split_more()):
            if outbox.paused:
                return None  # until it is written: resumeProducing comes back here
            if not turn or outbox.size > outbox.limit // 4:
                return 0.0
            if self._bucket is not None and (wait := self._take_token(self._bucket)):
                return wait
            turn -= 1
            session.line(lines.popleft())
            if self._nick_timer is not None and session.member is not None:
                self._nick_timer.cancel()
                self._nick_timer = None
        return None

    def _split_more(self) -> bool:
        """Split what was received, as far as needed; tell whether there is a line to take."""
        pieces = _PIECES_A_TURN
        while not self._lines:
            if self._input:
                if not pieces:  # nothing but telnet's commands, or one endless line
                    self._work_after(0)
                    return False
                pieces -= 1
                data, answers = self._telnet.feed(self._input.popleft())
                if answers:
                    self._outbox.put(answers)
                self._lines.extend(self._buffer.feed(data))
            elif self._read_closed and not self._all_split:
                self._all_split = True
                self._lines.extend(line for line in self._buffer.feed(b"\n") if line)
            else:
                return False
        return True

    def _take_token(self, bucket: TokenBucket) -> float:
        """Take a token; if there is none, tell in how many seconds there will be."""
        if bucket.take(self._clock.seconds()):
            return 0.0
        rate = self._settings.rate
        assert rate is not None
        self._factory.counters.events["throttled"] += 1
        missing = 1.0 - bucket.refill(self._clock.seconds())
        return missing / rate.per_second + 0.001  # so that rounding cannot make it come up short

    def _work_after(self, seconds: float) -> None:
        self._pause = self._clock.callLater(seconds, self._go_on)

    def _go_on(self) -> None:
        self._pause = None
        self._work()

    def _set_reading(self) -> None:
        """Read from the client, or do not: the one place that decides it."""
        if self._over or self._read_closed:
            return
        reading = not (self._lines or self._input or self._outbox.paused)
        if reading is not self._reading:
            self._reading = reading
            transport: Any = self.transport
            if reading:
                transport.resumeProducing()
            else:
                transport.pauseProducing()

    # --- writing, and the end ---

    def _no_nickname(self) -> None:
        self._nick_timer = None
        assert self._session is not None
        self._session.finish("! you did not say who you are in time")

    def _hang_up(self) -> None:
        """The conversation is over: write what waits, and close."""
        waiting = self._outbox.take()
        self._end()
        transport: Any = self.transport
        transport.unregisterProducer()  # or the transport would wait for it
        if waiting:
            transport.write(waiting)
        transport.loseConnection()

    def _cut(self) -> None:
        """The client does not read: close without another word."""
        self._end()
        transport: Any = self.transport
        connection: Any = IConnection(transport, None)
        member = self._session.member if self._session is not None else None
        catalogue.CHAT_MEMBER_DROPPED.emit(
            self._log,
            service=self._factory.service,
            nick=member.nick if member is not None else "",
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
        for timer in (self._pause, self._nick_timer):
            if timer is not None:
                timer.cancel()
        self._pause = self._nick_timer = None


@implementer(IReconfigurable, IRefusing)
class TextFactory(Factory):
    """What the connections of one text door share.

    :param settings: the door's.
    :param context: see :class:`tcpd.interfaces.IContext`.
    """

    noisy = False

    def __init__(self, settings: TextSettings, context: IContext) -> None:
        self.settings = settings
        self.clock: IReactorTime = context.clock
        self.service: str = context.service
        self.hub: Hub = context.hub
        self.server_name: str = context.server_name
        self.counters: ServiceCounters = context.counters
        self.format = TextFormat()
        self.flush_set = FlushSet(Turns(self.clock).soon)

    def reconfigure(self, settings: TextSettings) -> None:
        """See :class:`tcpd.interfaces.IReconfigurable`. Those who are connected keep the old."""
        self.settings = settings

    def buildProtocol(self, addr: IAddress | None) -> TextProtocol:
        return TextProtocol(self)

    def refusal(self, reason: Refusal) -> bytes:
        """See :class:`tcpd.interfaces.IRefusing`."""
        return encode_lines((f"! {reason.sentence}",))
