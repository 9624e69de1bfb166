"""Replies to requests of IRC clients, with and without labels.

Source of labels: https://ircv3.net/specs/extensions/labeled-response
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from tcpd.chat.irc import caps, numerics
from tcpd.chat.irc.client import CHUNK_BYTES, IrcClient
from tcpd.chat.irc.message import Message, write, write_tags
from tcpd.chat.irc.server import IrcServer
from tcpd.chat.reply import ChatReply
from tcpd.chat.split import carried
from tcpd.events.chat import Event

#: Maximum length of a label: "The value MUST NOT exceed 64 bytes." A longer one is ignored.
LABEL_BYTES = 64

#: Batch type of a labelled response of several lines.
BATCH = "labeled-response"


class IrcReply(ChatReply):
    """Reply to a request without a label. Its lines are queued for the client at once."""

    client: IrcClient

    __slots__ = ()

    @property
    def server(self) -> IrcServer:
        """State that the clients of the service share."""
        return self.client.server

    @property
    def caps(self) -> frozenset[str]:
        """Enabled capabilities of the client."""
        return self.client.caps

    # --- lines ---

    def put(self, data: bytes) -> None:
        """Append lines, with their tags, to the reply."""
        client = self.client
        if client.streaming:
            client.stream((data,))
        else:
            client.put_behind(data)

    def send(self, line: bytes) -> None:
        """Send a line of the server.

        :param line: a line without tags; this adds those that the client's capabilities need.
        """
        self.put(self.client.timed(line))

    def send_all(self, lines: Iterable[bytes], batch: str = "", *params: str) -> None:
        """Send several lines of the server.

        :param batch: the type of the batch around them; empty for no batch.
        :param params: the parameters of the batch.
        """
        if not batch:
            for line in lines:
                self.send(line)
            return
        name = self.client.next_batch()
        self.from_server("BATCH", f"+{name}", batch, *params)
        for line in lines:
            self.put(tagged(self.client.timed(line), "batch", name))
        self.from_server("BATCH", f"-{name}")

    def stream(self, lines: Iterable[bytes]) -> None:
        """Send a long reply; see :meth:`IrcClient.stream`.

        :param lines: lines without tags.
        """
        self.stream_tagged(map(self.client.timed, lines))

    def stream_tagged(self, lines: Iterable[bytes]) -> None:
        """Send a long reply of lines with their tags."""
        self.client.stream(lines)

    def stream_batch(self, lines: Iterable[bytes], batch: str, *params: str) -> None:
        """Send a long reply in a batch, or without one to a client that lacks ``batch``.

        :param lines: lines with their tags; those of an inner batch have its tag.
        :param batch: the type of the batch.
        :param params: the parameters of the batch.
        """
        if caps.BATCH in self.caps:
            lines = self._batch(lines, batch, *params)
        self.stream_tagged(lines)

    def _batch(self, lines: Iterable[bytes], batch: str, *params: str) -> Iterator[bytes]:
        client, source = self.client, self.server.name
        name = client.next_batch()
        yield client.timed(write("BATCH", f"+{name}", batch, *params, source=source))
        yield from _within(lines, name)
        yield client.timed(write("BATCH", f"-{name}", source=source))

    def numeric(self, number: str, *params: str, text: str | None = None) -> None:
        """Send a numeric.

        :param text: the last parameter; ``None`` for that of :data:`numerics.TEXT`.
        """
        self.send(self.numeric_line(number, *params, text=text))

    def numeric_line(self, number: str, *params: str, text: str | None = None) -> bytes:
        """Return a numeric as a line for :meth:`stream`."""
        if text is None:
            text = numerics.TEXT.get(number)
        # write() would raise on a character that IRC cannot carry
        last = () if text is None else (carried(text),)
        client = self.client
        return write(
            number,
            client.name,
            *params,
            *last,
            source=client.server.name,
            colon=text is not None,
        )

    def from_server(self, command: str, *params: str, colon: bool = False) -> None:
        """Send a command whose source is the server."""
        self.send(write(command, *params, source=self.server.name, colon=colon))

    def fail(self, command: str, code: str, *context: str, text: str, known: bool = False) -> None:
        """Send FAIL, or NOTICE to a client without ``standard-replies``.

        Source: https://ircv3.net/specs/extensions/standard-replies

        :param known: the command's own specification defines this FAIL: send it to every client.
        """
        if known or caps.STANDARD_REPLIES in self.caps:
            self.from_server("FAIL", command, code, *context, text, colon=True)
        else:
            self.from_server("NOTICE", self.client.name, f"{command}: {text}", colon=True)

    def unknown(self, message: Message) -> None:
        """Reply that the command is unknown."""
        self.server.count["unknown-commands"] += 1
        self.numeric(numerics.ERR_UNKNOWNCOMMAND, message.command.lstrip(":") or "*")

    def send_event(self, event: Event) -> None:
        """Send an event that concerns this client, even if it lacks the event's capability."""
        self.put(self.server.formats.of(self.caps).render_always(event))

    def finish(self, why: str, reason: str | None = None) -> None:
        """Send ERROR and close the connection; see :meth:`IrcClient.finish`."""
        client = self.client
        if not client.over:
            client.leave(why if reason is None else reason)
            self.hang_up((client.error_line(why),))

    def hang_up(self, last: Iterable[bytes]) -> None:
        """Send the last lines, with their tags, and close the connection."""
        for line in last:
            self.client.outbox.put(line)
        self.client.edge.hang_up()


class UnsolicitedReply(IrcReply):
    """Lines sent without a request. They wait neither for messages that run ahead of the event log
    nor for the rest of a long reply."""

    __slots__ = ()

    def put(self, data: bytes) -> None:
        self.client.put(data)


class LabelledReply(IrcReply):
    """Reply to a request with a label, sent as one response when the request is complete."""

    collects = True

    __slots__ = ("_finished", "_is_batch", "_label", "_lines", "_stream")

    def __init__(self, client: IrcClient, label: str) -> None:
        super().__init__(client)
        self._label = label
        self._lines: list[bytes] = []
        self._stream: Iterator[bytes] | None = None
        self._finished = False
        #: The lines are exactly one batch, which takes the label.
        self._is_batch = False

    def put(self, data: bytes) -> None:
        self._is_batch = False
        if self._stream is not None:
            self._stream = chain(self._stream, (data,))
        else:
            self._lines += split_lines(data)

    def stream_tagged(self, lines: Iterable[bytes]) -> None:
        self._is_batch = False
        self._stream = iter(lines) if self._stream is None else chain(self._stream, lines)

    def stream_batch(self, lines: Iterable[bytes], batch: str, *params: str) -> None:
        is_first = not self._lines and self._stream is None
        super().stream_batch(lines, batch, *params)
        self._is_batch = is_first

    def show(self, event: Event) -> None:
        self.put(self.client.format.render(event))

    def hang_up(self, last: Iterable[bytes]) -> None:
        for line in last:
            self.put(line)
        self._finished = True

    def complete(self) -> None:
        client = self.client
        if not client.over or self._finished:
            self._send()
        super().complete()
        if self._finished:
            client.edge.hang_up()

    def _send(self) -> None:
        client = self.client
        rest = self._take_first_lines()
        name = client.next_batch()
        server = client.server.name
        lines = labelled(self._lines, rest, self._label, name, server, client.timed, self._is_batch)
        if rest is None:
            for line in lines:
                client.put(line)
        elif client.over:
            for line in lines:
                client.outbox.put(line)
        else:
            client.stream(lines)

    def _take_first_lines(self) -> Iterator[bytes] | None:
        """Take the first lines of a long reply.

        :return: the rest; ``None`` if nothing is left.
        """
        stream = self._stream
        size = 0
        while stream is not None and size < CHUNK_BYTES:
            line = next(stream, None)
            if line is None:
                return None
            if not line:
                break
            size += len(line)
            self._lines.append(line)
        return stream


def run(client: IrcClient, label: str | None, act: Callable[[IrcReply], None]) -> None:
    """Run a request.

    "This specification depends on the batch capability which MUST be negotiated to use labeled
    responses."

    :param label: the client's label; ``None`` if it sent none.
    :param act: runs the request with the reply.
    """
    reply: IrcReply
    if label and client.caps >= caps.LABELS and len(label.encode()) <= LABEL_BYTES:
        reply = LabelledReply(client, label)
    else:
        reply = IrcReply(client)
    try:
        act(reply)
    finally:
        reply.end()
        if not reply.is_complete:
            client.opened(reply)


def split_lines(data: bytes) -> list[bytes]:
    """Split rendered bytes into lines with their CR LF."""
    return [line + b"\r\n" for line in data.split(b"\r\n")[:-1]]


# a tag named exactly "batch", not within another tag's name or value
_BATCH_TAG = re.compile(rb"@([^ ]*;)?batch=")


def tagged(line: bytes, name: str, value: str) -> bytes:
    """Return a line with a tag added before its others; an empty line stays empty."""
    if not line:
        return line
    tags = write_tags({name: value})
    if line.startswith(b"@"):
        return tags[:-1] + b";" + line[1:]
    return tags + line


def labelled(
    lines: list[bytes],
    more: Iterator[bytes] | None,
    label: str,
    batch: str,
    server: str,
    timed: Callable[[bytes], bytes],
    is_batch: bool = False,
) -> Iterator[bytes]:
    """Yield the lines of a labelled response.

    "If a response consists of more than one message, a batch MUST be used to group them into a
    single logical response." "Servers MUST respond with a labeled ACK message when a client sends a
    labeled command that normally produces no response."

    :param lines: lines of the response.
    :param more: the rest of a long response; ``None`` if ``lines`` is all.
    :param batch: reference for a batch, if one is needed.
    :param timed: adds the ``time`` tag to a line.
    :param is_batch: ``lines`` and ``more`` are exactly one batch.
    """
    if more is None and len(lines) < 2:
        only = lines[0] if lines else timed(write("ACK", source=server))
        yield tagged(only, "label", label)
        return
    if is_batch or (more is None and _is_one_batch(lines)):
        yield tagged(lines[0], "label", label)
        yield from lines[1:]
        yield from more or ()
        return
    start = timed(write("BATCH", f"+{batch}", BATCH, source=server))
    yield tagged(start, "label", label)
    yield from _within(lines, batch)
    if more is not None:
        yield from _within(more, batch)
    yield timed(write("BATCH", f"-{batch}", source=server))


def _within(lines: Iterable[bytes], batch: str) -> Iterator[bytes]:
    """Yield lines with the tag of a batch; lines of an inner batch keep theirs."""
    for line in lines:
        yield line if _BATCH_TAG.match(line) else tagged(line, "batch", batch)


def _is_one_batch(lines: list[bytes]) -> bool:
    """Return whether the lines are exactly one batch."""
    words = [_command_and_param(line) for line in (lines[0], lines[-1])]
    (first, opened), (last, closed) = words
    return first == last == b"BATCH" and opened[1:] == closed[1:] and opened[:1] == b"+"


def _command_and_param(line: bytes) -> tuple[bytes, bytes]:
    """Return a line's command and its first parameter."""
    words = line.rstrip(b"\r\n").split(b" ")
    while words and words[0][:1] in (b"@", b":"):
        words.pop(0)
    return words[0], words[1] if len(words) > 1 else b""
