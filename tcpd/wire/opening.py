"""Detects HTTP and TLS in the first bytes of a connection, to prevent cross-protocol attacks.

A web page can make its visitors' browsers send an HTTP request to any address and port. The page
chooses the lines of the body and, by DNS rebinding, the method. The first bytes are those of HTTP
(RFC 9112 section 3, RFC 9113 section 3.4) or of a TLS handshake (RFC 8446 section 5.1), whose
session ticket may contain lines. Line protocols therefore check them before they execute a line.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum

#: RFC 9110 section 9.3, PATCH of RFC 5789, and the first word of HTTP/2. Other methods are
#: recognized by the version at the end of the line.
METHODS = frozenset(
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "PRI"]
)

# The bytes of a first line that are checked; RFC 9112 section 3 recommends at least 8000.
_LONGEST = 8192

# The method and the start of the path are within this many bytes.
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
    """A protocol that the service does not speak."""

    HTTP = "HTTP"
    TLS = "TLS"


def _knows_none(word: str) -> bool:
    return False


class Opening:
    """Checks the first bytes of a connection, independent of segmentation.

    :param any_case: a method alone or in lower case is HTTP, too; for protocols without a command
        of that name.
    :param knows: whether a word is a command of the protocol. A command named like a method is HTTP
        only in a line with an HTTP version.

    :ivar over: whether the check is complete.
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
        """Feed the next bytes. Must not be called once :attr:`over`.

        :return: the detected protocol; ``None`` otherwise.
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
            # detected early, before the protocol replies that the line is too long
            if not (len(begun) <= _SHORT and _to_path(begun) and self._has_method(begun)):
                return None
            found = True
        else:
            found = self._is_request(begun[:_LONGEST], cut=len(begun) >= _LONGEST)
        self.over = True
        self._begun = b""
        return Foreign.HTTP if found else None

    def _is_request(self, line: bytes, cut: bool) -> bool:
        """Whether a line is an HTTP request line.

        :param cut: whether the line is incomplete.
        """
        if _REQUEST.fullmatch(line) or (cut and _to_path(line) and len(line.split()) == 2):
            return True
        return self._has_method(line) and (
            self._any_case or line.split()[0].isupper() or _to_path(line)
        )

    def _has_method(self, line: bytes) -> bool:
        words = line.split(maxsplit=1)
        if not words:  # only Python's whitespace, such as a vertical tab
            return False
        method = words[0].decode("ascii", "replace")
        return method.upper() in METHODS and not self._knows(method)


def _to_path(line: bytes) -> bool:
    """Whether the second word of a line is a request target."""
    _, *rest = line.split(maxsplit=1) or [b""]
    return bool(rest) and (rest[0][:1] in (b"/", b"*") or b"://" in rest[0])
