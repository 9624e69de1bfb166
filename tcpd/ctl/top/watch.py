"""The main loop of the live display."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import RenderableType

from tcpd.ctl.client import Control
from tcpd.ctl.top.rates import History, Snapshot, compare
from tcpd.ctl.top.sample import Sample, take
from tcpd.ctl.top.sampler import Lost, Sampler
from tcpd.ctl.top.screen import draw
from tcpd.ctl.top.terminal import Terminal
from tcpd.ctl.top.view import View
from tcpd.ops.amounts import span

#: Seconds without a sample, beyond the interval, until the screen shows a warning.
_LATE = 2.0

#: Maximum number of samples in a sparkline.
_MOST_SAMPLES = 120


class Watch:
    """The content of the screen and the samples behind it; without a clock or a terminal.

    :param view: the user's choices.
    :param interval: seconds between two samples.
    """

    def __init__(self, view: View, interval: float) -> None:
        self._view = view
        self._interval = interval
        self._before: Sample | None = None
        self._history: History = ()
        self._latest: Snapshot | None = None
        self._shown: tuple[Snapshot, History] | None = None
        self._lost = ""

    def note(self, found: Sample | Lost) -> None:
        """Add a result of the sampler."""
        if isinstance(found, Lost):
            self._lost = found.why
            return
        self._lost = ""
        latest = self._latest = compare(self._before, found)
        flows = {row.service.name: row.flow for row in latest.services}
        self._history = (*self._history, (latest.flow, flows))[-_MOST_SAMPLES:]
        self._before = found

    def draw(self, now: float, width: int, height: int) -> RenderableType:
        """Draw the screen.

        :param now: seconds of the clock of the samples.
        """
        if self._latest is None:
            return ""
        if self._shown is None or not self._view.is_paused:
            self._shown = self._latest, self._history
        return draw(self._view, *self._shown, self._notice(now, self._latest.at), width, height)

    def _notice(self, now: float, at: float) -> str:
        silent = now - at
        if self._lost:
            return f"LOST {span(silent)} ago, trying again every {self._interval:g} s: {self._lost}"
        if silent > self._interval + _LATE:
            return f"NO ANSWER for {span(silent)}: the daemon hangs or is overloaded"
        return ""


def watch(connect: Callable[[], Control], view: View, interval: float) -> None:
    """Draw until the user quits.

    :param connect: opens a connection to the daemon.
    :param view: the first view.
    :param interval: seconds between two samples.
    :raise Unreachable: if no daemon answers at the start.
    :raise NotAllowed: if this user is no operator.
    """
    state = Watch(view, interval)
    control = connect()
    first = take(control, time.monotonic(), view.request())
    with Terminal() as terminal:
        state.note(first)
        sampler = Sampler(control, connect, interval, terminal.wake)
        sampler.ask(view.request())
        sampler.start()
        while True:
            terminal.draw(state.draw(time.monotonic(), *terminal.size()))
            try:
                keys = terminal.read(1.0)
            except EOFError:
                return
            if not all(map(view.press, keys)):
                return
            sampler.ask(view.request())
            found = sampler.latest()
            if found is not None:
                state.note(found)
