"""The terminal: lines out, keys in, and as it was when all is over."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Any, NoReturn

from tcpd.ctl.top.keys import Keys
from tcpd.ctl.top.screen import PLAIN, REVERSE, STRONG, Line

# ECMA-48, and DEC's private modes as xterm has them: 1049 the other screen, 25 the cursor, 7 the
# wrap at the right margin
_ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l"
_LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"
_HOME, _ERASE_LINE, _ERASE_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"
_STYLES = {PLAIN: "\x1b[m", STRONG: "\x1b[;1m", REVERSE: "\x1b[;7m"}


def is_terminal() -> bool:
    """Whether there is a terminal to draw on and to read keys from."""
    return (
        sys.stdin.isatty()
        and sys.stdout.isatty()
        and os.environ.get("TERM", "dumb") not in ("", "dumb")
    )


class Terminal:
    """The terminal that the process was started on; a context.

    A signal that stops or ends the process leaves the terminal in order first.
    """

    def __init__(self) -> None:
        self._in = sys.stdin.fileno()
        self._out = sys.stdout.fileno()
        self._encoding = sys.stdout.encoding or "ascii"
        self._keys = Keys()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._before: list[Any] = []
        self._signals: dict[int, Any] = {}
        self._old_wakeup = -1

    def __enter__(self) -> Terminal:
        # a byte in the pipe ends a wait for keys, whoever wants that: a signal, or the sampler
        self._old_wakeup = signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number, what in (
            (signal.SIGWINCH, self._nothing),
            (signal.SIGTSTP, self._stop),
            (signal.SIGTERM, self._end),
            (signal.SIGHUP, self._end),
        ):
            self._signals[number] = signal.signal(number, what)
        self._take()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._give_back()
        for number, before in self._signals.items():
            signal.signal(number, before)
        signal.set_wakeup_fd(self._old_wakeup)

    def wake(self) -> None:
        """End a wait for keys. May be called in any thread."""
        with contextlib.suppress(BlockingIOError):  # it is full: the wait ends anyway
            os.write(self._wake_write, b"\0")

    def size(self) -> tuple[int, int]:
        """Columns and lines, as they are now."""
        try:
            columns, lines = os.get_terminal_size(self._out)
        except OSError:
            return 80, 24
        # a serial line knows neither
        return columns or 80, lines or 24

    def read(self, timeout: float) -> list[str]:
        """Wait for keys, for a change of size, or until woken.

        :param timeout: seconds.
        :return: the keys, none if it was something else.
        :raise EOFError: if the terminal is gone.
        """
        ready, _, _ = select.select([self._in, self._wake_read], [], [], timeout)
        if self._wake_read in ready:
            os.read(self._wake_read, 4096)
        if self._in not in ready:
            return []
        try:
            data = os.read(self._in, 4096)
        except OSError:
            data = b""
        if not data:
            raise EOFError
        return self._keys.feed(data)

    def draw(self, lines: Sequence[Line]) -> None:
        """Show these lines, as many as there are on the screen, or nothing."""
        # erased line by line, so that nothing flickers, and before the text: with no wrap at the
        # right margin, the cursor would stand on its last character afterwards
        rows = [f"{_ERASE_LINE}{_STYLES[line.style]}{line.text}{_STYLES[PLAIN]}" for line in lines]
        self._write(_HOME + ("\r\n".join(rows) or _ERASE_SCREEN))

    def _write(self, text: str) -> None:
        data = text.encode(self._encoding, "replace")
        while data:
            data = data[os.write(self._out, data) :]

    def _take(self) -> None:
        self._before = termios.tcgetattr(self._in)
        tty.setcbreak(self._in)
        self._write(_ENTER)

    def _give_back(self) -> None:
        with contextlib.suppress(OSError, termios.error):  # it is gone
            self._write(_LEAVE)
            termios.tcsetattr(self._in, termios.TCSADRAIN, self._before)

    @staticmethod
    def _nothing(number: int, frame: FrameType | None) -> None:
        """That the signal came is enough: it ends the wait, and the lines are drawn anew."""

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """Ctrl-Z: the shell gets its terminal as it was, and this one comes back after ``fg``."""
        self._give_back()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._take()

    @staticmethod
    def _end(number: int, frame: FrameType | None) -> NoReturn:
        sys.exit(128 + number)
