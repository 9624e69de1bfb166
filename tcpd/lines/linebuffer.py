"""Splits a stream into lines, in bounded memory."""

from __future__ import annotations

from enum import Enum


class LineFault(Enum):
    """Reported by :meth:`LineBuffer.feed` in place of an invalid line."""

    TOO_LONG = "too long"
    BARE_LF = "ended by LF without CR"


class LineBuffer:
    """Collects a stream into lines that end in LF or CRLF.

    Lines and faults do not depend on segmentation. It buffers at most
    ``limit + 1`` bytes of an unfinished line. A longer line is reported once as
    :attr:`LineFault.TOO_LONG`, as early as possible, and skipped.

    :param limit: the longest line in bytes, its line end not counted; at least 1.
    :param strict_crlf: report a line that ends in LF alone as :attr:`LineFault.BARE_LF`.

    :ivar all_crlf: whether the last lines all ended in CRLF; ``None`` before the first.
    """

    __slots__ = ("_limit", "_partial", "_skipping", "_strict_crlf", "all_crlf")

    def __init__(self, limit: int, *, strict_crlf: bool = False) -> None:
        self._limit = limit
        self._strict_crlf = strict_crlf
        self._partial = bytearray()
        self._skipping = False
        self.all_crlf: bool | None = None

    def feed(self, data: bytes) -> list[bytes | LineFault]:
        """Feed the next bytes of the stream.

        :return: the lines completed by them, without their ends, and faults in their place.
        """
        if b"\n" not in data:
            return [LineFault.TOO_LONG] if self._keep(data) else []
        # if all lines end in CRLF, the usual case, one split removes the line ends
        pieces = data.split(b"\r\n")
        self.all_crlf = all_crlf = data.count(b"\n") == len(pieces) - 1
        if not all_crlf:
            pieces = data.split(b"\n")
        tail = pieces.pop()
        size = len(data)
        if self._skipping:
            self._skipping = False
            del pieces[0]
        elif self._partial:
            size += len(self._partial)
            pieces[0] = bytes(self._partial) + pieces[0]
            self._partial.clear()
        limit = self._limit
        found: list[bytes | LineFault]
        if all_crlf and size <= limit:
            found = pieces  # type: ignore[assignment]
        else:
            found = []
            strict = self._strict_crlf
            for line in pieces:
                if all_crlf:
                    pass
                elif line.endswith(b"\r"):
                    line = line[:-1]
                elif strict and len(line) <= limit:
                    found.append(LineFault.BARE_LF)
                    continue
                found.append(line if len(line) <= limit else LineFault.TOO_LONG)
        if tail and self._keep(tail):
            found.append(LineFault.TOO_LONG)
        return found

    @property
    def line_ending(self) -> str | None:
        """Line end of the last lines, ``CRLF`` or ``LF``; ``None`` before the first."""
        if self.all_crlf is None:
            return None
        return "CRLF" if self.all_crlf else "LF"

    @property
    def empty(self) -> bool:
        """Whether the next byte begins a line."""
        return not (self._partial or self._skipping)

    def clear(self) -> None:
        """Discard the unfinished line."""
        self._partial.clear()
        self._skipping = False

    def _keep(self, data: bytes) -> bool:
        """Add to the unfinished line; return whether it has just become too long."""
        if self._skipping or not data:
            return False
        size = len(self._partial) + len(data)
        # one byte more may be the CR of a line end
        if size < self._limit + 1 or (size == self._limit + 1 and data.endswith(b"\r")):
            self._partial += data
            return False
        self._partial.clear()
        self._skipping = True
        return True
