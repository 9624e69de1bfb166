"""The reply to one request of an IRC client: numerics, lines of the server, long replies; and its
label, which makes one response of all of it.

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
from tcpd.chat.reply import Reply
from tcpd.chat.split import carried
from tcpd.events.chat import Event

#: The longest label: "The value MUST NOT exceed 64 bytes." A longer one is ignored.
LABEL_BYTES = 64

#: The type of the batch of a labelled response of several lines.
BATCH = "labeled-response"


class IrcReply(Reply):
    """The reply to a request without a label.

    Lines go to the client at once, behind what waits for it.

    :ivar client: an :class:`IrcClient`.
    """

    client: IrcClient

    __slots__ = ()

    @property
    def server(self) -> IrcServer:
        """What the clients of the service share."""
        return self.client.server

    @property
    def caps(self) -> frozenset[str]:
        """The client's capabilities."""
        return self.client.caps

    # --- lines ---

    def put(self, data: bytes) -> None:
        """Add lines, with their tags."""
        client = self.client
        if client.streaming:
            client.stream((data,))
        else:
            client.put_behind(data)

    def send(self, line: bytes) -> None:
        """Send a line of the server.

        :param line: without tags; this adds what the client's capabilities ask for.
        """
        self.put(self.client.timed(line))

    def send_all(self, lines: Iterable[bytes], batch: str = "", *params: str) -> None:
        """Send several lines of the server.

        :param batch: the type of the batch that they are put into; empty for none.
        :param params: of the batch.
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
        """Send what may be long: see :meth:`IrcClient.stream`.

        :param lines: without tags.
        """
        self.client.stream(map(self.client.timed, lines))

    def numeric(self, number: str, *params: str, text: str | None = None) -> None:
        """Send a numeric.

        :param text: the last parameter; ``None`` for its usual one (:data:`numerics.TEXT`).
        """
        self.send(self.numeric_line(number, *params, text=text))

    def numeric_line(self, number: str, *params: str, text: str | None = None) -> bytes:
        """A numeric as a line, for :meth:`stream`."""
        if text is None:
            text = numerics.TEXT.get(number)
        # whatever is in it: a reply never ends the conversation
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
        """Send anything else of the server."""
        self.send(write(command, *params, source=self.server.name, colon=colon))

    def fail(self, command: str, code: str, *context: str, text: str, known: bool = False) -> None:
        """Send a failure, in words for programs and for people.

        Source: https://ircv3.net/specs/extensions/standard-replies. Clients without this capability
        get a NOTICE.

        :param known: the specification of what the client has sent has this reply: it is then sent
            to all.
        """
        if known or caps.STANDARD_REPLIES in self.caps:
            self.from_server("FAIL", command, code, *context, text, colon=True)
        else:
            self.from_server("NOTICE", self.client.name, f"{command}: {text}", colon=True)

    def unknown(self, message: Message) -> None:
        """Reply that there is no such command."""
        self.server.count["unknown-commands"] += 1
        self.numeric(numerics.ERR_UNKNOWNCOMMAND, message.command.lstrip(":") or "*")

    def send_event(self, event: Event) -> None:
        """Send an event that is about this very client, whatever its capabilities."""
        self.put(self.server.formats.of(self.caps).render_always(event))

    def finish(self, why: str, reason: str | None = None) -> None:
        """End the conversation: see :meth:`IrcClient.finish`."""
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
    """What a client is sent without a request, in its place among the events: it waits neither for
    messages that run ahead of the event log nor for the rest of a long reply."""

    __slots__ = ()

    def put(self, data: bytes) -> None:
        self.client.put(data)


class LabelledReply(IrcReply):
    """The reply to a request with a label: collected, and sent when it is complete.

    :param label: the client's.
    """

    collects = True

    __slots__ = ("_finished", "_label", "_lines", "_stream")

    def __init__(self, client: IrcClient, label: str) -> None:
        super().__init__(client)
        self._label = label
        self._lines: list[bytes] = []
        self._stream: Iterator[bytes] | None = None
        self._finished = False

    def put(self, data: bytes) -> None:
        if self._stream is not None:
            self._stream = chain(self._stream, (data,))
        else:
            self._lines += split_lines(data)

    def stream(self, lines: Iterable[bytes]) -> None:
        more = map(self.client.timed, lines)
        self._stream = more if self._stream is None else chain(self._stream, more)

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
        rest = self._take_short()
        name = client.next_batch()
        server = client.server.name
        lines = labelled(self._lines, rest, self._label, name, server, client.timed)
        if rest is None:
            for line in lines:
                client.put(line)
        elif client.over:
            for line in lines:
                client.outbox.put(line)
        else:
            client.stream(lines)

    def _take_short(self) -> Iterator[bytes] | None:
        """Take the lines of a long reply that turns out to be short.

        :return: what is left of it, if it is long.
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

    :param label: the client's; ``None`` for none.
    :param act: does it.
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
    """The lines of rendered bytes, with their ends."""
    return [line + b"\r\n" for line in data.split(b"\r\n")[:-1]]


# among the tags of a line: not a client-only tag that ends so, nor in a value
_BATCH_TAG = re.compile(rb"@([^ ]*;)?batch=")


def tagged(line: bytes, name: str, value: str) -> bytes:
    """A line with one tag more, before those that it has. An empty one is left so."""
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
) -> Iterator[bytes]:
    """A response with its label.

    "If a response consists of more than one message, a batch MUST be used to group them into a
    single logical response." "Servers MUST respond with a labeled ACK message when a client sends a
    labeled command that normally produces no response."

    :param lines: of the response.
    :param more: the rest of a long one.
    :param batch: a name for the batch, if there is to be one.
    :param timed: puts the time on lines.
    """
    if more is None and len(lines) < 2:
        only = lines[0] if lines else timed(write("ACK", source=server))
        yield tagged(only, "label", label)
        return
    if more is None and _is_one_batch(lines):
        yield tagged(lines[0], "label", label)
        yield from lines[1:]
        return
    start = timed(write("BATCH", f"+{batch}", BATCH, source=server))
    yield tagged(start, "label", label)
    yield from _within(lines, batch)
    if more is not None:
        yield from _within(more, batch)
    yield timed(write("BATCH", f"-{batch}", source=server))


def _within(lines: Iterable[bytes], batch: str) -> Iterator[bytes]:
    """Lines in a batch; those of an inner batch are in it by that."""
    for line in lines:
        yield line if _BATCH_TAG.match(line) else tagged(line, "batch", batch)


def _is_one_batch(lines: list[bytes]) -> bool:
    """Whether the lines are one batch from beginning to end."""
    words = [_words(line) for line in (lines[0], lines[-1])]
    (first, opened), (last, closed) = words
    return first == last == b"BATCH" and opened[1:] == closed[1:] and opened[:1] == b"+"


def _words(line: bytes) -> tuple[bytes, bytes]:
    """A line's command and its first parameter."""
    words = line.rstrip(b"\r\n").split(b" ")
    while words and words[0][:1] in (b"@", b":"):
        words.pop(0)
    return words[0], words[1] if len(words) > 1 else b""
