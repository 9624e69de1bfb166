"""Lock that runs a test marked ``serial`` alone, across all processes that test this checkout.

Each test holds a shared lock, a serial test the exclusive lock. Workers of pytest-xdist and
parallel runs of other Pythons therefore wait while a test measures memory, the network or the
clock. The locks are ``flock(2)`` on two files of the checkout; the kernel releases the locks of a
process that dies.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Locked by each test while it runs.
_RUNNING = Path(__file__)

#: Locked while waiting for :data:`_RUNNING`, so that new tests do not overtake a serial test.
_QUEUE = Path(__file__).with_name("conftest.py")


#: Whether the running test is serial.
is_alone = False


@contextmanager
def running(alone: bool) -> Iterator[None]:
    """Hold the lock of a running test.

    :param alone: take the exclusive lock.
    """
    with _RUNNING.open() as held:
        with _QUEUE.open() as queue:
            fcntl.flock(queue, fcntl.LOCK_EX)
            fcntl.flock(held, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        global is_alone
        is_alone = alone
        yield
