"""Converts between lines and WebSocket messages, after the opening handshake. Sans-IO.

wsproto parses the frames from the client. The frames to the client are made here
(docs/decisions/0008): a header of two to ten bytes and the line (RFC 6455 section 5.2).
"""

from __future__ import annotations

from enum import StrEnum
from itertools import islice
from typing import NamedTuple

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.frame_protocol import CloseReason

from tcpd.net.websocket_settings import Frames

#: Output without a line end that exceeds this, in bytes, is sent as a message.
_MAX_UNFINISHED = 65536

_FIN = 0x80
_CR = 0x0D

#: The frame headers of messages shorter than 126 bytes, by their size.
_SHORT = {
    frames: tuple(bytes((_FIN | frames.value, size)) for size in range(126)) for frames in Frames
}


class FrameFault(StrEnum):
    """Why a WebSocket connection failed; the values are names of counters."""

    PROTOCOL = "protocol"
    NOT_UTF8 = "not-utf8"
    TOO_LONG = "too-long"
    NOT_A_LINE = "not-a-line"
    WRONG_TYPE = "wrong-type"

    @property
    def code(self) -> CloseReason:
        """The status code (RFC 6455 section 7.4.1)."""
        return _FAULTS[self][0]

    @property
    def sentence(self) -> str:
        """The reason in the Close frame."""
        return _FAULTS[self][1]


_FAULTS = {
    FrameFault.PROTOCOL: (CloseReason.PROTOCOL_ERROR, "this is not WebSocket (RFC 6455)"),
    FrameFault.NOT_UTF8: (CloseReason.INVALID_FRAME_PAYLOAD_DATA, "text is UTF-8"),
    FrameFault.TOO_LONG: (CloseReason.MESSAGE_TOO_BIG, "the message is too long"),
    FrameFault.NOT_A_LINE: (CloseReason.POLICY_VIOLATION, "a message is one line, without NUL"),
    FrameFault.WRONG_TYPE: (CloseReason.UNSUPPORTED_DATA, "the subprotocol has the other type"),
}


#: Parsers in their initial state, for clients whose next message arrives. An idle client has none:
#: wsproto's objects take 1.5 KB.
_IDLE: list[Connection] = []
_MOST_IDLE = 16

#: A Ping frame without payload.
_PING = b"\x89\x00"


class Taken(NamedTuple):
    """The result of :meth:`Messages.take`.

    :ivar lines: the messages, each followed by CRLF.
    :ivar replies: frames to send to the client: pongs.
    :ivar closed: whether the client has sent a Close frame; no more input follows.
    :ivar fault: the error of the client, after which input is ignored; or ``None``.
    :ivar more: whether more input may be buffered.
    """

    lines: bytes
    replies: bytes
    closed: bool
    fault: FrameFault | None
    more: bool


class Messages:
    """Both directions of one WebSocket connection.

    :param frames: the type of the subprotocol; ``None`` without one: text is sent, and both types
        are accepted.
    :param longest: the maximum size of a message from the client in bytes, without line end.
    """

    __slots__ = (
        "_close_reply",
        "_connection",
        "_frames",
        "_longest",
        "_over",
        "_partial",
        "_short",
        "_text",
        "_type",
        "_unfinished",
        "_whole",
    )

    def __init__(self, frames: Frames | None, longest: int) -> None:
        #: The parser; ``None`` between messages.
        self._connection: Connection | None = None
        self._whole = False  # the input of the parser ends with a frame that ends a message
        self._frames = frames
        self._longest = longest
        self._partial: bytearray | None = None  # an incomplete message from the client
        self._over = False
        self._close_reply: CloseConnection | None = None
        sent = frames or Frames.TEXT
        self._text = sent is Frames.TEXT
        self._type = _FIN | sent.value
        self._short = _SHORT[sent]
        self._unfinished = b""  # an incomplete line to the client

    # --- from the client ---

    def receive(self, data: bytes) -> None:
        """Buffer input for :meth:`take`."""
        if self._over:
            return
        # a client that has once sent a part of a message keeps its parser
        self._whole = self._connection is None and _is_whole(data)
        self._parser().receive_data(data)

    def _parser(self) -> Connection:
        if self._connection is None:
            self._connection = _IDLE.pop() if _IDLE else Connection(ConnectionType.SERVER)
        return self._connection

    def _release_parser(self) -> None:
        """Return the parser, which is in its initial state again."""
        assert self._connection is not None
        if len(_IDLE) < _MOST_IDLE:
            _IDLE.append(self._connection)
        self._connection = None

    def take(self, most: int) -> Taken:
        """Parse buffered input.

        :param most: the maximum number of frames, or parts of them, to process.
        """
        lines: list[bytes] = []
        replies = b""
        fault = None
        seen = 0
        closed = False
        parser = self._connection
        if self._over or parser is None:
            return Taken(b"", b"", False, None, False)
        for event in islice(parser.events(), most):
            seen += 1
            if isinstance(event, (TextMessage, BytesMessage)):
                fault = self._message(event, lines)
            elif isinstance(event, Ping):
                if parser.state is ConnectionState.OPEN:
                    replies += parser.send(event.response())
            elif isinstance(event, CloseConnection):
                if parser.state in (ConnectionState.OPEN, ConnectionState.LOCAL_CLOSING):
                    # wsproto reports a protocol error as a Close
                    utf8 = event.code == CloseReason.INVALID_FRAME_PAYLOAD_DATA
                    fault = FrameFault.NOT_UTF8 if utf8 else FrameFault.PROTOCOL
                else:
                    closed = True
                    self._close_reply = event.response()
            if fault is not None or closed:
                self._over = True
                self._partial = None
                break
        more = seen == most and not self._over
        at_rest = not (more or self._over or self._partial)
        if self._whole and at_rest and parser.state is ConnectionState.OPEN:
            self._release_parser()
        return Taken(b"".join(lines), replies, closed, fault, more)

    def _message(self, event: TextMessage | BytesMessage, lines: list[bytes]) -> FrameFault | None:
        """Process a message, or a part of one."""
        if isinstance(event, BytesMessage):
            if self._frames is Frames.TEXT:
                return FrameFault.WRONG_TYPE
            data = bytes(event.data)
        else:
            if self._frames is Frames.BINARY:
                return FrameFault.WRONG_TYPE
            data = event.data.encode()
        partial = self._partial or bytearray()
        # the line end may add two bytes
        if len(partial) + len(data) > self._longest + 2:
            return FrameFault.TOO_LONG
        if not event.message_finished:
            partial += data
            self._partial = partial
            return None
        if partial:
            data = bytes(partial) + data
            self._partial = None
        # "clients MUST NOT include trailing \r or \n characters"; some do
        if data.endswith(b"\n"):
            data = data[:-2] if data.endswith(b"\r\n") else data[:-1]
        if len(data) > self._longest:
            return FrameFault.TOO_LONG
        # "each message MUST consist of a single IRC line"
        if b"\n" in data or b"\r" in data or b"\0" in data:
            return FrameFault.NOT_A_LINE
        lines.append(data)
        lines.append(b"\r\n")
        return None

    # --- to the client ---

    def frame(self, data: bytes) -> bytes:
        """Make a message of each line.

        :param data: any number of lines that end in CRLF or LF. An incomplete line is kept for the
            next call. In text messages, invalid UTF-8 is replaced.
        """
        if self._unfinished:
            data = self._unfinished + data
            self._unfinished = b""
        size = len(data) - 2
        if 0 <= size == data.find(b"\n") - 1 and data[size] == _CR and data.isascii():
            # fast path: one line
            return (self._short[size] if size < 126 else self._header(size)) + data[:-2]
        lines = data.split(b"\n")
        tail = lines.pop()
        if tail:
            if len(tail) > _MAX_UNFINISHED:
                lines.append(tail)
            else:
                self._unfinished = tail
        if self._text and not data.isascii():
            lines = [_utf8(line) for line in lines]
        short = self._short
        out = []
        for line in lines:
            if line.endswith(b"\r"):
                line = line[:-1]
            size = len(line)
            out.append(short[size] if size < 126 else self._header(size))
            out.append(line)
        return b"".join(out)

    def flush_line(self) -> bytes:
        """Make a message of the incomplete line; empty without one. Called before a close."""
        return self.frame(b"\n") if self._unfinished else b""

    def _header(self, size: int) -> bytes:
        if size < 1 << 16:
            return b"%c\x7e" % self._type + size.to_bytes(2, "big")
        return b"%c\x7f" % self._type + size.to_bytes(8, "big")

    def ping(self) -> bytes:
        """Make a Ping frame; empty while closing."""
        if self._connection is not None and self._connection.state is not ConnectionState.OPEN:
            return b""
        return _PING

    def close(self, code: int, reason: str) -> bytes:
        """Make a Close frame, or the reply to the client's.

        :return: empty if it was sent before.
        """
        parser = self._parser()
        self._whole = False
        if parser.state is ConnectionState.OPEN or parser.state is ConnectionState.REMOTE_CLOSING:
            return bytes(parser.send(self._close_reply or CloseConnection(code, reason)))
        return b""


def _is_whole(data: bytes) -> bool:
    """Whether data is a sequence of complete frames, each of them a whole message or a control
    frame (RFC 6455 section 5.2)."""
    at, end = 0, len(data)
    while at + 2 <= end:
        if not data[at] & _FIN:
            return False
        length = data[at + 1] & 0x7F
        head = 2
        if length == 126:
            length, head = int.from_bytes(data[at + 2 : at + 4], "big"), 4
        elif length == 127:
            length, head = int.from_bytes(data[at + 2 : at + 10], "big"), 10
        at += head + (4 if data[at + 1] & 0x80 else 0) + length
    return at == end


def _utf8(line: bytes) -> bytes:
    try:
        line.decode()
    except UnicodeDecodeError:
        return line.decode(errors="replace").encode()
    return line
