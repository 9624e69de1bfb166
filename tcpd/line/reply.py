"""Replies: a three-digit code and lines of text, in the form of RFC 5321 section 4.2."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from tcpd.wire.safe_text import escape_controls

_LINE_END = re.compile(r"\r\n|\r|\n")


class Then(Enum):
    """What happens to the connection once a reply has been sent."""

    CONTINUE = "continue"
    START_TLS = "start TLS"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one request.

    :ivar code: from 200 to 599; docs/reference/line-protocol.rst says what the codes mean.
    :ivar lines: the text, at least one line. A line end inside one of them starts another line of
        the reply; characters that cannot be seen are escaped when the reply is rendered, so any
        text is safe here.
    :ivar then: what happens to the connection afterwards.
    :raise ValueError: for a code out of range or no lines at all.
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
        """A reply of one text, which may have several lines; one line end at its end is dropped."""
        return cls(code, tuple(split_lines(text)), then)

    def render(self) -> str:
        """The reply as it is sent, line ends included; always encodable as UTF-8."""
        shown = [_safe(piece) for line in self.lines for piece in _LINE_END.split(line)]
        code = self.code
        *before, last = shown
        return "".join(f"{code}-{line}\r\n" for line in before) + f"{code} {last}\r\n"

    def encode(self) -> bytes:
        """The same as bytes, UTF-8."""
        return self.render().encode()


class CommandError(Exception):
    """Raised by a command to answer with an error reply of its choice. Not logged.

    :param code: from 400 to 599.
    :param text: what is wrong, one line or several.
    :raise ValueError: for a code out of range.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        if not 400 <= code <= 599:
            raise ValueError(f"{code} is not the code of an error; use one from 400 to 599")
        self.code = code
        self.text = text

    def reply(self, usage: str) -> Reply:
        """The reply that says so.

        :param usage: how the command is used, e.g. ``PING [token]``; for errors that show it.
        """
        del usage
        return Reply.of(self.code, self.text)


class WrongArguments(CommandError):
    """Raised by a command whose arguments make no sense: 501, with its usage as the last line.

    :param text: what is wrong with them; empty if the usage says enough.
    """

    def __init__(self, text: str = "") -> None:
        super().__init__(501, text)

    def reply(self, usage: str) -> Reply:
        """The reply that says so."""
        said = split_lines(self.text) if self.text else []
        return Reply(self.code, (*said, f"usage: {usage}"))


def continued(text: str) -> bytes:
    """A line of a 250 reply that goes on behind it, as it is sent."""
    return "".join(f"250-{_safe(piece)}\r\n" for piece in _LINE_END.split(text)).encode()


def greeting(server_name: str) -> bytes:
    """The first line of a conversation."""
    text = f"{server_name} line service ready, HELP lists the commands"
    return Reply(220, (text,)).encode()


def last_words(server_name: str, sentence: str) -> bytes:
    """The line that a client gets whose connection the server ends, or does not let in.

    :param sentence: why, for people.
    """
    return Reply(421, (f"{server_name} {sentence}",)).encode()


def split_lines(text: str) -> list[str]:
    """The lines of a text, by CRLF, CR or LF; one line end at its end is dropped.

    :return: at least one line.
    """
    lines = _LINE_END.split(text)
    if len(lines) > 1 and not lines[-1]:
        lines.pop()
    return lines


def _safe(line: str) -> str:
    # a tab is fit for a reply, though not for other places
    return (
        "\t".join(map(escape_controls, line.split("\t"))) if "\t" in line else escape_controls(line)
    )
