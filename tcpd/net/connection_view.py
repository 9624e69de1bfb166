"""The read-only view of a connection, for the sweeper, the log and the control protocol."""

from __future__ import annotations

from typing import Any, Protocol

from OpenSSL import SSL

from tcpd.net.credentials import Credentials
from tcpd.net.handshake_capture import CapturedHandshake, CaptureOptions
from tcpd.net.proxy import ProxyFacts
from tcpd.net.tls import TLSFacts
from tcpd.policy.addresses import IPAddress
from tcpd.policy.reasons import End


class ConnectionView(Protocol):
    """The attributes of a :class:`~tcpd.net.connection.Connection` that others read.

    Those without a docstring are documented at :class:`tcpd.interfaces.IConnection`.
    """

    __slots__ = ()

    @property
    def id(self) -> str: ...

    @property
    def service(self) -> str: ...

    @property
    def kind(self) -> str | None:
        """The name of the service's kind, or ``None``."""

    @property
    def peer(self) -> str: ...

    @property
    def address(self) -> IPAddress | None: ...

    @property
    def credentials(self) -> Credentials | None: ...

    @property
    def proxy(self) -> ProxyFacts | None: ...

    @property
    def client_unknown(self) -> bool:
        """Whether the PROXY header names no client, as in a health check of the proxy."""

    @property
    def tls(self) -> TLSFacts | None: ...

    @property
    def tls_handle(self) -> SSL.Connection | None:
        """OpenSSL's connection; ``None`` without TLS, and before the handshake begins."""

    @property
    def client_hello(self) -> bytes:
        """The ClientHello in its records; empty without TLS, or if it was not kept."""

    @property
    def opened(self) -> float:
        """The time of accept, by the service's clock."""

    @property
    def age(self) -> float:
        """Seconds since :attr:`opened`."""

    @property
    def ready_at(self) -> float:
        """The time when the client could first send to the protocol, by the service's clock."""

    @property
    def bytes_in(self) -> int:
        """Bytes received on the wire."""

    @property
    def bytes_out(self) -> int:
        """Bytes passed to the transport or buffered for it."""

    @property
    def bytes_before_protocol(self) -> int:
        """:attr:`bytes_in` at :attr:`ready_at`; -1 if input for the protocol had arrived before."""

    @property
    def pending(self) -> int:
        """Bytes buffered for the client; the full buffer of a Twisted transport counts as 1."""

    @property
    def idle_sweeps(self) -> int:
        """Sweeps since the last byte in either direction."""

    @property
    def busy(self) -> bool:
        """See :class:`tcpd.interfaces.IBusy`."""

    @property
    def has_protocol(self) -> bool:
        """Whether the protocol exists; the stages before it have their own timeouts."""

    @property
    def disconnecting(self) -> bool:
        """Whether the connection is closing."""

    @property
    def ended(self) -> End | None: ...

    @property
    def capture(self) -> CaptureOptions:
        """The handshake capture of this connection's listener."""

    @property
    def captured_handshake(self) -> CapturedHandshake | None:
        """The values read from the socket so far; ``None`` before the first read."""

    def ensure_captured(self) -> CapturedHandshake:
        """Return :attr:`captured_handshake`, made if it is ``None``."""

    def getPeer(self) -> Any:
        """See :class:`twisted.internet.interfaces.ITransport`."""

    def getHandle(self) -> Any:
        """See :class:`twisted.internet.interfaces.ISystemHandle`."""
