"""Resource usage of the process, from proc(5).

prometheus_client's collector lists all open descriptors to count them, which blocks the daemon for
8 ms with 10,000 connections. The kernel can report their number.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

# Indices of fields of proc_pid_stat(5), from the third on, and a bound of its size.
STARTTIME, VSIZE, RSS = 19, 20, 21
_LONGEST_STAT = 4096

#: Bytes of a memory page.
PAGE = os.sysconf("SC_PAGE_SIZE")


class Process:
    """This process, by proc(5).

    :param proc: the mount point of the process file system.
    """

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._kept: int | None = None
        self._boot: float | None = None

    def keep(self) -> None:
        """Keep the file open, so that it can be read when no descriptor is left.

        Called once, after the last fork, as the file belongs to the process that opens it.
        """
        with contextlib.suppress(OSError):
            self._kept = os.open(self._proc / "self" / "stat", os.O_RDONLY | os.O_CLOEXEC)
        with contextlib.suppress(OSError):
            self.boot()

    def close(self) -> None:
        """Close the file. May be called repeatedly."""
        if self._kept is not None:
            os.close(self._kept)
            self._kept = None

    def stat(self) -> list[bytes]:
        """The fields of proc_pid_stat(5) from the third on.

        :raise OSError: if they cannot be read.
        """
        if self._kept is None:
            text = (self._proc / "self" / "stat").read_bytes()
        else:
            text = os.pread(self._kept, _LONGEST_STAT, 0)
        # the name of the program, in parentheses, may contain spaces and parentheses
        return text.rpartition(b")")[2].split()

    def resident(self) -> int | None:
        """Resident memory in bytes; ``None`` if it cannot be read."""
        try:
            return int(self.stat()[RSS]) * PAGE
        except OSError:
            return None

    def boot(self) -> float:
        """The boot time, in seconds since 1970 UTC.

        :raise OSError: if it cannot be read.
        """
        if self._boot is None:
            lines = (self._proc / "stat").read_bytes().splitlines()
            (self._boot,) = [float(line.split()[1]) for line in lines if line.startswith(b"btime ")]
        return self._boot

    def open_descriptors(self) -> int:
        """The number of open descriptors.

        :raise OSError: if they cannot be counted; before Linux 6.2 that needs a descriptor.
        """
        directory = self._proc / "self" / "fd"
        # proc_pid_fd(5): "since Linux 6.2, stat(2) returns the number of open files as st_size"
        return directory.stat().st_size or len(os.listdir(directory))
