"""Notifications to systemd, or to another manager that uses the protocol of sd_notify(3).

- ``READY=1`` when the last port is open and connections are served.
- ``STATUS=``, which ``systemctl status`` shows: the number of services and connections. It is sent
  every few seconds if it has changed.
- ``WATCHDOG=1``, at half the manager's interval or sooner, from a timer of the reactor: the manager
  kills and restarts a daemon whose reactor hangs (``WatchdogSec=``).
- ``STOPPING=1`` when a stop begins, and ``EXTEND_TIMEOUT_USEC=`` while connections drain, so that
  ``[tcpd] drain`` may be longer than the unit's ``TimeoutStopSec=``. Each one extends the time by
  :data:`EXTENSION` seconds, so a stop that hangs still ends.

Three are not sent. ``RELOADING=1``: a reload takes a single turn of the reactor and would send
``READY=1`` at once, and it cannot report a refusal, as the exit status of ``ExecReload=tcpd-ctl
reload`` does. ``MAINPID=``: the process that was started stays. ``FDSTORE=1``: sockets that outlive
the daemon are those of a .socket unit.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from tcpd.ops.notify import Notifier, watchdog_interval

#: Seconds between two notifications, unless the watchdog needs a shorter interval.
INTERVAL = 5.0

#: Seconds that each notification extends a stop by.
EXTENSION = 20.0


@dataclass(frozen=True, slots=True)
class Load:
    """The content of the status.

    :ivar services: number of services, the daemon's own left out.
    :ivar connections: number of open connections.
    :ivar accepted: connections accepted since the start.
    :ivar refused: connections refused since the start.
    """

    services: int
    connections: int
    accepted: int
    refused: int

    def __str__(self) -> str:
        return (
            f"serving {_count(self.services, 'service')}: {_count(self.connections, 'connection')}"
            f" now, {self.accepted} accepted, {self.refused} refused"
        )


class Supervision:
    """Notifies the manager while the daemon runs.

    :param environ: the environment that the daemon was started with.
    :param clock: the reactor, whose timers prove that it runs.
    :param load: returns the content of the status.
    """

    def __init__(
        self, environ: Mapping[str, str], clock: IReactorTime, load: Callable[[], Load]
    ) -> None:
        self._environ = environ
        self._clock = clock
        self._load = load
        self._notifier = Notifier(environ.get("NOTIFY_SOCKET", ""))
        self._call: IDelayedCall | None = None
        self._interval = INTERVAL
        self._watched = False
        self._until: float | None = None
        self._status = ""

    def ready(self) -> None:
        """Notify that all ports are served. Called once by the daemon, after the last fork."""
        if not self._notifier.wanted:
            return
        watchdog = watchdog_interval(self._environ, os.getpid())
        self._watched = watchdog > 0
        self._interval = min(INTERVAL, watchdog / 2) if self._watched else INTERVAL
        self._notify({"READY": 1})

    def stopping(self, drain: float) -> None:
        """Notify that a stop has begun. Called by the daemon.

        :param drain: seconds that connections may take to end.
        """
        if self._call is None:
            return
        self._call.cancel()
        self._until = self._clock.seconds() + drain
        self._notify({"STOPPING": 1})

    def stop(self) -> None:
        """Send no more notifications. Called by the daemon when all has ended, started or not."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _notify_again(self) -> None:
        self._notify({})

    def _notify(self, words: dict[str, str | int]) -> None:
        self._call = self._clock.callLater(self._interval, self._notify_again)
        if self._watched:
            words["WATCHDOG"] = 1
        if self._until is not None:
            words["EXTEND_TIMEOUT_USEC"] = int(EXTENSION * 1e6)
        status = self._words()
        changed = status != self._status
        if changed:
            words["STATUS"] = status
        if words and self._notifier.notify(**words) and changed:
            self._status = status

    def _words(self) -> str:
        load = self._load()
        if self._until is None:
            return str(load)
        left = max(0.0, self._until - self._clock.seconds())
        return f"stopping: {_count(load.connections, 'connection')} left, for {left:.0f} s at most"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
