"""The state of the daemon as a whole."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

from tcpd.ops.heap import Heap
from tcpd.ops.lag import ReactorLag
from tcpd.ops.process import Process


class Phase(Enum):
    """The phase of the daemon. The value is the reason why it is not ready."""

    STARTING = "starting: not all listeners are open"
    SERVING = ""
    STOPPING = "stopping: connections are being drained"


class DaemonStatus:
    """The phase of the daemon, and measurements of the process.

    :param reactor: the reactor whose turns are measured.
    :param wall_clock: seconds since 1970, UTC.

    :ivar phase: set by the daemon.
    :ivar began: the time when the daemon was created, in seconds since 1970.
    :ivar configured: the time when the configuration in force was loaded, in seconds since 1970.
    :ivar process: memory and descriptors.
    :ivar lag: the lag of the reactor.
    """

    def __init__(self, reactor: Any, wall_clock: Callable[[], float]) -> None:
        self.phase = Phase.STARTING
        self.began = self.configured = wall_clock()
        self.process = Process()
        self.lag = ReactorLag(reactor, Heap(reactor, self.process.resident).look)

    @property
    def unready(self) -> str:
        """Why new clients are not served now; ``""`` if they are."""
        return self.phase.value

    def start(self) -> None:
        """Start measuring. Called when the daemon starts."""
        self.process.keep()
        self.lag.start()

    def stop(self) -> None:
        """Stop measuring. Called when the daemon has stopped."""
        self.process.close()
        self.lag.stop()
