"""Parsing and serialization of IRC lines.

Sources: the Modern IRC Client Protocol, "Message Format" (https://modern.ircdocs.horse/#message-format),
and the IRCv3 message-tags specification (https://ircv3.net/specs/extensions/message-tags).

Lines from clients must be UTF-8 (token UTF8ONLY).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import NamedTuple

#: Maximum length of a line with CR LF, without tags (RFC 1459 section 2.3).
LINE_BYTES = 512
#: Maximum length of a client's tags, between the ``@`` and the space after them. The server may add
#: as much, so that a client receives at most 8191 bytes of tags.
TAGS_BYTES = 4094

NO_TAGS: Mapping[str, str] = MappingProxyType({})

_KEY = re.compile(r"[^\0\r\n ;=]+")
# <client_prefix> [<vendor> '/'] <key_name>: the vendor is a host
_CLIENT_KEY = re.compile(r"\+(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?/)?[A-Za-z0-9-]+")
_CONTROL = re.compile(r"[\0\r\n]")
_ESCAPED = re.compile(r"\\(.?)", re.DOTALL)
_UNESCAPE = {":": ";", "s": " ", "\\": "\\", "r": "\r", "n": "\n"}
_ESCAPE = str.maketrans({";": "\\:", " ": "\\s", "\\": "\\\\", "\r": "\\r", "\n": "\\n"})
_NEEDS_ESCAPE = re.compile(r"[; \\\r\n]")


class Message(NamedTuple):
    """Parsed IRC line.

    :ivar tags: unescaped values by name, including a leading ``+``, in their order; ``""`` for no
        value.
    :ivar source: the source without its colon; ``None`` if absent. Ignored in lines of clients:
        "Clients MUST NOT include a source when sending a message."
    :ivar command: the command in upper case; never empty.
    :ivar params: all parameters, the last one without its colon.
    """

    tags: Mapping[str, str]
    source: str | None
    command: str
    params: tuple[str, ...]


class ParseFault(enum.Enum):
    """Reason why a line cannot be parsed."""

    TOO_LONG = "the line or its tags are too long (417)"
    NOT_UTF8 = "the line is not UTF-8 (FAIL with INVALID_UTF8)"
    CONTROL = "the line contains a NUL, CR or LF"
    NO_COMMAND = "the line has tags or a source, but no command"


class ParseError(ValueError):
    """A line cannot be parsed.

    :ivar fault: the reason.
    :ivar command: the command if it can be recovered, for the reply; else ``*``.
    :ivar tags: the tags if they can be recovered, for the reply's label; else empty.
    """

    def __init__(self, fault: ParseFault, line: bytes) -> None:
        super().__init__(fault.value)
        self.fault = fault
        self.tags, self.command = _recover_tags_and_command(line)


def parse(line: bytes) -> Message | None:
    """Parse a line from a client.

    Any number of spaces separates the parts, and may precede and follow them; only a trailing
    parameter keeps its spaces. The number of parameters is limited by the length of the line, not
    to the 15 of RFC 1459. The last of several tags with one name counts. Tag names are not
    checked: implementations "MUST NOT perform any validation that would reject the message if an
    invalid tag key name is used".

    :param line: a line without its line end.
    :return: ``None`` for a line of spaces only, which is ignored.
    :raise ParseError: if the line cannot be parsed.
    """
    tags = NO_TAGS
    data = b""
    rest = line
    if line[:1] == b"@":
        data, _, rest = line.partition(b" ")
        if len(data) - 1 > TAGS_BYTES:
            raise ParseError(ParseFault.TOO_LONG, line)
    if len(rest) > LINE_BYTES - 2:
        raise ParseError(ParseFault.TOO_LONG, line)
    try:
        text = rest.decode()
        tagged = data.decode() if data else ""
    except UnicodeDecodeError:
        raise ParseError(ParseFault.NOT_UTF8, line) from None
    if "\0" in text or "\r" in text or "\n" in text:
        raise ParseError(ParseFault.CONTROL, line)
    if tagged:
        if _CONTROL.search(tagged) is not None:
            raise ParseError(ParseFault.CONTROL, line)
        tags = _read_tags(tagged[1:])
    text = text.lstrip(" ")
    head, colon, trailing = text.partition(" :")
    words = head.split(" ")
    if "" in words:
        words = [word for word in words if word]
    source = None
    if text[:1] == ":":
        source = words.pop(0)[1:]
    if not words:
        if not text and not data:
            return None
        raise ParseError(ParseFault.NO_COMMAND, line)
    command = words[0]
    # upper() maps a dotless i to I, which would make LIST of another word
    if command.isascii():
        command = command.upper()
    if colon:
        words.append(trailing)
    return Message(tags, source, command, tuple(words[1:]))


def write(
    command: str,
    *params: str,
    source: str | None = None,
    tags: Mapping[str, str] | None = None,
    colon: bool = False,
) -> bytes:
    """Serialize a line for a client.

    :param params: the last may contain spaces, be empty, and begin with a colon.
    :param source: the source without its colon.
    :param tags: see :func:`write_tags`.
    :param colon: put a colon before the last parameter even where it is optional; old clients
        expect one before a text.
    :return: at most 512 bytes plus the tags, with CR LF; longer lines are truncated.
    :raise ValueError: for a part that IRC cannot carry: a bug, input is validated earlier.
    """
    if params:
        last = params[-1]
        head = " ".join((command, *params[:-1]))
        if colon or not last or " " in last or last[0] == ":":
            line = f"{head} :{last}\r\n"
        else:
            line = f"{head} {last}\r\n"
        spaces = len(params) - 1
    else:
        head = command
        line = f"{command}\r\n"
        spaces = 0
    if source is not None:
        head = f"{source} {head}"
        line = f":{source} {line}"
        spaces += 1
    if (
        head.count(" ") != spaces
        or "  " in head
        or " :" in head
        or head[:1] in (" ", ":", "")
        or line[0] == "@"
        or head[-1] == " "
        or "\0" in line
        or line.find("\n") != len(line) - 1
        or line.find("\r") != len(line) - 2
    ):
        raise ValueError(f"no line can carry {source!r} {command!r} {params!r}")
    data = line.encode()
    if len(data) > LINE_BYTES:
        data = cut_to(data)
    return write_tags(tags) + data if tags else data


def write_tags(tags: Mapping[str, str]) -> bytes:
    """Serialize tags, including the ``@`` and the space after them.

    :param tags: values by name, ``""`` for no value; the server's first: "Any server-sent tags
        attached to messages MUST be included before client-only tags".
    :return: empty for no tags.
    :raise ValueError: for a name or value that IRC cannot carry: a bug.
    """
    if not tags:
        return b""
    parts = []
    for key, value in tags.items():
        if _KEY.fullmatch(key) is None or "\0" in value:
            raise ValueError(f"no line can carry the tag {key!r} = {value!r}")
        if not value:
            parts.append(key)
        elif _NEEDS_ESCAPE.search(value) is None:
            parts.append(f"{key}={value}")
        else:
            parts.append(f"{key}={value.translate(_ESCAPE)}")
    return f"@{';'.join(parts)} ".encode()


def client_only(tags: Mapping[str, str], denied: Collection[str] = ()) -> dict[str, str]:
    """Return the client-only tags of a message, in their order.

    "Tags without the client-only prefix MUST be removed by the server before being relayed with any
    message to another client." Tags with invalid names are removed, too.

    :param denied: further tags to remove, as in the token CLIENTTAGDENY: names without their
        ``+``; ``*`` for all; ``-`` before an exception.
    """
    found = {key: value for key, value in tags.items() if _CLIENT_KEY.fullmatch(key) is not None}
    if "*" in denied:
        return {key: value for key, value in found.items() if f"-{key[1:]}" in denied}
    return {key: value for key, value in found.items() if key[1:] not in denied}


def cut_to(line: bytes, size: int = LINE_BYTES) -> bytes:
    """Truncate a line between two characters.

    :param line: a line with its line end, without tags.
    :param size: maximum bytes, including the line end.
    """
    if len(line) <= size:
        return line
    end = size - 2
    while line[end] & 0xC0 == 0x80:  # inside a character
        end -= 1
    return line[:end] + b"\r\n"


def _read_tags(text: str) -> dict[str, str]:
    tags: dict[str, str] = {}
    for part in text.split(";"):
        key, _, value = part.partition("=")
        if not key:
            continue
        if "\\" in value:
            value = _ESCAPED.sub(lambda found: _UNESCAPE.get(found[1], found[1]), value)
        tags[key] = value
    return tags


def _recover_tags_and_command(line: bytes) -> tuple[Mapping[str, str], str]:
    tags = NO_TAGS
    if line[:1] == b"@":
        data, _, line = line.partition(b" ")
        if len(data) - 1 > TAGS_BYTES:
            return tags, "*"
        text = data.decode(errors="replace")
        if "\ufffd" not in text and _CONTROL.search(text) is None:
            tags = _read_tags(text[1:])
    words = [word for word in line[:LINE_BYTES].split(b" ") if word]
    if words and words[0][:1] == b":":
        words = words[1:]
    if words and words[0].isalnum():  # of ASCII letters and digits
        return tags, words[0].decode().upper()
    return tags, "*"
