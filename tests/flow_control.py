"""Memory transports and clocks for protocols with flow control."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport


class LimitedTransport(StringTransport):
    """Pauses its producer above a limit, as Twisted's transports do, and sends on demand.

    :param limit: in bytes.
    :ivar paused: whether the producer was paused.
    """

    def __init__(self, limit: int = 65536) -> None:
        super().__init__()
        self.limit = limit
        self.paused = False

    def write(self, data: bytes) -> None:
        super().write(data)
        if self.producer is not None and len(self.value()) > self.limit:
            self.paused = True
            self.producer.pauseProducing()

    def send_all(self) -> bytes:
        """Empty the buffer, resume the producer, and return the data."""
        sent: bytes = self.value()
        self.clear()
        if self.producer is not None:
            self.producer.resumeProducing()
        return sent


class TurnClock(Clock):
    """A clock with turns of a reactor."""

    def turn(self) -> None:
        """Run the calls that are due, without those that they schedule."""
        due = [call for call in self.calls if call.time <= self.rightNow]
        # in place: each call is cancelled by the remove() of this list
        self.calls[:] = [call for call in self.calls if call not in due]
        for call in due:
            call.called = 1
            call.func(*call.args, **call.kw)

    def settle(self) -> None:
        """Run turns until no call is due."""
        while any(call.time <= self.rightNow for call in self.calls):
            self.turn()
