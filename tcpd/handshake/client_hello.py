"""Parses a TLS ClientHello as it arrives on the wire, in one record or several.

Sources: RFC 8446 section 4.1.2 and RFC 5246 section 7.4.1.2 (ClientHello), section 5.1 (records),
RFC 8701 (GREASE). The parser accepts any bytes: what it cannot read is absent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from tcpd.handshake.tls_names import is_grease

#: The most bytes of a ClientHello that are kept, with the headers of its records. One with keys of
#: a post-quantum group and ECH has about 2,000.
MAX_CLIENT_HELLO = 1 << 14

#: The numbers of the extensions that are decoded.
SERVER_NAME, GROUPS, SIGNATURE_ALGORITHMS, ALPN = 0, 10, 13, 16
SESSION_TICKET, PRE_SHARED_KEY, VERSIONS, KEY_SHARE, ECH = 35, 41, 43, 51, 0xFE0D

#: More records than any client sends a ClientHello in.
_MOST_RECORDS = 32

_RECORD_HEADER = 5
_MESSAGE_HEADER = 4
_HANDSHAKE_RECORD = 22
_CLIENT_HELLO = 1

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class ClientHello:
    """The contents of a ClientHello. Numbers are as offered, GREASE included.

    :ivar legacy_version: 0x0303 from all clients of TLS 1.2 and 1.3.
    :ivar session_id: the length of the session id, bytes.
    :ivar ciphers: the cipher suites, in the client's order.
    :ivar extensions: number and content of each extension, in the client's order.
    """

    legacy_version: int
    session_id: int
    ciphers: tuple[int, ...]
    extensions: tuple[tuple[int, bytes], ...]

    def extension(self, number: int) -> bytes | None:
        """Return the content of the first extension with a number; ``None`` if there is none."""
        return next((data for each, data in self.extensions if each == number), None)

    @property
    def versions(self) -> tuple[int, ...]:
        """The versions in supported_versions; the legacy version without that extension."""
        data = self.extension(VERSIONS)
        if data is None:
            return (self.legacy_version,)
        return _numbers(_vector(data, 1))

    @property
    def groups(self) -> tuple[int, ...]:
        """The groups of the key exchange, in the client's order."""
        return _numbers(_vector(self.extension(GROUPS), 2))

    @property
    def key_shares(self) -> tuple[int, ...]:
        """The groups that the client sent a key for."""

        def share(reader: _VectorReader) -> int:
            group = reader.number(2)
            reader.vector(2)
            return group

        return _all(_vector(self.extension(KEY_SHARE), 2), share)

    @property
    def signature_algorithms(self) -> tuple[int, ...]:
        """The signature algorithms, in the client's order."""
        return _numbers(_vector(self.extension(SIGNATURE_ALGORITHMS), 2))

    @property
    def alpn(self) -> tuple[bytes, ...]:
        """The protocols of ALPN, in the client's order."""
        return _all(_vector(self.extension(ALPN), 2), lambda reader: reader.vector(1))

    @property
    def resumption(self) -> str:
        """How the client asks to resume a session; empty if it does not.

        In TLS 1.3 a session id means nothing, since clients send a random one (RFC 8446 appendix
        D.4), and a PSK may also be external.
        """
        if self.extension(PRE_SHARED_KEY) is not None:
            return "pre-shared key"
        if self.extension(SESSION_TICKET):
            return "session ticket"
        real = max((each for each in self.versions if not is_grease(each)), default=0)
        return "session id" if self.session_id and real < 0x0304 else ""


def wire_size(data: bytes) -> int | None:
    """Return how many bytes of the records in ``data`` the ClientHello takes.

    Reads the headers of at most 32 records.

    :param data: what a client sent, from the first byte on.
    :return: ``None`` if more is needed; 0 if these are no records with a ClientHello, or too many.
    """
    head = b""
    at = missing = 0
    for _ in range(_MOST_RECORDS):
        if len(data) < at + _RECORD_HEADER:
            return None
        if data[at] != _HANDSHAKE_RECORD:
            return 0
        size = data[at + 3] << 8 | data[at + 4]
        at += _RECORD_HEADER
        if len(head) < _MESSAGE_HEADER:
            before = len(head)
            head += data[at : at + min(size, _MESSAGE_HEADER - before)]
            if head and head[0] != _CLIENT_HELLO:
                return 0
            if len(head) < _MESSAGE_HEADER:
                at += size
                continue
            # counted from the start of this record
            missing = _MESSAGE_HEADER - before + int.from_bytes(head[1:], "big")
        if missing <= size:
            return at + missing if at + missing <= len(data) else None
        missing -= size
        at += size
    return 0


def parse_client_hello(data: bytes) -> ClientHello | None:
    """Parse a ClientHello in its records.

    :param data: from the first byte of the first record on; what follows is ignored.
    :return: ``None`` if it is incomplete or malformed.
    """
    try:
        reader = _VectorReader(_message(data))
        version = reader.number(2)
        reader.take(32)  # random
        session_id = len(reader.vector(1))
        ciphers = _numbers(reader.vector(2))
        reader.vector(1)  # compression methods
        extensions: tuple[tuple[int, bytes], ...] = ()
        if not reader.at_end:  # RFC 5246: a client may send none
            block = _VectorReader(reader.vector(2))
            extensions = tuple(_extensions(block))
    except _MalformedError:
        return None
    return ClientHello(version, session_id, ciphers, extensions)


class _MalformedError(Exception):
    """The bytes end too early, or are no ClientHello."""


class _VectorReader:
    """Reads numbers and vectors in the presentation language of RFC 8446 section 3."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def at_end(self) -> bool:
        return self._at == len(self._data)

    def take(self, size: int) -> bytes:
        """Read bytes.

        :raise _MalformedError: if there are fewer.
        """
        end = self._at + size
        if end > len(self._data):
            raise _MalformedError
        data = self._data[self._at : end]
        self._at = end
        return data

    def number(self, size: int) -> int:
        """Read an unsigned number.

        :raise _MalformedError: if there are too few bytes.
        """
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int) -> bytes:
        """Read a vector whose length is a number of ``size`` bytes; empty at the end of the data.

        :raise _MalformedError: if there are too few bytes.
        """
        return b"" if self.at_end else self.take(self.number(size))


def _message(data: bytes) -> bytes:
    """Join the fragments of the first handshake message, without its header."""
    message = bytearray()
    reader = _VectorReader(data)
    while len(message) < _MESSAGE_HEADER or len(message) < _MESSAGE_HEADER + _length(message):
        kind = reader.number(1)
        reader.number(2)  # legacy_record_version
        fragment = reader.take(reader.number(2))
        if kind != _HANDSHAKE_RECORD or not fragment:
            raise _MalformedError
        message += fragment
    if message[0] != _CLIENT_HELLO:
        raise _MalformedError
    return bytes(message[_MESSAGE_HEADER : _MESSAGE_HEADER + _length(message)])


def _length(message: bytearray) -> int:
    return int.from_bytes(message[1:_MESSAGE_HEADER], "big")


def _extensions(reader: _VectorReader) -> Iterator[tuple[int, bytes]]:
    while not reader.at_end:
        number = reader.number(2)
        yield number, reader.take(reader.number(2))


def _vector(data: bytes | None, size: int) -> bytes:
    """Return the vector that an extension consists of; empty if it is absent or malformed."""
    try:
        return _VectorReader(data or b"").vector(size)
    except _MalformedError:
        return b""


def _numbers(data: bytes) -> tuple[int, ...]:
    """Split into numbers of two bytes."""
    return tuple(data[at] << 8 | data[at + 1] for at in range(0, len(data) - 1, 2))


def _all(data: bytes, read: Callable[[_VectorReader], _Item]) -> tuple[_Item, ...]:
    """Read items until the end, or until one is malformed."""
    reader = _VectorReader(data)
    found: list[_Item] = []
    try:
        while not reader.at_end:
            found.append(read(reader))
    except _MalformedError:
        pass
    return tuple(found)
