"""The file that the log goes to: it is rotated by itself, or opened anew after others moved it."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import threading

from tcpd.ops.outputs import Sink


class OpenedLog(Sink):
    """A log file, written by any thread.

    :param name: its path; a relative one is found again wherever the process goes.
    :param most: bytes at which it is renamed to ``NAME.1``, and begun anew; 0 for never.
    :raise OSError: if it cannot be opened.
    """

    def __init__(self, name: str, most: int) -> None:
        self.path = os.path.abspath(name)
        self._most = most
        self._lock = threading.RLock()
        self._use(self._open())

    def close(self) -> None:
        """Give the file back. The end of the process does that, too."""
        os.close(self._descriptor)

    def _open(self, mode: int = 0o666) -> int:
        # a FIFO or a terminal that takes nothing must not hold up the daemon
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
        return os.open(self.path, flags, mode)

    def _use(self, descriptor: int) -> None:
        """Go on in a file that is open, behind what is there."""
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
        """See :class:`tcpd.ops.outputs.Sink`. Rotates the file first, if it is time for that."""
        with self._lock:
            if self._most and self._size >= self._most:
                self.rotate()
            return super().write_line(line)

    def rotate(self) -> None:
        """Rename it to ``NAME.1``, and begin anew. Where that cannot be, it goes on as it is, and
        is tried again when as much has been written once more."""
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
                os.fchmod(opened, mode)  # whatever the umask
            os.close(self._descriptor)
            self._use(opened)

    def _numbers(self) -> list[int]:
        """Of the files that were this one."""
        directory, name = os.path.split(self.path)
        form = re.compile(rf"{re.escape(name)}\.([1-9][0-9]*)")
        found = (form.fullmatch(each) for each in os.listdir(directory))
        return [int(match[1]) for match in found if match]

    def reopen(self) -> None:
        """Go on in what is at its path by now; it is made if nothing is.

        :raise OSError: if that cannot be opened; the log goes on where it was then.
        """
        with self._lock:
            opened = self._open()
            os.close(self._descriptor)
            self._use(opened)
