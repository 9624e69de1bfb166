"""What a listener passes to each of its connections."""

from __future__ import annotations

from dataclasses import dataclass

from tcpd.net.kernel import UNWATCHED, Watch
from tcpd.net.proxy import Proxies
from tcpd.net.tls import Certificates


@dataclass(frozen=True, slots=True)
class ListenerOptions:
    """The options of a listener; its connections share the object.

    :ivar tls: for a listener that speaks TLS from the first byte.
    :ivar starttls: for one whose protocol may begin TLS later.
    :ivar proxies: for one that proxies connect to, with PROXY headers.
    :ivar websocket: for one whose protocol is reached by WebSocket.
    :ivar watch: what the kernel was asked to keep of handshakes.
    """

    tls: Certificates | None = None
    starttls: Certificates | None = None
    proxies: Proxies | None = None
    websocket: bool = False
    watch: Watch = UNWATCHED

    @property
    def has_stages(self) -> bool:
        """Whether anything stands between transport and protocol from the beginning."""
        return self.tls is not None or self.proxies is not None or self.websocket


#: Of a listener with none of them.
PLAIN = ListenerOptions()
