"""Replies: a three-digit code and lines of text, in the form of RFC 5321 section 4.2."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from tcpd.wire.safe_text import escape_controls

_LINE_END = re.compile(r"\r\n|\r|\n")


class Then(Enum):
    """The action on the connection after a reply."""

    CONTINUE = "continue"
    START_TLS = "start TLS"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply to one request.

    :ivar code: an integer from 200 to 599; see docs/reference/line-protocol.rst.
    :ivar lines: the text, at least one line. A line end in one of them starts another line of the
        reply. Rendering escapes control characters, so any text is safe here.
    :ivar then: the action on the connection afterwards.
    :raise ValueError: if the code is out of range or there are no lines.
    """

    code: int
    lines: tuple[str, ...]
    then: Then = Then.CONTINUE

    def __post_init__(self) -> None:
        if not 200 <= self.code <= 599:
            raise ValueError(f"{self.code} is not a reply code; use one from 200 to 599")
        if not self.lines:
            raise ValueError("a reply has at least one line")

    @classmethod
    def of(cls, code: int, text: str, then: Then = Then.CONTINUE) -> Reply:
        """Make a reply of a text of one or more lines; a final line end is dropped."""
        return cls(code, tuple(split_lines(text)), then)

    def render(self) -> str:
        """The reply on the wire, with line ends; always encodable as UTF-8."""
        shown = [_safe(piece) for line in self.lines for piece in _LINE_END.split(line)]
        code = self.code
        *before, last = shown
        return "".join(f"{code}-{line}\r\n" for line in before) + f"{code} {last}\r\n"

    def encode(self) -> bytes:
        """The reply on the wire as bytes, UTF-8."""
        return self.render().encode()


class CommandError(Exception):
    """Raised by a command to send an error reply. Not logged.

    :param code: an integer from 400 to 599.
    :param text: the error, one or more lines.
    :raise ValueError: if the code is out of range.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        if not 400 <= code <= 599:
            raise ValueError(f"{code} is not an error code; use one from 400 to 599")
        self.code = code
        self.text = text

    def reply(self, usage: str) -> Reply:
        """Return the error reply.

        :param usage: the usage of the command, e.g. ``PING [token]``; for errors that show it.
        """
        del usage
        return Reply.of(self.code, self.text)


class WrongArguments(CommandError):
    """Raised by a command with invalid arguments: 501, with the usage as the last line.

    :param text: the error; empty for the usage alone.
    """

    def __init__(self, text: str = "") -> None:
        super().__init__(501, text)

    def reply(self, usage: str) -> Reply:
        """See :meth:`CommandError.reply`."""
        lines = split_lines(self.text) if self.text else []
        return Reply(self.code, (*lines, f"usage: {usage}"))


def continued(text: str) -> bytes:
    """A line of a 250 reply, other than the last, on the wire."""
    return "".join(f"250-{_safe(piece)}\r\n" for piece in _LINE_END.split(text)).encode()


def greeting(server_name: str) -> bytes:
    """The first line that the server sends."""
    text = f"{server_name} line service ready, HELP lists the commands"
    return Reply(220, (text,)).encode()


def last_words(server_name: str, sentence: str) -> bytes:
    """The 421 line for a client that the server refuses or disconnects.

    :param sentence: the reason.
    """
    return Reply(421, (f"{server_name} {sentence}",)).encode()


def split_lines(text: str) -> list[str]:
    """Split a text at CRLF, CR or LF; a final line end is dropped.

    :return: at least one line.
    """
    lines = _LINE_END.split(text)
    if len(lines) > 1 and not lines[-1]:
        lines.pop()
    return lines


def _safe(line: str) -> str:
    # tabs are allowed in replies
    return (
        "\t".join(map(escape_controls, line.split("\t"))) if "\t" in line else escape_controls(line)
    )
