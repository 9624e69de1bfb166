"""Telnet's commands taken out of a stream, and refused politely: RFC 854.

For protocols made of lines that some people reach with a telnet client. Nothing is negotiated: each
request is answered with a refusal, which every client must accept. The answer matters: after
Ctrl-C a client throws away its input until its DO TIMING-MARK (RFC 860) is answered.
"""

from __future__ import annotations

import re
from enum import Enum, auto

_EOF = 236
_SE = 240
_EC = 247
_EL = 248
_SB = 250
_WILL = 251
_WONT = 252
_DO = 253
_DONT = 254
_IAC = 255

#: Commands that stand for a key: end of file (RFC 1184), erase character, erase line.
_KEYS = {_EOF: b"\x04", _EC: b"\b", _EL: b"\x15"}

#: The longest subnegotiation that is skipped, in bytes. Those in use (NAWS, terminal type, the
#: environment) have some 10 to 500. What claims to be longer is taken to be over, so that no stray
#: bytes can make the rest of a connection vanish.
SUBNEGOTIATION_BYTES = 1024


_RETURN = re.compile(rb"\r[\n\0]?")
_BEHIND_CR = b"\n\0"


class _State(Enum):
    DATA = auto()
    CR = auto()  # the last byte of data was a carriage return, which came out as CR LF
    COMMAND = auto()  # behind IAC
    OPTION = auto()  # behind IAC and WILL, WONT, DO or DONT
    SUBNEGOTIATION = auto()  # behind IAC SB
    SUBNEGOTIATION_COMMAND = auto()  # behind IAC in a subnegotiation


class TelnetFilter:
    """Takes the commands out of what a telnet client sends.

    However the stream is cut, data and answers come out the same. It holds a few numbers between
    calls and no bytes.

    - IAC IAC is one byte of data with the value 255.
    - WILL is answered with DONT, DO with WONT; WONT and DONT ask for nothing. Each request is
      answered by itself, at most 3 bytes for 3.
    - IAC SB ... IAC SE is skipped, up to :data:`SUBNEGOTIATION_BYTES`.
    - CR NUL, a client's Return key (RFC 1123 section 3.3.1), comes out as CR LF. So does CR alone,
      the Return key of a raw terminal.
    - EC, EL and EOF come out as Backspace, Ctrl-U and Ctrl-D.
    - All other commands are skipped.
    """

    __slots__ = ("_skipped", "_state", "_verb")

    def __init__(self) -> None:
        self._state = _State.DATA
        self._verb = 0
        self._skipped = 0

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Take the next bytes of the stream.

        :return: the data among them, and the answers to send back.
        """
        plain = self._state is _State.DATA and b"\xff" not in data
        # most streams have no CR, or all of their CRs in a CR LF
        if plain and (b"\r" not in data or data.count(b"\r") == data.count(b"\r\n")):
            return data, b""
        kept: list[bytes] = []
        answers = bytearray()
        start = 0
        while start < len(data):
            if self._state is _State.DATA:
                start = self._data(data, start, kept)
            else:
                start += self._byte(data[start], kept, answers)
        return b"".join(kept), bytes(answers)

    def _data(self, data: bytes, start: int, kept: list[bytes]) -> int:
        """Take data up to the next command; tell how far that is."""
        end = data.find(_IAC, start)
        # a command may stand between CR and what follows it, which then are two line ends
        piece = data[start : end if end >= 0 else None]
        kept.append(_RETURN.sub(b"\r\n", piece))
        if end >= 0:
            self._state = _State.COMMAND
            return end + 1
        if piece.endswith(b"\r"):
            self._state = _State.CR
        return len(data)

    def _byte(self, byte: int, kept: list[bytes], answers: bytearray) -> int:
        """Take one byte behind CR or in a command; tell how many were taken: 0 or 1."""
        state = self._state
        if state is _State.CR:
            self._state = _State.DATA
            return 1 if byte in _BEHIND_CR else 0
        if state is _State.COMMAND:
            self._command(byte, kept)
        elif state is _State.OPTION:
            if self._verb == _DO:
                answers += bytes((_IAC, _WONT, byte))
            elif self._verb == _WILL:
                answers += bytes((_IAC, _DONT, byte))
            self._state = _State.DATA
        else:
            self._subnegotiation(byte)
        return 1

    def _command(self, byte: int, kept: list[bytes]) -> None:
        if _WILL <= byte <= _DONT:
            self._verb = byte
            self._state = _State.OPTION
        elif byte == _SB:
            self._skipped = 0
            self._state = _State.SUBNEGOTIATION
        else:
            if byte == _IAC:
                kept.append(b"\xff")
            elif byte in _KEYS:
                kept.append(_KEYS[byte])
            self._state = _State.DATA

    def _subnegotiation(self, byte: int) -> None:
        self._skipped += 1
        ended = self._state is _State.SUBNEGOTIATION_COMMAND and byte == _SE
        if ended or self._skipped >= SUBNEGOTIATION_BYTES:
            self._state = _State.DATA
        elif self._state is _State.SUBNEGOTIATION and byte == _IAC:
            self._state = _State.SUBNEGOTIATION_COMMAND
        else:
            self._state = _State.SUBNEGOTIATION
