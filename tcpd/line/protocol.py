"""The line protocol on a transport: reading, writing, waiting, and when to stop reading."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, cast

from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHalfCloseableProtocol,
    IPushProducer,
)
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from tcpd.interfaces import IBusy, IConnection, IContext, IFarewell
from tcpd.line.command import CommandTable, Facts, PlainFacts, Scene
from tcpd.line.reply import continued, last_words
from tcpd.line.session import Session, State
from tcpd.line.settings import LineSettings
from tcpd.line.stream import Stream
from tcpd.line.waiting import Wait
from tcpd.net.connection import Connection
from tcpd.policy.reasons import End, Refusal
from tcpd.wire.opening import Opening


class Shared(Protocol):
    """What the connections of one service share: a :class:`tcpd.line.factory.LineFactory`.

    :ivar settings: the service's. They may be replaced; a connection keeps those it began with.
    :ivar context: the rest of the daemon.
    :ivar commands: the commands that clients can send.
    """

    settings: LineSettings
    context: IContext
    commands: CommandTable

    def greeting(self) -> bytes:
        """The first line of a connection."""

    def refusal(self, reason: Refusal) -> bytes:
        """The reply for a client that is refused, before its connection is closed."""

    def report(self, command: str, peer: str, error: BaseException) -> str:
        """Log that a command failed.

        :param command: its name.
        :param peer: the client.
        :param error: what it raised.
        :return: a reference for the log and the reply.
        """


class Wire(Protocol):
    """What this module asks of a transport: ITransport, IConsumer and IPushProducer in one."""

    def write(self, data: bytes) -> None: ...
    def loseConnection(self) -> None: ...
    def getPeer(self) -> IAddress: ...
    def registerProducer(self, producer: IPushProducer, streaming: bool) -> None: ...
    def unregisterProducer(self) -> None: ...
    def pauseProducing(self) -> None: ...
    def resumeProducing(self) -> None: ...


_READY = State.READY


@implementer(IBusy, IPushProducer, IHalfCloseableProtocol, IFarewell)
class LineProtocol(TwistedProtocol):
    """One connection of a line service.

    It is the producer of its own transport: told that the output is full it answers no more lines
    and reads no more, so that a client that sends and does not read throttles itself. There are
    three reasons not to read, a command that is being waited for, a full output, and lines left for
    the next turn, and reading goes on when there is none.

    :param factory: what the connections share.
    """

    transport: Wire  # type: ignore[assignment]

    def __init__(self, factory: Shared) -> None:
        self._shared = factory
        self._wait: Wait | None = None
        self._rest: IDelayedCall | None = None
        self._stream: Stream | None = None
        self._full = False
        self._paused = False
        self._advancing = False
        self._input_ended = False
        self._closing = False
        commands = factory.commands
        self._opening: Opening | None = Opening(knows=lambda word: commands.find(word) is not None)

    # --- from the transport ---

    def connectionMade(self) -> None:
        """Greet, and register as the producer."""
        shared = self._shared
        connection = IConnection(self.transport, None)
        self._connection = connection
        self._peer = peer = _peer_of(self.transport) if connection is None else connection.peer
        self._session = Session(
            Scene(self.facts(connection), shared.context, shared.commands),
            # not a method of ours: each would have the other, when the connection is gone
            lambda command, error: shared.report(command, peer, error),
            shared.context.counters,
            max_line=shared.settings.max_line,
            strict_crlf=shared.settings.strict_crlf,
        )
        self._seconds = shared.settings.command_timeout
        self.transport.registerProducer(self, True)
        self.transport.write(shared.greeting())

    def facts(self, connection: Any) -> Facts:
        """What commands are told of the connection.

        :param connection: provides :class:`tcpd.interfaces.IConnection`; or ``None``.
        """
        if connection is None:
            return PlainFacts(self._shared.context.service, self._peer)
        return cast(Facts, connection)

    def dataReceived(self, data: bytes) -> None:
        """Answer what is complete, unless something has to be waited for."""
        if self._opening is not None and self._is_foreign(self._opening, data):
            return
        self._session.receive(data)
        self._end_stream()
        self._advance()

    def _is_foreign(self, opening: Opening, data: bytes) -> bool:
        """See whether the client speaks another protocol, and send it away if so."""
        foreign = opening.feed(data)
        if opening.over:
            self._opening = None
        if foreign is None:
            return False
        reason = Refusal[foreign.name]
        if self._connection is not None:
            self._connection.refuse(reason)
        self.transport.write(self._shared.refusal(reason))
        self._close()
        return True

    @property
    def busy(self) -> bool:
        """See :class:`tcpd.interfaces.IBusy`: a command takes its time."""
        return self._wait is not None

    def readConnectionLost(self) -> None:
        """The client sends nothing more (a half-close): answer what is left, then close."""
        self._input_ended = True
        self._session.end_of_input()
        self._end_stream()
        self._advance()

    def writeConnectionLost(self) -> None:
        """Nothing can be sent any more."""
        self._close()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Give up what is being waited for."""
        self._closing = True
        self._give_up()

    # --- from the transport, to its producer ---

    def pauseProducing(self) -> None:
        """The output is full."""
        self._full = True
        if self._stream is not None:
            self._stream.pause()
        self._steer()

    def resumeProducing(self) -> None:
        """The output is empty again."""
        self._full = False
        if self._stream is not None:
            self._stream.resume()
        self._advance()

    def stopProducing(self) -> None:
        """The connection is gone, which connectionLost tells too."""

    # --- from the connection layer ---

    def farewell(self, reason: End) -> bytes:
        """``421`` and the reason; nothing is answered after it."""
        self._give_up()
        self._closing = True
        self.transport.unregisterProducer()
        return last_words(self._shared.context.server_name, reason.sentence)

    # --- the conversation ---

    def _advance(self) -> None:
        """Do what the session needs next, as long as there is something and it may be done now.

        Neither nested (a Deferred that has fired already comes back here through its callback) nor
        recursive, so that thousands of such commands in one segment need no stack.
        """
        if self._advancing:
            return
        self._advancing = True
        session = self._session
        try:
            while not (self._full or self._wait or self._rest or self._closing):
                replies = session.answer()
                if replies:
                    self.transport.write(replies)
                state = session.state
                if state is _READY:
                    if not session.more:
                        break
                    # the rest of it in the next turn, so that others have theirs
                    self._rest = self._shared.context.clock.callLater(0, self._rested)
                elif state is State.WAITING:
                    self._begin_wait()
                elif state is State.STREAMING:
                    if self._stream is None:
                        self._begin_stream()
                    if self._stream is not None:
                        break
                elif state is State.STARTING_TLS:
                    self._start_tls()
                else:
                    self._close()
        finally:
            self._advancing = False
            if self._full or self._paused or self._wait or self._rest:
                self._steer()

    def _go_on(self, do: Callable[[], None] = lambda: None) -> None:
        """Do something and go on, where the transport is not there to see it fail."""
        try:
            do()
            self._advance()
        except Exception:
            if not isinstance(self._connection, Connection):
                raise
            self._connection.broken("answering")

    def _rested(self) -> None:
        self._rest = None
        self._go_on()

    def _steer(self) -> None:
        """Read, unless there is a reason not to."""
        stop = self._full or self._wait is not None or self._rest is not None
        if stop is self._paused or self._closing:
            return
        self._paused = stop
        if stop:
            self.transport.pauseProducing()
        elif not self._input_ended:  # reading on would find the end once more
            self.transport.resumeProducing()

    def _begin_wait(self) -> None:
        pending = self._session.pending
        assert pending is not None
        self._wait = Wait(
            self._shared.context.clock, self._seconds, self._settled, self._rejected, self._expired
        )
        self._wait.begin(pending)

    def _begin_stream(self) -> None:
        stream = self._session.stream
        assert stream is not None
        self._stream = stream
        stream.begin(self._say)
        if self._session.has_input:
            self._end_stream()

    def _say(self, line: str) -> None:
        self.transport.write(continued(line))

    def _end_stream(self) -> None:
        """The client has had enough of it; the caller goes on with what it sent instead."""
        stream, self._stream = self._stream, None
        if stream is not None:
            self._session.end_stream(stream.stop())

    def _settled(self, answer: object) -> None:
        self._wait = None
        self._go_on(lambda: self._session.settle(answer))

    def _rejected(self, failure: Failure) -> None:
        self._wait = None
        error = failure.value
        assert error is not None
        self._go_on(lambda: self._session.reject(error))

    def _expired(self) -> None:
        self._wait = None
        self._go_on(lambda: self._session.expire(self._seconds))

    def _start_tls(self) -> None:
        """Begin TLS at once behind the reply: nothing may come between (RFC 3207 section 5)."""
        connection = self._connection
        if self._input_ended or connection is None or not connection.can_start_tls:
            self._close()
            return
        # TLS starts with an empty output and reads; the old transport's word on that is void
        self.transport.unregisterProducer()
        self._full = False
        self._steer()
        self._session.tls_started()
        connection.start_tls()
        self.transport.registerProducer(self, True)

    def _close(self) -> None:
        if not self._closing:
            self._give_up()
            self._closing = True
            self.transport.unregisterProducer()  # a transport that has a producer waits for it
            self.transport.loseConnection()

    def _give_up(self) -> None:
        self._session.close()
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.stop()
        if self._wait is not None:
            self._wait.give_up()
            self._wait = None
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None


def _peer_of(wire: Wire) -> str:
    """The peer for people, where there is no connection layer to tell it."""
    address: Any = wire.getPeer()
    host = getattr(address, "host", None)
    if host is None:
        return "unix"
    return f"[{host}]:{address.port}" if ":" in host else f"{host}:{address.port}"
