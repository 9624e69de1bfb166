"""A reply without a fixed end, such as events as they happen.

On the wire a :class:`Stream` is one reply of many lines. The last one is sent when the client sends
anything or closes its sending side, or when the stream ends itself; the client's input is processed
after it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable


class Stream(ABC):
    """A source of lines. While paused it must bound what it buffers.

    :ivar end: for a stream that ends itself: call it once, when not paused and not within
        :meth:`begin`; :meth:`stop` follows. Set before :meth:`begin`.
    """

    end: Callable[[], None]

    @abstractmethod
    def begin(self, say: Callable[[str], None]) -> None:
        """Start. Called once.

        :param say: sends a line; must not be called while paused or after the end.
        """

    @abstractmethod
    def pause(self) -> None:
        """Pause: the client does not read. May be called within ``say``."""

    @abstractmethod
    def resume(self) -> None:
        """Resume. May call ``say`` immediately."""

    @abstractmethod
    def stop(self) -> str:
        """End. Called once, also when the connection is lost.

        :return: the last line.
        """
