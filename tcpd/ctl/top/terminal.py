"""The terminal: rich draws on it; keys, signals and its settings are handled here."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import tty
from types import FrameType, TracebackType
from typing import Any, NoReturn

from rich.console import Console, ConsoleDimensions, RenderableType
from rich.live import Live

from tcpd.ctl.top.keys import Keys


class Terminal:
    """The terminal that the process was started on; a context manager.

    A signal that stops or ends the process restores the terminal first.
    """

    def __init__(self) -> None:
        self._in = sys.stdin.fileno()
        self._live = Live(
            console=Console(),
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._keys = Keys()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._settings: list[Any] = []
        self._signals: dict[int, Any] = {}
        self._old_wakeup = -1
        self._must_stop = False

    def __enter__(self) -> Terminal:
        # a byte in the pipe ends a wait for keys; signals and the sampler write one
        self._old_wakeup = signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number, handler in (
            (signal.SIGWINCH, self._ignore),
            (signal.SIGTSTP, self._request_stop),
            (signal.SIGTERM, self._terminate),
            (signal.SIGHUP, self._terminate),
        ):
            self._signals[number] = signal.signal(number, handler)
        self._take()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._restore()
        for number, before in self._signals.items():
            signal.signal(number, before)
        signal.set_wakeup_fd(self._old_wakeup)

    def wake(self) -> None:
        """End a wait for keys. Any thread may call it."""
        with contextlib.suppress(BlockingIOError):  # a full pipe ends the wait anyway
            os.write(self._wake_write, b"\0")

    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        columns = lines = 0
        with contextlib.suppress(OSError):  # the terminal is closed
            columns, lines = os.get_terminal_size(self._in)
        # a serial line has neither
        size = ConsoleDimensions(columns or 80, lines or 24)
        # rich would prefer COLUMNS and LINES of the environment, which do not follow the terminal
        self._live.console.size = size
        return size

    def read(self, timeout: float) -> list[str]:
        """Wait for keys, for another size, or for :meth:`wake`.

        :param timeout: seconds.
        :return: the keys; empty if something else ended the wait.
        :raise EOFError: if the terminal is closed.
        """
        ready, _, _ = select.select([self._in, self._wake_read], [], [], timeout)
        if self._wake_read in ready:
            os.read(self._wake_read, 4096)
        if self._must_stop:
            self._stop()
        if self._in not in ready:
            return []
        try:
            data = os.read(self._in, 4096)
        except OSError:
            data = b""
        if not data:
            raise EOFError
        return self._keys.feed(data)

    def draw(self, screen: RenderableType) -> None:
        """Replace the content of the screen."""
        self._live.update(screen, refresh=True)

    def _take(self) -> None:
        self._settings = termios.tcgetattr(self._in)
        tty.setcbreak(self._in)
        self._live.start()

    def _restore(self) -> None:
        with contextlib.suppress(OSError, termios.error):  # the terminal is closed
            self._live.stop()
            termios.tcsetattr(self._in, termios.TCSADRAIN, self._settings)

    @staticmethod
    def _ignore(number: int, frame: FrameType | None) -> None:
        """Do nothing: the signal has ended the wait, and the screen is drawn next."""

    def _request_stop(self, number: int, frame: FrameType | None) -> None:
        # not at once: rich may be in the middle of a write
        self._must_stop = True

    def _stop(self) -> None:
        """Ctrl-Z: restore the terminal for the shell, and take it again after ``fg``."""
        self._must_stop = False
        self._restore()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._take()

    @staticmethod
    def _terminate(number: int, frame: FrameType | None) -> NoReturn:
        sys.exit(128 + number)
