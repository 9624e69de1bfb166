"""What others than the connection layer see of a connection: the sweeper, the log, the report."""

from __future__ import annotations

from typing import Any, Protocol

from OpenSSL import SSL

from tcpd.net.credentials import Credentials
from tcpd.net.kernel import Noted, Watch
from tcpd.net.proxy import ProxyFacts
from tcpd.net.tls import TLSFacts
from tcpd.policy.addresses import IPAddress
from tcpd.policy.reasons import End


class ConnectionView(Protocol):
    """A :class:`~tcpd.net.connection.Connection`, to be read only.

    What is not described here is described at :class:`tcpd.interfaces.IConnection`.
    """

    __slots__ = ()

    @property
    def id(self) -> str: ...

    @property
    def service(self) -> str: ...

    @property
    def kind(self) -> str | None:
        """The name of the service's kind; ``None`` where it has none."""

    @property
    def peer(self) -> str: ...

    @property
    def address(self) -> IPAddress | None: ...

    @property
    def credentials(self) -> Credentials | None: ...

    @property
    def proxy(self) -> ProxyFacts | None: ...

    @property
    def of_proxy(self) -> bool:
        """Whether it is a proxy's own, such as a health check, or of a client without address."""

    @property
    def tls(self) -> TLSFacts | None: ...

    @property
    def tls_handle(self) -> SSL.Connection | None:
        """OpenSSL's connection; ``None`` in the clear, and until a handshake has begun."""

    @property
    def opened(self) -> float:
        """When it was accepted, by the service's clock."""

    @property
    def age(self) -> float:
        """Seconds since then."""

    @property
    def began(self) -> float:
        """When it was the client's turn to speak to the protocol, by the service's clock."""

    @property
    def bytes_in(self) -> int:
        """Received on the wire."""

    @property
    def bytes_out(self) -> int:
        """Handed to the transport, or held for it."""

    @property
    def bytes_before_protocol(self) -> int:
        """What :attr:`bytes_in` was when the protocol could be spoken to; -1 if the client had
        said something to it by then."""

    @property
    def pending(self) -> int:
        """Bytes written that wait for the client; of Twisted's transports, only whether any do."""

    @property
    def quiet(self) -> int:
        """Sweeps since something last went either way."""

    @property
    def busy(self) -> bool:
        """See :class:`tcpd.interfaces.IBusy`."""

    @property
    def in_conversation(self) -> bool:
        """Whether there is a protocol: what comes before it has timeouts of its own."""

    @property
    def disconnecting(self) -> bool:
        """Whether a close has begun."""

    @property
    def ended(self) -> End | None: ...

    @property
    def watch(self) -> Watch:
        """What the kernel was asked to keep of its handshake."""

    @property
    def noted(self) -> Noted | None:
        """What of that was read; ``None`` until somebody wanted to know."""

    def notes(self) -> Noted:
        """The same, to be filled in."""

    def getPeer(self) -> Any:
        """See :class:`twisted.internet.interfaces.ITransport`."""

    def getHandle(self) -> Any:
        """See :class:`twisted.internet.interfaces.ISystemHandle`."""
