"""Takes samples of the daemon in a separate thread, so that keys work while the daemon hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from tcpd.ctl.client import Control, NotAllowed, Unreachable
from tcpd.ctl.top.sample import Sample, take


@dataclass(frozen=True, slots=True)
class Lost:
    """The daemon cannot be reached. :ivar why: a sentence."""

    why: str


class Sampler:
    """Keeps the latest sample, and drops an older one that was not read.

    :param control: an open connection to the daemon.
    :param connect: opens another one; raises :class:`~tcpd.ctl.client.Unreachable` or
        :class:`~tcpd.ctl.client.NotAllowed`.
    :param interval: seconds between two samples, and between two attempts to connect.
    :param wake: called in the thread when there is a new sample.
    """

    def __init__(
        self,
        control: Control,
        connect: Callable[[], Control],
        interval: float,
        wake: Callable[[], None],
    ) -> None:
        self._control: Control | None = control
        self._connect = connect
        self._interval = interval
        self._wake = wake
        self._request = ""
        self._asked = threading.Event()
        self._lock = threading.Lock()
        self._latest: Sample | Lost | None = None
        # a daemon thread: it may wait for a reply when the process ends
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def ask(self, request: str) -> None:
        """Set the request for connections; a new one is sent immediately.

        :param request: a line for the daemon; empty for none.
        """
        if request != self._request:
            self._request = request
            self._asked.set()

    def latest(self) -> Sample | Lost | None:
        """Take the latest sample; ``None`` if there is no new one."""
        with self._lock:
            latest, self._latest = self._latest, None
        return latest

    def _run(self) -> None:
        while True:
            found = self._once()
            with self._lock:
                self._latest = found
            self._wake()
            self._asked.wait(self._interval)
            self._asked.clear()

    def _once(self) -> Sample | Lost:
        try:
            if self._control is None:
                self._control = self._connect()
            return take(self._control, time.monotonic(), self._request)
        except (Unreachable, NotAllowed) as error:
            if self._control is not None:
                self._control.close()
                self._control = None
            return Lost(str(error))
