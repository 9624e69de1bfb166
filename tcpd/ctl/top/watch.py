"""``tcpd-ctl top``: its main loop on a terminal, and a single output."""

from __future__ import annotations

import time
from collections.abc import Callable

from tcpd.ctl.client import Control
from tcpd.ctl.top.rates import Seen, compare
from tcpd.ctl.top.sample import Sample, take
from tcpd.ctl.top.sampler import Lost, Sampler
from tcpd.ctl.top.screen import Line, draw, plain
from tcpd.ctl.top.terminal import Terminal
from tcpd.ctl.top.view import View
from tcpd.ops.amounts import span

#: Seconds that an answer may take; after that the daemon counts as lost.
PATIENCE = 10.0

#: Seconds without a sample, beyond the interval, until the screen shows a warning.
_LATE = 2.0

Connect = Callable[[], Control]


class Watch:
    """The content of the screen and the samples behind it; without a clock or a terminal.

    :param view: what the user has chosen.
    :param interval: seconds between two samples.
    """

    def __init__(self, view: View, interval: float) -> None:
        self._view = view
        self._interval = interval
        self._before: Sample | None = None
        self._latest: Seen | None = None
        self._shown: Seen | None = None
        self._lost = ""

    def note(self, found: Sample | Lost) -> None:
        """Take what the sampler has found."""
        if isinstance(found, Lost):
            self._lost = found.why
            return
        self._lost = ""
        self._latest = compare(self._before, found)
        self._before = found

    def lines(self, now: float, width: int, height: int) -> list[Line]:
        """Draw.

        :param now: by the clock of the samples.
        """
        if self._latest is None:
            return []
        if self._shown is None or not self._view.paused:
            self._shown = self._latest
        return draw(self._view, self._shown, self._notice(now, self._latest.at), width, height)

    def _notice(self, now: float, at: float) -> str:
        silent = now - at
        if self._lost:
            return f"LOST {span(silent)} ago, trying again every {self._interval:g} s: {self._lost}"
        if silent > self._interval + _LATE:
            return f"NO ANSWER for {span(silent)}: the daemon hangs, or has much to do"
        return ""


def watch(connect: Connect, view: View, interval: float) -> None:
    """Draw until somebody quits.

    :param connect: begins a conversation with the daemon.
    :param view: what to begin with.
    :param interval: seconds between two samples.
    :raise Unreachable: if there is no daemon to begin with.
    :raise NotAllowed: if this user may not.
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
            terminal.draw(state.lines(time.monotonic(), *terminal.size()))
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


def once(connect: Connect, view: View, interval: float) -> str:
    """Take two samples, and show the rates between them.

    :raise Unreachable: if the daemon cannot be asked.
    :raise NotAllowed: if this user may not.
    """
    with connect() as control:
        before = take(control, time.monotonic(), view.request())
        time.sleep(interval)
        return plain(view, compare(before, take(control, time.monotonic(), view.request())))
