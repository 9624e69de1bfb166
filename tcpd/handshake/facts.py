"""All that is known about one connection, as the connection layer gathers it, for the report.

Nothing here is derived. What is not known is ``None``, and where there can be several reasons for
that, an enum says which.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from ipaddress import IPv4Address, IPv6Address

from tcpd.handshake.packet import SavedSyn
from tcpd.handshake.tcp_info import TcpInfo


class Transport(StrEnum):
    """What carries the connection."""

    TCP = "tcp"
    UNIX = "unix"
    OTHER = "other"


class _Reason(Enum):
    """Why something is not known. The value is a stable word and a sentence without a full stop."""

    @property
    def id(self) -> str:
        """The stable word."""
        word: str = self.value[0]
        return word

    @property
    def why(self) -> str:
        """For people: a sentence without a capital letter and a full stop."""
        sentence: str = self.value[1]
        return sentence


class Absence(_Reason):
    """Why there is no saved SYN."""

    OFF = "off", "[tcpd] handshake = no: the daemon does not ask the kernel to keep it"
    NOT_SUPPORTED = "not-supported", "this kernel keeps no SYN (TCP_SAVE_SYN)"
    COOKIES_OR_LOST = (
        "cookies-or-lost",
        "the kernel was asked to keep it and kept none, as it does when it sends SYN cookies",
    )
    COOKIES_OR_EARLY = (
        "cookies-or-early",
        "the kernel kept none: the connection began before the daemon did, for systemd's socket "
        "listened already, or SYN cookies were sent",
    )
    UNIX = "unix", "a UNIX socket has no handshake"
    NOT_TCP = "not-tcp", "this is no TCP connection"
    FAILED = "failed", "what the kernel gave could not be read"


class NoServerIsn(_Reason):
    """Why the server's initial sequence number is not known."""

    OFF = "off", "[tcpd] server_isn = no"
    NOT_SUPPORTED = "not-supported", "this kernel does not tell it (TCP_REPAIR)"
    NO_CAPABILITY = "no-capability", "the daemon has not the capability CAP_NET_ADMIN"
    TOO_EARLY = "too-early", "Twisted opened the listening socket, and it listened already"
    SYSTEMD = "systemd", "the listening socket came from systemd, already listening"
    TOO_LATE = "too-late", "it can be read only before the first byte is sent"
    UNIX = "unix", "a UNIX socket has no sequence numbers"
    NOT_TCP = "not-tcp", "this is no TCP connection"
    FAILED = "failed", "the kernel did not tell it"


@dataclass(frozen=True, slots=True)
class End:
    """One end of a TCP connection.

    :ivar address: an IPv4 client of a dual-stack socket has its IPv4 address here.
    :ivar port: 0 to 65535.
    """

    address: IPv4Address | IPv6Address
    port: int

    def __str__(self) -> str:
        """As people write it: ``192.0.2.1:4711``, ``[2001:db8::1]:4711``."""
        if self.address.version == 4:
            return f"{self.address}:{self.port}"
        return f"[{self.address}]:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """What a PROXY header told. Then the TCP connection, and so the handshake, is the proxy's.

    Texts may be as the proxy sent them: the report makes them safe to show.

    :ivar version: of the protocol, 1 or 2.
    :ivar local: whether the connection is the proxy's own, such as a health check.
    :ivar client: the client's end of its connection to the proxy; ``None`` where not told.
    :ivar host: where the client connected to; ``None`` where not told.
    :ivar tls_version: of the client's TLS to the proxy; ``None`` where not told.
    :ivar tls_cipher: likewise.
    :ivar server_name: the name that the client asked the proxy for (SNI).
    :ivar alpn: what the client and the proxy agreed on.
    """

    version: int
    local: bool = False
    client: End | None = None
    host: IPv4Address | IPv6Address | None = None
    tls_version: str | None = None
    tls_cipher: str | None = None
    server_name: str | None = None
    alpn: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """What the TLS handshake agreed on. ``None`` says that it cannot be known by public means.

    :ivar version: e.g. ``TLSv1.3``.
    :ivar cipher: by OpenSSL's name.
    :ivar group: of the key exchange, e.g. ``X25519``.
    :ivar alpn: empty where nothing was agreed on. Peer's text, made safe by the report.
    :ivar server_name: what the client asked for (SNI), empty if it named none. Likewise.
    :ivar resumed: whether the session is an earlier one's.
    :ivar client: who the client is by its certificate, empty if it showed none. Likewise.
    """

    version: str | None = None
    cipher: str | None = None
    group: str | None = None
    alpn: str | None = None
    server_name: str | None = None
    resumed: bool | None = None
    client: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything known about a connection at the moment of asking.

    :ivar transport: what carries it.
    :ivar local: this end; ``None`` for a UNIX socket.
    :ivar remote: the far end of this very connection (``getpeername``): the proxy's where there is
        one. ``None`` for a UNIX socket.
    :ivar saved_syn: the client's SYN.
    :ivar no_saved_syn: why there is none; ``None`` if and only if there is one.
    :ivar link_layer: whether the kernel was asked for the link-layer header too (TCP_SAVE_SYN 2).
    :ivar accepted: TCP_INFO, read before anything was read from or written to the socket; ``None``
        where it was not.
    :ivar now: TCP_INFO at the moment of asking.
    :ivar server_isn: this end's initial sequence number, unsigned, 32 bits.
    :ivar no_server_isn: why it is not known; ``None`` if and only if it is.
    :ivar congestion: the algorithm that controls congestion (TCP_CONGESTION), e.g. ``cubic``.
    :ivar max_segment: TCP_MAXSEG, bytes.
    :ivar interface: the name of the interface that packets to the far end leave by; ``None`` = not
        known.
    :ivar interface_mtu: its MTU, bytes.
    :ivar proxy: ``None`` where no PROXY header came.
    :ivar tls: ``None`` while the connection is in the clear.
    :ivar age: seconds since it was accepted.
    :ivar bytes_in: from the client on the wire, those of TLS and PROXY headers included.
    :ivar bytes_out: to the client, likewise.
    :ivar service: the service's name.
    :ivar protocol: its kind, e.g. ``line``.
    :ivar commands: how many the client gave so far, this one included.
    :ivar account: who the client logged in as. Made safe by the report.
    :ivar encoding: of text on this connection, e.g. ``UTF-8``.
    :ivar line_ending: that the client uses: ``CRLF`` or ``LF``.
    """

    transport: Transport = Transport.TCP
    local: End | None = None
    remote: End | None = None
    saved_syn: SavedSyn | None = None
    no_saved_syn: Absence | None = None
    link_layer: bool = False
    accepted: TcpInfo | None = None
    now: TcpInfo | None = None
    server_isn: int | None = None
    no_server_isn: NoServerIsn | None = None
    congestion: str | None = None
    max_segment: int | None = None
    interface: str | None = None
    interface_mtu: int | None = None
    proxy: Proxy | None = None
    tls: Tls | None = None
    age: float | None = None
    bytes_in: int | None = None
    bytes_out: int | None = None
    service: str | None = None
    protocol: str | None = None
    commands: int | None = None
    account: str | None = None
    encoding: str | None = None
    line_ending: str | None = None
