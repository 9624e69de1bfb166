"""Return of freed memory to the system."""

from __future__ import annotations

import subprocess
import sys

import pytest
from twisted.internet.task import Clock

from tcpd.ops.heap import INTERVAL, WORTH, Allocator, Heap, glibc

MEBIBYTE = 1 << 20


class HeapHarness:
    """A process with memory figures set by a test."""

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
        """Check with these figures in MiB; return the number of trims."""
        self.unused, self.resident = unused * MEBIBYTE, resident * MEBIBYTE
        before = self.trims
        for _ in range(10):
            self.clock.advance(INTERVAL / 10)
            self.heap.look()
        return self.trims - before


def test_freed_memory_is_returned_once() -> None:
    """malloc_trim(3) returns pages; the allocator still counts them as free."""
    harness = HeapHarness()
    assert harness.look(unused=2, resident=200) == 0, "the memory is in use"
    assert harness.look(unused=150, resident=200) == 1
    assert harness.look(unused=150, resident=200) == 0
    assert harness.look(unused=150, resident=60) == 0


def test_freed_memory_is_returned_again() -> None:
    harness = HeapHarness()
    harness.look(unused=150, resident=200)
    assert harness.look(unused=5, resident=200) == 0
    assert harness.look(unused=150, resident=200) == 1


def test_memory_used_and_freed_between_two_checks() -> None:
    """The free bytes are the same, but their pages are resident again."""
    harness = HeapHarness()
    harness.after_trim = 60 * MEBIBYTE
    assert harness.look(unused=150, resident=200) == 1
    assert harness.look(unused=150, resident=200) == 1
    assert harness.look(unused=150, resident=60) == 0


def test_little_memory_is_not_returned() -> None:
    harness = HeapHarness()
    for _ in range(5):
        assert harness.look(unused=(WORTH - 1) // MEBIBYTE, resident=500) == 0


def test_memory_in_use_is_not_returned() -> None:
    harness = HeapHarness()
    for resident in range(100, 1000, 100):
        assert harness.look(unused=5, resident=resident) == 0


@pytest.mark.parametrize("why", ["no allocator", "no /proc"])
def test_heap_without_figures_does_nothing(why: str) -> None:
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


#: Frees 40 MB in blocks of 10 KB below a small block in use.
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
library.malloc(10)  # keeps the freed blocks
full = process.resident()
for block in blocks:
    library.free(block)
kept, unused = process.resident(), allocator.unused()
allocator.trim()
print(full, kept, unused, process.resident())
"""


@pytest.mark.skipif(glibc() is None, reason="another C library, or one before glibc 2.33")
def test_glibc_returns_memory() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=60
    )
    full, kept, unused, after = map(int, done.stdout.split())
    assert kept > full - 4 * MEBIBYTE, "this library returns it by itself"
    assert unused > 30 * MEBIBYTE
    assert after < full - 30 * MEBIBYTE
