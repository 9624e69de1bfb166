"""One session of the line protocol: bytes in, bytes out, without I/O.

Theory of operation. The owner of the connection passes input to :meth:`Session.receive`, writes the
result of :meth:`Session.answer`, and then acts on :attr:`Session.state`:

=============  ==================================  ==========================================
state          meaning                             next state
=============  ==================================  ==========================================
READY          lines are processed as they arrive  a command returns an awaitable: WAITING;
                                                   a stream: STREAMING;
                                                   STARTTLS: STARTING_TLS;
                                                   QUIT, or end of input: CLOSED
WAITING        the owner awaits ``pending``;       ``resolve``, ``reject`` or ``expire``: READY,
               input is buffered                   or the state of the reply (``Then``)
STREAMING      the owner sends the lines of        ``end_stream``: READY
               ``stream`` until the client sends
               anything
STARTING_TLS   the reply has been returned; the    ``tls_started``: READY
               owner starts TLS
CLOSED         the owner closes the connection;    none
               input is ignored
=============  ==================================  ==========================================

``close`` leads from any state to CLOSED.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from enum import Enum
from inspect import isawaitable, iscoroutine
from itertools import islice
from math import inf
from operator import length_hint

from tcpd.interfaces import ILineCommand
from tcpd.line.command import SUGGESTION_LENGTH, ConnectionScope, Request, synopsis
from tcpd.line.reply import CommandError, Reply, Then
from tcpd.line.stream import Stream
from tcpd.lines.linebuffer import LineBuffer, LineFault
from tcpd.ops.counters import ServiceCounters

Report = Callable[[str, BaseException], str]
"""Called with a command's name and the exception; returns the reference in the log."""

# Characters of replies that one call of answer() returns. It bounds memory when a client requests
# long replies (HELP) and does not read, and the delay of other clients.
_BATCH = 64 * 1024
# Shorter chunks are not checked for requests of one command.
_ALIKE = 64
# Bytes that are split into lines at a time. Lines take up to twenty times the memory of their
# bytes, so input that waits is not split.
_PIECE = 32 * 1024
# Lines between two reads of the clock, as most replies are cheap.
_LINES = 32
# The characters of the batch that an invalid line counts as; its error reply has about fifty.
_NO_REQUEST = 64
_NOT_UTF8 = "500 the line is not valid UTF-8\r\n"
_NEXT = "\r\n250 "


class State(Enum):
    """State of a session; see the table in the module's docstring."""

    READY = "ready"
    WAITING = "waiting"
    STREAMING = "streaming"
    STARTING_TLS = "starting TLS"
    CLOSED = "closed"


_READY = State.READY
_CLOSED = State.CLOSED
_AFTER = {
    Then.CONTINUE: State.READY,
    Then.START_TLS: State.STARTING_TLS,
    Then.CLOSE: State.CLOSED,
}


class Session:
    """A session with one client.

    :param scope: shared by its requests.
    :param report: called when a command fails other than by a
        :class:`~tcpd.line.reply.CommandError`.
    :param counters: for commands, replies and events.
    :param max_line: the longest line in bytes.
    :param strict_crlf: reject lines that end in LF alone.
    :param now: the clock of the deadlines of :meth:`answer`.
    """

    __slots__ = (
        "_buffer",
        "_chunks",
        "_codes",
        "_commands",
        "_cut",
        "_events",
        "_find",
        "_gone",
        "_input_ended",
        "_lines",
        "_many",
        "_max_line",
        "_now",
        "_out",
        "_report",
        "_scope",
        "_stats",
        "_strict_crlf",
        "command",
        "more",
        "pending",
        "state",
        "stream",
    )

    def __init__(
        self,
        scope: ConnectionScope,
        report: Report,
        counters: ServiceCounters,
        *,
        max_line: int = 4096,
        strict_crlf: bool = False,
        now: Callable[[], float] = float,
    ) -> None:
        self._now = now
        self._scope = scope
        self._report = report
        self._events = counters.events
        self._commands = counters.commands
        self._codes = counters.replies
        self._find = scope.commands.by_word.get
        self._many = scope.commands.many_by_word.get
        self._buffer = LineBuffer(max_line, strict_crlf=strict_crlf)
        self._stats = scope.stats
        self._stats.buffer = self._buffer
        self._max_line = max_line
        self._strict_crlf = strict_crlf
        self._chunks: list[bytes] = []  # more than one only in a flood
        self._lines: Iterator[bytes | LineFault] | None = None
        self._cut = False
        self._input_ended = False
        self._gone = False
        self._out: list[str] = []
        #: Whether :meth:`answer` left lines unprocessed.
        self.more = False
        #: In WAITING: the awaitable.
        self.pending: Awaitable[str | Reply] | None = None
        #: In WAITING and STREAMING: the command.
        self.command: ILineCommand | None = None
        #: In STREAMING: the source of lines.
        self.stream: Stream | None = None
        self.state = State.READY

    def receive(self, data: bytes) -> None:
        """Buffer input for :meth:`answer`. Ignored when CLOSED."""
        if self.state is not _CLOSED:
            self._cut = not data.endswith(b"\n")
            if len(data) <= _PIECE:
                self._chunks.append(data)
            else:
                self._chunks += _pieces(data)

    def end_of_input(self) -> None:
        """End the input: CLOSED once :meth:`answer` has processed it."""
        self._input_ended = True

    def answer(self, deadline: float = inf) -> bytes:
        """Process input and return the replies, in order; may change the state.

        Returns about 64 KiB at a time, and less when the deadline has passed. Call it again while
        :attr:`more` is true and the state is READY.
        """
        if self.state is _READY:
            self._answer_lines(deadline)
        out = self._out
        if not out or self._gone:
            return b""
        self._out = []
        return "".join(out).encode()

    def resolve(self, result: object) -> None:
        """End WAITING with the awaitable's result, a str or a :class:`~tcpd.line.reply.Reply`.

        The next :meth:`answer` returns the reply.
        """
        command = self._resume()
        if isinstance(result, (str, Reply)):
            self._take(command, result)
        else:
            self._take(command, self._failed(command, _wrong_type(result)))

    def reject(self, error: BaseException) -> None:
        """End WAITING with the awaitable's exception."""
        command = self._resume()
        self._take(command, self._failed(command, error))

    def expire(self, seconds: float) -> None:
        """End WAITING after a timeout.

        :param seconds: the timeout.
        """
        command = self._resume()
        self._events["command-timeout"] += 1
        late = TimeoutError(f"{command.name} did not finish within {seconds:g} seconds")
        reference = self._report(command.name, late)
        text = f"{command.name} did not finish in time, reference {reference}"
        self._take(command, Reply(451, (text,)))

    @property
    def has_input(self) -> bool:
        """Whether unprocessed input, or the end of input, was received."""
        return bool(self._lines_left or self._chunks or self._cut or self._input_ended)

    @property
    def _lines_left(self) -> bool:
        return self._lines is not None and length_hint(self._lines) > 0

    def end_stream(self, last: str) -> None:
        """End STREAMING.

        :param last: the last line of the reply, which the next :meth:`answer` returns.
        """
        command = self._resume()
        self._take(command, Reply.of(250, last))

    def tls_started(self) -> None:
        """End STARTING_TLS: input is now received over TLS."""
        self.state = State.READY

    def close(self) -> None:
        """End the session, and ignore further input. A command may call this.

        Replies that :meth:`answer` has not returned yet are dropped.
        """
        self._gone = True
        self.state = State.CLOSED
        self.pending = self.command = self.stream = None
        self._forget_input()

    def _answer_lines(self, deadline: float) -> None:
        """Process input until it is used up, the batch is full, the deadline has passed, or the
        state changes."""
        find = self._find
        now = self._now
        scope = self._scope
        stats = self._stats
        room = _BATCH
        texts: list[str] = []  # results of type str, which are rendered together
        previous: ILineCommand | None = None
        run = 0  # consecutive calls of the previous command
        try:
            while True:
                lines = self._lines
                if lines is not None:
                    for line in islice(lines, _LINES):
                        command = None
                        if type(line) is bytes:
                            word, _, rest = line.partition(b" ")
                            command = find(word)
                        if command is None:
                            self._take_texts(texts)
                            command, rest = self._look_closer(line)
                            if command is None:
                                room -= _NO_REQUEST
                                if room < 0 or now() >= deadline:
                                    self.more = True
                                    return
                                continue
                        request = Request()
                        request.scope = scope
                        try:
                            request.argument = rest.decode()
                        except UnicodeDecodeError:
                            self._take_texts(texts)
                            self._refuse("not-utf8", _NOT_UTF8)
                            room -= _NO_REQUEST
                            if room < 0:
                                self.more = True
                                return
                            continue
                        if command is not previous:
                            if previous is not None:
                                # _count, inlined
                                self._commands[previous.name] += run
                                stats.commands += run
                            previous = command
                            run = 0
                        run += 1
                        try:
                            answer = command.call(request)
                        except Exception as error:  # reply 451
                            answer = self._failed(command, error)
                        if type(answer) is str:
                            texts.append(answer)
                            room -= len(answer)
                        else:
                            self._take_texts(texts)
                            room -= self._take(command, answer)
                            self._count(command, run)
                            previous = None
                            if self.state is not _READY:
                                return
                            if now() >= deadline:
                                self.more = True
                                return
                        if room < 0:
                            self._take_texts(texts)
                            self.more = True
                            return
                    if length_hint(lines):
                        if now() >= deadline:
                            self._take_texts(texts)
                            self.more = True
                            return
                        continue
                    self._lines = None
                if not self._chunks:
                    break
                chunk = self._chunks.pop(0)
                if len(chunk) >= _ALIKE:
                    self._take_texts(texts)
                    size = self._answer_alike(chunk)
                    if size is not None:
                        room -= size
                        if room < 0 or (self._chunks and now() >= deadline):
                            self.more = True
                            return
                        continue
                self._lines = iter(self._buffer.feed(chunk))
        finally:
            if previous is not None:
                self._count(previous, run)
        self._take_texts(texts)
        self.more = False
        if self._input_ended:
            self.state = State.CLOSED

    def _answer_alike(self, chunk: bytes) -> int | None:
        """Process a chunk that consists of complete requests for one command with ``many``.

        :return: the number of characters of the results; ``None`` if the chunk does not,
            and was not processed.
        """
        start = chunk.find(b" ") + 1
        found = self._many(chunk[: start - 1]) if start else None
        if found is None or not self._buffer.empty:
            return None
        if chunk.endswith(b"\r\n"):
            end = b"\r\n"
        elif chunk.endswith(b"\n") and not self._strict_crlf and b"\r" not in chunk:
            end = b"\n"
        else:
            return None
        between = end + chunk[:start]
        count = chunk.count(b"\n")
        if chunk.count(between) != count - 1:
            return None
        try:
            arguments = chunk[start : -len(end)].decode().split(between.decode())
        except UnicodeDecodeError:
            return None
        longest = self._max_line - start
        if len(chunk) > longest and not (chunk.isascii() and max(map(len, arguments)) <= longest):
            return None
        command, many = found
        try:
            texts = many(arguments)
            if texts is None:
                return None
            if len(texts) != count:
                raise ValueError(f"{len(texts)} texts for {count} requests")
            size = self._take_texts(texts)
        except Exception as error:  # logged; the command is then called for each request
            self._failed(command, error)
            return None
        self._count(command, count)
        return size

    def _count(self, command: ILineCommand, times: int) -> None:
        self._commands[command.name] += times
        self._stats.commands += times

    def _take_texts(self, texts: list[str]) -> int:
        """Render results of type str, and clear the list; return their length."""
        if not texts:
            return 0
        together = "".join(texts)
        if together.isascii() and together.isprintable():
            self._out.append(f"250 {_NEXT.join(texts)}\r\n")
        else:
            self._out.extend(Reply.of(250, text).render() for text in texts)
        self._codes[250] += len(texts)
        texts.clear()
        return len(together)

    def _look_closer(self, line: bytes | LineFault) -> tuple[ILineCommand | None, bytes]:
        """Process a line whose first word is not in :attr:`CommandTable.by_word`.

        :return: the command and its argument; or ``None`` after an error reply.
        """
        if isinstance(line, LineFault):
            if line is LineFault.TOO_LONG:
                text = f"500 the line is longer than {self._max_line} bytes\r\n"
                self._refuse("line-too-long", text)
            else:
                self._refuse("bare-lf", "500 the line ends in LF alone, end it in CRLF\r\n")
            return None, b""
        # a CR may remain of a line end LF CR
        line = line.lstrip(b" \t" if self._strict_crlf else b" \t\r")
        if not line:
            return None, b""
        space = line.find(b" ")
        tab = line.find(b"\t")
        end = min(at for at in (space, tab, len(line)) if at >= 0)
        try:
            word = line[:end].decode()
            line.decode()
        except UnicodeDecodeError:
            self._refuse("not-utf8", _NOT_UTF8)
            return None, b""
        command = self._scope.commands.find(word)
        if command is None:
            self._refuse("unknown-command", self._unknown(word).render())
        return command, line[end + 1 :]

    def _refuse(self, event: str, text: str) -> None:
        self._events[event] += 1
        self._codes[500] += 1
        self._out.append(text)

    def _unknown(self, word: str) -> Reply:
        if len(word) > SUGGESTION_LENGTH:
            return Reply(500, (f"{word[:SUGGESTION_LENGTH]}... is not a command, HELP lists them",))
        scope = self._scope
        near = scope.suggestions.closest(word, scope.commands.usable(scope.connection))
        if near:
            return Reply(500, (f"{word} is not a command, did you mean {near}?",))
        return Reply(500, (f"{word} is not a command, HELP lists them",))

    def _take(self, command: ILineCommand, answer: object) -> int:
        """Process the result of a command; return the characters added to the output."""
        if self._gone:
            if iscoroutine(answer):
                answer.close()
            return 0
        if isinstance(answer, str):
            answer = Reply.of(250, answer)
        elif not isinstance(answer, Reply):
            if isawaitable(answer):
                self.pending = answer
                self.command = command
                self.state = State.WAITING
                return 0
            if isinstance(answer, Stream):
                self.stream = answer
                self.command = command
                self.state = State.STREAMING
                return 0
            answer = self._failed(command, _wrong_type(answer))
        text = answer.render()
        self._out.append(text)
        self._codes[answer.code] += 1
        self.state = _AFTER[answer.then]
        if answer.then is not Then.CONTINUE:
            self._leave(answer.then)
        return len(text)

    def _leave(self, then: Then) -> None:
        if then is Then.START_TLS:
            self._events["starttls"] += 1
            # RFC 3207 section 5: cleartext input after STARTTLS is discarded
            if self._cut or self._chunks or self._lines_left:
                self._events["starttls-discarded"] += 1
        self._forget_input()

    def _failed(self, command: ILineCommand, error: BaseException) -> Reply:
        if isinstance(error, CommandError):
            return error.reply(synopsis(command))
        self._events["command-failed"] += 1
        reference = self._report(command.name, error)
        return Reply(451, (f"{command.name} failed, reference {reference}",))

    def _resume(self) -> ILineCommand:
        command = self.command
        if command is None:
            raise RuntimeError("no command is pending")
        self.pending = self.command = self.stream = None
        self.state = State.READY
        return command

    def _forget_input(self) -> None:
        self._chunks.clear()
        for _ in self._lines or ():  # exhausted, so that a running loop ends
            pass
        self._buffer.clear()
        self._cut = False
        self.more = False


def _pieces(data: bytes) -> Iterator[bytes]:
    """Split at line ends where possible, so that few lines span two pieces."""
    at = 0
    while at < len(data):
        end = data.rfind(b"\n", at, at + _PIECE) + 1 or at + _PIECE
        yield data[at:end]
        at = end


def _wrong_type(answer: object) -> TypeError:
    return TypeError(
        f"a command returned {type(answer).__name__}; it may return str, Reply, "
        "or an awaitable of one of them"
    )
