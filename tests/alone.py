"""Lets a test marked ``serial`` run alone, whatever processes run tests of this checkout.

Every test holds a shared lock while it runs, a serial one the exclusive lock. So workers of
pytest-xdist, and runs of other Pythons side by side, wait for a test that measures memory, the
wire or the clock. The locks are ``flock`` on two files of the checkout: nothing to clean up, and
the kernel releases the lock of a process that dies.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Held by each test while it runs.
_RUNNING = Path(__file__)

#: Held while waiting for the other, so that new tests do not overtake a serial one.
_QUEUE = Path(__file__).with_name("conftest.py")


#: Whether the test that runs is a serial one.
is_alone = False


@contextmanager
def running(alone: bool) -> Iterator[None]:
    """Hold the lock of a running test.

    :param alone: no other test of this checkout may run meanwhile.
    """
    with _RUNNING.open() as held:
        with _QUEUE.open() as queue:
            fcntl.flock(queue, fcntl.LOCK_EX)
            fcntl.flock(held, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        global is_alone
        is_alone = alone
        yield
