"""Processes and daemons in the background."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from pathlib import Path

from running import PATIENCE, TWISTD


def has_exited(pid: int, within: float = 10.0) -> bool:
    """Wait for a process to exit; return whether it has. A zombie has."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state in "ZX":
            return True
    return False


class BackgroundDaemon:
    """A daemon that twistd has sent to the background.

    :param directory: its working directory, which gets ``tcpd.ini``.
    :param options: of twistd.
    :ivar done: the parent, which has exited.
    """

    def __init__(self, directory: Path, config: str, *options: str) -> None:
        (directory / "tcpd.ini").write_text(config)
        self.control = directory / "run" / "control"
        self.pidfile = directory / "twistd.pid"
        # communicate() returns when no process has the pipes open, the daemon included
        self.done = subprocess.run(
            [TWISTD, *options, "tcpd", "--config", "tcpd.ini"],
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            env={**os.environ, "RUNTIME_DIRECTORY": str(directory / "run")},
        )
        assert self.done.returncode == 0, self.done.stderr
        self.pid = int(self.pidfile.read_text())
        self._pidfd = os.pidfd_open(self.pid)

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal; wait for the exit, and for the removal of the pidfile."""
        if self._pidfd < 0:
            return
        signal.pidfd_send_signal(self._pidfd, number)
        assert select.select([self._pidfd], [], [], PATIENCE)[0]
        os.close(self._pidfd)
        self._pidfd = -1
        deadline = time.monotonic() + PATIENCE
        while self.pidfile.exists():
            assert time.monotonic() < deadline, "stale pidfile"
