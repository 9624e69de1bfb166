"""Lines of IRC, read and written.

Sources: the Modern IRC Client Protocol, "Message Format" (https://modern.ircdocs.horse/#message-format),
and the IRCv3 message-tags specification (https://ircv3.net/specs/extensions/message-tags).

What comes from a client is UTF-8 or is refused, which is what the token UTF8ONLY promises.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import NamedTuple

#: A line with its CR and LF and without its tags (RFC 1459 section 2.3).
LINE_BYTES = 512
#: What a client may put between the ``@`` and the space behind its tags. A server may add as much
#: again, so that what a client reads has at most 8191 bytes of tags.
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
    """One line.

    :ivar tags: by name, a leading ``+`` included, in the order in which they came; the values
        unescaped, and ``""`` where there is none.
    :ivar source: without its colon; ``None`` where there is none. Who reads what a client sent
        ignores it: "Clients MUST NOT include a source when sending a message."
    :ivar command: in upper case; never empty.
    :ivar params: the last one like any other, whether or not it had a colon.
    """

    tags: Mapping[str, str]
    source: str | None
    command: str
    params: tuple[str, ...]


class ParseFault(enum.Enum):
    """Why a line cannot be read."""

    TOO_LONG = "the line, or its tags, have more bytes than they may (417)"
    NOT_UTF8 = "it is not UTF-8 (FAIL with INVALID_UTF8)"
    CONTROL = "there is a NUL, a CR or an LF in it"
    NO_COMMAND = "there are tags or a source, but no command"


class ParseError(ValueError):
    """A line cannot be read.

    :ivar fault: why.
    :ivar command: the command all the same, for the answer; ``*`` where it cannot be told.
    :ivar tags: the tags, for the label of the answer; empty where they cannot be told.
    """

    def __init__(self, fault: ParseFault, line: bytes) -> None:
        super().__init__(fault.value)
        self.fault = fault
        self.tags, self.command = _recover_tags_and_command(line)


def parse(line: bytes) -> Message | None:
    """Read a line from a client.

    Any number of spaces separates the parts and may stand before and behind them. The text of the
    last parameter alone keeps its spaces, from its colon on. There may be more than 15 parameters:
    RFC 1459 allows so many, but the length of the line bounds them too. Of two tags of one name the
    last one holds. Any name will do: implementations "MUST NOT perform any validation that would
    reject the message if an invalid tag key name is used".

    :param line: without its line end.
    :return: ``None`` for a line of nothing but spaces, which is to be ignored.
    :raise ParseError: for one that cannot be read.
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
    # Unicode would make I of a dotless i, and LIST of a word that is none
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
    """Make a line for a client.

    :param params: the last one may hold spaces, be empty, and begin with a colon.
    :param source: without its colon.
    :param tags: see :func:`write_tags`.
    :param colon: put the colon before the last parameter even where it is optional. Programs that
        look for one in every text they are told are older than the rule that they should not.
    :return: at most 512 bytes besides the tags, ended by CR LF. What does not fit is cut off.
    :raise ValueError: for what cannot be carried: our bug, people's words were checked before.
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
    """The tags of a line for a client, from the ``@`` to the space before what they stand on.

    :param tags: values by name, the server's own before those of a client: "Any server-sent tags
        attached to messages MUST be included before client-only tags". ``""`` for no value.
    :return: nothing for no tags.
    :raise ValueError: for a name or a value that cannot be carried: our bug.
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
    """Those of a client's tags that are for other clients, in their order.

    "Tags without the client-only prefix MUST be removed by the server before being relayed with any
    message to another client." So are those whose name is not of the specification's grammar: what
    it would mean to another client's parser, nobody knows.

    :param denied: those that are not relayed either, as the token CLIENTTAGDENY lists them: without
        their ``+``; ``*`` for all, and ``-`` before one that is relayed all the same.
    """
    found = {key: value for key, value in tags.items() if _CLIENT_KEY.fullmatch(key) is not None}
    if "*" in denied:
        return {key: value for key, value in found.items() if f"-{key[1:]}" in denied}
    return {key: value for key, value in found.items() if key[1:] not in denied}


def cut_to(line: bytes, size: int = LINE_BYTES) -> bytes:
    """A line cut between two characters, so that it has at most so many bytes.

    :param line: with its line end, and without tags.
    :param size: the line end included.
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
