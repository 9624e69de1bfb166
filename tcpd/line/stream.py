"""An answer that goes on: lines for as long as the client likes, who is never waited for.

A command returns a :class:`Stream` where it has no end of its own, such as events as they happen.
On the wire it is one reply of many lines, whose last line comes when the client sends anything, or
closes its sending side: what it sent is then answered as always.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable


class Stream(ABC):
    """Gives lines as they come. What does not fit is its own affair: it bounds what it keeps."""

    @abstractmethod
    def begin(self, say: Callable[[str], None]) -> None:
        """Start. Called once.

        :param say: takes a line; called only while it is not paused, and not after the end.
        """

    @abstractmethod
    def pause(self) -> None:
        """Say nothing more for now: the client does not read. May be called from within ``say``."""

    @abstractmethod
    def resume(self) -> None:
        """Go on. May call ``say`` at once."""

    @abstractmethod
    def stop(self) -> str:
        """End. Called once, also when the client is gone.

        :return: the last line.
        """
