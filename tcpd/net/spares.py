"""Descriptors that are kept for an operator who comes when there are none left."""

from __future__ import annotations

import contextlib
import os


class Spares:
    """Some descriptors in reserve: each can be given up for one connection.

    They are opened again as soon as a connection has ended, before anybody else can have its
    descriptor.

    :param count: how many.

    :ivar wanted: whether there are to be any.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._kept: list[int] = []
        self.wanted = count > 0

    def refill(self) -> None:
        """Open what is missing, as far as the system has it."""
        with contextlib.suppress(OSError):
            while len(self._kept) < self._count:
                self._kept.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))

    def give_up(self) -> bool:
        """Close one, so that a connection can be accepted.

        :return: whether there was one.
        """
        if not self._kept:
            return False
        os.close(self._kept.pop())
        return True

    def close(self) -> None:
        """Close all, for good."""
        self._count = 0
        while self.give_up():
            pass
