"""Spare file descriptors: an operator can connect when the process has used up all others."""

from __future__ import annotations

import contextlib
import os


class Spares:
    """Descriptors of ``/dev/null`` in reserve; each can be closed to accept one connection.

    When a connection has ended, the reserve takes its descriptor before any other client can.

    :param count: the number of descriptors; may be 0.

    :ivar wanted: whether the count is not 0.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._kept: list[int] = []
        self.wanted = count > 0

    def refill(self) -> None:
        """Open the missing descriptors, until the system has none left."""
        with contextlib.suppress(OSError):
            while len(self._kept) < self._count:
                self._kept.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))

    def release(self) -> bool:
        """Close one, so that a connection can be accepted.

        :return: whether there was one.
        """
        if not self._kept:
            return False
        os.close(self._kept.pop())
        return True

    def close(self) -> None:
        """Close all; :meth:`refill` opens none from then on."""
        self._count = 0
        while self.release():
            pass
