"""The file that the log goes to: it is rotated by itself, or opened anew after others moved it."""

from __future__ import annotations

import os
import threading
from typing import Any

from twisted.python.logfile import LogFile


class OpenedLog:
    """A log file, written by any thread.

    :param name: its path; a relative one is found again wherever the process goes.
    :param most: bytes at which it is renamed to ``NAME.1``, and begun anew; 0 for never.
    :raise OSError: if it cannot be opened.
    """

    def __init__(self, name: str, most: int) -> None:
        self.path = os.path.abspath(name)
        self._most = most
        self._file = self._open()
        #: A signal's handler may log in the middle of a write of the same thread.
        self._lock = threading.RLock()

    def _open(self) -> Any:
        return LogFile.fromFullPath(self.path, self._most or None)

    def write(self, data: str) -> None:
        """Write text, as UTF-8. Nothing is kept back."""
        with self._lock:
            self._file.write(data)

    def flush(self) -> None:
        """Does nothing: what is written is with the kernel."""

    def rotate(self) -> None:
        """Rename it to ``NAME.1``, and begin anew."""
        with self._lock:
            self._file.rotate()

    def reopen(self) -> None:
        """Go on in what is at its path by now; it is made if nothing is.

        :raise OSError: if that cannot be opened; the log goes on where it was then.
        """
        with self._lock:
            opened = self._open()
            self._file, old = opened, self._file
            old.close()
