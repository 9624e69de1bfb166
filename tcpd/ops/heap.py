"""Gives memory back to the system that nobody needs any more.

The C library keeps what was freed, for whoever asks next. Of its heap it gives back the end alone:
one small block that is still needed, behind megabytes that are not, holds them all. After a crowd
of clients, such as 4,000 TLS handshakes that came to nothing, that is more than the daemon needs
for itself. ``malloc_trim(3)`` gives back every page in between; the process goes on with the same
heap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.interfaces import IReactorTime

#: Seconds between two looks, each of which takes less than a millisecond.
INTERVAL = 10.0

#: Bytes that are worth it. To give back a megabyte takes some 0.3 ms, in which nobody is served.
WORTH = 16 << 20


@dataclass(frozen=True, slots=True)
class Allocator:
    """The C library's.

    :ivar unused: bytes that it keeps, whether the system has their pages back or not.
    :ivar trim: gives back pages of those.
    """

    unused: Callable[[], int]
    trim: Callable[[], object]


class Heap:
    """Looks now and then whether there is much to give back.

    :param clock: for times.
    :param resident: bytes of memory that the process has; ``None`` where they cannot be read.
    :param find: finds the allocator; ``None`` where there is none that can do this.
    """

    def __init__(
        self,
        clock: IReactorTime,
        resident: Callable[[], int | None],
        find: Callable[[], Allocator | None] | None = None,
    ) -> None:
        self._clock = clock
        self._resident = resident
        self._find = find or glibc
        self._allocator: Allocator | None = None
        self._next = clock.seconds() + INTERVAL
        self._begun = False
        # what is unused and was given back already; and what the process had then
        self._settled = 0
        self._after = 0

    def look(self) -> None:
        """Look, if it is time to. Called often, by whoever has a timer."""
        now = self._clock.seconds()
        if now < self._next:
            return
        self._next = now + INTERVAL
        if not self._begun:  # it takes a while to find the library, and start-up is over by now
            self._begun = True
            self._allocator = self._find()
        allocator, resident = self._allocator, self._resident()
        if allocator is None or resident is None:
            return
        unused = allocator.unused()
        self._settled = min(self._settled, unused)  # the rest is in use again
        grown = resident - self._after
        if unused - self._settled >= WORTH or (unused >= WORTH and grown >= WORTH):
            self._trim(allocator)

    def _trim(self, allocator: Allocator) -> None:
        allocator.trim()
        self._settled = allocator.unused()
        self._after = self._resident() or 0


def glibc() -> Allocator | None:
    """The GNU C library's, by mallinfo(3) and malloc_trim(3); ``None`` for any other, and for one
    before 2.33."""
    import ctypes  # takes milliseconds, and start-up does not need it

    class Info(ctypes.Structure):
        _fields_ = [
            (name, ctypes.c_size_t)
            for name in (
                *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
                *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
            )
        ]

    try:
        library: Any = ctypes.CDLL(None)
        info, trim = library.mallinfo2, library.malloc_trim
    except (OSError, AttributeError):
        return None
    info.restype = Info
    trim.argtypes = [ctypes.c_size_t]
    return Allocator(lambda: int(info().fordblks), lambda: trim(0))
