"""A terminal that a test looks at and types on: tmux."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from running import PATIENCE


class Screen:
    """A terminal of tmux's with a program on it.

    :param directory: for tmux's socket.
    :param command: what runs on it, by a shell that stays.
    :param shell: which.
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
        """What is on it."""
        return self._tmux("capture-pane", "-p").split("\n")[:-1]

    def program(self) -> int:
        """The process id of what the shell runs."""
        shell = self._tmux("display-message", "-p", "#{pane_pid}").strip()
        (child,) = Path(f"/proc/{shell}/task/{shell}/children").read_text().split()
        return int(child)

    def keys(self, *keys: str) -> None:
        self._tmux("send-keys", *keys)

    def type(self, text: str) -> None:
        """Type a text; a line end is Enter."""
        self._tmux("send-keys", "-l", text)

    def resize(self, width: int, height: int) -> None:
        self._tmux("resize-window", "-x", str(width), "-y", str(height))

    def shows(self, wanted: Callable[[list[str]], object]) -> list[str]:
        """Wait until it does."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            lines = self.lines()
            if wanted(lines):
                return lines
            time.sleep(0.02)  # each look is a process
        raise AssertionError("\n".join(lines))

    def close(self) -> None:
        self._tmux("kill-server")


def has(text: str) -> Callable[[list[str]], object]:
    return lambda lines: any(text in line for line in lines)
