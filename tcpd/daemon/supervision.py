"""What systemd, or another manager that speaks sd_notify's protocol, is told of the daemon.

- ``READY=1`` when the last port is open and connections are looked after.
- ``STATUS=``, which ``systemctl status`` shows: how many services and connections there are. It is
  told every few seconds, and only if it has changed.
- ``WATCHDOG=1``, at half the time that the manager gives or sooner, from a timer of the reactor:
  one that is stuck gives no signs of life, and is killed and started again (``WatchdogSec=``).
- ``STOPPING=1`` when a stop begins, and ``EXTEND_TIMEOUT_USEC=`` as long as it drains, so that
  ``[tcpd] drain`` may be longer than the unit's ``TimeoutStopSec=``. Each one is good for
  :data:`EXTENSION` seconds: a stop that hangs is still ended.

Left out are ``RELOADING=1``: a reload is a single turn of the reactor, with ``READY=1`` in the same
breath, and it could not be said that one was refused, as the exit status of ``ExecReload=tcpd-ctl
reload`` says; ``MAINPID=``: the process that is started is the one that stays; and ``FDSTORE=1``:
the sockets that are to outlive the daemon are those of a .socket unit.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from tcpd.ops.notify import Notifier, watchdog_interval

#: Seconds between two looks at what there is to tell, where the watchdog wants no shorter ones.
INTERVAL = 5.0

#: Seconds that a stop asks for at each look.
EXTENSION = 20.0


@dataclass(frozen=True, slots=True)
class Load:
    """What the status tells.

    :ivar services: how many are served, the daemon's own left out.
    :ivar connections: how many there are.
    :ivar accepted: how many were let in since the start.
    :ivar refused: how many were not.
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
    """Tells the manager, as long as the daemon runs.

    :param environ: the environment that the daemon was started with.
    :param clock: the reactor, whose turning is the sign of life.
    :param load: tells what there is.
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
        """All ports are open, and are served. Called once by the daemon, in its last process."""
        if not self._notifier.wanted:
            return
        watchdog = watchdog_interval(self._environ, os.getpid())
        self._watched = watchdog > 0
        self._interval = min(INTERVAL, watchdog / 2) if self._watched else INTERVAL
        self._tell({"READY": 1})

    def stopping(self, drain: float) -> None:
        """The ports are being closed. Called by the daemon.

        :param drain: seconds that connections may take to end.
        """
        if self._call is None:
            return
        self._call.cancel()
        self._until = self._clock.seconds() + drain
        self._tell({"STOPPING": 1})

    def stop(self) -> None:
        """Tell nothing more. Called by the daemon when all has ended, started or not."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _look(self) -> None:
        self._tell({})

    def _tell(self, words: dict[str, str | int]) -> None:
        self._call = self._clock.callLater(self._interval, self._look)
        if self._watched:
            words["WATCHDOG"] = 1
        if self._until is not None:
            words["EXTEND_TIMEOUT_USEC"] = int(EXTENSION * 1e6)
        status = self._words()
        changed = status != self._status
        if changed:
            words["STATUS"] = status
        if words and self._notifier.tell(**words) and changed:
            self._status = status

    def _words(self) -> str:
        load = self._load()
        if self._until is None:
            return str(load)
        left = max(0.0, self._until - self._clock.seconds())
        return f"stopping: {_count(load.connections, 'connection')} left, for {left:.0f} s at most"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
