"""The log file: tcpd rotates it, or opens it again after another program has moved it."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import threading

from tcpd.ops.outputs import Sink


class OpenedLog(Sink):
    """A log file, written by any thread.

    :param name: the path of the file; a relative one is resolved when the file is opened.
    :param most: bytes at which it is renamed to ``NAME.1`` and a new file begins; 0 for never.
    :raise OSError: if it cannot be opened.
    """

    def __init__(self, name: str, most: int) -> None:
        self.path = os.path.abspath(name)
        self._most = most
        self._lock = threading.RLock()
        self._use(self._open())

    def close(self) -> None:
        """Close the file. The end of the process does the same."""
        os.close(self._descriptor)

    def _open(self, mode: int = 0o666) -> int:
        # a FIFO or a terminal that is not read must not block the daemon
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
        return os.open(self.path, flags, mode)

    def _use(self, descriptor: int) -> None:
        """Append to an open file from now on."""
        self._descriptor = descriptor
        self._size = 0
        self.ends_line = True
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode) and found.st_size:
            self._size = found.st_size
            self.ends_line = os.pread(descriptor, 1, found.st_size - 1) == b"\n"

    def _write(self, data: bytes) -> int:
        taken = os.write(self._descriptor, data)
        self._size += taken
        return taken

    def write_line(self, line: str) -> bool:
        """See :class:`tcpd.ops.outputs.Sink`. Rotates the file first if it is full."""
        with self._lock:
            if self._most and self._size >= self._most:
                self.rotate()
            return super().write_line(line)

    def rotate(self) -> None:
        """Rename it to ``NAME.1`` and begin a new file. If that fails, the old file stays in use,
        and the next attempt comes after as many bytes."""
        with self._lock:
            mode = os.fstat(self._descriptor).st_mode
            if not stat.S_ISREG(mode):
                return  # such as /dev/stderr
            mode = stat.S_IMODE(mode)
            try:
                for number in sorted(self._numbers(), reverse=True):
                    os.rename(f"{self.path}.{number}", f"{self.path}.{number + 1}")
                os.rename(self.path, f"{self.path}.1")
                opened = self._open(mode)
            except OSError:
                self._size = 0
                return
            with contextlib.suppress(OSError):
                os.fchmod(opened, mode)  # independent of the umask
            os.close(self._descriptor)
            self._use(opened)

    def _numbers(self) -> list[int]:
        """The numbers of the rotated files."""
        directory, name = os.path.split(self.path)
        form = re.compile(rf"{re.escape(name)}\.([1-9][0-9]*)")
        found = (form.fullmatch(each) for each in os.listdir(directory))
        return [int(match[1]) for match in found if match]

    def reopen(self) -> None:
        """Open the file at its path again, and create it if there is none.

        :raise OSError: if it cannot be opened; the old file stays in use then.
        """
        with self._lock:
            opened = self._open()
            os.close(self._descriptor)
            self._use(opened)
