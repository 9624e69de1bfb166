"""What is given back to the system, and when."""

from __future__ import annotations

import subprocess
import sys

import pytest
from twisted.internet.task import Clock

from tcpd.ops.heap import INTERVAL, WORTH, Allocator, Heap, glibc

MEBIBYTE = 1 << 20


class House:
    """A process whose memory a test sets."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.unused = 0
        self.resident: int | None = 50 * MEBIBYTE
        self.trims = 0
        self.after_trim: int | None = None
        self.heap = Heap(
            self.clock, lambda: self.resident, lambda: Allocator(lambda: self.unused, self._trim)
        )

    def _trim(self) -> None:
        self.trims += 1
        if self.after_trim is not None:
            self.resident = self.after_trim

    def look(self, unused: int, resident: int) -> int:
        """How often it was trimmed by the next look, with so many MiB."""
        self.unused, self.resident = unused * MEBIBYTE, resident * MEBIBYTE
        before = self.trims
        for _ in range(10):
            self.clock.advance(INTERVAL / 10)
            self.heap.look()
        return self.trims - before


def test_what_a_crowd_leaves_behind_is_given_back_once() -> None:
    """ "Memory that is not given back": malloc_trim(3) leaves it unused, and has the pages gone."""
    house = House()
    assert house.look(unused=2, resident=200) == 0, "the crowd is there"
    assert house.look(unused=150, resident=200) == 1
    assert house.look(unused=150, resident=200) == 0
    assert house.look(unused=150, resident=60) == 0


def test_what_the_next_crowd_leaves_behind_too() -> None:
    house = House()
    house.look(unused=150, resident=200)
    assert house.look(unused=5, resident=200) == 0
    assert house.look(unused=150, resident=200) == 1


def test_a_crowd_that_comes_and_goes_between_two_looks() -> None:
    """As much is unused as before, but its pages are the process's again."""
    house = House()
    house.after_trim = 60 * MEBIBYTE
    assert house.look(unused=150, resident=200) == 1
    assert house.look(unused=150, resident=200) == 1
    assert house.look(unused=150, resident=60) == 0


def test_little_is_not_worth_it() -> None:
    house = House()
    for _ in range(5):
        assert house.look(unused=(WORTH - 1) // MEBIBYTE, resident=500) == 0


def test_what_is_in_use_is_not_looked_for() -> None:
    house = House()
    for resident in range(100, 1000, 100):
        assert house.look(unused=5, resident=resident) == 0


@pytest.mark.parametrize("why", ["no allocator", "no /proc"])
def test_where_nothing_is_known_nothing_is_done(why: str) -> None:
    clock = Clock()
    trims: list[bool] = []
    found: list[bool] = []

    def find() -> Allocator | None:
        found.append(True)
        if why == "no allocator":
            return None
        return Allocator(lambda: 1 << 40, lambda: trims.append(True))

    heap = Heap(clock, lambda: None, find)
    for _ in range(3):
        clock.advance(INTERVAL)
        heap.look()
    assert len(found) == 1
    assert not trims


#: Frees 40 MB in blocks of 10 KB, each of them behind a small one that stays.
SCRIPT = """
import ctypes
from tcpd.ops.heap import glibc
from tcpd.ops.process import Process
library, allocator, process = ctypes.CDLL(None), glibc(), Process()
library.malloc.restype = ctypes.c_void_p
library.free.argtypes = [ctypes.c_void_p]
blocks = []
for _ in range(4000):
    block = library.malloc(10_000)
    ctypes.memset(block, 1, 10_000)
    blocks.append(block)
library.malloc(10)  # it holds them all
full = process.resident()
for block in blocks:
    library.free(block)
kept, unused = process.resident(), allocator.unused()
allocator.trim()
print(full, kept, unused, process.resident())
"""


@pytest.mark.skipif(glibc() is None, reason="another C library, or one before glibc 2.33")
def test_the_c_librarys_own() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=60
    )
    full, kept, unused, after = map(int, done.stdout.split())
    assert kept > full - 4 * MEBIBYTE, "this library gives it back by itself"
    assert unused > 30 * MEBIBYTE
    assert after < full - 30 * MEBIBYTE
