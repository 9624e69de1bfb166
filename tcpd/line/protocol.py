"""The line protocol on a transport: pending commands, streams, STARTTLS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, cast

from twisted.python.failure import Failure

from tcpd.interfaces import IContext
from tcpd.line.command import CommandTable, ConnectionFacts, ConnectionScope, PlainFacts
from tcpd.line.reply import continued, last_words
from tcpd.line.session import Session, State
from tcpd.line.settings import LineSettings
from tcpd.line.stream import Stream
from tcpd.line.waiting import Wait
from tcpd.lines.pump import FULL, LEFT, RUNNING, LinePump
from tcpd.policy.reasons import End, Refusal
from tcpd.wire.opening import Opening


class Shared(Protocol):
    """State that the connections of a service share; see :class:`tcpd.line.factory.LineFactory`.

    :ivar settings: the settings of the service. A reload may replace them; it applies to new
        connections.
    :ivar context: the context of the service.
    :ivar commands: the service's commands.
    """

    settings: LineSettings
    context: IContext
    commands: CommandTable

    def greeting(self) -> bytes:
        """The first line of a connection."""

    def refusal(self, reason: Refusal) -> bytes:
        """The reply for a client that is refused, before its connection is closed."""

    def report(self, command: str, peer: str, error: BaseException) -> str:
        """Log the failure of a command.

        :param command: the name of the command.
        :param peer: the client.
        :param error: the exception.
        :return: a reference for the log and the reply.
        """


_READY = State.READY


class LineProtocol(LinePump):
    """One connection of a line service.

    :param factory: shared by the connections of the service.
    """

    transport: Any

    __slots__ = (
        "_peer",
        "_seconds",
        "_shared",
        "_stream",
        "_wait",
        "session",
    )

    def __init__(self, factory: Shared) -> None:
        context = factory.context
        commands = factory.commands
        opening = Opening(knows=lambda word: commands.find(word) is not None)
        super().__init__(context.clock, context.work, opening)
        self._shared = factory
        self._wait: Wait | None = None
        self._stream: Stream | None = None

    # --- from the pump ---

    def begin(self) -> None:
        """Greet."""
        shared = self._shared
        connection = self._connection
        self._peer = peer = _peer_of(self.transport) if connection is None else connection.peer
        self.session = Session(
            ConnectionScope(self.facts(connection), shared.context, shared.commands),
            # not a method of this object: that would make a reference cycle
            lambda command, error: shared.report(command, peer, error),
            shared.context.counters,
            max_line=shared.settings.max_line,
            strict_crlf=shared.settings.strict_crlf,
            now=self._queue.now,
        )
        self._seconds = shared.settings.command_timeout
        self.transport.write(shared.greeting())

    def facts(self, connection: Any) -> ConnectionFacts:
        """Return the facts of the connection for commands.

        :param connection: provides :class:`tcpd.interfaces.IConnection`; or ``None``.
        """
        if connection is None:
            return PlainFacts(self._shared.context.service, self._peer)
        return cast(ConnectionFacts, connection)

    def receive(self, data: bytes) -> None:
        self.session.receive(data)
        if self._stream is not None:
            self._end_stream()

    def input_ended(self) -> None:
        self.session.end_of_input()
        self._end_stream()

    def step(self, deadline: float) -> float | None:
        session = self.session
        while self._stops == RUNNING:
            replies = session.answer(deadline)
            if replies:
                self.transport.write(replies)
            state = session.state
            if state is _READY:
                if not session.more:
                    return None
                if self._queue.now() >= deadline:
                    return LEFT
            elif state is State.WAITING:
                self._begin_wait()
            elif state is State.STREAMING:
                if self._stream is None:
                    self._begin_stream()
                if self._stream is not None:
                    return None
            elif state is State.STARTING_TLS:
                self._start_tls()
            else:
                self._end()
        return None

    def gone(self, reason: Failure) -> None:
        """Cancel pending work."""
        self._cancel()

    def refusal(self, reason: Refusal) -> bytes:
        self._cancel()
        return self._shared.refusal(reason)

    # --- from the transport ---

    def writeConnectionLost(self) -> None:
        """Nothing can be sent any more."""
        self._end()

    def pauseProducing(self) -> None:
        if self._stream is not None:
            self._stream.pause()
        super().pauseProducing()

    def resumeProducing(self) -> None:
        if self._stream is not None:
            self._stream.resume()
        super().resumeProducing()

    # --- from the connection layer ---

    def farewell(self, reason: End) -> bytes:
        """``421`` and the reason; no reply follows."""
        self._cancel()
        self.finish()
        self.transport.unregisterProducer()
        return last_words(self._shared.context.server_name, reason.sentence)

    # --- the conversation ---

    def _begin_wait(self) -> None:
        pending = self.session.pending
        assert pending is not None
        self.wait()
        self._wait = Wait(self._clock, self._seconds, self._resolved, self._rejected, self._expired)
        self._wait.begin(pending)

    def _resolved(self, result: object) -> None:
        self._waited(lambda: self.session.resolve(result))

    def _rejected(self, failure: Failure) -> None:
        error = failure.value
        assert error is not None
        self._waited(lambda: self.session.reject(error))

    def _expired(self) -> None:
        self._waited(lambda: self.session.expire(self._seconds))

    def _waited(self, call: Callable[[], None]) -> None:
        self._wait = None
        self.attempt(call)
        self.proceed()

    def _begin_stream(self) -> None:
        stream = self.session.stream
        assert stream is not None
        self._stream = stream
        stream.end = self._stream_ended
        stream.begin(self._send_line)
        if self.session.has_input:
            self._end_stream()

    def _send_line(self, line: str) -> None:
        self.transport.write(continued(line))

    def _end_stream(self) -> None:
        """End the stream; input is processed next."""
        stream, self._stream = self._stream, None
        if stream is not None:
            self.session.end_stream(stream.stop())

    def _stream_ended(self) -> None:
        """The stream has ended itself."""
        self._end_stream()
        self.resume(0)

    def _start_tls(self) -> None:
        """Start TLS directly after the reply (RFC 3207 section 5)."""
        connection = self._connection
        if self._input_ended or connection is None or not connection.can_start_tls:
            self._end()
            return
        # TLS starts reading with an empty output buffer, so FULL no longer applies
        self.transport.unregisterProducer()
        self._stops &= ~FULL
        self._update_reading()
        self.session.tls_started()
        connection.start_tls()
        self.transport.registerProducer(self, True)

    def _end(self) -> None:
        self._cancel()
        self.close()

    def _cancel(self) -> None:
        self.session.close()
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.stop()
        if self._wait is not None:
            self._wait.cancel()
            self._wait = None


def _peer_of(transport: Any) -> str:
    """The peer's address for display, without a connection layer."""
    address: Any = transport.getPeer()
    host = getattr(address, "host", None)
    if host is None:
        return "unix"
    return f"[{host}]:{address.port}" if ":" in host else f"{host}:{address.port}"
