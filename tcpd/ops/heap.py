"""Returns freed memory to the system.

The C library keeps freed memory for reuse, and returns only the top of its heap: one small block in
use keeps all freed megabytes below it. After many clients, such as 4,000 aborted TLS handshakes,
that is more than the daemon itself uses. ``malloc_trim(3)`` returns the free pages in between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.interfaces import IReactorTime

#: Seconds between two checks, each of which takes less than a millisecond.
INTERVAL = 10.0

#: The least bytes to return. Returning a megabyte blocks the daemon for about 0.3 ms.
WORTH = 16 << 20


@dataclass(frozen=True, slots=True)
class Allocator:
    """The C library's allocator.

    :ivar unused: returns the number of free bytes in its heap, whether their pages were returned
        or not.
    :ivar trim: returns free pages to the system.
    """

    unused: Callable[[], int]
    trim: Callable[[], object]


class Heap:
    """Checks regularly whether there is memory to return.

    :param clock: provides the time.
    :param resident: returns the process's resident memory in bytes; ``None`` if unknown.
    :param find: returns the allocator; ``None`` if it does not support this.
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
        # free bytes whose pages were returned, and the resident memory at that time
        self._returned = 0
        self._after = 0

    def look(self) -> None:
        """Check, if the interval has passed. Called by a timer."""
        now = self._clock.seconds()
        if now < self._next:
            return
        self._next = now + INTERVAL
        if not self._begun:  # loading the library takes time, so not during the start
            self._begun = True
            self._allocator = self._find()
        allocator, resident = self._allocator, self._resident()
        if allocator is None or resident is None:
            return
        unused = allocator.unused()
        self._returned = min(self._returned, unused)  # the rest is in use again
        grown = resident - self._after
        if unused - self._returned >= WORTH or (unused >= WORTH and grown >= WORTH):
            self._trim(allocator)

    def _trim(self, allocator: Allocator) -> None:
        allocator.trim()
        self._returned = allocator.unused()
        self._after = self._resident() or 0


def glibc() -> Allocator | None:
    """Return the allocator of glibc 2.33 or later (mallinfo(3), malloc_trim(3)), or ``None``."""
    import ctypes  # takes milliseconds, which the start does not need

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
