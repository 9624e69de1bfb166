"""One conversation of the line protocol: bytes in, bytes out; no I/O, no waiting.

Theory of operation. Whoever owns the connection gives what it reads to :meth:`Session.receive` and
writes what :meth:`Session.answer` returns; then it looks at :attr:`Session.state`:

=============  ==================================  ==========================================
state          what it means                       how it is left
=============  ==================================  ==========================================
READY          lines are answered as they come     a command returns an awaitable: WAITING;
                                                   a stream: STREAMING;
                                                   STARTTLS: STARTING_TLS; QUIT, or the input
                                                   has ended and all is answered: CLOSED
WAITING        ``pending`` is to be awaited; what  ``settle``, ``reject`` or ``expire``: to READY,
               was received waits behind it        or where the reply leads (``Then``)
STREAMING      ``stream`` gives lines, which the   ``end_stream``: to READY
               owner sends as they come, until
               the client sends anything
STARTING_TLS   the reply has been returned; begin  ``tls_started``: READY
               TLS now
CLOSED         close the connection; all that is   never
               received is ignored
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
from tcpd.line.command import LONGEST_GUESS, Request, Scene, synopsis
from tcpd.line.reply import CommandError, Reply, Then
from tcpd.line.stream import Stream
from tcpd.lines.linebuffer import LineBuffer, LineFault
from tcpd.ops.counters import ServiceCounters

Report = Callable[[str, BaseException], str]
"""Called with a command's name and what it raised; returns the reference it is logged under."""

# One lot of replies. A chunk of short requests for long replies (HELP) is answered in several, so
# that what a peer that does not read has made us render stays in proportion to this, and so does
# the time that others have to wait meanwhile.
_LOT = 64 * 1024
# Fewer bytes are not worth the look at whether they are all for the same command.
_ALIKE = 64
# Split into lines at a time. Short lines take twenty times their bytes, and what waits because its
# client does not read is better not split yet.
_PIECE = 32 * 1024
# Text costs little to make, as a rule: the clock is read once for so many lines answered with it.
_LINES = 32
# What a line counts for that is no request, in characters of the lot; a refusal has some fifty.
_NO_REQUEST = 64
_NOT_UTF8 = "500 the line is not valid UTF-8\r\n"
_NEXT = "\r\n250 "


class State(Enum):
    """What the conversation needs next; the table is at the head of this module."""

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
    """A conversation with one client.

    :param scene: what its requests have in common.
    :param report: called for every command that failed for another reason than a
        :class:`~tcpd.line.reply.CommandError`.
    :param counters: commands, replies and events are counted here.
    :param max_line: the longest line in bytes.
    :param strict_crlf: refuse lines that end in LF alone.
    :param now: the clock of the deadlines that :meth:`answer` is given.
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
        "_scene",
        "_strict_crlf",
        "_talk",
        "command",
        "more",
        "pending",
        "state",
        "stream",
    )

    def __init__(
        self,
        scene: Scene,
        report: Report,
        counters: ServiceCounters,
        *,
        max_line: int = 4096,
        strict_crlf: bool = False,
        now: Callable[[], float] = float,
    ) -> None:
        self._now = now
        self._scene = scene
        self._report = report
        self._events = counters.events
        self._commands = counters.commands
        self._codes = counters.replies
        self._find = scene.commands.by_word.get
        self._many = scene.commands.many_by_word.get
        self._buffer = LineBuffer(max_line, strict_crlf=strict_crlf)
        self._talk = scene.talk
        self._talk.buffer = self._buffer
        self._max_line = max_line
        self._strict_crlf = strict_crlf
        self._chunks: list[bytes] = []  # there is hardly ever more than one, but in a flood
        self._lines: Iterator[bytes | LineFault] | None = None
        self._cut = False
        self._input_ended = False
        self._gone = False
        self._out: list[str] = []
        #: Whether lines are left that :meth:`answer` did not get to.
        self.more = False
        #: While WAITING: what to await.
        self.pending: Awaitable[str | Reply] | None = None
        #: While WAITING: the command that wants it awaited.
        self.command: ILineCommand | None = None
        #: While STREAMING: what gives the lines.
        self.stream: Stream | None = None
        self.state = State.READY

    def receive(self, data: bytes) -> None:
        """Take what the client has sent; :meth:`answer` looks at it. Ignored when CLOSED."""
        if self.state is not _CLOSED:
            self._cut = not data.endswith(b"\n")
            if len(data) <= _PIECE:
                self._chunks.append(data)
            else:
                self._chunks += _pieces(data)

    def end_of_input(self) -> None:
        """The client sends nothing more: CLOSED once :meth:`answer` has nothing left to answer."""
        self._input_ended = True

    def answer(self, deadline: float = inf) -> bytes:
        """The replies that are due, in order; the state may be another one afterwards.

        Call it again while :attr:`more` is true and the state is READY: it returns about 64 KiB at
        a time, and less when the deadline has passed.
        """
        if self.state is _READY:
            self._answer_lines(deadline)
        out = self._out
        if not out or self._gone:
            return b""
        self._out = []
        return "".join(out).encode()

    def settle(self, answer: object) -> None:
        """WAITING is over: the awaitable's result, a str or a :class:`~tcpd.line.reply.Reply`.

        The reply comes with the next :meth:`answer`.
        """
        command = self._resume()
        if isinstance(answer, (str, Reply)):
            self._say(command, answer)
        else:
            self._say(command, self._failed(command, _wrong_type(answer)))

    def reject(self, error: BaseException) -> None:
        """WAITING is over: what the awaitable raised."""
        command = self._resume()
        self._say(command, self._failed(command, error))

    def expire(self, seconds: float) -> None:
        """WAITING is over: it took longer than it may.

        :param seconds: how long that is.
        """
        command = self._resume()
        self._events["command-timeout"] += 1
        late = TimeoutError(f"{command.name} did not finish within {seconds:g} seconds")
        reference = self._report(command.name, late)
        said = f"{command.name} did not finish in time, reference {reference}"
        self._say(command, Reply(451, (said,)))

    @property
    def has_input(self) -> bool:
        """Whether anything has come behind what was answered last, or nothing more will."""
        return bool(self._lines_left or self._chunks or self._cut or self._input_ended)

    @property
    def _lines_left(self) -> bool:
        return self._lines is not None and length_hint(self._lines) > 0

    def end_stream(self, last: str) -> None:
        """STREAMING is over.

        :param last: the last line of the reply, which comes with the next :meth:`answer`.
        """
        command = self._resume()
        self._say(command, Reply.of(250, last))

    def tls_started(self) -> None:
        """STARTING_TLS is over: what is received from now on came inside TLS."""
        self.state = State.READY

    def close(self) -> None:
        """Answer nothing more, and ignore what comes. A command may be the cause of this call.

        Replies that :meth:`answer` has not returned yet are dropped: they would come too late.
        """
        self._gone = True
        self.state = State.CLOSED
        self.pending = self.command = self.stream = None
        self._forget_input()

    def _answer_lines(self, deadline: float) -> None:
        """Answer what was received until it is used up, a lot is full, the deadline has passed, or
        the state changes."""
        find = self._find
        now = self._now
        scene = self._scene
        talk = self._talk
        room = _LOT
        texts: list[str] = []  # results that are text: they become replies together
        previous: ILineCommand | None = None
        run = 0  # how often the previous command was called, one time after the other
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
                            self._say_texts(texts)
                            command, rest = self._look_closer(line)
                            if command is None:
                                room -= _NO_REQUEST
                                if room < 0 or now() >= deadline:
                                    self.more = True
                                    return
                                continue
                        request = Request()
                        request.scene = scene
                        try:
                            request.argument = rest.decode()
                        except UnicodeDecodeError:
                            self._say_texts(texts)
                            self._refuse("not-utf8", _NOT_UTF8)
                            room -= _NO_REQUEST
                            if room < 0:
                                self.more = True
                                return
                            continue
                        if command is not previous:
                            if previous is not None:
                                # as _count has it, in less time
                                self._commands[previous.name] += run
                                talk.commands += run
                            previous = command
                            run = 0
                        run += 1
                        try:
                            answer = command.call(request)
                        except Exception as error:  # the boundary to commands: answered 451
                            answer = self._failed(command, error)
                        if type(answer) is str:
                            texts.append(answer)
                            room -= len(answer)
                        else:
                            self._say_texts(texts)
                            room -= self._say(command, answer)
                            self._count(command, run)
                            previous = None
                            if self.state is not _READY:
                                return
                            if now() >= deadline:
                                self.more = True
                                return
                        if room < 0:
                            self._say_texts(texts)
                            self.more = True
                            return
                    if length_hint(lines):
                        if now() >= deadline:
                            self._say_texts(texts)
                            self.more = True
                            return
                        continue
                    self._lines = None
                if not self._chunks:
                    break
                chunk = self._chunks.pop(0)
                if len(chunk) >= _ALIKE:
                    self._say_texts(texts)
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
        self._say_texts(texts)
        self.more = False
        if self._input_ended:
            self.state = State.CLOSED

    def _answer_alike(self, chunk: bytes) -> int | None:
        """Answer a chunk of nothing but whole requests for one command that takes many at once.

        :return: how many characters the answers have, which may be none; ``None`` if it is not so,
            and nothing was done.
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
            size = self._say_texts(texts)
        except Exception as error:  # the boundary to commands: told, and each is called by itself
            self._failed(command, error)
            return None
        self._count(command, count)
        return size

    def _count(self, command: ILineCommand, times: int) -> None:
        self._commands[command.name] += times
        self._talk.commands += times

    def _say_texts(self, texts: list[str]) -> int:
        """Take results that are text, which is empty afterwards; tell its length before."""
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
        """Deal with a line whose first word, as it stands, names no command.

        :return: the command and its argument after all; or None, and what is to be said is said.
        """
        if isinstance(line, LineFault):
            if line is LineFault.TOO_LONG:
                text = f"500 the line is longer than {self._max_line} bytes\r\n"
                self._refuse("line-too-long", text)
            else:
                self._refuse("bare-lf", "500 the line ends in LF alone, end it in CRLF\r\n")
            return None, b""
        # a CR may be left of a line end that is written LF CR
        line = line.lstrip(b" \t" if self._strict_crlf else b" \t\r")
        if not line:
            return None, b""
        space = line.find(b" ")
        tab = line.find(b"\t")
        end = min(place for place in (space, tab, len(line)) if place >= 0)
        try:
            word = line[:end].decode()
            line.decode()
        except UnicodeDecodeError:
            self._refuse("not-utf8", _NOT_UTF8)
            return None, b""
        command = self._scene.commands.find(word)
        if command is None:
            self._refuse("unknown-command", self._unknown(word).render())
        return command, line[end + 1 :]

    def _refuse(self, event: str, text: str) -> None:
        self._events[event] += 1
        self._codes[500] += 1
        self._out.append(text)

    def _unknown(self, word: str) -> Reply:
        if len(word) > LONGEST_GUESS:
            return Reply(500, (f"{word[:LONGEST_GUESS]}... is not a command, HELP lists them",))
        scene = self._scene
        near = scene.guesses.near(word, scene.commands.usable(scene.connection))
        if near:
            return Reply(500, (f"{word} is not a command, did you mean {near}?",))
        return Reply(500, (f"{word} is not a command, HELP lists them",))

    def _say(self, command: ILineCommand, answer: object) -> int:
        """Take what a command returned; tell how many characters it adds to the output."""
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
            # RFC 3207 section 5: what was sent in the clear behind STARTTLS is not ours to answer
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
            raise RuntimeError("no command is being waited for")
        self.pending = self.command = self.stream = None
        self.state = State.READY
        return command

    def _forget_input(self) -> None:
        self._chunks.clear()
        for _ in self._lines or ():  # used up, so that a loop that is under way ends too
            pass
        self._buffer.clear()
        self._cut = False
        self.more = False


def _pieces(data: bytes) -> Iterator[bytes]:
    """Cut at line ends where there are any, so that few lines are in two pieces."""
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
