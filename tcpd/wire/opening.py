"""What a connection opens with, where that is another protocol than the one that is spoken there.

A web page can have its visitors' browsers send an HTTP request to any address and port, with lines
of the page's choice in its body; by DNS rebinding with any method, too. Its first bytes are those
of HTTP (RFC 9112 section 3, RFC 9113 section 3.4) or of a TLS handshake (RFC 8446 section 5.1),
whose session ticket may have lines in it. So a protocol of lines looks at how a connection opens
before any of its lines acts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum

#: RFC 9110 section 9.3, PATCH of RFC 5789, and the first word of HTTP/2. Browsers send others only
#: with a version behind them.
METHODS = frozenset(
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "PRI"]
)

#: A first line is read up to so many bytes; RFC 9112 section 3 recommends at least 8000.
_LONGEST = 8192

#: Within so many bytes a method and the beginning of a path have come.
_SHORT = 64

# a method is any token (RFC 9110 section 5.6.2), and a target has no blanks
_REQUEST = re.compile(
    rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+[ \t]+[^ \t]+[ \t]+HTTP/[0-9]+(?:\.[0-9]+)?[ \t]*"
)
_LINE_END = re.compile(rb"[\r\n]")
_BLANKS = b"\r\n \t"

_HANDSHAKE = 22
_VERSION_3 = 3


class Foreign(Enum):
    """Another protocol than the one that is spoken."""

    HTTP = "HTTP"
    TLS = "TLS"


def _knows_none(word: str) -> bool:
    return False


class Opening:
    """Looks at the first bytes of a connection, however they are cut.

    :param any_case: a method alone, or in lower case, is HTTP, too. For protocols where it can be
        nothing else.
    :param knows: tells whether a word is a command of the protocol: one that is named like a method
        is HTTP only in a line with HTTP's version.

    :ivar over: whether there is nothing more to look for.
    """

    __slots__ = ("_any_case", "_begun", "_knows", "over")

    def __init__(
        self, *, any_case: bool = False, knows: Callable[[str], bool] = _knows_none
    ) -> None:
        self._any_case = any_case
        self._knows = knows
        self._begun = b""
        self.over = False

    def feed(self, data: bytes) -> Foreign | None:
        """Take the next bytes. Not called once it is over.

        :return: what it is, as soon as that is sure; ``None`` otherwise.
        """
        if not self._begun:
            data = data.lstrip(_BLANKS)
            if not data:
                return None
        end = _LINE_END.search(data)
        begun = self._begun + (data if end is None else data[: end.start()])
        if begun[0] == _HANDSHAKE:
            self.over = len(begun) > 1 or end is not None
            self._begun = begun
            return Foreign.TLS if begun[1:2] == bytes([_VERSION_3]) else None
        if end is None and len(begun) < _LONGEST:
            self._begun = begun
            # as soon as it is sure, before a long line is answered as one that is too long
            if not (len(begun) <= _SHORT and _to_path(begun) and self._has_method(begun)):
                return None
            found = True
        else:
            found = self._is_request(begun[:_LONGEST], cut=len(begun) >= _LONGEST)
        self.over = True
        self._begun = b""
        return Foreign.HTTP if found else None

    def _is_request(self, line: bytes, cut: bool) -> bool:
        """Whether a line is HTTP's first.

        :param cut: whether it goes on.
        """
        if _REQUEST.fullmatch(line) or (cut and _to_path(line) and len(line.split()) == 2):
            return True
        return self._has_method(line) and (
            self._any_case or line.split()[0].isupper() or _to_path(line)
        )

    def _has_method(self, line: bytes) -> bool:
        words = line.split(maxsplit=1)
        if not words:  # nothing but what Python takes for a blank, such as a vertical tab
            return False
        method = words[0].decode("ascii", "replace")
        return method.upper() in METHODS and not self._knows(method)


def _to_path(line: bytes) -> bool:
    """Whether the second word of a line is what a request is for."""
    _, *rest = line.split(maxsplit=1) or [b""]
    return bool(rest) and (rest[0][:1] in (b"/", b"*") or b"://" in rest[0])
