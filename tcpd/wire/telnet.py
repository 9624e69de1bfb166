"""Removes telnet commands from a stream and refuses all options (RFC 854).

For line protocols that people reach with a telnet client. A client must accept the refusal of an
option. The replies are required: after Ctrl-C a client discards its input until its DO TIMING-MARK
(RFC 860) is answered.
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

#: Commands that replace a key: end of file (RFC 1184), erase character, erase line.
_KEYS = {_EOF: b"\x04", _EC: b"\b", _EL: b"\x15"}

#: The longest subnegotiation that is skipped, in bytes. Those in use (NAWS, terminal type, the
#: environment) have 10 to 500. A longer one is treated as complete, so that stray bytes cannot hide
#: the rest of the stream.
SUBNEGOTIATION_BYTES = 1024


_RETURN = re.compile(rb"\r[\n\0]?")
_AFTER_CR = b"\n\0"


class _State(Enum):
    DATA = auto()
    CR = auto()  # after CR, which was output as CR LF
    COMMAND = auto()  # after IAC
    OPTION = auto()  # after IAC and WILL, WONT, DO or DONT
    SUBNEGOTIATION = auto()  # after IAC SB
    SUBNEGOTIATION_COMMAND = auto()  # after IAC in a subnegotiation


class TelnetFilter:
    """Separates data from commands in the stream of a telnet client.

    Data and replies do not depend on segmentation, and no bytes are buffered between calls.

    - IAC IAC is one byte of data with the value 255.
    - WILL is answered with DONT, DO with WONT; WONT and DONT need no reply. A reply of 3 bytes
      answers a request of 3 bytes.
    - IAC SB ... IAC SE is skipped, up to :data:`SUBNEGOTIATION_BYTES`.
    - CR NUL, a client's Return key (RFC 1123 section 3.3.1), becomes CR LF. So does CR alone, the
      Return key of a raw terminal.
    - EC, EL and EOF become Backspace, Ctrl-U and Ctrl-D.
    - All other commands are skipped.
    """

    __slots__ = ("_skipped", "_state", "_verb")

    def __init__(self) -> None:
        self._state = _State.DATA
        self._verb = 0
        self._skipped = 0

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Feed the next bytes of the stream.

        :return: the data in them, and the replies to send.
        """
        plain = self._state is _State.DATA and b"\xff" not in data
        # most streams have no CR, or all of their CRs in a CR LF
        if plain and (b"\r" not in data or data.count(b"\r") == data.count(b"\r\n")):
            return data, b""
        kept: list[bytes] = []
        replies = bytearray()
        start = 0
        while start < len(data):
            if self._state is _State.DATA:
                start = self._data(data, start, kept)
            else:
                start += self._byte(data[start], kept, replies)
        return b"".join(kept), bytes(replies)

    def _data(self, data: bytes, start: int, kept: list[bytes]) -> int:
        """Take data up to the next command; return where it ends."""
        end = data.find(_IAC, start)
        # a command between CR and LF makes them two line ends
        piece = data[start : end if end >= 0 else None]
        kept.append(_RETURN.sub(b"\r\n", piece))
        if end >= 0:
            self._state = _State.COMMAND
            return end + 1
        if piece.endswith(b"\r"):
            self._state = _State.CR
        return len(data)

    def _byte(self, byte: int, kept: list[bytes], replies: bytearray) -> int:
        """Process a byte after CR or in a command; return how many were consumed: 0 or 1."""
        state = self._state
        if state is _State.CR:
            self._state = _State.DATA
            return 1 if byte in _AFTER_CR else 0
        if state is _State.COMMAND:
            self._command(byte, kept)
        elif state is _State.OPTION:
            if self._verb == _DO:
                replies += bytes((_IAC, _WONT, byte))
            elif self._verb == _WILL:
                replies += bytes((_IAC, _DONT, byte))
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
