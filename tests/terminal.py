"""A terminal under tmux, which a test reads and types into."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from running import PATIENCE


class Screen:
    """A tmux terminal that runs a program.

    :param directory: for tmux's socket.
    :param command: run by a shell, which stays afterwards.
    :param shell: the shell.
    """

    def __init__(
        self,
        directory: Path,
        command: str,
        width: int = 80,
        height: int = 24,
        shell: str = "sh",
    ) -> None:
        self._socket = str(directory / "tmux")
        self._tmux("new-session", "-d", "-x", str(width), "-y", str(height), shell)
        self.type(f"PS1='$ '; clear; {command}; echo ended with $?\n")

    def _tmux(self, *arguments: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", self._socket, "-f", "/dev/null", *arguments],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
            env={**os.environ, "LC_ALL": "C.UTF-8", "ENV": ""},
        )
        return done.stdout

    def lines(self) -> list[str]:
        """Return the lines of the screen."""
        return self._tmux("capture-pane", "-p").split("\n")[:-1]

    def program(self) -> int:
        """Return the process id of the shell's child."""
        shell = self._tmux("display-message", "-p", "#{pane_pid}").strip()
        (child,) = Path(f"/proc/{shell}/task/{shell}/children").read_text().split()
        return int(child)

    def keys(self, *keys: str) -> None:
        self._tmux("send-keys", *keys)

    def type(self, text: str) -> None:
        """Type a text; LF is the Enter key."""
        self._tmux("send-keys", "-l", text)

    def resize(self, width: int, height: int) -> None:
        self._tmux("resize-window", "-x", str(width), "-y", str(height))

    def shows(self, wanted: Callable[[list[str]], object]) -> list[str]:
        """Wait until the screen satisfies a condition; return its lines."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            lines = self.lines()
            if wanted(lines):
                return lines
            time.sleep(0.02)  # reading the screen starts a process
        raise AssertionError("\n".join(lines))

    def close(self) -> None:
        self._tmux("kill-server")


def has(text: str) -> Callable[[list[str]], object]:
    return lambda lines: any(text in line for line in lines)
