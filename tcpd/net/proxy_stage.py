"""The first stage of a connection from a trusted proxy: the PROXY header."""

from __future__ import annotations

from collections.abc import Callable

from twisted.python.failure import Failure

from tcpd.net.stage import Stage
from tcpd.wire.proxy import Header, HeaderFault, HeaderReader, ProxyError


class HeaderStage(Stage):
    """Reads the header. The pipeline then removes it from the path of the bytes.

    :param done: called once, with the header and the bytes received after it.
    :param failed: called once, if the header is invalid.
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
    def truncated(self) -> bool:
        """Whether a header has begun and is incomplete."""
        return self._reader.begun and not self._over

    def connectionLost(self, reason: Failure) -> None:
        """Do nothing: there is no protocol yet."""
