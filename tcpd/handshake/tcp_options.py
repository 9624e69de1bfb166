"""Parses the options of a TCP header.

Sources: RFC 9293 section 3.1 (format, end of options, no-operation, maximum segment size), RFC
7323 (window scale, timestamps), RFC 2018 (SACK permitted), RFC 7413 and RFC 6994 (Fast Open, also
by its experimental number), RFC 8684 (MPTCP).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

#: The kinds that are decoded.
END, NOP, MSS, WINDOW_SCALE, SACK_PERMITTED, TIMESTAMPS = 0, 1, 2, 3, 4, 8
MPTCP, FAST_OPEN, EXPERIMENT = 30, 34, 254

_OF_KNOWN_LENGTH = frozenset({MSS, WINDOW_SCALE, SACK_PERMITTED, TIMESTAMPS, MPTCP, FAST_OPEN})

#: RFC 7413 section 4.1.1 of its drafts: the experiment that became Fast Open.
_FAST_OPEN_MAGIC = b"\xf9\x89"

#: The common entries of IANA's registry "TCP TCPOption Kind Numbers".
_NAMES = {
    END: "end of options",
    NOP: "no-operation",
    MSS: "maximum segment size",
    WINDOW_SCALE: "window scale",
    SACK_PERMITTED: "SACK permitted",
    5: "SACK",
    TIMESTAMPS: "timestamps",
    19: "MD5 signature",
    27: "quick-start response",
    28: "user timeout",
    29: "TCP-AO",
    MPTCP: "multipath TCP",
    FAST_OPEN: "fast open cookie",
    69: "encryption negotiation",
    172: "accurate ECN order 0",
    174: "accurate ECN order 1",
    253: "experiment 1",
    EXPERIMENT: "experiment 2",
}


def name_of(kind: int) -> str:
    """Return the name of an option.

    :param kind: 0 to 255.
    """
    return _NAMES.get(kind, f"option {kind}")


@dataclass(frozen=True, slots=True)
class TCPOption:
    """One option.

    :ivar kind: 0 to 255.
    :ivar data: the bytes after kind and length, undecoded.
    """

    kind: int
    data: bytes

    @property
    def name(self) -> str:
        """The name."""
        return name_of(self.kind)

    @property
    def length(self) -> int:
        """Bytes in the header, kind and length byte included."""
        return 2 + len(self.data)

    @property
    def invalid_length(self) -> bool:
        """Whether the length is invalid, so that receivers ignore the option."""
        return False


@dataclass(frozen=True, slots=True)
class EndOfOptions(TCPOption):
    """Kind 0: end of the list. ``data`` is the padding, which should be zero."""

    @property
    def length(self) -> int:
        """Bytes to the end of the header."""
        return 1 + len(self.data)


@dataclass(frozen=True, slots=True)
class NoOperation(TCPOption):
    """Kind 1: padding for alignment."""

    @property
    def length(self) -> int:
        """One byte."""
        return 1


@dataclass(frozen=True, slots=True)
class MaximumSegmentSize(TCPOption):
    """Kind 2, RFC 9293 section 3.7.1.

    :ivar value: the largest segment that the sender accepts, in bytes, without the fixed IP and TCP
        headers; 0 to 65535.
    """

    value: int


@dataclass(frozen=True, slots=True)
class WindowScale(TCPOption):
    """Kind 3, RFC 7323 section 2.

    :ivar shift: the left shift for the sender's windows, 0 to 255; more than 14 counts as 14
        (section 2.3).
    """

    shift: int


@dataclass(frozen=True, slots=True)
class SackPermitted(TCPOption):
    """Kind 4, RFC 2018 section 2: the sender supports selective acknowledgments."""


@dataclass(frozen=True, slots=True)
class Timestamps(TCPOption):
    """Kind 8, RFC 7323 section 3.2.

    :ivar value: TSval, the sender's clock.
    :ivar echo_reply: TSecr, zero in a SYN.
    """

    value: int
    echo_reply: int


@dataclass(frozen=True, slots=True)
class FastOpen(TCPOption):
    """Kind 34, RFC 7413 section 4.1.1, or its experimental form: kind 254 and magic F989.

    :ivar cookie: 4 to 16 bytes; empty in a cookie request.
    """

    cookie: bytes


@dataclass(frozen=True, slots=True)
class Mptcp(TCPOption):
    """Kind 30, RFC 8684 section 3.

    :ivar subtype: 0 is MP_CAPABLE, 1 MP_JOIN.
    :ivar version: the MPTCP version, in MP_CAPABLE; ``None`` otherwise.
    """

    subtype: int
    version: int | None

    @property
    def shown(self) -> str:
        """The subtype's name in RFC 8684 section 3."""
        return {0: "MP_CAPABLE", 1: "MP_JOIN"}.get(self.subtype, f"subtype {self.subtype}")


@dataclass(frozen=True, slots=True)
class UnknownOption(TCPOption):
    """An option of another kind, or with a length that is invalid for its kind."""

    @property
    def name(self) -> str:
        """The name, and whether the length is invalid."""
        name = name_of(self.kind)
        return f"{name} (invalid length)" if self.invalid_length else name

    @property
    def invalid_length(self) -> bool:
        """Whether the kind is known: with a valid length it would have its own class."""
        return self.kind in _OF_KNOWN_LENGTH


@dataclass(frozen=True, slots=True)
class MalformedOption(TCPOption):
    """The last option, if its length points outside the header. ``data`` is all after its kind.

    Linux stops parsing here too (``tcp_parse_options``).
    """

    @property
    def name(self) -> str:
        """The name, marked as malformed."""
        return f"{name_of(self.kind)} (malformed)"

    @property
    def invalid_length(self) -> bool:
        """Always."""
        return True

    @property
    def length(self) -> int:
        """Bytes to the end of the header."""
        return 1 + len(self.data)


def parse_options(data: bytes) -> tuple[TCPOption, ...]:
    """Parse the options of a TCP header, in their order. Accepts any bytes.

    :param data: at most 40 bytes in a real header.
    """
    return tuple(_options(data))


def _options(data: bytes) -> Iterator[TCPOption]:
    at = 0
    while at < len(data):
        kind = data[at]
        if kind == END:
            yield EndOfOptions(END, data[at + 1 :])
            return
        if kind == NOP:
            yield NoOperation(NOP, b"")
            at += 1
            continue
        size = data[at + 1] if at + 1 < len(data) else 0
        if size < 2 or at + size > len(data):
            yield MalformedOption(kind, data[at + 1 :])
            return
        yield _option(kind, data[at + 2 : at + size])
        at += size


def _option(kind: int, data: bytes) -> TCPOption:
    match kind, len(data):
        case (2, 2):
            return MaximumSegmentSize(kind, data, int.from_bytes(data, "big"))
        case (3, 1):
            return WindowScale(kind, data, data[0])
        case (4, 0):
            return SackPermitted(kind, data)
        case (8, 8):
            return Timestamps(kind, data, *struct.unpack("!II", data))
        case (30, size) if size:
            subtype = data[0] >> 4
            return Mptcp(kind, data, subtype, data[0] & 15 if subtype == 0 else None)
        case (34, size) if _is_cookie(size):
            return FastOpen(kind, data, data)
        case (254, size) if data.startswith(_FAST_OPEN_MAGIC) and _is_cookie(size - 2):
            return FastOpen(kind, data, data[2:])
        case _:
            return UnknownOption(kind, data)


def _is_cookie(size: int) -> bool:
    # RFC 7413 section 4.1.1: a length of 2 (no cookie), or 6 to 18 and even
    return size == 0 or (4 <= size <= 16 and size % 2 == 0)
