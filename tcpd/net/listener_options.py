"""The options that a listener passes to its connections."""

from __future__ import annotations

from dataclasses import dataclass

from tcpd.net.handshake_capture import NOT_CAPTURED, CaptureOptions
from tcpd.net.proxy import Proxies
from tcpd.net.tls import Certificates


@dataclass(frozen=True, slots=True)
class ListenerOptions:
    """The options of a listener; its connections share the object.

    :ivar tls: certificates of a listener with TLS from the first byte, or ``None``.
    :ivar starttls: certificates of a listener whose protocol may start TLS later, or ``None``.
    :ivar proxies: the trusted proxies of a listener that requires a PROXY header, or ``None``.
    :ivar websocket: whether clients use WebSocket.
    :ivar capture: the handshake capture of the socket.
    """

    tls: Certificates | None = None
    starttls: Certificates | None = None
    proxies: Proxies | None = None
    websocket: bool = False
    capture: CaptureOptions = NOT_CAPTURED

    @property
    def has_stages(self) -> bool:
        """Whether a connection begins with a pipeline of stages."""
        return self.tls is not None or self.proxies is not None or self.websocket


#: The options of a listener without any.
PLAIN = ListenerOptions()
