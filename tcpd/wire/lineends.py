"""Converts line ends for a :class:`~tcpd.lines.linebuffer.LineBuffer`.

Source: RFC 2812 section 2.3.1, "two characters, CR and LF, as message separators".
"""

from __future__ import annotations


class LineEnds:
    """Replaces CR without LF by CR LF. LF alone and CR LF are unchanged.

    The lines do not depend on how the stream is segmented. A CR at the end of a chunk ends its line
    immediately; an LF at the start of the next chunk is dropped.
    """

    __slots__ = ("_after_cr",)

    def __init__(self) -> None:
        self._after_cr = False

    def feed(self, data: bytes) -> bytes:
        """Feed the next bytes of the stream."""
        if self._after_cr and data:
            self._after_cr = False
            if data[:1] == b"\n":
                data = data[1:]
        # most streams have no CR, or all of their CRs in a CR LF
        if b"\r" in data and data.count(b"\r") != data.count(b"\r\n"):
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\r").replace(b"\r", b"\r\n")
        return data
