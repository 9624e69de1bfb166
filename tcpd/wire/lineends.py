"""Any line end made into one that a :class:`~tcpd.lines.linebuffer.LineBuffer` knows.

Source: RFC 2812 section 2.3.1, "two characters, CR and LF, as message separators".
"""

from __future__ import annotations


class LineEnds:
    """Makes CR LF of each CR that no LF follows. LF alone, and CR LF, stay as they are.

    However the stream is cut, the lines are the same. A CR at the end of a piece ends its line at
    once, for nobody knows whether an LF follows; one that does is then left out.
    """

    __slots__ = ("_after_cr",)

    def __init__(self) -> None:
        self._after_cr = False

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes of the stream."""
        if self._after_cr and data:
            self._after_cr = False
            if data[:1] == b"\n":
                data = data[1:]
        # most streams have no CR, or all of their CRs in a CR LF
        if b"\r" in data and data.count(b"\r") != data.count(b"\r\n"):
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\r").replace(b"\r", b"\r\n")
        return data
