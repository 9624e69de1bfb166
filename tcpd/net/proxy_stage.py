"""The first stage of a connection that a proxy makes: its PROXY header."""

from __future__ import annotations

from collections.abc import Callable

from twisted.python.failure import Failure

from tcpd.net.stage import Stage
from tcpd.wire.proxy import Header, HeaderFault, HeaderReader, ProxyError


class HeaderStage(Stage):
    """Reads the header. It makes way when it is done, so that a byte then costs what it costs
    elsewhere.

    :param done: called once, with the header and what was received behind it.
    :param failed: called once, if there will be no header.
    """

    __slots__ = ("_done", "_failed", "_over", "_reader")

    def __init__(
        self, done: Callable[[Header, bytes], None], failed: Callable[[HeaderFault], None]
    ) -> None:
        self._done = done
        self._failed = failed
        self._reader = HeaderReader()
        self._over = False

    def dataReceived(self, data: bytes) -> None:
        """Read on."""
        if self._over:
            return
        try:
            header = self._reader.feed(data)
        except ProxyError as error:
            self._over = True
            self._failed(error.fault)
            return
        if header is not None:
            self._over = True
            self._done(header, self._reader.rest)

    @property
    def cut_short(self) -> bool:
        """Whether a header began and did not come to its end."""
        return self._reader.begun and not self._over

    def connectionLost(self, reason: Failure) -> None:
        """The connection is gone: nobody above waits for that."""
