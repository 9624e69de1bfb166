"""Answers with a label: which line they answer.

Source: https://ircv3.net/specs/extensions/labeled-response
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from tcpd.chat.irc.message import write, write_tags
from tcpd.chat.outbox import FlushSet, Outbox

if TYPE_CHECKING:
    from tcpd.chat.irc.session import Session

#: The longest label: "The value MUST NOT exceed 64 bytes." A longer one is none.
LABEL_BYTES = 64

#: The type of the batch that an answer of several lines is put into.
BATCH = "labeled-response"


class Answer:
    """Collects what is said to a client for one line.

    :param real: where it goes in the end.

    :ivar outbox: what stands in its place for the time being.
    """

    def __init__(self, real: Outbox) -> None:
        self.real = real
        self._written: list[bytes] = []
        self._left_out: list[bytes] = []
        self.outbox = Outbox(max(real.limit, 0), _NEVER, self._written.append)

    def leave_out(self, data: bytes) -> None:
        """Something that was said to the client is no answer.

        "When a client sends a message to itself, the server MUST NOT include the label tag, except
        for any acknowledgment sent with the echo-message mechanism."
        """
        self._left_out += _lines(data)

    def lines(self) -> tuple[list[bytes], list[bytes]]:
        """What is no answer, and what is one; a line each, with the line ends."""
        lines = _lines(b"".join(self._written) + self.outbox.take())
        for line in self._left_out:
            if line in lines:  # a client that does not read gets nothing any more
                lines.remove(line)
        return self._left_out, lines


def _lines(data: bytes) -> list[bytes]:
    return [line + b"\r\n" for line in data.split(b"\r\n")[:-1]]


# among the tags of a line, and not a tag of a client's that ends so, nor in a value
_BATCH_TAG = re.compile(rb"@([^ ]*;)?batch=")


class _Never(FlushSet):
    """What is collected for an answer is taken from it, and not written."""

    __slots__ = ()

    def add(self, outbox: Outbox) -> None:
        """Nothing is to be done."""

    def add_first(self, outbox: Outbox) -> None:
        """Nothing is to be done."""


_NEVER = _Never(lambda flush_set: None)


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
    """An answer with its label.

    "If a response consists of more than one message, a batch MUST be used to group them into a
    single logical response." "Servers MUST respond with a labeled ACK message when a client sends a
    labeled command that normally produces no response."

    :param lines: what was said at once.
    :param more: what is said later.
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
    """Lines in a batch; those that are in another one already are in it by that."""
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


def later(session: Session) -> Callable[[Callable[[], None]], None]:
    """Leave the answer to the line that is being obeyed for later: something is waited for.

    :return: called with what gives the answer, has it given, with the label of the line if it has
        one; unless the conversation is over by then.
    """
    label, session.label = session.label, None

    def give(answer: Callable[[], None]) -> None:
        if not session.over:
            session.answer(label, answer)

    return give
